//! Reads the command line, and reports an error in it in one line.

use std::env;

use clap::{CommandFactory as _, FromArgMatches as _, error::ErrorKind};

use super::Cli;
use crate::{
    exit::Exit,
    log::{self, LogFormat},
};

/// The command line, and the name of its command. A wrong command line, `--help` and `--version` end the process.
pub(crate) fn parse() -> (Cli, String) {
    log::set_format(wanted_format());
    let parsed = Cli::command().try_get_matches().and_then(|matches| {
        let name = matches.subcommand_name().unwrap_or_default().to_owned();
        Cli::from_arg_matches(&matches).map(|cli| (cli, name))
    });
    parsed.unwrap_or_else(|error| {
        if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            error.exit()
        }
        log::error(line(&error.render().to_string()));
        jackfield_loader::exit(Exit::Usage.code().into())
    })
}

/// The format of the log, looked up before the command line is read: an error in that has the format, too.
fn wanted_format() -> LogFormat {
    let mut words = env::args_os().skip_while(|word| word != "--log-format").skip(1);
    let joined =
        || env::args_os().find_map(|word| Some(word.to_str()?.strip_prefix("--log-format=")?.to_owned()));
    let word = words.next().and_then(|word| word.into_string().ok()).or_else(joined);
    let word = word.or_else(|| env::var("JACKFIELD_LOG_FORMAT").ok());
    if word.as_deref() == Some("json") { LogFormat::Json } else { LogFormat::Text }
}

/// Turns clap's message, which has several lines and a usage, into one line that says how to see the usage.
fn line(message: &str) -> String {
    let (mut said, mut help) = (String::new(), "--help".to_owned());
    for text in message.lines().map(str::trim).filter(|text| !text.is_empty()) {
        if let Some(usage) = text.strip_prefix("Usage: ") {
            let is_name =
                |word: &&str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_');
            let names: Vec<_> = usage.split(' ').take_while(is_name).collect();
            help = format!("{} --help", names.join(" "));
            break;
        }
        if text.starts_with("For more information") {
            break;
        }
        match text.strip_prefix("tip: ") {
            Some(tip) => said += &format!("; {tip}"),
            None if said.is_empty() || said.ends_with(':') => said += &format!(" {text}"),
            None => said += &format!(", {text}"),
        }
    }
    let said = said.trim_start();
    format!("{}; see `{help}`", said.strip_prefix("error: ").unwrap_or(said))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn refusal(args: &str) -> String {
        let Err(error) = Cli::try_parse_from(args.split(' ')) else { panic!("{args} is right") };
        line(&error.render().to_string())
    }

    #[test]
    fn what_is_wrong_what_to_do_and_where_the_usage_is_are_one_line() {
        assert_eq!(
            refusal("jackfield status --onec"),
            "unexpected argument '--onec' found; a similar argument exists: '--once'; see `jackfield status --help`"
        );
        assert_eq!(
            refusal("jackfield sing x"),
            "unrecognized subcommand 'sing'; a similar subcommand exists: 'sign'; see `jackfield --help`"
        );
        assert_eq!(
            refusal("jackfield check"),
            "the following required arguments were not provided: <FILE>; see `jackfield check --help`"
        );
        let refused = refusal("jackfield run --grace banana");
        assert!(refused.starts_with("invalid value 'banana' for '--grace <"), "{refused}");
        assert!(refused.ends_with("; see `--help`") && !refused.contains('\n'), "{refused}");
    }
}
