//! `jackfield config`: all mistakes at once, what is in force, and no byte of a plugin runs.

#![cfg(unix)]

use std::fs;

use jackfield_tests::{c_fixture, plugin};
use serde_json::Value;

use crate::site::{Site, backend, events, start, to_file};

#[test]
fn check_and_show_run_no_byte_of_a_plugin_in_any_process() {
    for isolation in ["thread", "process"] {
        let rest = format!("isolation = \"{isolation}\"");
        let site = Site::new(&[backend("main", &c_fixture("CONSTRUCTOR"), &rest)]);
        let mark = site.path("mark");
        let run = |arguments: &[&str]| start(site.command(arguments).env("JACKFIELD_MARK", &mark)).end();
        run(&["config", "check"]).with_code(0);
        run(&["config", "show"]).with_code(0);
        assert!(!mark.exists(), "{isolation}: code of the plugin ran");
        site.write("in.jsonl", events(0..1));
        run(&["send", "in.jsonl"]);
        assert!(mark.exists(), "{isolation}: the mark would have been seen");
    }
}

#[test]
fn check_lists_all_mistakes_of_the_file_and_of_every_backend() {
    let site = Site::new(&[]);
    let file = plugin("file");
    site.write(
        "config.toml",
        format!(
            "[plugins]\ntrust = \"ownr\"\n\
             [[backend]]\nplugin = {file:?}\nname = \"a\"\ntimeout = 5\nconfig = {{ pth = 1 }}\n\
             [[backend]]\nplugin = \"./missing.so\"\nname = \"b\"\n"
        ),
    );
    let ended = site.run(&["config", "check", "--json"]).with_code(3);
    let told = ended.json();
    assert_eq!((&told["file"], &told["backends"]), (&"config.toml".into(), &2.into()));
    let mistakes = told["mistakes"].as_array().expect("a list");
    let lines: Vec<_> = mistakes.iter().map(|mistake| mistake["text"].as_str().expect("text")).collect();
    let expected = [
        "configuration config.toml:2: `plugins.trust`: ",
        "configuration config.toml:6: `backend.timeout`: ",
        "configuration config.toml:7: backend `a`: `backend.config.pth`: unknown key, did you mean `path`?",
        "configuration config.toml:7: backend `a`: `backend.config`: `path` is missing",
        "backend `b`: find: no file ",
    ];
    assert_eq!(lines.len(), expected.len(), "{ended:#?}");
    for start in expected {
        assert!(lines.iter().any(|line| line.starts_with(start)), "{start}: {ended:#?}");
    }
    assert_eq!((&mistakes[0]["line"], &mistakes[0]["backend"]), (&2.into(), &Value::Null));
    let of = |backend: &'static str| mistakes.iter().filter(move |mistake| mistake["backend"] == backend);
    assert!(of("a").count() == 2 && of("a").all(|mistake| mistake["line"] == 7), "{ended:#?}");
    assert!(of("b").count() == 1 && of("b").all(|mistake| mistake["line"].is_null()), "{ended:#?}");
    assert_eq!(ended.stderr.lines().count(), expected.len(), "each is a line of standard error, too");

    site.write("config.toml", to_file("a", "out.jsonl"));
    let ended = site.run(&["config", "check"]).with_code(0);
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        ("config.toml: 1 backend, no mistake found\n", "")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn check_tries_the_limits_and_the_sandbox_in_a_process_of_their_own() {
    let of = |rest: &str| {
        let table = format!("isolation = \"process\"\nconfig = {{ path = \"out.jsonl\" }}\n{rest}");
        let site = Site::new(&[backend("main", &plugin("file"), &table)]);
        let code = if rest.is_empty() { 0 } else { 3 };
        let stderr = site.run(&["config", "check"]).with_code(code).stderr;
        assert!(!site.path("out.jsonl").exists(), "the plugin has not opened");
        stderr
    };
    assert_eq!(of(""), "");
    let sandbox = of("[backend.sandbox]\nread = [\"/no/such/path\"]\n");
    assert!(
        sandbox.contains("config.toml:7: backend `main`: `backend.sandbox.read`: /no/such/path: "),
        "{sandbox}"
    );
    let limits = of("[backend.limits]\nfiles = 2\n");
    assert!(
        limits.contains("config.toml:7: backend `main`: `backend.limits.files`: 2 open files"),
        "{limits}"
    );
}

#[test]
fn show_says_where_each_value_comes_from_and_shows_no_secret() {
    let site = Site::new(&[]);
    let http = plugin("http");
    site.write(
        "config.toml",
        format!(
            "[[backend]]\nplugin = {http:?}\nname = \"main\"\ntimeout = \"9s\"\n[backend.config]\n\
             url = \"https://${{E2E_HOST}}/?token=hunter2-literal\"\n[backend.config.headers]\n\
             authorization = \"Bearer hunter3-literal\"\nx-key = \"${{E2E_SECRET}}\"\n"
        ),
    );
    let run = |arguments: &[&str]| {
        let mut command = site.command(arguments);
        command.env("E2E_HOST", "secret-host.example").env("E2E_SECRET", "hunter4-value");
        let ended = start(&mut command).end().with_code(0);
        for secret in ["hunter", "secret-host"] {
            assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{secret}: {ended:#?}");
        }
        ended
    };
    let rows = run(&["config", "show", "--json"]).json();
    let row = |backend: Option<&str>, key: &str| {
        let is_it = |row: &&Value| row["key"] == key && row["backend"].as_str() == backend;
        let found = rows.as_array().expect("a list").iter().find(is_it);
        found.unwrap_or_else(|| panic!("{key}: {rows:#}")).clone()
    };
    let main = Some("main");
    for (backend, key, value, from) in [
        (None, "configuration", "config.toml", "$JACKFIELD_CONFIG"),
        (None, "log format", "text", "default"),
        (None, "plugins.trust", "owner", "default"),
        (main, "timeout", "9s", "config.toml:4"),
        (main, "longest_pause", "5m", "default"),
        (main, "config.headers.x-key", "${E2E_SECRET}", "config.toml:9"),
        (main, "config.headers.authorization", "(not shown)", "config.toml:8"),
        (main, "file", &http.display().to_string(), "search path"),
    ] {
        let row = row(backend, key);
        assert_eq!((row["value"].as_str(), row["from"].as_str()), (Some(value), Some(from)), "{key}");
    }
    assert_eq!(row(main, "timeout")["line"], 4);
    let defaults =
        rows.as_array().expect("a list").iter().filter(|row| row["from"] == "default of the plugin");
    assert!(defaults.count() > 0, "{rows:#}");

    let text = run(&["config", "show", "--log-format", "text", "--config", "config.toml"]).stdout;
    assert!(text.starts_with("KEY") && text.contains("\nbackend main\n"), "{text}");
    assert!(
        text.contains("command line (--config)") && text.contains("command line (--log-format)"),
        "{text}"
    );
}

#[test]
fn show_refuses_a_wrong_configuration() {
    let site = Site::new(&["[[backend]]\nplugin = 7\n".to_owned()]);
    let ended = site.run(&["config", "show"]).with_code(3);
    assert!(
        ended.stderr.starts_with("error: configuration config.toml:2: ") && ended.stdout.is_empty(),
        "{ended:#?}"
    );
}

#[test]
fn a_configuration_that_is_not_found_is_said_once_with_the_places() {
    let site = Site::new(&[]);
    fs::remove_file(site.path("config.toml")).expect("there");
    site.write("in.jsonl", events(0..1));
    let stdout = plugin("stdout");
    let folder = stdout.parent().expect("a folder");
    let run = |arguments: &[&str]| {
        let mut command = site.command(arguments);
        start(command.env_remove("JACKFIELD_CONFIG").env("JACKFIELD_PLUGIN_PATH", folder)).end()
    };
    let place = site.path("jackfield/config.toml").display().to_string();
    for (arguments, code) in [
        (&["send", "in.jsonl"][..], 0),
        (&["doctor"], 0),
        (&["run", "--state", "state"], 3),
        (&["config", "check"], 3),
        (&["config", "show"], 0),
    ] {
        let ended = run(arguments).with_code(code);
        assert_eq!(ended.stderr.matches("no configuration").count(), 1, "{arguments:?}: {ended:#?}");
        assert!(
            ended.stderr.contains(&place) && ended.stderr.contains("/etc/jackfield/config.toml"),
            "{arguments:?}: {ended:#?}"
        );
    }
    let ended = run(&["plugins"]).with_code(0);
    assert_eq!(ended.stderr, "", "it needs no configuration");
}
