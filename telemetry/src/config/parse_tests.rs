use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::*;

fn environment(name: &str) -> Option<OsString> {
    match name {
        "HOST" => Some("example.org".into()),
        "EMPTY" => Some(OsString::new()),
        _ => None,
    }
}

fn read(text: &str) -> Result<Config, Error> {
    let (config, mistakes) = read_all(text);
    mistakes.into_iter().next().map_or(Ok(config), Err)
}

fn read_all(text: &str) -> (Config, Vec<Error>) {
    let values = Values::new(&environment, Path::new("/etc/jf"), false);
    parse(text, Path::new("/etc/jf/config.toml"), &values)
}

const FULL: &str = r#"
[plugins]
path  = ["/usr/lib/jackfield", "plugins"]
trust = "any"
lock  = "locks/a"
keys  = ["RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"]
revoked = ["0123456789abcdef"]

[[backend]]
plugin    = "rabbitmq"
name      = "main"
timeout   = "250ms"
isolation = "thread"
[backend.config]
url   = "amqp://${HOST}:5672/%2f${EMPTY}"
plain = "$${HOST} $HOST $$"
size  = 0x10
ratio = 0.5
hosts = ["a", { name = "${HOST}" }]
[backend.config.tls]
verify = true
"#;

/// On Windows such a path is one of the current drive.
fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).expect("not empty")
}

#[test]
fn all_that_can_be_written_is_read() {
    let config = read(FULL).expect("a configuration");
    assert_eq!(config.plugins.path, [absolute("/usr/lib/jackfield"), absolute("/etc/jf/plugins")]);
    assert_eq!(config.plugins.trust, Trust::Any);
    assert_eq!(config.plugins.lock.as_deref(), Some(&*absolute("/etc/jf/locks/a")));
    let keys: Vec<_> = config.plugins.keys.iter().map(|key| key.id().to_string()).collect();
    assert_eq!(
        (keys, config.plugins.revoked[0].to_string()),
        (vec!["E7620F1842B4E81F".to_owned()], "0123456789ABCDEF".to_owned())
    );
    let [backend] = config.backends.as_slice() else { panic!("one backend") };
    assert_eq!((backend.plugin.as_str(), backend.name.as_str()), ("rabbitmq", "main"));
    assert_eq!(backend.timeout, Duration::from_millis(250));
    let json: serde_json::Value = serde_json::from_str(&backend.config).expect("JSON");
    let expected = serde_json::json!({
        "url": "amqp://example.org:5672/%2f", "plain": "${HOST} $HOST $$", "size": 16, "ratio": 0.5,
        "hosts": ["a", { "name": "example.org" }], "tls": { "verify": true },
    });
    assert_eq!(json, expected);
}

#[test]
fn a_text_that_is_nested_deeply_is_refused() {
    const DEPTH: usize = 100_000;
    let repeat = |text: &str| text.repeat(DEPTH);
    for option in [
        format!("x = {}{}", repeat("["), repeat("]")),
        format!("x = {}", repeat("[")),
        format!("x = {}1{}", repeat("{a="), repeat("}")),
        format!("x = {}", repeat("{a=")),
        format!("x = {}1", repeat("[{a=")),
        format!("x{} = 1", repeat(".a")),
        format!("x = {{ a{} = 1 }}", repeat(".a")),
        format!("[backend.config.x{}]", repeat(".a")),
        format!("[[backend.config.x{}]]", repeat(".a")),
        format!("x = \"{}{}\"", repeat("${NOPE:-"), repeat("}")),
    ] {
        let text = format!("[[backend]]\nplugin = \"a\"\n[backend.config]\n{option}\n");
        let begin: String = option.chars().take(40).collect();
        // The stack of a thread, as at a reload.
        let read = std::thread::spawn(move || read_all(&text).1);
        let mistakes = read.join().expect("no panic");
        assert!(!mistakes.is_empty(), "{begin}");
        let told = mistakes[0].to_string();
        assert!(
            told.contains("config.toml:4: ") && told.contains("80 deep") | told.contains("at most 16"),
            "{told}"
        );
        assert!(told.len() < 300 && !told.contains('\n'), "{begin}: {told}");
    }
}

#[test]
fn a_key_of_the_plugins_configuration_leads_to_its_line() {
    let config = read(FULL).expect("a configuration");
    let line = |key| config.backends[0].place_of(key).map(|place| place.line);
    for (key, expected) in [
        ("url", 15),
        ("tls.verify", 21),
        ("tls.verfy", 20),
        ("hosts[1].name", 19),
        ("hosts.1.name", 19),
        ("missing", 14),
        ("", 14),
    ] {
        assert_eq!(line(key), Some(expected), "{key}");
    }
    let file = "[plugins]\nhelper = '/h'\n[[backend]]\nplugin = 'p'\nisolation = 'process'\n[backend.limits]\nfiles = 9\n";
    let config = read(file).expect("a configuration");
    let line = |path| config.backends[0].place_below(path).map(|place| place.line);
    assert_eq!((line("limits.files"), line("limits.cpu"), line("sandbox.read")), (Some(7), Some(6), Some(3)));
    assert_eq!(config.plugins.helper_place.map(|place| place.line), Some(2));
    let without = read("\n[[backend]]\nplugin = \"p\"\n").expect("a configuration");
    assert_eq!(without.backends[0].place_of("url").map(|place| place.line), Some(2));
    assert_eq!(Config::embedded().backends[0].place_of("url"), None);
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = read("[[backend]]\nplugin = 'stdout'").expect("a configuration");
    assert_eq!(config.plugins.trust, Trust::Owner);
    assert_eq!(config.plugins.lock.as_deref(), Some(&*absolute("/etc/jf/jackfield.lock")));
    assert_eq!(config.backends[0].timeout, Duration::from_secs(5));
    assert_eq!(config.backends[0].config, "{}");
    assert!(read("").expect("an empty file").backends.is_empty());
}

#[test]
fn backends_without_a_name_get_one_of_their_own() {
    let plugins = ["file", "./x/libfile.so", "file", "C:/p q.dll", "/", "x.so.1"];
    let mut text: String = plugins.map(|plugin| format!("[[backend]]\nplugin = '{plugin}'\n")).concat();
    text.push_str("[[backend]]\nplugin = 'other'\nname = 'file-2'\n");
    let names: Vec<_> = read(&text).expect("a configuration").backends.into_iter().map(|b| b.name).collect();
    assert_eq!(names, ["file", "file-3", "file-4", "p-q", "backend", "x.so.1", "file-2"]);
}

#[test]
fn every_mistake_is_one_line_with_file_line_and_key() {
    let no_file = format!(
        "3: `backend.config.list[0]`: file /nowhere/key: can't be used: {}",
        fs::read("/nowhere/key").expect_err("it is not there")
    );
    let backend = |line: &str| format!("[[backend]]\nplugin = 'p'\n{line}\n");
    for (text, expected) in [
        ("[plugin]\n".to_owned(), "1: `plugin`: unknown key, did you mean `plugins`?"),
        ("\n[plugins]\npth = []\n".to_owned(), "3: `plugins.pth`: unknown key, did you mean `path`?"),
        (
            "[plugins]\ncolour = 1\n".to_owned(),
            "2: `plugins.colour`: unknown key, expected one of `path`, `trust`, `lock`, `keys`, `revoked`, `helper`",
        ),
        ("plugins = 5".to_owned(), "1: `plugins`: expected a table, found integer 5"),
        (
            "[plugins]\npath = '/usr'".to_owned(),
            "2: `plugins.path`: expected a list of strings, found a string",
        ),
        (
            "[plugins]\npath = ['a',\n 1]".to_owned(),
            "3: `plugins.path[1]`: expected a string, found integer 1",
        ),
        (
            "[plugins]\ntrust = 'ower'".to_owned(),
            "2: `plugins.trust`: expected \"any\" or \"owner\" or \"pinned\" or \"signed\", found \"ower\", did you mean \"owner\"?",
        ),
        (
            "[plugins]\ntrust = 'x'".to_owned(),
            "2: `plugins.trust`: expected \"any\" or \"owner\" or \"pinned\" or \"signed\", found \"x\"",
        ),
        (
            "[plugins]\ntrust = 'signed'".to_owned(),
            "2: `plugins.trust`: \"signed\" takes `plugins.keys`, a list of minisign public keys",
        ),
        (
            "[plugins]\nkeys = ['RWQf6LRC']".to_owned(),
            "2: `plugins.keys[0]`: expected a minisign public key, 56 characters of base64 (RW...), found \"RWQf6LRC\"",
        ),
        (
            "[plugins]\nrevoked = ['0x12']".to_owned(),
            "2: `plugins.revoked[0]`: expected a key's id of 16 hexadecimal digits, found \"0x12\"",
        ),
        ("[plugins]\nkeys = 'k'".to_owned(), "2: `plugins.keys`: expected a list of strings, found a string"),
        (
            "[backend]\nplugin = 'p'".to_owned(),
            "1: `backend`: expected tables, each with the header [[backend]], found a table",
        ),
        ("backend = [1]".to_owned(), "1: `backend`: expected a table, found integer 1"),
        (
            "\n[[backend]]\nname = 'x'".to_owned(),
            "2: `backend.plugin`: expected a plugin's name or path, found nothing",
        ),
        (backend("timout = '5s'"), "3: `backend.timout`: unknown key, did you mean `timeout`?"),
        (
            backend("timeout = 5"),
            "3: `backend.timeout`: expected a duration with its unit, in quotes, such as \"5s\", found integer 5",
        ),
        (
            backend("timeout = '5'"),
            "3: `backend.timeout`: expected a duration from 1ms to 24h such as \"250ms\", \"5s\" or \"1m\", found \"5\", did you mean \"5s\" or \"5m\"?",
        ),
        (
            backend("isolation = 'processes'"),
            "3: `backend.isolation`: expected \"thread\" or \"process\", found \"processes\", did you mean \"process\"?",
        ),
        (
            backend("isolation = 'threat'"),
            "3: `backend.isolation`: expected \"thread\" or \"process\", found \"threat\", did you mean \"thread\"?",
        ),
        (backend("config = 'x'"), "3: `backend.config`: expected a table, found a string"),
        (
            backend("name = 'a/b'"),
            "3: `backend.name`: expected at most 64 letters, digits, `.`, `_` and `-`, not beginning with `.`, found \"a/b\"",
        ),
        (backend("name = ''"), "3: `backend.name`: expected a string that is not empty"),
        (
            backend("name = 'x'") + &backend("name = 'x'"),
            "6: `backend.name`: \"x\" is the name of the backend at line 3 already",
        ),
        (
            backend("[backend.config]\nurl = '${NOPE}'"),
            "4: `backend.config.url`: the environment variable NOPE is not set",
        ),
        (
            backend("[backend.config]\nurl = ['${HOST']"),
            "4: `backend.config.url[0]`: expected `}` after `${`, found the end (`$${` writes a plain `${`)",
        ),
        (
            backend("config.a.b = '${1X}'"),
            "3: `backend.config.a.b`: expected a variable's name between `${` and `}`, of letters, digits and _ (`${NAME}`, `${NAME:-default}`), or `${file:PATH}`, found \"1X\" (`$${` writes a plain `${`)",
        ),
        (backend("config.list = ['${file:/nowhere/key}']"), &no_file),
        (
            backend("name = '${file:/nowhere/key}'"),
            "3: `backend.name`: `${file:…}` is possible in `[backend.config]` alone",
        ),
        (
            backend("config.path = '~/x'"),
            "3: `backend.config.path`: found `~/`, which only a shell replaces: write `${HOME}/`",
        ),
        (
            backend("config.path = \"a\\u0000b\""),
            "3: `backend.config.path`: found a NUL character, which no path and no C string can hold",
        ),
        (
            backend("[backend.config]\nday = 2026-01-02"),
            "4: `backend.config.day`: expected a value that JSON has too, found a date or time (write it as a string, in quotes)",
        ),
        (
            backend("config.x = inf"),
            "3: `backend.config.x`: expected a value that JSON has too, found number inf",
        ),
        (
            backend("config.x = 99999999999999999999"),
            "3: `backend.config.x`: expected a value that JSON has too, found integer 99999999999999999999 of more than 64 bits",
        ),
    ] {
        let refusal = read(&text).expect_err(&text).to_string();
        assert_eq!(refusal, format!("configuration /etc/jf/config.toml:{expected}"));
    }
}

#[test]
fn what_is_not_toml_is_one_line_too() {
    for (text, line) in [("a = ", 1), ("[plugins]\npath = [\n", 2), ("x = 1\nx = 2", 2), ("[a\nb", 1)] {
        let refusal = read(text).expect_err(text).to_string();
        let expected = "configuration /etc/jf/config.toml:";
        assert!(refusal.starts_with(expected) && refusal.contains(": not TOML: "), "{refusal}");
        assert_eq!(refusal.lines().count(), 1, "{refusal}");
        let found: usize =
            refusal[expected.len()..].split(':').next().and_then(|n| n.parse().ok()).expect("a line");
        assert!(found.abs_diff(line) <= 1, "line {line}: {refusal}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let refusal = Config::read(Path::new("/nonexistent/config.toml")).expect_err("no file").to_string();
    assert!(refusal.starts_with("configuration /nonexistent/config.toml: can't be read: "), "{refusal}");
}

#[test]
fn values_from_the_environment_are_concealed_in_what_a_plugin_writes() {
    let config = read("[[backend]]\nplugin = 'x'\nconfig.url = 'amqp://${HOST}/'\n").expect("right");
    let backend = &config.backends[0];
    assert_eq!(backend.conceal("no route to amqp://example.org/"), "no route to amqp://${HOST}/");
    let plain = read("[[backend]]\nplugin = 'x'\nconfig.url = 'amqp://example.org/'\n").expect("right");
    assert_eq!(plain.backends[0].conceal("example.org"), "example.org", "written in the open");
}

#[test]
fn a_value_is_concealed_however_a_message_spells_it() {
    for value in ["it's\nhunter2", "\"k\"\u{202e}ey\\\n", "tab\there", "plain-value"] {
        let variables = [("KEY".to_owned(), value.to_owned())];
        let printed = jackfield_loader::ForeignText::from(value).to_string();
        for spelt in [value.to_owned(), printed, format!("{value:?}")] {
            let concealed = conceal(&variables, &format!("no key <{spelt}>"));
            assert!(concealed == "no key <${KEY}>" || concealed == "no key <\"${KEY}\">", "{concealed}");
        }
    }
}

#[test]
fn each_key_of_a_configuration_makes_it_another_one() {
    let digest = |plugins: &str, backend: &str| {
        let text = format!("[plugins]\n{plugins}\n[[backend]]\nplugin = 'p'\n{backend}");
        let config = read(&text).expect("a configuration");
        config.backends[0].digest(&config.plugins)
    };
    let plain = digest("", "");
    assert_eq!(digest("# a comment\n", "# another\n"), plain, "places in the file have no effect");
    let mut digests = vec![plain];
    for (plugins, backend) in [
        ("", "timeout = '9s'"),
        ("", "longest_pause = '9s'"),
        ("", "name = 'other'"),
        ("", "isolation = 'process'"),
        ("", "config = { a = 1 }"),
        ("", "config = { a = '1' }"),
        ("", "config = { a = '${NOPE:-1}' }"),
        ("path = ['/x']", ""),
        ("trust = 'any'", ""),
        ("helper = '/h'", ""),
        ("revoked = ['0123456789ABCDEF']", ""),
    ] {
        let digest = digest(plugins, backend);
        assert!(!digests.contains(&digest), "{plugins} {backend}");
        digests.push(digest);
    }
}

#[test]
fn a_value_of_a_file_is_concealed_and_its_file_and_option_are_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key");
    std::fs::write(&file, "hunter2\n").expect("writable");
    let text = format!(
        "[[backend]]\nplugin = 'x'\nconfig.a = {{ b = ['${{file:{}}}'], c = 'd' }}\n",
        file.display()
    );
    let config = read(&text).expect("right");
    let backend = &config.backends[0];
    assert_eq!(
        backend.conceal("a key hunter2 is wrong"),
        format!("a key ${{file:{}}} is wrong", file.display())
    );
    assert_eq!(backend.value_files, std::slice::from_ref(&file));
    assert_eq!(backend.filled_options, ["a.b[0]".to_owned()].into());
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    // Nor is it in an error about a later line.
    let error = read(&format!("{text}timeout = 'hunter2'")).expect_err("no duration").to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn the_longest_value_is_concealed_and_short_ones_stay() {
    let variables = ["SHORT", "BASE", "TOKEN"].map(str::to_owned).into_iter();
    let values = ["123", "example", "example-s3cret"].map(str::to_owned);
    let variables: Vec<_> = variables.zip(values).collect();
    let concealed = conceal(&variables, "123 example-s3cret example");
    assert_eq!(concealed, "123 ${TOKEN} ${BASE}");
}

#[test]
fn what_confines_a_process_is_an_error_for_a_thread() {
    for table in ["limits", "sandbox"] {
        for isolation in ["", "isolation = 'thread'\n"] {
            let text = format!("[[backend]]\nplugin = 'p'\n{isolation}[backend.{table}]\n");
            let error = read(&text).expect_err(table).to_string();
            let expected = format!("`backend.{table}`: expected `isolation = \"process\"` beside it");
            assert!(error.contains(&expected), "{error}");
        }
    }
}

#[test]
fn no_message_and_no_default_name_shows_a_variables_value() {
    for line in ["timeout = '${HOST}'", "isolation = '${HOST}'", "name = '${HOST}/'", "config = '${HOST}'"] {
        let error = read(&format!("[[backend]]\nplugin = 'p'\n{line}\n")).expect_err(line).to_string();
        assert!(!error.contains("example"), "{error}");
    }
    let error = read("[plugins]\ntrust = '${HOST}'").expect_err("no trust").to_string();
    assert!(error.ends_with("found \"${HOST}\""), "{error}");
    let config = read("[[backend]]\nplugin = '${HOST}'\n").expect("right");
    assert_eq!(config.backends[0].name, "HOST");
}

#[test]
fn all_mistakes_are_found_at_once() {
    let text = "[plugins]\ntrust = 'ownr'\npath = 'x'\nqqq = 1\n\
        [[backend]]\ntimeout = 5\nlongest_pause = '5'\nisolation = 'x'\n[backend.limits]\nmemory = 'x'\ncpu = 1\n\
        [[backend]]\nplugin = 'file'\nname = 'a/b'\n\
        [backend.config]\npath = '${UNSET}'\nat = 2020-01-01\n\
        [[backend]]\nplugin = 'file'\n[backend.sandbox]\nread = 1\nnetwork = [0]\n";
    let (config, mistakes) = read_all(text);
    let mut lines: Vec<_> = mistakes.iter().filter_map(|mistake| Some(mistake.place()?.line)).collect();
    lines.sort_unstable();
    assert_eq!(lines, [2, 3, 4, 5, 6, 7, 8, 10, 11, 14, 16, 17, 20, 21, 22], "{mistakes:#?}");
    assert_eq!(config.backends.len(), 3);
    assert_eq!(config.backends[1].name, "file");
    let (_, mistakes) = read_all("a = x\n[[backend]]\nplugin = y\n");
    assert_eq!(mistakes.len(), 2, "of a text that is not TOML, too: {mistakes:#?}");
}
