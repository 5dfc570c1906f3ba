//! What stands between a name and its value: `=`, `": "`, `("name", "value")`, `<name>`.

use std::ops::Range;

use crate::redact::bytes::{
    self, colour_end, ends_any_case, has_letter_and_digit, is_blank, is_quote, is_space, is_word, run_within,
    spend, starts, starts_any_case,
};
use crate::redact::key_names::may_be_listed;
use crate::redact::quotes::{closers_of_string, quoted};
use crate::redact::rules::{Rows, Text, by_first_byte, column, count, rows_of};
use crate::redact::values;

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
pub(super) const GAP: usize = 48;

/// A mark behind a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) form: Form,
    /// The beginning of the value.
    pub(super) value: usize,
    /// Whether the value is one only in quotes.
    pub(super) quoted: bool,
    /// Whether the value stands for itself, as in a shell or a file of options, and is no name of a variable.
    pub(super) literal: bool,
}

impl Mark {
    fn new(form: Form, value: usize) -> Self {
        Self { form, value, quoted: false, literal: form == Form::Flag }
    }

    fn quoted(form: Form, value: usize) -> Self {
        Self { form, value, quoted: true, literal: false }
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

/// Whether a mark of the table begins with this byte.
pub(super) fn begins(first: u8) -> bool {
    BY_FIRST[usize::from(first)].0 != BY_FIRST[usize::from(first)].1
}

/// The mark behind the name from `start` to `end`.
pub(super) fn mark(text: &[u8], start: usize, end: usize) -> Option<Mark> {
    if let Some(mark) = tag(text, start, end) {
        return Some(mark);
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
        // `<string name="password">…</string>`
        Some(b'>') if closed > end && is_attribute_of_name(text, start) => {
            return Some(Mark::new(Form::Element, closed + 1));
        }
        // PHP: `s:8:"password";s:4:"…";`
        Some(b';') if closed > end && starts(text, closed, ";s:") => {
            let length = run_within(text, closed + 3, 8, |byte| byte.is_ascii_digit());
            if starts(text, length, ":\"") {
                return Some(Mark::quoted(Form::Equals, length + 1));
            }
        }
        // `secret("…")`, and in SQL `PASSWORD('…')`
        Some(b'(') if closed == end => {
            let value = run_within(text, end + 1, GAP, is_space);
            let sql = text.get(value) == Some(&b'\'') && text[start..end].iter().all(u8::is_ascii_uppercase);
            return Some(Mark::quoted(if sql { Form::Equals } else { Form::Pair }, value));
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
            && let Some(value) = attribute(text, closed).or_else(|| default_of_variable(text, closed))
        {
            return Some(Mark::quoted(Form::Equals, value));
        }
        // `<setting name="password" serializeAs="String"><value>…</value>`
        if closed > end && is_attribute_of_name(text, start) {
            let close = run_within(text, closed, 64, |byte| !matches!(byte, b'<' | b'>'));
            if starts(text, close, "><value>") {
                return Some(Mark::new(Form::Element, close + "><value>".len()));
            }
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
    if closed == end || comma > closed { flag_value(text, end, comma) } else { None }
}

/// The mark of the value behind a flag that ends at `end`. Blanks before the value begin at `from`.
pub(super) fn flag_value(text: &[u8], end: usize, from: usize) -> Option<Mark> {
    let value = run_within(text, from, GAP, is_space);
    let is_value = text.get(value) != Some(&b'-') || begins_with_dash(text, value);
    (value > end && is_value).then_some(Mark::new(Form::Flag, value))
}

/// Whether the word at `start`, which begins with a dash, is a secret and no flag.
fn begins_with_dash(text: &[u8], start: usize) -> bool {
    let word = &text[start + 1..run_within(text, start + 1, 64, is_word)];
    word.len() >= 8 && word[0] != b'-' && has_letter_and_digit(word)
}

/// The mark behind a label that ends at `end`.
pub(super) fn assigned_behind(text: &[u8], end: usize) -> Option<Mark> {
    assigned(text, closers(text, end))
}

/// The end of the blanks, and of the codes for the colours of a terminal, at `start`.
fn gap(text: &[u8], start: usize) -> usize {
    let mut at = run_within(text, start, GAP, is_blank);
    for _ in 0..4 {
        let Some(end) = colour_end(text, at) else { break };
        at = run_within(text, end, GAP, is_blank);
    }
    at
}

/// The mark of the table behind the blanks at `closed`.
fn assigned(text: &[u8], closed: usize) -> Option<Mark> {
    let mut at = gap(text, closed);
    // `Password......: …`
    let dots = run_within(text, at, 64, |byte| byte == b'.');
    if dots > at + 1 && text.get(dots) == Some(&b':') {
        at = dots;
    }
    let signs = rows_of(&SIGNS, &BY_FIRST, *text.get(at)?).iter();
    let signs = signs.filter(|sign| bytes::begins(text, at, sign.sign.as_bytes()));
    let sign = signs.max_by_key(|sign| sign.sign.as_bytes().len())?;
    let mut behind = at + sign.sign.as_bytes().len();
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
            // `**Password:** …`
            let stars = run_within(text, behind, 2, |byte| byte == b'*');
            if text.get(stars).is_some_and(|byte| is_blank(*byte)) {
                behind = stars;
            }
        }
        // PHP has the value on the next line.
        b"=>" if text.get(behind) == Some(&b'\n') => behind = run_within(text, behind, 64, is_space),
        _ => {}
    }
    let literal = sign.form == Form::Equals && at == closed && !is_in_code(text, closed);
    Some(Mark { form: sign.form, value: gap(text, behind), quoted: sign.quoted, literal })
}

/// Whether the pair whose name ends at `end` is an argument of a call: `connect(user=me, password=db_password)`.
fn is_in_code(text: &[u8], end: usize) -> bool {
    let name = text[..end].iter().rev().take(64).take_while(|byte| is_word(**byte)).count();
    let before = text[..end - name].trim_ascii_end();
    spend(GAP);
    matches!(before.last(), Some(b'(' | b','))
}

/// The value in `name: type = "value"`, whose type begins at `start`.
fn typed(text: &[u8], start: usize) -> Option<usize> {
    let from = run_within(text, start, GAP, is_blank);
    let to = run_within(text, from, 32, |byte| {
        is_word(byte) || matches!(byte, b':' | b'.' | b'<' | b'>' | b'&' | b'\'' | b'?' | b'*' | b'[' | b']')
    });
    let sign = run_within(text, to, GAP, is_blank);
    let value = run_within(text, sign + 1, GAP, is_blank);
    if to == from || text.get(sign) != Some(&b'=') {
        return None;
    }
    // `"…"`, `String::from("…")`
    let string = values::open(text, value, false).start;
    let opened = string == value || text[string - 1] == b'(';
    (opened && text.get(string).is_some_and(|byte| is_quote(*byte)) && !values::is_call_of_value(text, value))
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
    const STORES: [&[u8]; 6] = [b"set", b"put", b"add", b"insert", b"store", b"define"];
    /// Parts of functions for settings, which may have a value with blanks: `os.Setenv`, `os.environ.get`.
    const SETTINGS: [&[u8]; 2] = [b"env", b"property"];
    let open = text[..start]
        .iter()
        .rposition(|byte| !matches!(byte, b'\\' | b'.' | b' ') && !is_quote(*byte) && !is_word(*byte))?;
    if text[open] != b'(' {
        return None;
    }
    let value = run_within(text, closed + 1, GAP, is_space);
    let value = if starts(text, value, "default=") { value + "default=".len() } else { value };
    let inside = quoted(text, value)?;
    let behind = run_within(text, closers_of_string(text, inside.end), GAP, is_space);
    let in_path = |byte: &&u8| is_word(**byte) || **byte == b'.';
    let path = &text[open - text[..open].iter().rev().take(64).take_while(in_path).count()..open];
    let function = path.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    let stores =
        STORES.iter().any(|it| function.get(..it.len()).is_some_and(|head| head.eq_ignore_ascii_case(it)));
    let settings = SETTINGS.iter().any(|it| path.windows(it.len()).any(|part| part.eq_ignore_ascii_case(it)));
    let is_last = matches!(text.get(behind), Some(b')') | None);
    if !is_last && !(text.get(behind) == Some(&b',') && (settings || function.is_empty())) {
        return None;
    }
    let words = text[inside].iter().any(|byte| is_blank(*byte));
    let certain = settings || ((function.is_empty() || stores) && is_last && !words);
    Some(Mark::quoted(if certain { Form::Equals } else { Form::Pair }, value))
}

/// The mark of the element whose tag has the name from `start` to `end`, with a prefix and attributes or without:
/// `<password>`, `<a:Password Type="…">`, `<Password Value="…"/>`.
fn tag(text: &[u8], start: usize, end: usize) -> Option<Mark> {
    const LONGEST: usize = 200;
    let next = *text.get(end).filter(|byte| matches!(byte, b'>' | b' '))?;
    let prefix = match text[..start].strip_suffix(b":") {
        Some(before) => before.iter().rev().take(32).take_while(|byte| is_word(**byte)).count() + 1,
        None => 0,
    };
    if !text[..start - prefix].ends_with(b"<") {
        return None;
    }
    if next == b' '
        && let Some(value) = attribute(text, end)
    {
        return Some(Mark::quoted(Form::Equals, value));
    }
    let close = run_within(text, end, LONGEST, |byte| !matches!(byte, b'<' | b'>'));
    let opens = text.get(close) == Some(&b'>') && text[close - 1] != b'/';
    opens.then_some(Mark::new(Form::Element, close + 1))
}

/// Whether the name in quotes that begins at `start` is the value of an attribute such as `name`.
fn is_attribute_of_name(text: &[u8], start: usize) -> bool {
    // The name may be the end of a longer one, with dots.
    let longer =
        text[..start].iter().rev().take(64).take_while(|byte| is_word(**byte) || **byte == b'.').count();
    let before = &text[(start - longer).saturating_sub(8)..start - longer];
    before.split_last().is_some_and(|(quote, before)| {
        is_quote(*quote) && [&b" key="[..], b" name="].iter().any(|it| before.ends_with(it))
    })
}

/// The value in `"db_password" { default = "…" }`.
fn default_of_variable(text: &[u8], closed: usize) -> Option<usize> {
    const LONGEST: usize = 256;
    const DEFAULT: &[u8] = b"default";
    let open = run_within(text, closed, GAP, is_blank);
    if text.get(open) != Some(&b'{') {
        return None;
    }
    let body = &text[open..run_within(text, open, LONGEST, |byte| byte != b'}')];
    let name = open + memchr::memmem::find(body, DEFAULT)? + DEFAULT.len();
    let sign = run_within(text, name, GAP, is_blank);
    (text.get(sign) == Some(&b'=')).then(|| run_within(text, sign + 1, GAP, is_blank))
}

/// The value that stands before its name, which is in quotes and begins at `start`: `<add value="…" key="NAME"/>`,
/// `{"value": "…", "name": "NAME"}`. What stands before `from` is not looked at.
pub(super) fn value_before(text: &[u8], from: usize, start: usize) -> Option<Range<usize>> {
    const LONGEST: usize = 256;
    const KEYS: [&[u8]; 2] = [b"key", b"name"];
    let from = from.max(start.saturating_sub(LONGEST));
    let sign = text[from..start].strip_suffix(b"\"").or_else(|| text[from..start].strip_suffix(b"'"))?;
    let sign = sign.trim_ascii_end();
    let in_json = sign.ends_with(b":");
    let key = sign.strip_suffix(if in_json { b":" } else { b"=" })?;
    let key = if in_json { key.strip_suffix(b"\"")? } else { key };
    let named = KEYS.iter().any(|it| ends_any_case(key, it));
    spend(start - from);
    let open = key.iter().rposition(|byte| matches!(byte, b'<' | b'{' | b'>' | b'}'))?;
    if !named || key[open] != if in_json { b'{' } else { b'<' } {
        return None;
    }
    let value = key[open..].windows(5).rposition(|it| it.eq_ignore_ascii_case(b"value"))?;
    let behind = closers(text, from + open + value + 5);
    let mark = assigned(text, behind)?;
    let inside = quoted(text, mark.value)?;
    (inside.end < start - 1).then_some(inside)
}

/// The value in "invalid value '…' for '--name", whose flag begins at `start`: clap, cobra and others say so.
pub(super) fn refused_value(text: &[u8], from: usize, start: usize) -> Option<Range<usize>> {
    const LONGEST: usize = 256;
    let from = from.max(start.saturating_sub(LONGEST));
    let dashes = text[from..start].iter().rev().take_while(|byte| **byte == b'-').count();
    let before = text[from..start - dashes]
        .strip_suffix(b"'")
        .or_else(|| text[from..start - dashes].strip_suffix(b"\""))?;
    let (quote, inside) = before.strip_suffix(b" for ").filter(|_| dashes > 0)?.split_last()?;
    spend(inside.len());
    let open = inside.iter().rposition(|byte| byte == quote)?;
    let said = [&b"value "[..], b"argument "].iter().any(|it| inside[..open].ends_with(it));
    (is_quote(*quote) && said && open + 1 < inside.len()).then(|| from + open + 1..from + inside.len())
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
            // Not the escape of a sign, such as `\u003d`.
            Some(b'\\') if text.get(at + 1).is_none_or(|next| !is_quote(*next) && *next != b'\\') => {
                return at;
            }
            Some(b'\\' | b'"' | b'\'' | b'`' | b']') => at + 1,
            Some(b'%') if starts(text, at, "%22") => at + 3,
            Some(b'&') if starts(text, at, "&quot;") => at + 6,
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
    // `"value"`, `"ParameterValue"`
    let end = run_within(text, name, 32, is_word);
    if name == quote || !text[name..end].to_ascii_lowercase().ends_with(b"value") {
        return None;
    }
    let colon = run_within(text, closers(text, end), GAP, is_blank);
    (text.get(colon) == Some(&b':')).then(|| run_within(text, colon + 1, GAP, is_blank))
}
