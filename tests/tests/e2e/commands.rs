//! `jackfield plugins`, `inspect`, `completions` and `--help`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use jackfield_tests::{C_VARIANTS, c_fixture, fixture, foreign_architecture, panic_abort, plugin, text_file};
use serde_json::{Value, json};

use crate::site::{Ended, Site, start};

fn inspect(files: &[&Path], json: bool) -> Ended {
    let site = Site::new(&[]);
    let mut arguments = vec!["inspect"];
    arguments.extend(json.then_some("--json"));
    arguments.extend(files.iter().map(|file| file.to_str().expect("UTF-8")));
    let mark = site.path("mark");
    let ended = start(site.command(&arguments).stdin(Stdio::null()).env("JACKFIELD_MARK", &mark)).end();
    assert!(!mark.exists(), "code ran: {arguments:?}");
    assert_eq!(ended.stderr, "");
    ended
}

fn list(ended: &Ended) -> Vec<Value> {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
}

/// Files that are no usable plugin, and words of the reason.
fn unusable(site: &Site) -> Vec<(PathBuf, &'static str)> {
    let good = fs::read(plugin("file")).expect("readable");
    let truncated = site.write("libtruncated.so", &good[..good.len() / 3]);
    let headless = site.write("libheadless.so", &good[..40]);
    let empty = site.write("libempty.so", "");
    vec![
        (text_file(), "not a library but a text file"),
        (truncated, "libtruncated.so"),
        (headless, "libheadless.so"),
        (empty, "empty"),
        (foreign_architecture(), "aarch64"),
        (c_fixture("ABI_TOMORROW"), "ABI"),
        (c_fixture("REQUIRES_TELEPORT"), "teleport"),
        (c_fixture("WRONG_DIGEST"), "0123456789abcdef"),
        (c_fixture("NO_METADATA"), "metadata"),
        (c_fixture("NO_DESCRIPTOR"), "jackfield_plugin"),
        (site.path("libmissing.so"), "no such file"),
        (site.path("."), "folder"),
    ]
}

#[test]
fn inspect_shows_the_metadata_and_a_verdict() {
    let ended = inspect(&[&plugin("file"), &c_fixture("CONSTRUCTOR")], false).with_code(0);
    for text in
        ["file", "compatible", "Jackfield", "rust", "events appended to a file", "a plugin in C", "unwind"]
    {
        assert!(ended.stdout.contains(text), "{text}: {}", ended.stdout);
    }
    let ended = inspect(&[&plugin("file"), &c_fixture("CONSTRUCTOR")], true).with_code(0);
    let list = list(&ended);
    assert_eq!(list.len(), 2);
    for (found, name) in list.iter().zip(["file", "fixture"]) {
        assert_eq!((&found["compatible"], &found["refusal"]), (&json!(true), &Value::Null));
        assert_eq!(found["metadata"]["name"], name);
        assert_eq!(found["arch"], std::env::consts::ARCH);
    }
    assert_eq!(list[0]["metadata"]["config_schema"]["additionalProperties"], false);
}

#[cfg(target_os = "linux")]
#[test]
fn a_plugin_that_aborts_is_for_process_isolation_only() {
    let file = panic_abort("minimal");
    let ended = inspect(&[&file], false).with_code(0);
    assert!(ended.stdout.contains("process isolation only"), "{}", ended.stdout);
    let found = &list(&inspect(&[&file], true).with_code(0))[0];
    assert_eq!((&found["compatible"], &found["process_only"]), (&json!(true), &json!(true)));
    let site = Site::new(&[]);
    fs::copy(&file, site.path("libminimal.so")).expect("writable");
    site.write("config.toml", format!("[plugins]\npath = [{:?}]\n", site.path("")));
    let ended = site.run(&["plugins"]).with_code(0);
    assert!(ended.stdout.contains("process isolation only"), "{}", ended.stdout);
}

#[test]
fn inspect_says_why_a_file_can_not_be_used() {
    let site = Site::new(&[]);
    for (file, reason) in unusable(&site) {
        let ended = inspect(&[&file], false).with_code(4);
        let verdict: Vec<_> = ended.stdout.lines().filter(|line| line.starts_with("verdict")).collect();
        assert_eq!(verdict.len(), 1, "{}", ended.stdout);
        assert!(verdict[0].contains("refused: ") && verdict[0].contains(reason), "{reason}: {}", verdict[0]);
        let found = list(&inspect(&[&file], true).with_code(4)).remove(0);
        assert_eq!(found["compatible"], false);
        assert!(
            found["refusal"].as_str().is_some_and(|refusal| refusal.contains(reason)),
            "{reason}: {found}"
        );
    }
    let files: Vec<_> = unusable(&site).into_iter().map(|(file, _)| file).chain([plugin("stdout")]).collect();
    let paths: Vec<_> = files.iter().map(PathBuf::as_path).collect();
    let list = list(&inspect(&paths, true).with_code(4));
    assert_eq!(list.len(), files.len(), "one bad file hides no other");
    assert_eq!(list.last().expect("some")["compatible"], true);
}

#[test]
fn inspect_runs_no_variant_of_the_c_fixture() {
    // Each of them leaves a mark when it is loaded.
    let files: Vec<_> = C_VARIANTS.iter().map(|variant| c_fixture(variant)).collect();
    let paths: Vec<_> = files.iter().map(PathBuf::as_path).collect();
    assert_eq!(list(&inspect(&paths, true).with_code(4)).len(), C_VARIANTS.len());
    // That the mark would be seen, a run that loads one of them shows.
    let site = Site::new(&[crate::site::backend("c", &c_fixture("CONSTRUCTOR"), "")]);
    let mark = site.path("mark");
    start(site.command(&["send", "/dev/null"]).env("JACKFIELD_MARK", &mark)).end().with_code(0);
    assert!(mark.exists());
}

#[test]
fn plugins_lists_the_path_with_verdicts_and_runs_nothing() {
    let site = Site::new(&[]);
    let (one, two) = (site.path("one"), site.path("two"));
    for folder in [&one, &two] {
        fs::create_dir(folder).expect("made");
    }
    let copy = |from: PathBuf, to: PathBuf| assert!(fs::copy(from, to).is_ok());
    copy(c_fixture("CONSTRUCTOR"), one.join("libgood.so"));
    copy(text_file(), one.join("libtext.so"));
    copy(foreign_architecture(), one.join("libforeign.so"));
    let truncated = fs::read(plugin("stdout")).expect("readable");
    fs::write(one.join("libtruncated.so"), &truncated[..5000]).expect("writable");
    fs::write(one.join("README"), "no library").expect("writable");
    copy(fixture("minimal"), two.join("libminimal.so"));
    copy(fixture("minimal"), two.join("libgood.so"));
    site.write("config.toml", "plugins.path = [\"one\", \"missing\", \"two\"]\n");
    let mark = site.path("mark");
    let run = |arguments: &[&str]| {
        let ended = start(site.command(arguments).env("JACKFIELD_MARK", &mark)).end().with_code(0);
        assert!(!mark.exists(), "code ran");
        ended
    };

    let rows = list(&run(&["plugins", "--json"]));
    let row = |name: &str| {
        let found: Vec<_> =
            rows.iter().filter(|row| row["file"].as_str().is_some_and(|f| f.ends_with(name))).collect();
        assert_eq!(found.len(), 1, "{name}: {rows:?}");
        found[0].clone()
    };
    assert_eq!(rows.len(), 5, "{rows:?}");
    assert!(row("libgood.so")["file"].as_str().expect("a path").contains("one"), "the first folder wins");
    for (name, compatible) in [
        ("libgood.so", true),
        ("libminimal.so", true),
        ("libtext.so", false),
        ("libforeign.so", false),
        ("libtruncated.so", false),
    ] {
        assert_eq!(row(name)["compatible"], compatible, "{name}");
        assert_eq!(row(name)["refusal"].is_null(), compatible, "{name}");
    }
    assert_eq!(row("libgood.so")["abi"], json!({"major": 1, "minor": 0}));
    assert_eq!(row("libgood.so")["trusted"], true);

    let text = run(&["plugins"]).stdout;
    assert!(text.starts_with("NAME"), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("  compatible  ")).count(), 2, "{text}");
    assert_eq!(
        text.lines().filter(|line| line.contains("  refused  ") || line.contains("  refused ")).count(),
        3,
        "{text}"
    );
    assert!(text.contains("aarch64") || text.contains("x86_64"), "says why: {text}");
}

#[test]
fn plugins_without_any_says_where_it_looked() {
    let site = Site::new(&[]);
    site.write("config.toml", "plugins.path = [\"/no/such/folder\"]\n");
    let ended = site.run(&["plugins"]).with_code(0);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", "no plugin in /no/such/folder\n"));
    assert_eq!(list(&site.run(&["plugins", "--json"]).with_code(0)), Vec::<Value>::new());
}

#[test]
fn plugins_shows_the_name_that_a_configuration_accepts() {
    let site = Site::new(&[]);
    let folder = site.path("folder");
    fs::create_dir(&folder).expect("made");
    for (from, to) in [("stdout", "libstdout_backend.so"), ("file", "libfile.so")] {
        fs::copy(plugin(from), folder.join(to)).expect("copies");
    }
    fs::copy(fixture("tokio-a"), folder.join("libtokio-a.so")).expect("copies");
    let configure = |plugin: &str| {
        site.write(
            "config.toml",
            format!("plugins.path = [\"folder\"]\n[[backend]]\nname = \"b\"\nplugin = {plugin:?}\n"),
        );
    };
    configure("stdout");
    let text = site.run(&["plugins"]).with_code(0).stdout;
    let rows = list(&site.run(&["plugins", "--json"]).with_code(0));
    let names: Vec<_> = rows.iter().map(|row| [&row["name"], &row["metadata_name"]]).collect();
    assert_eq!(names, [["file", "file"], ["stdout_backend", "stdout"], ["tokio-a", "tokio_a"]]);
    assert!(text.contains("\nstdout_backend (stdout)  ") && text.contains("\nfile  "), "{text}");

    // Whoever takes the name that the plugin gives itself is told which to take.
    let refusal = site.run(&["send", "/dev/null"]).with_code(4).stderr;
    assert!(
        refusal.contains("; did you mean `plugin = \"stdout_backend\"`, which calls itself \"stdout\"?"),
        "{refusal}"
    );
    assert_eq!(refusal.matches("did you mean").count(), 1, "{refusal}");
    for row in rows.iter().take(2) {
        configure(row["name"].as_str().expect("a string"));
        let refusal = site.run(&["send", "/dev/null"]).stderr;
        assert!(!refusal.contains("no plugin"), "{refusal}");
    }
}

#[test]
fn names_of_files_can_not_forge_lines() {
    const FORGED: &str = "libx\nforged  1.0  compatible\x1b[2J.so";
    let site = Site::new(&[]);
    site.write("config.toml", "[[backend]]\nplugin = \"./\\u001b[31mno\\nerror: forged.so\"\n");
    let folder = site.path("folder");
    fs::create_dir(&folder).expect("made");
    fs::copy(text_file(), folder.join(FORGED)).expect("copies");
    let plain = |text: &str| {
        assert!(!text.contains('\x1b') && !text.lines().any(|line| line.starts_with("forged")), "{text}");
        assert!(text.contains("\\u{1b}["), "shown as what it is: {text}");
    };
    let inspected = inspect(&[&folder.join(FORGED)], false).with_code(4).stdout;
    plain(&inspected);
    assert_eq!(inspected.lines().count(), 2, "{inspected}");
    let input = site.path("in\n\x1b[31mforged");
    fs::write(&input, "").expect("writable");
    let input = input.to_str().expect("UTF-8").to_owned();
    let refused = site.run(&["send", &input]).with_code(4);
    plain(&refused.stderr);
    assert_eq!(refused.stderr.lines().count(), 1, "{}", refused.stderr);
    site.write("config.toml", "plugins.path = [\"folder\"]\nbackend = [{ plugin = \"x\" }]\n");
    let listed = site.run(&["plugins"]).with_code(0).stdout;
    plain(&listed);
    assert_eq!(listed.lines().count(), 3, "head, row and refusal: {listed}");
    let missing = site.run(&["send", &format!("{input}-missing")]).with_code(7).stderr;
    plain(&missing);
    assert_eq!(missing.lines().count(), 1, "{missing}");
}

#[test]
fn completions_are_scripts_that_know_the_options() {
    let site = Site::new(&[]);
    for shell in ["bash", "zsh", "fish"] {
        let ended = site.run(&["completions", shell]).with_code(0);
        for word in ["send", "inspect", "plugins", "give-up-after", "leftovers"] {
            assert!(ended.stdout.contains(word), "{shell} does not know {word}");
        }
        site.write(shell, &ended.stdout);
    }
    let checked = Command::new("bash").arg("-n").arg(site.path("bash")).output().expect("bash runs");
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    site.run(&["completions", "tcl"]).with_code(2);
}

#[test]
fn every_help_of_a_command_has_examples_and_the_help_of_all_has_exit_codes() {
    let site = Site::new(&[]);
    let screen = site.run(&["-h"]).with_code(0).stdout;
    assert!(
        screen.lines().count() <= 24 && screen.lines().all(|line| line.chars().count() <= 80),
        "{screen}"
    );
    for command in [&[][..], &["send"], &["plugins"], &["inspect"], &["config"], &["completions"]] {
        let ended = site.run(&[command, &["--help"]].concat()).with_code(0);
        for part in ["Usage: jackfield", "Options of every command:\n"] {
            assert!(ended.stdout.contains(part), "{command:?}: {part:?}: {}", ended.stdout);
        }
        let is_whole = command.is_empty();
        assert_eq!(ended.stdout.contains("Examples:\n  "), !is_whole, "{command:?}: {}", ended.stdout);
        let has_codes = ended.stdout.contains("Exit codes") && ended.stdout.contains("  130 interrupted");
        assert_eq!(has_codes, is_whole, "{command:?}: {}", ended.stdout);
        assert!(!is_whole || ended.stdout.lines().count() <= 42, "{}", ended.stdout);
        let widest = ended.stdout.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(120), "{command:?}: {widest:?}");
    }
    let version = site.run(&["--version"]).with_code(0).stdout;
    assert_eq!(version, format!("jackfield {} (plugin ABI 1.0)\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_command_line_has_its_exit_code() {
    let site = Site::new(&[]);
    for arguments in [
        &["sned"][..],
        &["send", "--give-up-after", "5"],
        &["send", "--batch-events", "0"],
        &["inspect"],
        &["send", "a", "b"],
    ] {
        let ended = site.run(arguments).with_code(2);
        assert_eq!(ended.stdout, "", "{arguments:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.starts_with("error: ") && ended.stderr.contains("--help`"), "{}", ended.stderr);
    }
    let nothing = site.run(&[]).with_code(2);
    assert!(
        nothing.stdout.is_empty() && nothing.stderr.contains("Usage: jackfield"),
        "the help: {}",
        nothing.stderr
    );
}
