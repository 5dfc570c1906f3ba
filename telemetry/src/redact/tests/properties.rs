//! What holds for every text: redaction comes to rest, in linear time, and leaves nothing of what it takes.

use std::borrow::Cow;
use std::cell::Cell;

use proptest::prelude::*;

use super::{corpus, secrets};
use crate::redact::bytes::{REDACTED, SPENT};
use crate::redact::redact::{SCANS, find_secrets, redact, scan};
use crate::redact::rule::replace_found;
use crate::redact::{key_names, scanner, values};

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
        "key=",
        "key:",
        "key==",
        "hub_key=",
        "key=b",
        "code=",
        "password=var.",
        "password=a_b(",
        "password->",
        "password:{a:",
        "a://b@c#",
        "a://b@c#d@",
        "a://b:c@d/@",
        "secrets: {\"a\": \"b\", ",
        "password for bob ",
        "| password | a1b2c3 ",
        "AUTH PLAIN ",
        "password: A { ",
        "<a:password b=",
        " value=\"a1b2c3\" key=\"password\"",
        "setenv(\"password\", \"",
        "\u{1b}[1mpassword\u{1b}[0m=",
        "password.....",
        "password='a'\\''",
        "IDENTIFIED BY '",
        "Private-Lines: 1\n",
        "password='\"'\"'",
        "password='\\''a",
        "&quot;password&quot;:&quot;",
        "invalid value 'a' for '--token ",
        "password=\"a\" -> \"",
        "<password><![CDATA[",
        "s:1:\"password\";s:1:\"",
        "requirepass ",
        "password = a.b.",
        "TOKEN: unbound ",
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
            SPENT.with(|spent| spent.set(0));
            let _ = redact(&text);
            SPENT.with(Cell::get)
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
        let mut now = replace_found(&text, &found);
        for _ in 1..SCANS {
            found.clear();
            scan(&now, &mut found);
            now = replace_found(&now, &found);
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
    fn what_is_found_is_in_order_and_ends_between_characters(text in fragments()) {
        let found = find_secrets(&text);
        prop_assert!(found.iter().all(|it| !it.range.is_empty() && text.get(it.range.clone()).is_some()), "{:?}", found);
        prop_assert!(found.windows(2).all(|two| two[0].range.end <= two[1].range.start), "{:?}", found);
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
