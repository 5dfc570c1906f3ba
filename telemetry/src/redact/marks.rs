//! What stands between a name and its value: `=`, `": "`, `("name", "value")`, `<name>`.

use crate::redact::bytes::{
    begins, is_blank, is_quote, is_space, is_word, run_within, starts, starts_any_case,
};
use crate::redact::key_names::may_be_listed;
use crate::redact::quotes::{closers_of_string, quoted};
use crate::redact::rules::{Rows, Text, by_first_byte, column, count, rows_of};

/// How a name and its value are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `name=value`
    Equals,
    /// `name: value`
    Colon,
    /// `name%3Dvalue`
    Encoded,
    /// `--name value`
    Flag,
    /// `<name>value</name>`
    Element,
    /// `("name", "value")`, `name("value")`, `name != "value"`
    Pair,
}

/// The greatest number of blanks between a name, its mark and its value.
pub(super) const GAP: usize = 16;

/// A mark behind a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) form: Form,
    /// The beginning of the value.
    pub(super) value: usize,
    /// Whether the value is one only in quotes.
    pub(super) quoted: bool,
}

impl Mark {
    fn new(form: Form, value: usize) -> Self {
        Self { form, value, quoted: false }
    }

    fn quoted(form: Form, value: usize) -> Self {
        Self { form, value, quoted: true }
    }
}

/// A row of `rules/marks.tsv`.
#[derive(Debug, Clone, Copy)]
struct Sign {
    sign: Text<8>,
    form: Form,
    quoted: bool,
}

const ROWS: &[u8] = include_bytes!("rules/marks.tsv");

static SIGNS: [Sign; count(ROWS)] = {
    let mut signs = [Sign { sign: Text::of(b""), form: Form::Equals, quoted: false }; count(ROWS)];
    let mut rows = Rows::of(ROWS);
    let mut at = 0;
    while let Some(row) = rows.next() {
        let form = match column(row, 1) {
            b"equals" => Form::Equals,
            b"colon" => Form::Colon,
            b"encoded" => Form::Encoded,
            b"pair" => Form::Pair,
            _ => panic!("a form that marks.tsv does not know"),
        };
        let quoted = matches!(column(row, 2), b"quoted");
        signs[at] = Sign { sign: Text::of(column(row, 0)), form, quoted };
        at += 1;
    }
    signs
};

static BY_FIRST: [(u16, u16); 256] = by_first_byte(ROWS);

/// The mark behind the name from `start` to `end`.
pub(super) fn mark(text: &[u8], start: usize, end: usize) -> Option<Mark> {
    if start > 0 && text[start - 1] == b'<' && text.get(end) == Some(&b'>') {
        return Some(Mark::new(Form::Element, end + 1));
    }
    let closed = closers(text, end);
    match text.get(closed) {
        Some(b',') if closed > end => {
            if let Some(value) = value_member(text, closed) {
                return Some(Mark::new(Form::Colon, value));
            }
            if let Some(mark) = argument(text, start, closed) {
                return Some(mark);
            }
        }
        // A name and a value in YAML.
        Some(b'\n' | b'\r') => {
            let member = run_within(text, closed, 64, is_space);
            let colon = closers(text, member + 5);
            if starts(text, member, "value") && text.get(colon) == Some(&b':') {
                return Some(Mark::new(Form::Colon, run_within(text, colon + 1, GAP, is_blank)));
            }
        }
        // `secret("…")`
        Some(b'(') if closed == end => {
            return Some(Mark::quoted(Form::Pair, run_within(text, end + 1, GAP, is_space)));
        }
        Some(b'.') if closed == end && starts(text, end, ".assign(") => {
            return Some(Mark::quoted(Form::Pair, end + 8));
        }
        Some(b'<') if closed == end => return next_element(text, end),
        _ => {}
    }
    if let Some(mark) = assigned(text, closed) {
        return Some(mark);
    }
    if text.get(closed).is_some_and(|byte| is_blank(*byte)) {
        if closed > end
            && let Some(value) = attribute(text, closed)
        {
            return Some(Mark::quoted(Form::Equals, value));
        }
        if closed == end
            && let Some(mark) = declared(text, start, end)
        {
            return Some(mark);
        }
    }
    let dashes = text[..start].iter().rev().take(3).take_while(|byte| **byte == b'-').count();
    let flag = dashes > 0 && text[..start - dashes].last().is_none_or(|byte| !byte.is_ascii_alphanumeric());
    if !flag {
        return None;
    }
    // `--token value`, or `"--token", "value"` in a printed list of arguments.
    let comma = if closed > end && text.get(closed) == Some(&b',') { closed + 1 } else { closed };
    let value = run_within(text, comma, GAP, is_space);
    (value > end && (closed == end || comma > closed) && text.get(value) != Some(&b'-'))
        .then_some(Mark::new(Form::Flag, value))
}

/// The mark behind a label that ends at `end`.
pub(super) fn assigned_behind(text: &[u8], end: usize) -> Option<Mark> {
    assigned(text, closers(text, end))
}

/// The mark of the table behind the blanks at `closed`.
fn assigned(text: &[u8], closed: usize) -> Option<Mark> {
    let at = run_within(text, closed, GAP, is_blank);
    let signs = rows_of(&SIGNS, &BY_FIRST, *text.get(at)?).iter();
    let signs = signs.filter(|sign| begins(text, at, sign.sign.as_bytes()));
    let sign = signs.max_by_key(|sign| sign.sign.as_bytes().len())?;
    let behind = at + sign.sign.as_bytes().len();
    match sign.sign.as_bytes() {
        b":" if matches!(text.get(behind), Some(b':'))
            || starts(text, at, "://")
            || starts(text, at, ":\\/\\/") =>
        {
            return None;
        }
        b"-" if at == closed || !text.get(behind).is_some_and(|byte| is_blank(*byte)) => return None,
        b":" => {
            if let Some(value) = typed(text, behind) {
                return Some(Mark::quoted(Form::Equals, value));
            }
        }
        _ => {}
    }
    let value = run_within(text, behind, GAP, is_blank);
    Some(Mark { form: sign.form, value, quoted: sign.quoted })
}

/// The value in `name: type = "value"`, whose type begins at `start`.
fn typed(text: &[u8], start: usize) -> Option<usize> {
    let from = run_within(text, start, GAP, is_blank);
    let to = run_within(text, from, 32, |byte| {
        is_word(byte) || matches!(byte, b':' | b'.' | b'<' | b'>' | b'&' | b'\'' | b'?' | b'*')
    });
    let sign = run_within(text, to, GAP, is_blank);
    let value = run_within(text, sign + 1, GAP, is_blank);
    (to > from && text.get(sign) == Some(&b'=') && text.get(value).is_some_and(|byte| is_quote(*byte)))
        .then_some(value)
}

/// The value in `name type = "value"` and `name - "value"`.
fn declared(text: &[u8], start: usize, end: usize) -> Option<Mark> {
    let from = run_within(text, end, GAP, is_blank);
    let begins = text.get(from).is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'*' | b'['));
    let in_tag = start.checked_sub(1).is_some_and(|at| matches!(text[at], b'<' | b':' | b'/'));
    let challenge = text[start..end].eq_ignore_ascii_case(b"bearer");
    if !begins || in_tag || challenge || !may_be_listed(&text[start..end]) {
        return None;
    }
    typed(text, from).map(|value| Mark::quoted(Form::Equals, value))
}

/// The value in `("NAME", "value")`, if the name is the first in brackets and the value the last.
fn argument(text: &[u8], start: usize, closed: usize) -> Option<Mark> {
    /// The beginnings of functions that store what they get.
    const STORES: [&[u8]; 5] = [b"set", b"put", b"add", b"insert", b"store"];
    let open = text[..start]
        .iter()
        .rposition(|byte| !matches!(byte, b'\\' | b'.') && !is_quote(*byte) && !is_word(*byte))?;
    let value = run_within(text, closed + 1, GAP, is_space);
    let inside = quoted(text, value)?;
    let behind = run_within(text, closers_of_string(text, inside.end), GAP, is_space);
    if text[open] != b'(' || !matches!(text.get(behind), Some(b')') | None) {
        return None;
    }
    let function = text[..open].iter().rev().take(64).take_while(|byte| is_word(**byte)).count();
    let function = &text[open - function..open];
    let stores =
        STORES.iter().any(|it| function.get(..it.len()).is_some_and(|head| head.eq_ignore_ascii_case(it)));
    let words = text[inside].iter().any(|byte| is_blank(*byte));
    let certain = (function.is_empty() || stores) && !words;
    Some(Mark::quoted(if certain { Form::Equals } else { Form::Pair }, value))
}

/// The value in `<add key="NAME" value="…"/>`.
fn attribute(text: &[u8], closed: usize) -> Option<usize> {
    let name = run_within(text, closed, GAP, is_space);
    let sign = ["value=", "content="].iter().find(|it| starts_any_case(text, name, it))?;
    Some(name + sign.len())
}

/// The value in `<key>NAME</key><string>…</string>`.
fn next_element(text: &[u8], end: usize) -> Option<Mark> {
    let closing = run_within(text, end, 32, |byte| byte != b'>') + 1;
    let opening = run_within(text, closing, 64, is_space);
    let is_key = ["</key>", "</name>"].iter().any(|it| starts_any_case(text, end, it));
    let value = run_within(text, opening, 32, |byte| byte != b'>') + 1;
    let is_value = ["<string>", "<value>"].iter().any(|it| starts_any_case(text, opening, it));
    (is_key && is_value).then_some(Mark::new(Form::Element, value))
}

/// The position behind the quotes and brackets that close a name: `"name"`, `\"name\"`, `config[name]`, `%22name%22`.
fn closers(text: &[u8], end: usize) -> usize {
    let mut at = end;
    for _ in 0..4 {
        at = match text.get(at) {
            // `secrets[]`, `secret[25]`
            Some(b'[') if at == end => {
                let digits = run_within(text, at + 1, 4, |byte| byte.is_ascii_digit());
                if text.get(digits) == Some(&b']') { digits + 1 } else { return at }
            }
            Some(b'\\' | b'"' | b'\'' | b'`' | b']') => at + 1,
            Some(b'%') if starts(text, at, "%22") => at + 3,
            Some(b'%') if starts_any_case(text, at, "%5d") => at + 3,
            _ => return at,
        };
    }
    at
}

/// The start of the value in `{"name": "DB_PASSWORD", "value": …}`.
fn value_member(text: &[u8], closed: usize) -> Option<usize> {
    if text.get(closed) != Some(&b',') {
        return None;
    }
    let quote = run_within(text, closed + 1, GAP, is_space);
    let name = run_within(text, quote, 4, |byte| matches!(byte, b'\\' | b'"' | b'\''));
    if name == quote || !starts_any_case(text, name, "value") {
        return None;
    }
    let colon = run_within(text, closers(text, name + 5), GAP, is_blank);
    (text.get(colon) == Some(&b':')).then(|| run_within(text, colon + 1, GAP, is_blank))
}
