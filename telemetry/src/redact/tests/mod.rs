use super::*;
use crate::redact::redact::{EventParts, redact_parts};

mod corpus;
mod properties;
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
