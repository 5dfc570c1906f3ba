//! The start and the end of a credential's value.

use std::ops::Range;

use crate::redact::bytes::{
    REDACTED, is_blank, is_encoded, is_quote, is_space, is_word, run, run_within, starts, starts_any_case,
};
use crate::redact::key_names::Name;

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
}

/// The greatest number of blanks between a name, its mark and its value.
const GAP: usize = 16;

/// The form of the mark behind the name that ends at `end`, and the start of the value.
pub(super) fn mark(text: &[u8], start: usize, end: usize) -> Option<(Form, usize)> {
    if start > 0 && text[start - 1] == b'<' && text.get(end) == Some(&b'>') {
        return Some((Form::Element, end + 1));
    }
    let closed = closers(text, end);
    if let Some(value) = value_member(text, closed) {
        return Some((Form::Colon, value));
    }
    if let Some(value) = assigned(text, closed) {
        return Some(value);
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
        .then_some((Form::Flag, value))
}

fn assigned(text: &[u8], closed: usize) -> Option<(Form, usize)> {
    let at = run_within(text, closed, GAP, is_blank);
    let (form, behind) = match text.get(at)? {
        b'=' => (Form::Equals, run_within(text, at, 3, |byte| matches!(byte, b'=' | b'>'))),
        b':' if text.get(at + 1) == Some(&b'=') => (Form::Equals, at + 2),
        b':' if !matches!(text.get(at + 1), Some(b':')) && !starts(text, at, "://") => (Form::Colon, at + 1),
        b'%' if starts_any_case(text, at, "%3d") => (Form::Encoded, at + 3),
        b'%' if starts_any_case(text, at, "%253d") => (Form::Encoded, at + 5),
        b'%' if starts_any_case(text, at, "%3a") => (Form::Encoded, at + 3),
        _ => return None,
    };
    Some((form, run_within(text, behind, GAP, is_blank)))
}

/// The position behind the quotes and brackets that close a name: `"name"`, `\"name\"`, `config[name]`, `%22name%22`.
fn closers(text: &[u8], end: usize) -> usize {
    let mut at = end;
    for _ in 0..4 {
        at = match text.get(at) {
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

/// The value that begins at `start`; `None` when it is missing or is no secret. `prose`: the name is in a sentence.
pub(super) fn find(text: &[u8], start: usize, form: Form, name: Name, prose: bool) -> Option<Range<usize>> {
    let start = match text.get(start)? {
        b'[' if form == Form::Colon && !starts(text, start, REDACTED) => {
            run_within(text, start + 1, GAP, is_space)
        }
        _ => start,
    };
    if form == Form::Element {
        return element(text, start);
    }
    if is_template(text, start, form) {
        return None;
    }
    let (value, quoted) = match quoted(text, start) {
        Some(range) => (range, true),
        None => (start..unquoted_end(text, start, form), false),
    };
    let found = text.get(value.clone())?;
    if found.is_empty() || found == REDACTED.as_bytes() || is_placeholder(found) {
        return None;
    }
    if form == Form::Colon && !quoted && opens_structure(text, start) {
        return None;
    }
    let assigned = matches!(form, Form::Equals | Form::Encoded);
    if !quoted && (is_nothing(found, assigned) || (!assigned && is_plain_word(found))) {
        return None;
    }
    let keep = match name {
        Name::Query => !is_token(found, 16),
        // "unexpected token: `;`", "host auth:8080", "killed, sig=11"
        Name::Weak => {
            let number = found.iter().all(u8::is_ascii_digit);
            (number && (found.len() <= 3 || (form == Form::Colon && found.len() <= 5)))
                || (prose && form == Form::Colon && !is_secretive(found))
                || (form == Form::Colon
                    && !found.iter().any(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80))
        }
        _ => false,
    };
    (!keep).then_some(value)
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
    let end = run(text, start, |byte| byte != b'<');
    let value = &text[start..end];
    (!value.is_empty() && value != REDACTED.as_bytes() && starts(text, end, "</") && !is_placeholder(value))
        .then_some(start..end)
}

/// Whether the value at `start` is only a placeholder for a variable: `${VAR}`, `{{ var }}`, `{var}`.
fn is_template(text: &[u8], start: usize, form: Form) -> bool {
    let open = run_within(text, start, 3, |byte| matches!(byte, b'$' | b'{'));
    let name = run_within(text, open, 64, |byte| is_word(byte) || matches!(byte, b' ' | b'.'));
    let close = run_within(text, name, 2, |byte| byte == b'}');
    close > name && is_placeholder(&text[start..close]) && is_over(text, start, close, form)
}

/// Whether a value in a sentence is a secret: it has a digit or is long.
fn is_secretive(value: &[u8]) -> bool {
    value.len() >= 16 || value.iter().any(u8::is_ascii_digit)
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
        if is_space(byte) || matches!(byte, b'<' | b'>') {
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
    matches!(byte, b'"' | b'\'' | b'`' | b',' | b';' | b'&' | b'|' | b')' | b']' | b'}' | b'\\')
}

fn is_end(text: &[u8], behind: usize) -> bool {
    text.get(behind).is_none_or(|next| is_space(*next) || matches!(next, b'<' | b'>'))
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

/// Whether the value means nothing. One character alone is punctuation or a switch.
pub(super) fn is_nothing(value: &[u8], assigned: bool) -> bool {
    const NOTHING: &str = "null none nil undefined true false yes no unset empty";
    match if assigned { value } else { sentence(value) } {
        [] => true,
        [one] => one.is_ascii_digit() || (!assigned && one.is_ascii()),
        value => is_one_of(value, NOTHING),
    }
}

/// Whether the value is a word that follows a colon or a flag in sentences and type declarations.
pub(super) fn is_plain_word(value: &[u8]) -> bool {
    const PLAIN: &str = "a an the is was are to or and for with in of on as if not must may can cannot \
        could should has have from at by instead option flag argument value values required optional \
        missing invalid incorrect expired wrong unknown unexpected expected failed failure error denied \
        disabled enabled ok set given found string str &str option<string> bytes token password secret \
        hidden redacted masked too does no only when please see use";
    is_one_of(sentence(value), PLAIN)
}

fn sentence(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| !matches!(byte, b'.' | b',' | b';' | b':' | b'!' | b'?'));
    &value[..end.map_or(0, |at| at + 1)]
}

fn is_one_of(value: &[u8], words: &str) -> bool {
    words.split(' ').any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether the value is a placeholder: `${VAR}`, `$VAR`, `{{ var }}`, `{var}`, `%s`, `%VAR%`, `<var>`, `***`, `...`.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    const LONGEST: usize = 64;
    if value.len() > LONGEST {
        return false;
    }
    let variable = |name: &[u8]| {
        !name.is_empty()
            && name.iter().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.' | b' '))
    };
    let upper = |name: &[u8]| {
        name.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_' || byte.is_ascii_digit())
            && name.first().is_some_and(|byte| !byte.is_ascii_digit())
    };
    match value {
        [b'$', b'{', name @ .., b'}'] => variable(name) || upper(name),
        [b'$', b'{', b'{', ..] => value.ends_with(b"}}"),
        [b'{', b'{', .., b'}', b'}'] | [b'{', b'}'] | [b'%', b's' | b'v' | b'q'] => true,
        [b'$', name @ ..] => upper(name),
        [b'%', name @ .., b'%'] => upper(name),
        [b'{', name @ .., b'}'] | [b'<', name @ .., b'>'] => variable(name),
        _ => {
            value.iter().all(|byte| matches!(byte, b'*' | b'.' | b'x' | b'X' | b'-' | b'_' | b'?'))
                || value == "…".as_bytes()
        }
    }
}

/// The end of the encoded `://` that begins at `at`.
pub(super) fn encoded_scheme_end(text: &[u8], at: usize) -> Option<usize> {
    (is_encoded(text, at) && starts_any_case(text, at, "%3a%2f%2f")).then_some(at + 9)
}
