//! The configuration that ops write: what is wrong with it is told in one line, and what it refers to is filled in.

#![cfg(unix)]

use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio};

use jackfield_tests::{c_fixture, plugin, text_file};

use crate::site::{Ended, Site, event, events, start, to_file};

/// Runs `send` with this configuration; nothing may be read.
fn send(text: &str) -> (Site, Ended) {
    let site = Site::new(&[]);
    site.write("config.toml", text);
    site.write("in.jsonl", events(0..1));
    let ended = start(site.command(&["send", "in.jsonl"]).env("E2E_SET", "out.jsonl")).end();
    (site, ended)
}

#[test]
fn every_mistake_is_one_line_that_names_place_and_key() {
    let file = plugin("file");
    let file = file.to_str().expect("UTF-8");
    let stdout = plugin("stdout");
    let stdout = stdout.to_str().expect("UTF-8");
    let backend = |rest: &str| format!("[[backend]]\nplugin = \"{file}\"\n{rest}\n");
    let config = |rest: &str| backend(&format!("\n[backend.config]\npath = \"out.jsonl\"\n{rest}"));
    let table: [(&str, String, i32, &[&str]); 26] = [
        ("no TOML", "a = ".into(), 3, &["config.toml:1: not TOML: "]),
        (
            "an unknown table",
            "[plugin]\n".into(),
            3,
            &["config.toml:1: `plugin`: unknown key, did you mean `plugins`?"],
        ),
        (
            "an unknown key",
            backend("timeuot = \"5s\""),
            3,
            &["config.toml:3: `backend.timeuot`: unknown key, did you mean `timeout`?"],
        ),
        (
            "a wrong type",
            backend("timeout = 5"),
            3,
            &[
                "config.toml:3: `backend.timeout`: expected a duration with its unit, in quotes, such as \"5s\", found integer 5",
            ],
        ),
        (
            "a wrong duration",
            backend("timeout = \"5\""),
            3,
            &["config.toml:3: `backend.timeout`: expected a duration", "\"5\""],
        ),
        (
            "a backend that is no list",
            "[backend]\nplugin = \"file\"\n".into(),
            3,
            &["config.toml:1: `backend`: expected tables", "[[backend]]"],
        ),
        (
            "a backend without a plugin",
            "\n[[backend]]\nname = \"x\"\n".into(),
            3,
            &["config.toml:2: `backend.plugin`: expected a plugin's name or path"],
        ),
        (
            "a name that is no file's",
            backend("name = \"a/b\""),
            3,
            &["config.toml:3: `backend.name`: ", "\"a/b\""],
        ),
        (
            "a name twice",
            backend("name = \"x\"") + &backend("name = \"x\""),
            3,
            &["config.toml:6: `backend.name`: \"x\"", "line 3"],
        ),
        (
            "a bad trust",
            "[plugins]\ntrust = \"ownr\"\n".to_owned() + &config(""),
            3,
            &[
                "config.toml:2: `plugins.trust`: expected \"any\" or \"owner\" or \"pinned\" or \"signed\", found \"ownr\", did you mean \"owner\"?",
            ],
        ),
        (
            "a trust without what it takes",
            "plugins.trust = \"signed\"\n".to_owned() + &config(""),
            3,
            &["config.toml:1: `plugins.trust`: \"signed\" takes `plugins.keys`"],
        ),
        (
            "an isolation that there is not",
            backend("isolation = \"container\""),
            3,
            &["config.toml:3: `backend.isolation`: ", "\"process\""],
        ),
        (
            "a path that is no list",
            "plugins.path = \"/x\"\n".to_owned() + &config(""),
            3,
            &["config.toml:1: `plugins.path`: expected a list of strings"],
        ),
        (
            "a missing variable",
            backend("config = { path = \"${E2E_UNSET}\" }"),
            3,
            &["config.toml:3: `backend.config.path`: the environment variable E2E_UNSET is not set"],
        ),
        (
            "an unclosed variable",
            backend("config = { path = \"${E2E_SET\" }"),
            3,
            &["config.toml:3: `backend.config.path`: expected `}`"],
        ),
        (
            "no backend",
            "[plugins]\npath = []\n".into(),
            3,
            &["configuration config.toml: it has no [[backend]]: ", "; nothing was read"],
        ),
        (
            "a key that the plugin does not know",
            config("rotate_byte = 1"),
            3,
            &["config.toml:6: backend `file`: `backend.config.rotate_byte`: unknown key"],
        ),
        (
            "a type that the plugin refuses",
            config("fsync = \"yes\""),
            3,
            &["config.toml:6: backend `file`: `backend.config.fsync`: ", "expected a boolean"],
        ),
        (
            "two mistakes at once",
            config("rotate_byte = 1\nfsync = \"yes\""),
            3,
            &[
                "config.toml:6: backend `file`: `backend.config.rotate_byte`: unknown key, did you mean `rotate_bytes`?",
                "config.toml:7: backend `file`: `backend.config.fsync`: expected a boolean, found a string",
            ],
        ),
        (
            "a key that the plugin misses",
            backend("[backend.config]\nfsync = true"),
            3,
            &["config.toml:3: backend `file`: `backend.config", "path", "missing"],
        ),
        (
            "a folder that is not there",
            backend("config.path = \"/no/such/folder/x\""),
            3,
            &["config.toml:3: backend `file`: `backend.config.path`: ", "its folder does not exist"],
        ),
        (
            "a word that the plugin refuses",
            format!(
                "[[backend]]\nplugin = \"{stdout}\"\nname = \"out\"\n[backend.config]\n\nformat = \"xml\"\n"
            ),
            3,
            &["config.toml:6: backend `out`: `backend.config.format`: ", "expected `pretty` or `lines`"],
        ),
        (
            "a plugin that is not on the path",
            "plugins.path = [\"empty\"]\n[[backend]]\nplugin = \"rabbitmq\"\n".into(),
            4,
            &["backend `rabbitmq`: find: ", "empty"],
        ),
        (
            "a plugin that is not there",
            "[[backend]]\nplugin = \"./lib/libx.so\"\n".into(),
            4,
            &["backend `x`: find: ", "lib/libx.so"],
        ),
        (
            "a plugin that is none",
            format!("[[backend]]\nplugin = {:?}\n", text_file()),
            4,
            &["backend `text`: inspect: ", "libtext.so"],
        ),
        (
            "a plugin of another ABI",
            format!("[[backend]]\nplugin = {:?}\n", c_fixture("ABI_TOMORROW")),
            4,
            &["backend `abi_tomorrow`: inspect: ", "ABI"],
        ),
    ];
    for (what, text, code, says) in table {
        let (site, ended) = send(&text);
        let line = ended.stderr.as_str();
        assert_eq!((ended.code, line.lines().count()), (Some(code), 1), "{what}: {line}");
        assert!(line.starts_with("error: "), "{what}: {line}");
        for word in says {
            assert!(line.contains(word), "{what}: does not say {word:?}: {line}");
        }
        assert_eq!(ended.stdout, "", "{what}");
        assert!(!site.path("out.jsonl").exists(), "{what}");
        assert!(site.files(".undelivered.jsonl").is_empty(), "{what}: nothing was read");
    }
}

#[test]
fn a_configuration_that_is_named_and_missing_is_an_error() {
    let site = Site::new(&[]);
    for command in ["send", "plugins"] {
        let ended = site.run(&[command, "--config", "other.toml"]).with_code(3);
        assert!(
            ended.stderr.starts_with("error: configuration other.toml: can't be read: No such file"),
            "{}",
            ended.stderr
        );
        assert_eq!(ended.stderr.lines().count(), 1);
    }
}

#[test]
fn variables_are_filled_in_anywhere_in_a_string() {
    let site = Site::new(&[]);
    let library = plugin("file");
    site.write(
        "config.toml",
        "plugins.path = [\"${E2E_FOLDER}\"]\n[[backend]]\nplugin = \"${E2E_PLUGIN}\"\nconfig = { path = \"a-${E2E_NAME}-$${E2E_NAME}.${E2E_NAME}\" }\n",
    );
    site.write("in.jsonl", events(0..2));
    start(
        site.command(&["send", "in.jsonl"])
            .env("E2E_FOLDER", library.parent().expect("a folder"))
            .env("E2E_PLUGIN", "file")
            .env("E2E_NAME", "b\"c"),
    )
    .end()
    .with_code(0);
    assert_eq!(site.read("a-b\"c-${E2E_NAME}.b\"c"), events(0..2));
}

#[test]
fn a_wrong_configuration_is_refused_before_the_plugin_runs() {
    let site = Site::new(&[]);
    site.write(
        "config.toml",
        format!("[[backend]]\nplugin = {:?}\nconfig = {{ pth = 1 }}\n", plugin("file")),
    );
    let mut command = site.command(&["doctor"]);
    let ended = start(
        command
            .env("JACKFIELD_LOG", "trace")
            .env("LD_DEBUG", "files")
            .env("LD_DEBUG_OUTPUT", site.path("ld")),
    )
    .end();
    assert!(
        ended.stdout.contains("`backend.config.pth`: unknown key, did you mean `path`?"),
        "{}",
        ended.stdout
    );
    let linked: String = fs::read_dir(site.path("."))
        .expect("a folder")
        .filter_map(|entry| entry.ok().filter(|entry| entry.file_name().to_string_lossy().starts_with("ld.")))
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .collect();
    assert!(linked.contains("libc.so"), "the dynamic linker has said what it opened");
    assert!(!linked.contains("/proc/self/fd/"), "no plugin was loaded");
}

#[test]
fn the_schema_of_the_file_has_the_options_of_plugins() {
    let site = Site::new(&[]);
    let folder = plugin("file");
    let folder = folder.parent().expect("it is in a folder");
    site.write("config.toml", format!("plugins.path = [{folder:?}]\n"));
    let ended = start(&mut site.command(&["schema"])).end().with_code(0);
    let schema: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let options = &schema["$defs"]["file"]["properties"];
    let text_of_a_variable = serde_json::json!(["boolean", "string"]);
    assert_eq!(options["fsync"]["type"], text_of_a_variable, "{options}");
    let choices = schema["properties"]["backend"]["items"]["allOf"].as_array().expect("a choice a plugin");
    assert!(choices.iter().any(|choice| choice["then"]["properties"]["config"]["$ref"] == "#/$defs/file"));
}

#[test]
fn the_schema_accepts_what_the_parser_accepts() {
    let site = Site::new(&[]);
    let schema = site.run(&["schema"]).with_code(0).json();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let accept = |text: &str| {
        let table: toml::Table = toml::from_str(text).expect("TOML");
        site.write("config.toml", text);
        let mut command = site.command(&["plugins"]);
        command.env("TRUST", "any").env("WHERE", "process").env("PART", "proc").env("N", "7");
        let parsed = start(&mut command).end().code == Some(0);
        (parsed, validator.is_valid(&serde_json::to_value(table).expect("it has no date")))
    };
    let process = "[[backend]]\nplugin = 'p'\nisolation = 'process'\n";
    for rest in [
        "limits.memory = 1048576",
        "limits.memory = '512MiB'",
        "limits.memory = '${N}MiB'",
        "limits = { cpu = '60s', files = 7, core_dumps = true }",
        "name = 'main-${N}'",
        "name = '${WHERE}'\n[plugins]\ntrust = '${TRUST}'",
        "[plugins]\ntrust = 'pinned'",
        "[[backend]]\nplugin = 'p'\nisolation = '${WHERE}'",
        "[[backend]]\nplugin = 'p'\nisolation = '${PART}ess'",
    ] {
        assert_eq!(accept(&format!("{process}{rest}")), (true, true), "{rest}");
    }
    for rest in [
        "limits.memory = 0",
        "limits.memory = true",
        "name = 'no name'",
        "name = '$WHERE'",
        "[plugins]\ntrust = 'every'",
        "[[backend]]\nplugin = 'p'\nisolation = 'processes'",
    ] {
        assert_eq!(accept(&format!("{process}{rest}")), (false, false), "{rest}");
    }
}

#[test]
fn a_wrong_configuration_decides_the_code_of_unusable_backends() {
    let site = Site::new(&[]);
    let file = plugin("file");
    let wrong = format!("[[backend]]\nname = \"wrong\"\nplugin = {file:?}\nconfig.pth = \"x\"\n");
    let missing = "[[backend]]\nname = \"missing\"\nplugin = \"nowhere\"\n";
    let good = format!("[[backend]]\nname = \"good\"\nplugin = {file:?}\nconfig.path = \"out.jsonl\"\n");
    for (config, code, arrives) in [
        (format!("{missing}{wrong}"), 3, false),
        (format!("{wrong}{good}"), 3, true),
        (format!("{missing}{good}"), 4, true),
    ] {
        site.write("config.toml", &config);
        let _ = fs::remove_file(site.path("out.jsonl"));
        site.send(events(0..1), &[]).with_code(code);
        assert_eq!(site.path("out.jsonl").exists(), arrives, "{config}");
        let doctor = site.run(&["doctor"]).with_code(code);
        assert!(doctor.stdout.contains(": unusable: "), "{doctor:#?}");
    }
}

#[test]
fn a_secret_from_the_environment_is_in_no_message() {
    let site = Site::new(&[]);
    site.write(
        "config.toml",
        format!(
            "[[backend]]\nplugin = {:?}\nconfig = {{ path = \"x\", fsync = \"${{E2E_SECRET}}\" }}\n",
            plugin("file")
        ),
    );
    let ended = start(
        site.command(&["send", "/dev/null"]).env("E2E_SECRET", "hunter2").env("JACKFIELD_LOG", "trace"),
    )
    .end()
    .with_code(3);
    assert!(ended.stderr.contains("`backend.config.fsync`"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
}

#[test]
fn without_a_configuration_standard_output_gets_the_events() {
    let site = Site::new(&[]);
    let folder = plugin("stdout");
    site.write("in.jsonl", events(0..2));
    let mut command = site.command(&["send", "--json", "in.jsonl"]);
    command
        .env_remove("JACKFIELD_CONFIG")
        .env("XDG_CONFIG_HOME", site.path("none"))
        .env("JACKFIELD_PLUGIN_PATH", folder.parent().expect("a folder"));
    let ended = start(&mut command).end().with_code(0);
    assert_eq!(ended.counts("stdout"), [2, 0, 0, 0, 0]);
    assert!(ended.stdout.starts_with("{\n  \"id\": "), "for people: {}", ended.stdout);
}

#[test]
fn no_configuration_in_the_working_folder_is_found() {
    let site = Site::new(&[to_file("main", "named.jsonl")]);
    fs::create_dir(site.path("jackfield")).expect("made");
    fs::rename(site.path("config.toml"), site.path("jackfield/config.toml")).expect("moved");
    site.write("config.toml", "this is no TOML");
    site.write("in.jsonl", events(0..1));
    let run = || start(site.command(&["send", "in.jsonl"]).env_remove("JACKFIELD_CONFIG")).end();
    run().with_code(0);
    assert_eq!(site.read("named.jsonl"), event(0) + "\n");
    // A relative home folder would be the working folder.
    fs::create_dir(site.path(".config")).expect("made");
    fs::rename(site.path("jackfield"), site.path(".config/jackfield")).expect("moved");
    let mut elsewhere = site.command(&["doctor"]);
    elsewhere.env_remove("JACKFIELD_CONFIG").env_remove("XDG_CONFIG_HOME").env("HOME", ".");
    let ended = start(&mut elsewhere).end();
    assert!(!(ended.stdout.clone() + &ended.stderr).contains("main"), "{ended:#?}");
    fs::rename(site.path(".config/jackfield"), site.path("jackfield")).expect("moved");
    // It decides what code runs, so that others must not be able to write to it.
    let writable = fs::Permissions::from_mode(0o666);
    fs::set_permissions(site.path("jackfield/config.toml"), writable).expect("chmod");
    let ended = run().with_code(3);
    assert!(ended.stderr.contains("must not be writable by group or others"), "{}", ended.stderr);
    assert_eq!(site.read("named.jsonl"), event(0) + "\n");
}

#[test]
fn a_configuration_that_is_no_regular_file_is_refused() {
    let site = Site::new(&[]);
    let made = std::process::Command::new("mkfifo").arg(site.path("fifo")).status().expect("mkfifo");
    assert!(made.success());
    site.write("large", "#".repeat(2 << 20));
    for (file, reason) in [
        ("/dev/zero", "expected a regular file, found a device"),
        ("fifo", "expected a regular file, found a FIFO or pipe"),
        ("large", "larger than 1 MiB"),
    ] {
        for command in ["send", "plugins"] {
            let expected = format!("error: configuration {file}: can't be read: {reason}\n");
            let ended = site.run(&[command, "--config", file]).with_code(3);
            assert_eq!(ended.stderr, expected);
            let ended = start(site.command(&[command]).stdin(Stdio::null()).env("JACKFIELD_CONFIG", file));
            assert_eq!(ended.end().with_code(3).stderr, expected);
        }
    }
    // Among the usual places as well.
    fs::create_dir(site.path("jackfield")).expect("made");
    fs::rename(site.path("fifo"), site.path("jackfield/config.toml")).expect("moved");
    let ended = start(site.command(&["plugins"]).env_remove("JACKFIELD_CONFIG")).end().with_code(3);
    assert!(ended.stderr.contains("found a FIFO"), "{}", ended.stderr);
}

#[test]
fn an_empty_variable_names_no_configuration() {
    let site = Site::new(&[]);
    fs::create_dir(site.path("jackfield")).expect("made");
    site.write("jackfield/config.toml", "plugins.path = [\"/no/such/folder\"]\n");
    let ended = start(site.command(&["plugins"]).env("JACKFIELD_CONFIG", "")).end().with_code(0);
    assert_eq!(ended.stderr, "no plugin in /no/such/folder\n", "that of the usual place");
    site.run(&["plugins", "--config", ""]).with_code(2);
}
