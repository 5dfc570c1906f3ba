//! The ends of the help texts.

use crate::exit;

/// The end of a command's help.
pub(crate) struct Help {
    pub(crate) examples: &'static str,
    pub(crate) notes: &'static str,
}

impl Help {
    /// For `-h`.
    pub(crate) fn short(&self) -> String {
        format!("Examples:\n{}\n\n--help says more.", self.examples)
    }

    /// For `--help`. What is the same for all commands is only named.
    pub(crate) fn long(&self) -> String {
        let Self { examples, notes } = self;
        let notes = if notes.is_empty() { String::new() } else { format!("{notes}\n\n") };
        format!(
            "Examples:\n{examples}\n\n{notes}The exit codes are in `jackfield --help`, the places of the configuration in\n\
             `jackfield config --help`."
        )
    }
}

/// The command that the parser adds.
const HELP: &str = "help";

/// The width of a screen.
pub(crate) const COLUMNS: usize = 80;

/// The commands that most users need, in the order of `-h`.
const FIRST: [&str; 9] =
    ["send", "run", "status", "dead-letters", "config", "doctor", "plugins", "inspect", HELP];

/// Every command with its line of help. The parser adds `help` later.
fn commands(definition: &clap::Command) -> Vec<(&str, String)> {
    let line = |command: &clap::Command| command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut all: Vec<_> = definition.get_subcommands().map(|it| (it.get_name(), line(it))).collect();
    all.push((HELP, "Print the help of a command".to_owned()));
    all
}

fn rows<'c>(commands: impl IntoIterator<Item = &'c (&'c str, String)>) -> String {
    commands.into_iter().map(|(name, line)| format!("  {name:<14}{line}\n")).collect()
}

/// The options of every command, such as `--config <FILE>`, with their lines of help.
fn common_options(definition: &clap::Command) -> Vec<(String, String)> {
    let common = definition.get_arguments().filter(|option| option.is_global_set());
    common
        .map(|option| {
            let names = option.get_value_names().filter(|_| option.get_action().takes_values());
            let value = names.and_then(|names| names.first());
            let value = value.map(|name| format!(" <{name}>")).unwrap_or_default();
            let help = option.get_help().map(ToString::to_string).unwrap_or_default();
            (format!("--{}{value}", option.get_long().unwrap_or_default()), help)
        })
        .collect()
}

/// The end of `-h`, which is a screen.
pub(crate) fn screen(definition: &clap::Command) -> String {
    let all = commands(definition);
    let first = FIRST.iter().filter_map(|name| all.iter().find(|(known, _)| known == name));
    let others = all.iter().map(|(name, _)| *name).filter(|name| !FIRST.contains(name));
    let others = wrapped("Also:", others);
    let options = common_options(definition);
    let options =
        wrapped("Options of every command:", options.iter().map(|(option, _)| &**option).chain(["--help"]));
    format!(
        "Commands:\n{}\n{others}\n{options}\n`jackfield --help` has the exit codes, `jackfield COMMAND -h` says more.",
        rows(first)
    )
}

/// The end of `--help`.
pub(crate) fn whole(definition: &clap::Command) -> String {
    let line = |(option, help): (String, String)| format!("  {option:<21} {help}\n");
    let options: String = common_options(definition).into_iter().map(line).collect();
    let mut commands = commands(definition);
    // Said with its option.
    commands.retain(|(name, _)| *name != HELP);
    format!(
        "Commands:\n{}\nOptions of every command:\n{options}  {:<21} Print help, also `jackfield help COMMAND`; the version\n\n{}",
        rows(&commands),
        "-h, --help, --version",
        exit::HELP
    )
}

/// A heading and words with commas, in lines of at most [`COLUMNS`] characters.
fn wrapped<'w>(heading: &str, words: impl IntoIterator<Item = &'w str>) -> String {
    let (mut text, mut width) = (heading.to_owned(), heading.len());
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let word = if words.peek().is_some() { format!("{word},") } else { word.to_owned() };
        if width + 1 + word.len() > COLUMNS {
            text.push_str("\n ");
            width = 1;
        }
        text.push(' ');
        text.push_str(&word);
        width += 1 + word.len();
    }
    text + "\n"
}
