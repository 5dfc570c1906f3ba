//! The start and the end of a credential's value.

use std::ops::Range;

use crate::redact::bytes::{REDACTED, is_blank, is_quote, is_space, is_word, run, run_within, spend, starts};
use crate::redact::key_names::Name;
use crate::redact::marks::{Form, GAP, Mark};
use crate::redact::quotes::{closers_of_string, quoted};
use crate::redact::{entropy, values};

/// The value that begins at the mark; `None` when it is missing or is no secret. `prose`: the name is in a sentence.
pub(super) fn find(text: &[u8], mark: Mark, name: Name, prose: bool) -> Option<Range<usize>> {
    let Mark { form, value: start, quoted: only_quoted, literal } = mark;
    text.get(start)?;
    if form == Form::Element {
        let weak = matches!(name, Name::Query | Name::Suspect);
        return element(text, start).filter(|found| !weak || is_suspicious(&text[found.clone()]));
    }
    let start = if form == Form::Colon { block(text, start) } else { start };
    if refers(text, start, form)
        || values::begins_call(&text[start..])
        || values::is_call_of_value(text, start)
    {
        return None;
    }
    let opened = values::open(text, start, form == Form::Colon);
    let start = opened.start;
    if opened.list && refers(text, start, form) {
        return None;
    }
    let (value, quoted) = match quoted(text, start) {
        Some(range) => (shell_quoted(text, start, range), true),
        None if only_quoted || opens_type(text, start) => return None,
        None if form == Form::Colon && opens_structure(text, start) => return None,
        None => {
            if opened.list
                && let Some(numbers) = numbers(text, start)
            {
                return (name == Name::Strong).then_some(numbers);
            }
            (start..end_for(text, start, form, name), false)
        }
    };
    let found = text.get(value.clone())?;
    if values::is_missing(found) || (quoted && form == Form::Colon && ends_label(text, start)) {
        return None;
    }
    let assigned = matches!(form, Form::Equals | Form::Encoded);
    if !quoted && (values::is_nothing(found, assigned) || (!assigned && values::is_plain_word(found))) {
        return None;
    }
    let next = text.get(value.end).copied();
    let code =
        || !quoted && (values::is_code(found, next) || (!literal && values::is_expression(found, next)));
    if found.len() <= LONGEST_REFERENCE && (values::is_reference(found, quoted, literal) || code())
        || (quoted && (is_substitution(text, start, found) || is_rule(found)))
    {
        return None;
    }
    let keep = match name {
        Name::Query => !is_token(found, 16),
        Name::Suspect => !is_suspicious(found),
        // "1a2b3c4 password: trim spaces"
        Name::Strong if form == Form::Colon && !quoted => {
            (prose && begins_sentence(text, &value))
                || (found.iter().all(u8::is_ascii_digit) && starts(text, value.end, " bytes"))
        }
        // `self.password = password`
        Name::Strong if form == Form::Equals && !quoted && !literal => values::is_plain_word(found),
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
                || (!quoted && form == Form::Colon && begins_sentence(text, &value))
                || (!found.iter().any(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80))
        }
        _ => false,
    };
    if keep {
        return None;
    }
    Some(match quoted {
        true if opened.list => value.start..list_end(text, value.end),
        true => changed(text, value),
        false => value,
    })
}

/// The longest reference to a value. Longer ones are values: a name in them is not looked at again, so that the time stays
/// linear.
const LONGEST_REFERENCE: usize = 256;

/// The end of a value without quotes. For a name that a credential may have and others as well, the beginning of the value
/// decides; when it is no secret, there may be a name in it, and its end is not searched for.
fn end_for(text: &[u8], start: usize, form: Form, name: Name) -> usize {
    const HEAD: usize = 128;
    if matches!(name, Name::Query | Name::Suspect) && text.len() - start > HEAD {
        let end = unquoted_end(&text[..start + HEAD], start, form);
        let head = &text[start..end];
        let secret = if name == Name::Query { is_token(head, 16) } else { is_suspicious(head) };
        if end < start + HEAD || !secret {
            return end;
        }
    }
    let end = unquoted_end(text, start, form);
    // "token=abc: not valid"
    let sentence = form == Form::Equals && text[..end].ends_with(b":") && end > start + 1;
    if sentence && text.get(end).is_some_and(|byte| is_blank(*byte)) { end - 1 } else { end }
}

/// The text in quotes, with what a shell adds to it: `'it'\''s'`.
fn shell_quoted(text: &[u8], start: usize, first: Range<usize>) -> Range<usize> {
    const QUOTE: &str = "'\\''";
    const MOST: usize = 8;
    let mut end = first.end;
    for _ in 0..MOST {
        if text[start] != b'\'' || !starts(text, end, QUOTE) {
            break;
        }
        let inside = end + QUOTE.len();
        end = run(text, inside, |byte| byte != b'\'');
    }
    first.start..end
}

/// Whether a value of a type begins at `start`, whose fields have names of their own: `Credentials { user: …`.
fn opens_type(text: &[u8], start: usize) -> bool {
    let end = run_within(text, start, 64, |byte| is_word(byte) || byte == b':');
    let fields = starts(text, end, " {") && text.get(end + 2).is_some_and(|byte| is_space(*byte));
    fields && text[start..end].first().is_some_and(u8::is_ascii_uppercase)
}

/// Whether the value is a word of small letters with another one behind it.
fn begins_sentence(text: &[u8], value: &Range<usize>) -> bool {
    let next = run_within(text, value.end + 1, 32, |byte| byte.is_ascii_lowercase());
    text[value.clone()].iter().all(u8::is_ascii_lowercase)
        && text.get(value.end) == Some(&b' ')
        && next > value.end + 2
        && text.get(next).is_none_or(|byte| is_space(*byte))
}

/// Whether the quote at `start` ends the string with the label, as in `prompt("Password: ")`.
fn ends_label(text: &[u8], start: usize) -> bool {
    let label = text[..start].trim_ascii_end().strip_suffix(b":");
    starts(text, start + 1, ")") && label.and_then(<[u8]>::last).is_some_and(u8::is_ascii_alphanumeric)
}

/// The values of the map of strings at `open`, from the first to the last: `{"a": "…", "b": "…"}`.
pub(super) fn map_values(text: &[u8], open: usize) -> Option<Range<usize>> {
    const MOST: usize = 64;
    let mut found: Option<Range<usize>> = None;
    let mut at = open + 1;
    for _ in 0..MOST {
        let Some(key) = quoted(text, run_within(text, at, GAP, is_space)) else { break };
        let colon = run_within(text, closers_of_string(text, key.end), GAP, is_space);
        let Some(value) = quoted(text, run_within(text, colon + 1, GAP, is_space)) else { break };
        if text.get(colon) != Some(&b':') || values::is_missing(&text[value.clone()]) {
            break;
        }
        let comma = run_within(text, closers_of_string(text, value.end), GAP, is_space);
        found = Some(found.map_or(value.start, |found| found.start)..value.end);
        if text.get(comma) != Some(&b',') {
            break;
        }
        at = comma + 1;
    }
    found
}

/// Whether the value is a rule for values: `required|min:8`.
fn is_rule(value: &[u8]) -> bool {
    let first = value.split(|byte| *byte == b'|').next().unwrap_or_default();
    first.len() < value.len() && values::is_plain_word(first)
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

/// The value, and the new one behind an arrow, as Terraform prints them: `"old" -> "new"`.
fn changed(text: &[u8], old: Range<usize>) -> Range<usize> {
    let arrow = closers_of_string(text, old.end);
    let new = starts(text, arrow, " -> ").then(|| quoted(text, arrow + 4)).flatten();
    old.start..new.map_or(old.end, |new| new.end)
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
    // `fn(a: i32)`
    let call = run_within(text, start, 32, is_word);
    let start = if text.get(call) == Some(&b'(') { call } else { start };
    let Some(b'{' | b'[' | b'(') = text.get(start) else { return false };
    let first = run_within(text, start + 1, 4, |byte| matches!(byte, b'{' | b'['));
    if text[start] == b'(' {
        let name = run_within(text, first, 64, is_word);
        return name > first && starts(text, name, ": ");
    }
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
    const CDATA: &str = "<![CDATA[";
    let start = run(text, start, is_space);
    if starts(text, start, CDATA) {
        let start = start + CDATA.len();
        let end = run_within(text, start, 256, |byte| byte != b']');
        return (end > start && starts(text, end, "]]>")).then_some(start..end);
    }
    let end = run(text, start, |byte| byte != b'<');
    let value = text[start..end].trim_ascii_end();
    let none = values::is_missing(value) || values::is_nothing(value, true);
    (!none && starts(text, end, "</")).then_some(start..start + value.len())
}

/// Whether the value at `start` is only a placeholder or an expression in brackets.
pub(super) fn refers(text: &[u8], start: usize, form: Form) -> bool {
    values::expression(text, start)
        .is_some_and(|close| text[start] == b'<' || is_over(text, start, close, form))
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

/// The value that begins at `start` behind a flag or a word: the text in quotes, or up to the end of the word.
pub(super) fn said(text: &[u8], start: usize) -> Range<usize> {
    quoted(text, start).unwrap_or_else(|| start..unquoted_end(text, start, Form::Flag))
}

/// The end of a value without quotes. A character that may be a part of a password ends the value only before a new
/// pair or the end.
pub(super) fn unquoted_end(text: &[u8], start: usize, form: Form) -> usize {
    let encoded = form == Form::Encoded;
    let mut at = start;
    while let Some(&byte) = text.get(at) {
        spend(1);
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
