//! The engine of redaction against a plain and slow one, which reads the table of keys for each text and knows one mark.
#![no_main]

use jackfield::{REDACTED, find_secrets, redact};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| check(text));

fn check(text: &str) {
    let once = redact(text);
    assert_eq!(redact(&once), once, "twice");
    let markers = once.matches(REDACTED).count();
    assert!(once.len() <= text.len() + markers * REDACTED.len(), "a text grows by its markers alone");
    let mut end = 0;
    for found in find_secrets(text) {
        assert!(end <= found.range.start && text.get(found.range.clone()).is_some(), "in order, and whole characters");
        end = found.range.end;
    }
    // Codes of terminals and public keys are passed over as a whole.
    if ["\x1b", "-----BEGIN ", " AAAA"].iter().any(|skipped| once.contains(skipped)) {
        return;
    }
    let left: Vec<_> = keys(&once).into_iter().chain(named(&once)).collect();
    assert!(left.is_empty(), "{left:?} is left in {once:?}");
}

const KEYS: &str = include_str!("../../telemetry/src/redact/rules/keys.tsv");

fn is_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_' || char == '-'
}

/// The beginnings of words, and what is behind each. Behind `\\` and `%` an escape may begin.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let begins = |at: usize| !text[..at].chars().next_back().is_some_and(|before| is_word(before) || matches!(before, '\\' | '%'));
    text.char_indices().filter(move |(at, _)| begins(*at)).map(|(at, _)| &text[at..])
}

/// The keys that begin a word, with as many characters as their row asks for.
fn keys(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for row in KEYS.lines().filter(|line| !line.starts_with('#')) {
        let [prefix, rest, least, digit, ..] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let least: usize = least.parse().expect("a number");
        let takes = |char: char| match rest {
            "alnum" => char.is_ascii_alphanumeric(),
            "word" => is_word(char),
            "dotted" => is_word(char) || char == '.',
            "base64" => is_word(char) || ".+/=$~%".contains(char),
            "upper" => char.is_ascii_uppercase() || char.is_ascii_digit(),
            "hex" => char.is_ascii_hexdigit(),
            _ => char.is_ascii_alphanumeric() || char == '-',
        };
        for word in words(text).filter(|word| word.starts_with(prefix)) {
            let body = &word[prefix.len()..];
            let whole = body.split(|char| !takes(char)).next().unwrap_or_default();
            let is_uuid = || [8, 13, 18, 23].iter().all(|at| whole.as_bytes()[*at] == b'-');
            let ends = || !body[least..].chars().next().is_some_and(is_word);
            let fits = whole.len() >= least
                && (digit != "digit" || whole.bytes().take(least).any(|byte| byte.is_ascii_digit()))
                && (rest != "hex" || ends())
                && (rest != "uuid" || (is_uuid() && ends()))
                && !whole.bytes().take(8).all(|byte| matches!(byte, b'x' | b'X'));
            if fits {
                found.push(&word[..prefix.len() + least]);
            }
        }
    }
    found
}

/// The values of letters and digits behind `password=`.
fn named(text: &str) -> Vec<&str> {
    let values = words(text).filter_map(|word| word.strip_prefix("password="));
    let values = values.map(|rest| rest.split(char::is_whitespace).next().unwrap_or_default());
    let is_secret = |value: &&str| {
        let mixed = value.bytes().any(|byte| byte.is_ascii_digit()) && value.bytes().any(|byte| byte.is_ascii_alphabetic());
        value.len() >= 8 && mixed && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    values.filter(is_secret).collect()
}
