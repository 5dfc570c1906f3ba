use std::cell::Cell;

use proptest::prelude::*;

use super::*;
use crate::redact::redact::{EventParts, redact_parts};
use crate::redact::values;

mod corpus;
mod rules;
mod secrets;

/// What `text` becomes, having been seen to be at rest then.
#[track_caller]
fn becomes(text: &str, expected: &str) {
    let once = redact(text);
    assert_eq!(once, expected, "of {text:?}");
    assert_eq!(redact(&once), once, "twice, of {text:?}");
}

#[test]
fn every_secret_goes_from_every_carrier() {
    let secrets = secrets::all();
    assert!(secrets.len() >= 60, "{}", secrets.len());
    let mut failures = Vec::new();
    for (provider, secret) in &secrets {
        for (carrier, text) in secrets::carriers(secret) {
            let once = redact(&text);
            let core = &secret[secret.len() / 2..];
            if once.contains(core) || once == REDACTED && text.len() > secret.len() {
                failures.push(format!("{provider}, {carrier}: {text:?} becomes {once:?}"));
            }
            assert_eq!(redact(&once), once, "twice: {provider}, {carrier}");
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_announced_secret_goes_whatever_it_looks_like() {
    for (text, expected) in secrets::announced() {
        becomes(&text, &expected);
    }
}

#[test]
fn ordinary_text_is_borrowed() {
    for (_, text) in corpus::ordinary().iter().filter(|(label, _)| *label == "stays") {
        assert!(
            matches!(redact(text), Cow::Borrowed(same) if same == text),
            "{text:?} becomes {:?}",
            redact(text)
        );
    }
}

#[test]
fn text_around_a_secret_stays() {
    for (_, text) in corpus::ordinary().iter().filter(|(label, _)| *label == "stays") {
        let key = format!("gh{}_{}", "p", "a1B2".repeat(9));
        becomes(&format!("{text}\n{key}\n{text}"), &format!("{text}\n{REDACTED}\n{text}"));
    }
}

/// Texts whose every byte invites a look ahead.
fn adversaries() -> Vec<&'static str> {
    vec![
        "a",
        " ",
        "é",
        "-",
        "_",
        "\\",
        "\"",
        "'",
        "%",
        "%2",
        "%3d",
        ":",
        "/",
        "://",
        "a://b",
        "a://b:c/",
        "a://b@",
        "@",
        "=",
        "token",
        "token=",
        "token: ",
        "password ",
        "password=\"",
        "password='\\",
        "password=a,",
        "password=a&",
        "\"password\":",
        "--token ",
        "--token -",
        "sk-",
        "sk-a",
        "sk-sk-",
        "key-",
        "ghp_",
        "eyJ",
        "eyJ.",
        "a.b",
        "a/",
        "aB3/",
        "A1b2C3",
        "a1",
        "Bearer ",
        "Basic ",
        "Basic a",
        "Authorization: ",
        "Authorization: Digest ",
        "Cookie: ",
        "Cookie: a\n",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN A-----",
        "[redacted]",
        "[",
        "[redacted",
        "\u{1b}[",
        "-u a:",
        "-u ",
        "hooks.slack.com/services/",
        "12345678:",
        "<password>",
        "password[",
        "password%5D",
        "[[[",
        "{\"name\":\"password\",\"value\":",
        "aaaa.atlasv1.",
        "MTExMTExMTExMTExMTExMTEx.",
        "password=null ",
        "token=a;b=",
        "));",
        "https%3A%2F%2F",
        "%40",
        "a%3A%2F%2F%",
        "token%3Da%26",
        "password=[redacted]",
        "\\n",
        "\\u0026token=",
        "passwd ",
        "passwd a1b2c3d4",
        "passwd a1b2c3d4 ",
        "token is ",
        "token is \"",
        "passphrase is \"a ",
        "sshpass -p ",
        "password: Some(",
        "password: [",
        "password: A { b: ",
        "(\"password\", \"",
        "\"a\" == password ",
        "a:b@tcp(",
        "a@",
        ":thin:a/b@",
        "a:1:b:c:",
        "\n*:",
        "パスワード",
        "パスワード：",
        "é：",
        "token: a = ",
        "token a = ",
        "config set password ",
        "password - ",
        "password[1] = ",
        "password\nvalue: ",
        "${",
        "$(",
        "password=$(",
        "password={{",
        "password=<a",
        "a://b:c\"d",
        "key=a1b2c3d4e5f6a7b8",
        "a_key_b_c_d=",
        "<password a=",
        "<key>password</key><string>",
        "-----BEGIN A-----\nAAAA\n",
        "ssh-rsa AAAA",
        "password=swordfish swordfish ",
        " -pa",
        "mysql -pa ",
        "\"password = a ",
        "Bearer\t",
        "q2X3+/Y7mZ0kP1sD5fG8hJ4lW6eR9tUyIoAbCdEfGhIjKlMnOpQrStUvWxYz0129\n",
    ]
}

#[test]
fn the_work_is_linear_in_the_length() {
    for unit in adversaries() {
        let cost = |len: usize| {
            let text = unit.repeat(len / unit.len());
            crate::redact::bytes::SPENT.with(|spent| spent.set(0));
            let _ = redact(&text);
            crate::redact::bytes::SPENT.with(Cell::get)
        };
        let (half, whole) = (cost(50_000), cost(100_000));
        assert!(whole <= half * 5 / 2 + 1000, "{unit:?}: {half} for n, {whole} for 2 n");
        assert!(whole <= 100_000 * 400, "{unit:?}: {} looks a byte", whole / 100_000);
    }
}

#[test]
fn adversaries_come_to_rest() {
    for unit in adversaries() {
        for count in [1, 2, 3, 7, 100] {
            for tail in ["", "x", "x1", "\"", " x", "@h", "hunter2"] {
                let text = unit.repeat(count) + tail;
                let once = redact(&text);
                assert_eq!(redact(&once), once, "{text:?}");
            }
        }
    }
}

/// Pieces that mean something to the scanner, put together at random.
fn fragments() -> impl Strategy<Value = String> {
    let known: Vec<String> = adversaries()
        .into_iter()
        .map(str::to_owned)
        .chain(secrets::all().into_iter().map(|(_, secret)| secret))
        .chain([" ", "\n", "hunter2", ", ", "日本", "🦀", "x1Y2", "word"].map(str::to_owned))
        .collect();
    prop::collection::vec(prop_oneof![3 => prop::sample::select(known), 1 => ".{0,8}"], 0..12)
        .prop_map(|parts| parts.concat())
}

/// 4,000 cases, or as many as `PROPTEST_CASES` says.
fn cases() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 4000;
    }
    config
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_scan_finds_nothing_in_a_harmless_word(
        word in "-{0,2}(sk-|ghp_|AKIA|SG|xoxb-|u|token|Bearer|-----BEGIN)?[A-Za-z0-9_-]{0,24}"
    ) {
        let mut found = Vec::new();
        scanner::scan(&word, &mut found);
        prop_assert!(!scanner::is_harmless_word(word.as_bytes()) || found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_name_that_is_not_looked_up_is_not_listed(
        name in "[A-Za-z_.-]{0,8}([_.-]?(key|keys|code|api|auth|Token|PASSWORD|pass|w|d|sig|cookie|Client|secret|9)){1,4}[0-9_-]{0,2}"
    ) {
        prop_assert_eq!(key_names::classify(name.as_bytes()), key_names::look_up(name.as_bytes()));
    }


    #[test]
    fn redacting_twice_is_redacting_once(text in fragments()) {
        let once = redact(&text).into_owned();
        let again = redact(&once).into_owned();
        prop_assert_eq!(again, once);
    }

    #[test]
    fn any_text_is_taken_and_what_has_no_secret_is_borrowed(text in any::<String>()) {
        let once = redact(&text);
        match &once {
            Cow::Borrowed(same) => prop_assert!(std::ptr::eq(*same, text.as_str()) || *same == REDACTED),
            Cow::Owned(new) => prop_assert!(new.contains(REDACTED)),
        }
        let again = redact(&once);
        prop_assert_eq!(&*again, &*once);
    }

    #[test]
    fn no_text_is_given_up(text in fragments()) {
        let once = redact(&text).into_owned();
        // A text that is one secret is replaced by one scan; nothing should need the last resort.
        let mut found = Vec::new();
        scan(&text, &mut found);
        let mut now = replace(&text, &found);
        for _ in 1..SCANS {
            found.clear();
            scan(&now, &mut found);
            now = replace(&now, &found);
        }
        prop_assert_eq!(now, once);
    }

    #[test]
    fn a_text_grows_by_no_more_than_its_markers(text in fragments()) {
        let once = redact(&text);
        let markers = once.matches(REDACTED).count();
        prop_assert!(once.len() <= text.len() + markers * REDACTED.len(), "{} becomes {}", text, once);
    }

    #[test]
    fn what_is_found_is_what_is_replaced(text in fragments()) {
        let found = find_secrets(&text);
        let unstable = found.iter().any(|found| found.rule == Rule::Unstable);
        let expected = if unstable { REDACTED.to_owned() } else { replace(&text, &found) };
        prop_assert_eq!(expected, redact(&text).into_owned());
    }

    #[test]
    fn nothing_is_left_of_a_secret_that_is_taken(
        at in 0..corpus::SECRETS.len(), before in ".{0,12}", behind in ".{0,12}"
    ) {
        let taken: Vec<_> = corpus::SECRETS.iter().filter(|sample| sample.label == "taken").collect();
        let sample = taken[at % taken.len()];
        let sample = corpus::within(sample, &before, &behind);
        let redacted = redact(&sample.text);
        prop_assert!(!corpus::leaks(&sample, &redacted), "{} becomes {}", sample.text, redacted);
    }

    #[test]
    fn a_password_goes_whatever_it_is_made_of(password in "[a-zA-Z0-9!@#$^*()+,./:;?\\[\\]{}~-]{6,40}[0-9]") {
        // Such as `$PASS1`, a variable: its name tells nothing.
        prop_assume!(!values::is_placeholder(password.as_bytes()));
        let carriers = [
            ("{\"password\": \"", "\", \"page\": 1}"),
            ("{\"cmd\": \"--password=", "\", \"page\": 1}"),
            ("password='", "' x"),
            ("password=", " x"),
            ("https://h/?password=", "&page=1"),
        ];
        for (before, behind) in carriers {
            let text = format!("{before}{password}{behind}");
            prop_assert_eq!(redact(&text), format!("{before}{REDACTED}{behind}"), "of {}", text);
        }
        // Behind a colon, a bracket may open a list.
        let text = format!("DB_PASSWORD: {password} x");
        let tail = password.trim_start_matches('[');
        let once = redact(&text);
        prop_assert!(once.ends_with(&format!("{REDACTED} x")) && !once.contains(tail), "{} becomes {}", text, once);
    }
}

#[test]
fn a_password_that_begins_as_a_variable_does_goes() {
    for password in ["{})A}00", "{},B7", "${HOME})x1", "{{a}}]b2", "{name};c3|d", "{}\\A00", "%s)9"] {
        becomes(&format!("password={password} x"), "password=[redacted] x");
    }
}

#[test]
fn a_password_with_brackets_behind_a_colon_is_replaced() {
    for password in ["{D!!j*gg##]U6", "{}!i5v", "O?#$J?;nQ7F:?}Tp5", "{{x)1", "{A:a000"] {
        becomes(&format!("DB_PASSWORD: {password} x"), "DB_PASSWORD: [redacted] x");
    }
    for password in ["[#,0:]0", "[[a:AA0", "[a,A:]0"] {
        let tail = password.trim_start_matches('[');
        let once = redact(&format!("DB_PASSWORD: {password} x")).into_owned();
        assert!(!once.contains(tail) && once.ends_with("[redacted] x"), "{once}");
    }
    becomes("{password:abc1,user:me}", "{password:[redacted],user:me}");
    becomes("password: abc1,user: me", "password: [redacted],user: me");
    for nested in [
        "password: {",
        "password: {}",
        "password: {}, x",
        "password: {min: 8}",
        "password: {\"min\": 8}",
        "password: { min: 8 }",
    ] {
        assert_eq!(redact(nested), nested);
    }
}

#[test]
fn a_variable_that_somebody_else_fills_in_stays() {
    for text in [
        "password={}",
        "password={}, user={}",
        "password=${PASSWORD}; host=h",
        "https://h/?token={token}&page=2",
        "https://h/?token={token}&page=2#x",
        "f(\"password={}\", password)",
        "curl -d \"password=${PASSWORD}\" https://h",
        "password={{ db.password }}, next=1",
        "(password=$PASS1)",
        "--password={password}",
        "password: ${PASSWORD},user: me",
    ] {
        assert!(
            matches!(redact(text), Cow::Borrowed(same) if same == text),
            "{text} becomes {}",
            redact(text)
        );
    }
}

#[test]
fn the_parts_of_an_event_are_redacted_each_in_its_way() {
    let args = [
        "login",
        "--token",
        "swordfish",
        "--password=hunter2",
        "-u",
        "me:pw",
        "-v",
        "src/main.rs",
        "--api-key",
        "--dry-run",
    ];
    let metadata = [
        ("db_password", "swordfish"),
        ("hubspot_key", "ab12cd34ef56gh78"),
        ("cache_key", "ab12cd34ef56gh78"),
        ("Mot de passe", "swordfish"),
        ("url", "https://u:p@h/"),
        ("auth", "true"),
        ("key", "left"),
        ("n", "7"),
    ];
    let parts = EventParts {
        args: Some(&args),
        error: Some("401 for token=abc"),
        metadata: &metadata,
        extended: true,
    };
    let redacted = redact_parts(&parts);
    assert_eq!(
        redacted.args.unwrap(),
        [
            "login",
            "--token",
            REDACTED,
            "--password=[redacted]",
            "-u",
            REDACTED,
            "-v",
            "src/main.rs",
            "--api-key",
            "--dry-run"
        ]
    );
    assert_eq!(redacted.error.unwrap(), "401 for token=[redacted]");
    let values: Vec<_> = redacted.metadata.iter().map(|(_, value)| &**value).collect();
    assert_eq!(
        values,
        [REDACTED, REDACTED, "ab12cd34ef56gh78", REDACTED, "https://[redacted]@h/", "true", "left", "7"]
    );
}

#[test]
fn arguments_and_errors_are_dropped_unless_the_author_extended_the_collection() {
    let parts =
        EventParts { args: Some(&["build"]), error: Some("no"), metadata: &[("a", "b")], extended: false };
    let redacted = redact_parts(&parts);
    assert_eq!((redacted.args, redacted.error), (None, None));
    assert_eq!(redacted.metadata, [("a".into(), "b".into())]);
}

#[test]
fn arguments_are_redacted_by_the_rules_of_text() {
    for (args, expected) in [
        (
            &["mysql", "-u", "root", "-pswordfish", "db"][..],
            &["mysql", "-u", "root", "-p[redacted]", "db"][..],
        ),
        (
            &["exec", "/usr/bin/sshpass", "-p", "swordfish", "ssh"],
            &["exec", "/usr/bin/sshpass", "-p", REDACTED, "ssh"],
        ),
        (&["redis-cli", "-a", "swordfish", "ping"], &["redis-cli", "-a", REDACTED, "ping"]),
        (
            &["docker", "login", "-u", "me", "-p", "swordfish"],
            &["docker", "login", "-u", "me", "-p", REDACTED],
        ),
        (&["curl", "-u", "me:swordfish"], &["curl", "-u", REDACTED]),
        (&["curl", "-ume:swordfish"], &["curl", "-u[redacted]"]),
        (&["smbclient", "-U", "me%swordfish"], &["smbclient", "-U", REDACTED]),
        (&["config", "set", "password", "swordfish"], &["config", "set", "password", REDACTED]),
        (&["--header", "X-Api-Key: swordfish"], &["--header", "X-Api-Key: [redacted]"]),
        (&["--set", "db.password=swordfish"], &["--set", "db.password=[redacted]"]),
        (&["app:swordfish@tcp(db:3306)/x"], &["[redacted]@tcp(db:3306)/x"]),
        (&["--password", "two words"], &["--password", REDACTED]),
        // What stays.
        (&["run", "-p", "8080:80"], &["run", "-p", "8080:80"]),
        (&["-p", "crate"], &["-p", "crate"]),
        (&["--auth", "none"], &["--auth", "none"]),
        (&["--password", "$PASSWORD"], &["--password", "$PASSWORD"]),
        (&["curl", "-u", "$1:$2"], &["curl", "-u", "$1:$2"]),
        (&["mysql", "-p", "db"], &["mysql", "-p", "db"]),
        (&["config", "set", "color", "red"], &["config", "set", "color", "red"]),
    ] {
        let parts = EventParts { args: Some(args), extended: true, ..EventParts::default() };
        assert_eq!(redact_parts(&parts).args.unwrap(), expected, "{args:?}");
    }
}

#[test]
fn what_is_found_has_its_place_in_the_text() {
    let text = "password=swordfish https://me:pw@h/ swordfish";
    let found: Vec<_> = find_secrets(text).into_iter().map(|it| (&text[it.range], it.rule.id())).collect();
    assert_eq!(found, [("swordfish", "name"), ("me:pw", "url"), ("swordfish", "again")]);
    // The second scan finds what the first one uncovers.
    let text = "{\"name\": \"token\", \"value\": \"a1b2c3\"}";
    let found: Vec<_> = find_secrets(text).into_iter().map(|it| &text[it.range]).collect();
    assert_eq!(found, ["a1b2c3"]);
}
