//! The start and the end of a credential's value.

use std::ops::Range;

use crate::redact::bytes::{
    REDACTED, begins, is_blank, is_encoded, is_quote, is_space, is_word, run, run_within, starts,
    starts_any_case,
};
use crate::redact::key_names::{Name, may_be_listed};
use crate::redact::rules::{Rows, Text, by_first_byte, column, count, rows_of};
use crate::redact::{entropy, values};

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
const GAP: usize = 16;

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

/// The value that begins at the mark; `None` when it is missing or is no secret. `prose`: the name is in a sentence.
pub(super) fn find(text: &[u8], mark: Mark, name: Name, prose: bool) -> Option<Range<usize>> {
    let Mark { form, value: start, quoted: only_quoted } = mark;
    text.get(start)?;
    if form == Form::Element {
        let weak = matches!(name, Name::Query | Name::Suspect);
        return element(text, start).filter(|found| !weak || is_suspicious(&text[found.clone()]));
    }
    let start = if form == Form::Colon { block(text, start) } else { start };
    if refers(text, start, form) {
        return None;
    }
    if values::begins_call(&text[start..]) {
        return None;
    }
    let opened = values::open(text, start, form == Form::Colon);
    let start = opened.start;
    if opened.list && refers(text, start, form) {
        return None;
    }
    let (value, quoted) = match quoted(text, start) {
        Some(range) => (range, true),
        None => (start..unquoted_end(text, start, form), false),
    };
    if !quoted
        && opened.list
        && let Some(numbers) = numbers(text, start)
    {
        return (name == Name::Strong).then_some(numbers);
    }
    let found = text.get(value.clone())?;
    if found.is_empty() || found == REDACTED.as_bytes() || values::is_placeholder(found) {
        return None;
    }
    if !quoted && (only_quoted || (form == Form::Colon && opens_structure(text, start))) {
        return None;
    }
    let assigned = matches!(form, Form::Equals | Form::Encoded);
    if !quoted && (values::is_nothing(found, assigned) || (!assigned && values::is_plain_word(found))) {
        return None;
    }
    if values::is_reference(found, quoted) || (quoted && is_substitution(text, start, found)) {
        return None;
    }
    let keep = match name {
        Name::Query => !is_token(found, 16),
        Name::Suspect => !is_suspicious(found),
        // A function with such a name may take anything.
        _ if form == Form::Pair && !is_made_up(found) => true,
        // "unexpected token: `;`", "host auth:8080", "killed, sig=11", "auth: oauth2"
        Name::Weak => {
            let number = found.iter().all(u8::is_ascii_digit);
            (number && (found.len() <= 3 || (form == Form::Colon && found.len() <= 5)))
                || (prose && form == Form::Colon && !is_secretive(found))
                || (quoted && (values::is_plain_word(found) || (prose && found.contains(&b' '))))
                || (matches!(form, Form::Equals) && !quoted && values::is_plain_word(found))
                || (prose && form == Form::Colon && found[0] == b'/')
                || (!found.iter().any(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80))
        }
        _ => false,
    };
    if keep {
        return None;
    }
    Some(if opened.list && quoted { value.start..list_end(text, value.end) } else { value })
}

/// Whether a text in quotes is no word and no name: it is long, and has a digit or two marks.
fn is_made_up(value: &[u8]) -> bool {
    let marks = value.iter().filter(|byte| {
        byte.is_ascii_punctuation() && !matches!(byte, b'_' | b'-' | b'.' | b'/' | b':' | b',' | b'\\')
    });
    value.len() >= 8
        && !value.starts_with(b"-")
        && (value.iter().any(u8::is_ascii_digit) || marks.count() >= 2)
        && !value.iter().any(|byte| is_blank(*byte))
}

/// The beginning of the text in `name: |` and a line that is indented.
fn block(text: &[u8], start: usize) -> usize {
    let sign = run_within(text, start, 2, |byte| matches!(byte, b'|' | b'>' | b'-' | b'+'));
    let next = run_within(text, sign, 64, is_space);
    let line = sign > start && text[sign..next].contains(&b'\n') && text[next - 1] == b' ';
    if line { next } else { start }
}

/// The end of the last string of a list whose first string ends at `end`.
fn list_end(text: &[u8], end: usize) -> usize {
    const MOST: usize = 64;
    let mut last = end;
    for _ in 0..MOST {
        let comma = run_within(text, closers_of_string(text, last), GAP, is_space);
        let next = run_within(text, comma + 1, 64, is_space);
        match (text.get(comma), quoted(text, next)) {
            (Some(b','), Some(inside)) => last = inside.end,
            _ => break,
        }
    }
    last
}

fn closers_of_string(text: &[u8], end: usize) -> usize {
    run_within(text, end, 4, |byte| byte == b'\\' || is_quote(byte))
}

/// The numbers of a list of bytes: `[104, 117]`, `{0x68, 0x75}`.
fn numbers(text: &[u8], start: usize) -> Option<Range<usize>> {
    let part = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'x' | b',') || is_space(byte);
    let end = run(text, start, part);
    let found = &text[start..end];
    let listed = found.first().is_some_and(u8::is_ascii_digit) && found.contains(&b',');
    (listed && matches!(text.get(end), Some(b']' | b'}'))).then(|| {
        let blank = found.iter().rev().take_while(|byte| is_space(**byte)).count();
        start..end - blank
    })
}

/// Whether the value in backticks is a command of a shell, whose output is the value.
fn is_substitution(text: &[u8], start: usize, value: &[u8]) -> bool {
    text.get(start) == Some(&b'`') && value.iter().any(|byte| is_blank(*byte))
}

/// Whether an object or a list begins at `start`, and not a password that begins with a bracket.
fn opens_structure(text: &[u8], start: usize) -> bool {
    if !matches!(text[start], b'{' | b'[') {
        return false;
    }
    let first = run_within(text, start + 1, 4, |byte| matches!(byte, b'{' | b'['));
    match text.get(first) {
        None => true,
        Some(byte) if is_space(*byte) || is_quote(*byte) || *byte == b'\\' => true,
        Some(b'}' | b']') => is_over(text, start, first, Form::Colon),
        Some(_) => {
            let name = run_within(text, first, 64, |byte| is_word(byte) || byte == b'.');
            let mark = run_within(text, name, 4, is_blank);
            name > first
                && match text.get(mark) {
                    Some(b'=') => true,
                    Some(b':') => written_alike(text, start, mark + 1),
                    _ => false,
                }
        }
    }
}

/// The text of an element with a closing tag.
fn element(text: &[u8], start: usize) -> Option<Range<usize>> {
    let start = run(text, start, is_space);
    let end = run(text, start, |byte| byte != b'<');
    let value = text[start..end].trim_ascii_end();
    let none = value.is_empty()
        || value == REDACTED.as_bytes()
        || values::is_placeholder(value)
        || values::is_nothing(value, true);
    (!none && starts(text, end, "</")).then_some(start..start + value.len())
}

/// Whether the value at `start` is only a placeholder or an expression in brackets.
pub(super) fn refers(text: &[u8], start: usize, form: Form) -> bool {
    values::expression(text, start).is_some_and(|close| is_over(text, start, close, form))
}

/// Whether a value in a sentence is a secret: it has a digit or is long.
fn is_secretive(value: &[u8]) -> bool {
    value.len() >= 16 || value.iter().any(u8::is_ascii_digit)
}

/// Whether the value may be a key: it is long, has digits, and is no path and no time.
pub(super) fn is_suspicious(value: &[u8]) -> bool {
    const SHORTEST: usize = 16;
    let head = &value[..value.len().min(64)];
    if value.len() < SHORTEST {
        return false;
    }
    let (mut digits, mut letters, mut slashes) = (0, 0, 0);
    for byte in head {
        match byte {
            b'0'..=b'9' => digits += 1,
            b'a'..=b'z' | b'A'..=b'Z' => letters += 1,
            b'/' => slashes += 1,
            b'_' | b'-' | b'.' | b'~' | b'+' | b'=' | b'%' | b'!' | b':' | b'@' | b'?' => {}
            _ => return false,
        }
    }
    let is_time = letters <= 2 && head[0].is_ascii_digit() && head.contains(&b':');
    let dense = digits * 12 >= head.len() && slashes == 0;
    digits >= 2 && letters >= 2 && !is_time && (dense || entropy::looks_random(head))
}

fn is_token(value: &[u8], least: usize) -> bool {
    let head = &value[..value.len().min(64)];
    value.len() >= least
        && head
            .iter()
            .all(|byte| is_word(*byte) || matches!(byte, b'.' | b'~' | b'%' | b'+' | b'/' | b'=' | b'&'))
        && head.iter().any(u8::is_ascii_digit)
}

/// The text in the quotes that open at `start`, which may be escaped several times. It ends at the closing quote, or at
/// the end.
pub(super) fn quoted(text: &[u8], start: usize) -> Option<Range<usize>> {
    if starts(text, start, "%22") {
        let inside = start + 3;
        let mut at = inside;
        while at < text.len() && !starts(text, at, "%22") && !is_space(text[at]) {
            at += 1;
        }
        crate::redact::bytes::spend(at - inside);
        return Some(inside..at);
    }
    let escapes = run_within(text, start, 8, |byte| byte == b'\\') - start;
    let quote = *text.get(start + escapes).filter(|byte| is_quote(**byte))?;
    let inside = start + escapes + 1;
    let mut at = inside;
    loop {
        at = run(text, at, |byte| byte != quote && byte != b'\\');
        let slashes = run(text, at, |byte| byte == b'\\') - at;
        match text.get(at + slashes) {
            None => return Some(inside..text.len()),
            Some(byte) if *byte == quote => {
                let closes = slashes <= escapes || (escapes == 0 && slashes.is_multiple_of(2));
                if closes {
                    return Some(inside..if escapes == 0 { at + slashes } else { at });
                }
                at += slashes + 1;
            }
            Some(_) => at += slashes.max(1),
        }
    }
}

/// The end of a value without quotes. A character that may be a part of a password ends the value only before a new
/// pair or the end.
pub(super) fn unquoted_end(text: &[u8], start: usize, form: Form) -> usize {
    let encoded = form == Form::Encoded;
    let mut at = start;
    while let Some(&byte) = text.get(at) {
        crate::redact::bytes::spend(1);
        if is_space(byte) || (byte == b'<' && begins_tag(text, at)) {
            break;
        }
        match byte {
            b'[' if starts(text, at, REDACTED) => at += REDACTED.len(),
            b'%' if encoded
                && ["26", "23", "20", "22", "3B", "3b", "0A", "0a"]
                    .iter()
                    .any(|it| starts(text, at + 1, it)) =>
            {
                break;
            }
            b'%' if encoded && (starts(text, at, "%2526") || starts(text, at, "%2523")) => break,
            _ if is_soft(byte) => {
                let behind = run(text, at, is_soft);
                if is_end(text, behind) || (at > start && begins_pair(text, start, at, behind, form)) {
                    break;
                }
                at = behind;
            }
            _ => at += 1,
        }
    }
    at
}

fn is_soft(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`' | b',' | b';' | b'&' | b'|' | b')' | b']' | b'}' | b'\\' | b'>')
}

/// Whether the tag that closes an element begins at `at`, and not the rest of a password with `<`.
fn begins_tag(text: &[u8], at: usize) -> bool {
    text.get(at + 1) == Some(&b'/')
}

fn is_end(text: &[u8], behind: usize) -> bool {
    text.get(behind).is_none_or(|next| is_space(*next) || (*next == b'<' && begins_tag(text, behind)))
}

/// Whether a value without quotes that begins at `start` may end at `at`.
fn is_over(text: &[u8], start: usize, at: usize, form: Form) -> bool {
    let behind = run(text, at, is_soft);
    is_end(text, behind) || begins_pair(text, start, at, behind, form)
}

/// Whether a new pair begins behind the punctuation from `at` to `behind`. The value before it begins at `start`.
fn begins_pair(text: &[u8], start: usize, at: usize, behind: usize, form: Form) -> bool {
    let separates = |byte: &u8| matches!(byte, b',' | b';' | b'&' | b'|' | b'"');
    if !text[at..behind].iter().any(separates) {
        return false;
    }
    let name = run_within(text, behind, 64, |byte| is_word(byte) || byte == b'.');
    let mark = run_within(text, name, 4, |byte| matches!(byte, b'\\' | b'"' | b'\'' | b']'));
    let in_json = text[at..behind].contains(&b'"');
    name > behind
        && match text.get(mark) {
            Some(b'=') => true,
            Some(b':') => in_json || (form == Form::Colon && written_alike(text, start, mark + 1)),
            _ => in_json && mark > name,
        }
}

/// Whether the pairs of both values are written alike: behind `a: b` comes `c: d`, not `c:d`. The values begin at
/// `first` and `second`.
fn written_alike(text: &[u8], first: usize, second: usize) -> bool {
    let before = text[..first].iter().rev().take(GAP).find(|byte| **byte != b'[');
    !before.is_some_and(|byte| is_blank(*byte)) || is_end(text, second)
}

/// The end of the encoded `://` that begins at `at`.
pub(super) fn encoded_scheme_end(text: &[u8], at: usize) -> Option<usize> {
    (is_encoded(text, at) && starts_any_case(text, at, "%3a%2f%2f")).then_some(at + 9)
}
