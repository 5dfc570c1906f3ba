//! Keys that are recognised by the form that their provider gives them.

use crate::redact::bytes::{begins, is_word, run, run_within, starts};
use crate::redact::rules::{Rows, Text, by_first_byte, column, count, number, rows_of, texts};

/// The characters of a key behind its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Letters and digits.
    Alnum,
    /// Letters, digits, `_` and `-`.
    Word,
    /// Letters, digits, `_`, `-` and `.`.
    Dotted,
    /// Letters, digits, `_`, `-`, `.`, `+`, `/`, `=`, `$`, `~` and `%`.
    Base64,
    /// Capitals and digits.
    Upper,
    /// Hexadecimal digits, of an exact number.
    Hex,
    /// The form of a UUID, with any letters.
    Uuid,
}

/// A row of `rules/keys.tsv`.
#[derive(Debug, Clone, Copy)]
struct Shape {
    prefix: Text<20>,
    rest: Rest,
    least: usize,
    /// Whether one of the characters must be a digit.
    digit: bool,
}

impl Shape {
    const fn of(row: &[u8]) -> Self {
        let rest = match column(row, 1) {
            b"alnum" => Rest::Alnum,
            b"word" => Rest::Word,
            b"dotted" => Rest::Dotted,
            b"base64" => Rest::Base64,
            b"upper" => Rest::Upper,
            b"hex" => Rest::Hex,
            b"uuid" => Rest::Uuid,
            _ => panic!("a class of characters that keys.tsv does not know"),
        };
        let digit = matches!(column(row, 3), b"digit");
        Self { prefix: Text::of(column(row, 0)), rest, least: number(column(row, 2)), digit }
    }
}

const ROWS: &[u8] = include_bytes!("rules/keys.tsv");

/// Sorted by the prefix.
static SHAPES: [Shape; count(ROWS)] = {
    let mut rows = Rows::of(ROWS);
    let mut shapes = [Shape { prefix: Text::of(b""), rest: Rest::Hex, least: 0, digit: false }; count(ROWS)];
    let mut at = 0;
    while let Some(row) = rows.next() {
        shapes[at] = Shape::of(row);
        at += 1;
    }
    shapes
};

static BY_FIRST: [(u16, u16); 256] = by_first_byte(ROWS);

/// A bit for each second byte of the shapes of a first byte.
static SECONDS: [u128; 128] = {
    let mut seconds = [0; 128];
    let mut rows = Rows::of(ROWS);
    while let Some(row) = rows.next() {
        seconds[row[0] as usize] |= 1 << row[1];
    }
    seconds
};

const HOOK_ROWS: &[u8] = include_bytes!("rules/hooks.tsv");

/// URLs whose path is the secret, from the host on.
static HOOKS: [Text<36>; count(HOOK_ROWS)] = texts(HOOK_ROWS, 0);

static HOOKS_BY_FIRST: [(u16, u16); 256] = by_first_byte(HOOK_ROWS);

/// The number of following characters that are searched for a digit.
const SEARCHED: usize = 64;

impl Rest {
    fn takes(self, byte: u8) -> bool {
        match self {
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Word => is_word(byte),
            Self::Dotted => is_word(byte) || byte == b'.',
            Self::Base64 => is_word(byte) || matches!(byte, b'.' | b'+' | b'/' | b'=' | b'$' | b'~' | b'%'),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Uuid => byte.is_ascii_alphanumeric() || byte == b'-',
        }
    }
}

/// The length of the shortest key.
pub(super) const SHORTEST: usize = 14;

/// Whether a key may begin at `at`. Most words are too short.
pub(super) fn is_long_enough(text: &[u8], at: usize) -> bool {
    let possible = |byte| Rest::Base64.takes(byte) || byte == b':';
    run_within(text, at, SHORTEST, possible) == at + SHORTEST
}

/// The end of the key that begins at `at`, the beginning of a word or of a part of a word, and its prefix.
pub(super) fn prefixed(text: &[u8], at: usize) -> Option<(usize, &'static str)> {
    let first = text[at];
    let (seconds, second) = (SECONDS.get(usize::from(first))?, *text.get(at + 1)?);
    if second >= 128 || seconds & (1 << second) == 0 {
        return None;
    }
    let shapes = rows_of(&SHAPES, &BY_FIRST, first);
    let second_of = |shape: &Shape| shape.prefix.as_bytes().get(1).copied();
    let from = shapes.partition_point(|shape| second_of(shape) < Some(second));
    let shapes = shapes[from..].iter().take_while(|shape| second_of(shape) == Some(second));
    let ends = shapes.filter_map(|shape| Some((matches(text, at, shape)?, shape)));
    let (end, shape) = ends.max_by_key(|(end, _)| *end)?;
    // A full stop ends the sentence.
    let trailing = text[at..end].iter().rev().take_while(|byte| **byte == b'.').count();
    Some((end - trailing, shape.prefix.as_str()))
}

fn matches(text: &[u8], at: usize, shape: &Shape) -> Option<usize> {
    let Shape { rest, least, digit, .. } = *shape;
    let prefix = shape.prefix.as_bytes();
    if !text[at..].starts_with(prefix) {
        return None;
    }
    let start = at + prefix.len();
    let enough = run_within(text, start, least, |byte| rest.takes(byte)) == start + least;
    let window = &text[start.min(text.len())..text.len().min(start + SEARCHED.max(least))];
    let of_rest = window.iter().take_while(|byte| rest.takes(**byte));
    // `ghp_xxxxxxxx`
    if window.len() >= 8 && window[..8].iter().all(|byte| matches!(byte, b'x' | b'X')) {
        return None;
    }
    if !enough || (digit && !of_rest.into_iter().any(u8::is_ascii_digit)) {
        return None;
    }
    match rest {
        Rest::Hex | Rest::Uuid => {
            let end = start + least;
            let whole = rest == Rest::Hex || [8, 13, 18, 23].iter().all(|dash| text[start + dash] == b'-');
            (whole && !text.get(end).is_some_and(|byte| is_word(*byte))).then_some(end)
        }
        _ => Some(run(text, start, |byte| rest.takes(byte))),
    }
}

/// The start and the end of the secret path behind the host that begins at `at`.
pub(super) fn hook(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let host = rows_of(&HOOKS, &HOOKS_BY_FIRST, text[at] | 0x20);
    let host = host.iter().map(Text::as_bytes).find(|host| begins(text, at, host))?;
    let start = at + host.len();
    let end = run(text, start, |byte| is_word(byte) || matches!(byte, b'/' | b'@' | b'%' | b':' | b'.'));
    (end > start).then_some((start, end))
}

/// The start and the end of a key without a prefix that is, or begins with, the word from `start` to `end`.
pub(super) fn shaped(text: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
    let word = &text[start..end];
    let hex = |part: &[u8]| part.iter().all(u8::is_ascii_hexdigit);
    // Telegram: the number of the bot, a colon, 35 characters.
    let number = word.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let before = &word[..word.len() - number];
    if (8..=11).contains(&number) && text.get(end) == Some(&b':') && (before.is_empty() || before == b"bot") {
        let stop = run_within(text, end + 1, 64, is_word);
        if (34..=40).contains(&(stop - end - 1)) {
            return Some((start + before.len(), stop));
        }
    }
    // Facebook: the number of an app, a bar, its token.
    if number == word.len() && (13..=17).contains(&number) && text.get(end) == Some(&b'|') {
        let stop = run_within(text, end + 1, 64, is_word);
        return (stop - end > 20).then_some((start, stop));
    }
    match word.len() {
        // Mailgun: a signing key.
        50 if word[32] == b'-' && word[41] == b'-' => {
            let digits = word.iter().filter(|byte| byte.is_ascii_hexdigit()).count();
            (digits == 48).then_some((start, end))
        }
        // Azure: the secret of a client.
        5 if word[4] == b'Q' && word[3].is_ascii_digit() && text.get(end) == Some(&b'~') => {
            let stop = run_within(text, end, 64, |byte| is_word(byte) || matches!(byte, b'.' | b'~'));
            (stop - start >= 36).then_some((start, stop))
        }
        // Terraform Cloud.
        14 if starts(text, end, ".atlasv1.") => {
            let stop = run(text, end + 9, is_word);
            (stop - end >= 40).then_some((start, stop))
        }
        // Discord: the id of a bot, a time, a signature.
        23..=28 if matches!(word[0], b'M' | b'N' | b'O') && text.get(end) == Some(&b'.') => {
            let time = run_within(text, end + 1, 7, is_word);
            let stop = run(text, time + 1, is_word);
            (time == end + 7 && text.get(time) == Some(&b'.') && stop - time > 26).then_some((start, stop))
        }
        // Mailchimp: a key and a data centre.
        36 | 37 if hex(&word[..32]) && word[32..].starts_with(b"-us") => {
            word[35..].iter().all(u8::is_ascii_digit).then_some((start, end))
        }
        // New Relic: a licence key.
        40 if word.ends_with(b"NRAL") && hex(&word[..36]) => Some((start, end)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_shape_is_shorter_than_what_is_looked_at() {
        for Shape { prefix, least, .. } in &SHAPES {
            assert!(
                prefix.as_bytes().len() >= 2 && prefix.as_bytes().len() + least >= SHORTEST,
                "{prefix:?}"
            );
        }
    }

    #[test]
    fn the_shapes_are_sorted() {
        assert!(SHAPES.is_sorted_by_key(|shape| shape.prefix.as_bytes().to_vec()));
    }
}
