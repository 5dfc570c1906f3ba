//! Every mistake that was tried, and what is said to it. The pages are `mistakes/*.txt`, for people to read.
//!
//! A page begins with what it is about, and after an empty line the configuration of rows that have none. A row is:
//!
//! ```text
//! === what is wrong
//! $ run --state state           the command line of `jackfield`; `send in.jsonl` unless it is there
//! % NAME=VALUE                  a variable of the environment
//! ! chmod 666 config.toml       a line for the shell, before the command
//! ~ only the plugin sees it     why `config check` does not find it
//! @ in.jsonl                    the text of this file follows, instead of that of config.toml
//! the text of config.toml
//! --- 3
//! the exit code above, and what standard error says
//! ```
//!
//! `JACKFIELD_BLESS=1` writes the answers. Read them before they are checked in: each is judged here by what holds for all
//! of them, and only a person sees whether it helps.

#![cfg(target_os = "linux")]

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use jackfield_tests::{C_VARIANTS, c_fixture, cli, foreign_architecture, isolated_command, plugin, released};

use crate::site::events;

/// The exit codes that `jackfield --help` explains.
const CODES: [i32; 8] = [0, 2, 3, 4, 5, 6, 7, 130];

/// The longest line that a person reads to its end, in characters.
const LONGEST: usize = 500;

struct Page {
    file: PathBuf,
    /// The lines before the first row.
    intro: String,
    rows: Vec<Row>,
}

#[derive(Default)]
struct Row {
    title: String,
    /// The lines of the row without its answer.
    text: String,
    command: Option<String>,
    variables: Vec<(String, String)>,
    shell: Vec<String>,
    /// Why `config check` does not find the mistake.
    beyond: Option<String>,
    /// `config.toml` and others.
    files: Vec<(String, String)>,
    answer: String,
}

/// What a run said, with names in the place of what differs from run to run.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: Option<i32>,
    stderr: String,
}

impl Answer {
    fn text(&self) -> String {
        format!("--- {}\n{}", self.code.map_or("killed".to_owned(), |code| code.to_string()), self.stderr)
    }
}

fn read(file: &Path) -> Page {
    let text = fs::read_to_string(file).expect("readable");
    let mut parts = text.split("\n=== ");
    let intro = parts.next().expect("an introduction").to_owned();
    let standard = intro.split_once("\n\n").map(|(_, text)| text.to_owned()).unwrap_or_default();
    Page { file: file.to_owned(), rows: parts.map(|part| row(part, &standard)).collect(), intro }
}

fn row(part: &str, standard: &str) -> Row {
    let (text, answer) = match part.split_once("\n--- ") {
        Some((text, answer)) => (text, format!("--- {}", answer.trim_end_matches('\n').to_owned() + "\n")),
        None => (part.trim_end_matches('\n'), String::new()),
    };
    let mut row = Row { text: text.to_owned() + "\n", answer, ..Row::default() };
    let mut lines = text.lines();
    row.title = lines.next().unwrap_or_default().to_owned();
    let mut open = ("config.toml".to_owned(), String::new());
    for line in lines {
        match line.split_once(' ') {
            Some(("$", command)) => row.command = Some(command.to_owned()),
            Some(("%", variable)) => {
                let (name, value) = variable.split_once('=').expect("NAME=VALUE");
                row.variables.push((name.to_owned(), value.to_owned()));
            }
            Some(("!", line)) => row.shell.push(line.to_owned()),
            Some(("~", why)) => row.beyond = Some(why.to_owned()),
            Some(("@", name)) => {
                row.files.push(std::mem::replace(&mut open, (name.to_owned(), String::new())));
            }
            _ => open.1 += &format!("{line}\n"),
        }
    }
    row.files.push(open);
    if let Some((_, text)) =
        row.files.iter_mut().find(|(name, text)| name == "config.toml" && text.is_empty())
    {
        *text = standard.to_owned();
    }
    row
}

/// The folder of the plugins that rows use by their names, and that of the fixtures.
struct Peers {
    root: tempfile::TempDir,
}

impl Peers {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let put = |folder: &str, name: &str, from: &Path| {
            let to = root.path().join(folder).join(name);
            fs::create_dir_all(to.parent().expect("a folder")).expect("writable");
            fs::hard_link(from, &to).or_else(|_| fs::copy(from, &to).map(drop)).expect("readable");
        };
        for name in ["file", "stdout", "http", "rabbitmq"] {
            put("plugins", &format!("lib{name}.so"), &plugin(name));
        }
        for variant in C_VARIANTS.iter().filter(|variant| !variant.ends_with("_HANGS")) {
            put("fixtures", &format!("lib{}.so", variant.to_ascii_lowercase()), &c_fixture(variant));
        }
        put("fixtures", "libforeign.so", &foreign_architecture());
        let (_, others) = released().pop().expect("a contract");
        for (name, file) in [("c.dll", "windows.dll"), ("c-arm64.dylib", "macos.dylib")] {
            let other = others.iter().find(|other| other.name == name).expect("in the manifest");
            put("fixtures", file, &other.private());
        }
        fs::set_permissions(root.path().join("plugins"), fs::Permissions::from_mode(0o755)).expect("ours");
        Self { root }
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A command in the folder of a row.
    fn command(&self, program: &Path, here: &Path, arguments: &[&str], row: &Row) -> Command {
        let mut command = isolated_command(program, here, arguments);
        let paths =
            [cli().parent().expect("a folder").display().to_string(), std::env::var("PATH").expect("set")];
        command
            .env("PATH", paths.join(":"))
            .env("JACKFIELD_PLUGIN_PATH", self.folder("plugins"))
            .env("PLUGINS", self.folder("plugins"))
            .env("FIXTURES", self.folder("fixtures"))
            .env("LC_ALL", "C")
            .envs(row.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    fn run(&self, here: &Path, arguments: &[&str], row: &Row) -> Answer {
        let output = self.command(&cli(), here, arguments, row).output().expect("starts");
        // Where a refusal is the result of a command, it is on standard output.
        let is_result = output.stderr.is_empty() && !output.status.success();
        let stderr =
            String::from_utf8_lossy(if is_result { &output.stdout } else { &output.stderr }).into_owned();
        Answer { code: output.status.code(), stderr: self.named(&stderr, here) }
    }

    /// `text` with names in the place of folders, digests and keys.
    fn named(&self, text: &str, here: &Path) -> String {
        let text = text
            .replace(&here.display().to_string(), "HERE")
            .replace(&self.root.path().display().to_string(), "ROOT");
        let mut out = String::new();
        let is_word = |c: char| c.is_ascii_alphanumeric();
        let mut rest = text.as_str();
        while let Some(first) = rest.chars().next() {
            let length = rest.find(|c| is_word(c) != is_word(first)).unwrap_or(rest.len());
            let (part, behind) = rest.split_at(length);
            let is_time = part.len() == 16 && part.ends_with('Z') && part.as_bytes()[8] == b'T';
            let is_count = out.ends_with("the child has ") || out.ends_with("TIME-");
            let is_hex = part.bytes().all(|byte| byte.is_ascii_hexdigit());
            let digits = part.bytes().any(|byte| byte.is_ascii_digit());
            out += match part.len() {
                64 if is_hex => "SHA256",
                16 if is_hex && digits && part.to_ascii_uppercase() == part => "KEYID",
                16 if is_hex && digits => "DIGEST",
                _ if is_time => "TIME",
                _ if is_count => "N",
                _ => part,
            };
            rest = behind;
        }
        out
    }

    /// Makes the folder of a row.
    fn prepare(&self, here: &Path, row: &Row) {
        fs::create_dir_all(here).expect("writable");
        fs::write(here.join("in.jsonl"), events(0..1)).expect("writable");
        for (name, text) in &row.files {
            fs::write(here.join(name), text).expect("writable");
            fs::set_permissions(here.join(name), fs::Permissions::from_mode(0o644)).expect("ours");
        }
        if !row.shell.is_empty() {
            let script = format!("umask 022\n{}", row.shell.join("\n"));
            let mut shell = self.command(Path::new("sh"), here, &["-e", "-c", &script], row);
            let output = shell.output().expect("sh runs");
            assert!(output.status.success(), "{}: {output:?}", row.title);
        }
    }
}

/// The words of a command line, in which quotes hold some together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("a quote at its end"),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = behind.trim_start();
    }
    words
}

/// What is wrong with an answer, whatever the mistake: the code is explained in the help; each line is readable, and says
/// nothing of the program's inside and no secret; one mistake has one line, and the line names the file.
fn judge(row: &Row, answer: &Answer) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut require = |holds: bool, what: &str| {
        if !holds {
            wrong.push(format!("{}: {what}: {}", row.title, answer.text()));
        }
    };
    let Answer { code, stderr } = answer;
    require(code.is_some_and(|code| CODES.contains(&code)), "the exit code is not documented");
    require(code == &Some(0) || !stderr.is_empty(), "it says nothing");
    for word in ["panicked", "unwrap", "RUST_BACKTRACE", "hunter2", "Error {", "Some(", "None"] {
        require(!stderr.contains(word), "nobody outside understands it, or it is a secret");
    }
    require(!stderr.chars().any(|c| c.is_control() && c != '\n'), "a control character");
    require(stderr.lines().all(|line| line.chars().count() <= LONGEST), "a line is too long");
    let errors = stderr.lines().filter(|line| line.starts_with("error: ")).count();
    let is_check = row.command.as_deref().is_some_and(|command| command.starts_with("config check"));
    if matches!(code, Some(2..=4)) && !is_check {
        require(errors <= 1, "one mistake has one line");
    }
    if code == &Some(2) {
        require(
            stderr.contains("--help`") || stderr.contains("--") || stderr.contains('_'),
            "it does not say what is wrong",
        );
    }
    let config = row.files.iter().any(|(name, text)| name == "config.toml" && !text.is_empty());
    if code == &Some(3) && config && !is_check {
        require(stderr.contains(".toml") || stderr.contains(".lock"), "it names no file");
    }
    wrong
}

/// What is wrong with `config check` where `send` has refused a mistake.
fn judge_check(row: &Row, sent: &Answer, checked: &Answer) -> Vec<String> {
    let wrong = |what: &str| vec![format!("{}: {what}:\n{}{}", row.title, sent.text(), checked.text())];
    let refusal = sent.stderr.trim_end();
    let refusal = refusal.strip_prefix("error: ").unwrap_or(refusal);
    match (&row.beyond, checked.code) {
        (Some(_), Some(0)) => Vec::new(),
        (Some(_), _) => wrong("`config check` finds it, so the row need not say why not"),
        (None, Some(3)) => {
            // `send` may say that nothing was read, and a second mistake of the same backend. Of a file that an option
            // names, the plugin has words of its own.
            let key = |line: &str| {
                let key = line.find("`backend.")?;
                Some(line[..key + line[key..].find("`: ")?].to_owned())
            };
            let is_the_same = |line: &str| {
                line.strip_prefix("error: ").is_some_and(|line| {
                    refusal.starts_with(line) || key(refusal).is_some_and(|of| key(line) == Some(of))
                })
            };
            match checked.stderr.lines().any(is_the_same) {
                true => Vec::new(),
                false => wrong("`send` and `config check` say different things"),
            }
        }
        (None, _) => wrong("`send` refuses it, and `config check` passes it"),
    }
}

/// Runs the rows of a page. Returns their answers, and what is wrong with them.
fn run(page: &Page, peers: &Peers) -> (Vec<String>, Vec<String>) {
    let (mut answers, mut wrong) = (Vec::new(), Vec::new());
    let name = page.file.file_stem().expect("a name").to_string_lossy().into_owned();
    for (number, row) in page.rows.iter().enumerate() {
        let here = peers.folder(&format!("{name}-{number}"));
        peers.prepare(&here, row);
        let command = words(row.command.as_deref().unwrap_or("send in.jsonl"));
        let arguments: Vec<_> = command.iter().map(String::as_str).collect();
        let answer = peers.run(&here, &arguments, row);
        wrong.extend(judge(row, &answer));
        if command[0] == "send" && matches!(answer.code, Some(3 | 4)) {
            let named = arguments.windows(2).find(|pair| pair[0] == "--config");
            let arguments = [&["config", "check"], named.unwrap_or_default()].concat();
            wrong.extend(judge_check(row, &answer, &peers.run(&here, &arguments, row)));
        }
        answers.push(answer.text());
    }
    (answers, wrong)
}

fn pages() -> Vec<Page> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/mistakes");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files.iter().map(|file| read(file)).collect()
}

#[test]
fn each_mistake_gets_the_answer_on_its_page() {
    let (pages, peers) = (pages(), Peers::new());
    let rows: Vec<_> = pages.iter().flat_map(|page| &page.rows).collect();
    assert!(rows.len() >= 200, "{} rows", rows.len());
    let titles: BTreeSet<_> =
        pages.iter().flat_map(|page| page.rows.iter().map(|row| (&page.file, &row.title))).collect();
    assert_eq!(titles.len(), rows.len(), "a title is on its page once");
    let bless = std::env::var_os("JACKFIELD_BLESS").is_some();
    let mut wrong = Vec::new();
    thread::scope(|scope| {
        let running: Vec<_> = pages.iter().map(|page| (page, scope.spawn(|| run(page, &peers)))).collect();
        for (page, running) in running {
            let (answers, found) = running.join().expect("no panic");
            wrong.extend(found);
            if bless {
                let mut text = page.intro.trim_end().to_owned() + "\n";
                for (row, answer) in page.rows.iter().zip(answers) {
                    let _ = write!(text, "\n=== {}{answer}", row.text);
                }
                fs::write(&page.file, text).expect("writable");
                continue;
            }
            for (row, answer) in page.rows.iter().zip(answers) {
                if row.answer != answer {
                    let page = page.file.display();
                    wrong.push(format!("{page}: {}: it was\n{}and is\n{answer}", row.title, row.answer));
                }
            }
        }
    });
    assert!(wrong.is_empty(), "{} (JACKFIELD_BLESS=1 writes the pages):\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn an_answer_that_helps_nobody_is_noticed() {
    let row = |command: Option<&str>| Row {
        title: "row".to_owned(),
        command: command.map(str::to_owned),
        files: vec![("config.toml".to_owned(), "x".to_owned())],
        ..Row::default()
    };
    let answer = |code, stderr: &str| Answer { code: Some(code), stderr: stderr.to_owned() };
    let good = answer(3, "error: configuration config.toml:1: no; nothing was read\n");
    assert!(judge(&row(None), &good).is_empty());
    for bad in [
        answer(1, "error: config.toml\n"),
        answer(101, "thread 'main' panicked at config.toml\n"),
        answer(3, ""),
        answer(3, "error: no\n"),
        answer(3, "error: config.toml: the password is hunter2\n"),
        answer(3, "error: config.toml: a\nerror: config.toml: b\n"),
        answer(3, &format!("error: config.toml: {}\n", "x".repeat(LONGEST))),
        answer(3, "error: config.toml: \u{1b}[31m\n"),
        Answer { code: None, stderr: "error: config.toml\n".to_owned() },
    ] {
        assert!(!judge(&row(None), &bad).is_empty(), "{bad:?}");
    }
    let same = answer(3, "error: configuration config.toml:1: no\nerror: another\n");
    assert!(judge_check(&row(None), &good, &same).is_empty());
    let beyond = Row { beyond: Some("why".to_owned()), ..row(None) };
    assert!(judge_check(&beyond, &good, &answer(0, "")).is_empty());
    for (row, checked) in
        [(row(None), answer(0, "")), (row(None), answer(3, "error: something else\n")), (beyond, same)]
    {
        assert!(!judge_check(&row, &good, &checked).is_empty(), "{checked:?}");
    }
}
