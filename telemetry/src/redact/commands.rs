//! Flags that take a password: `mysql -p…`, `curl -u name:…`, `--proxy-user name:…`.

use std::ops::Range;

use crate::redact::bytes::{REDACTED, is_blank, is_line_end, is_quote, is_space, is_word, run_within, spend};
use crate::redact::marks::{Form, GAP};
use crate::redact::quotes::quoted;
use crate::redact::rules::{Rows, Text, column, count};
use crate::redact::{value_span, values};

/// The form of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// `-pVALUE`
    Attached,
    /// `-pVALUE` and `-p VALUE`
    Both,
    /// `-u NAME:VALUE`
    User,
}

/// A row of `rules/commands.tsv`.
#[derive(Debug, Clone, Copy)]
struct Command {
    word: Text<16>,
    flag: u8,
    value: Value,
}

const ROWS: &[u8] = include_bytes!("rules/commands.tsv");

static COMMANDS: [Command; count(ROWS)] = {
    let mut commands = [Command { word: Text::of(b""), flag: 0, value: Value::Both }; count(ROWS)];
    let mut rows = Rows::of(ROWS);
    let mut at = 0;
    while let Some(row) = rows.next() {
        let value = match column(row, 2) {
            b"attached" => Value::Attached,
            b"both" => Value::Both,
            b"user" => Value::User,
            _ => panic!("a form of a value that commands.tsv does not know"),
        };
        commands[at] = Command { word: Text::of(column(row, 0)), flag: column(row, 1)[0], value };
        at += 1;
    }
    commands
};

/// A bit for each letter of a flag.
static FLAGS: u128 = {
    let mut flags = 0;
    let mut at = 0;
    while at < COMMANDS.len() {
        flags |= 1 << COMMANDS[at].flag;
        at += 1;
    }
    flags
};

/// The greatest distance between a command and its flag.
const DISTANCE: usize = 128;

/// The form of the value of a flag with this letter behind the words of a command.
pub(super) fn value_of<'a>(flag: u8, mut words: impl Iterator<Item = &'a [u8]>) -> Option<Value> {
    if flag >= 128 || FLAGS & (1 << flag) == 0 {
        return None;
    }
    let of_flag =
        |word: &[u8]| COMMANDS.iter().find(|command| command.flag == flag && command.word.as_bytes() == word);
    words.find_map(of_flag).map(|command| command.value)
}

/// Whether `value` is a name and a password.
pub(super) fn is_user(value: &[u8]) -> bool {
    let sign = value.iter().position(|byte| matches!(byte, b':' | b'%' | b','));
    sign.is_some_and(|sign| sign + 1 < value.len())
}

/// The secret behind the flag whose letter is at `start`.
pub(super) fn find(text: &[u8], start: usize) -> Option<Range<usize>> {
    let dash = start.checked_sub(1).filter(|at| text[*at] == b'-')?;
    let before = dash.checked_sub(1).map(|at| text[at])?;
    if !is_blank(before) && !is_quote(before) {
        return None;
    }
    let line = &text[start.saturating_sub(DISTANCE)..dash];
    let line = &line[line.iter().rposition(|byte| is_line_end(*byte)).map_or(0, |at| at + 1)..];
    let value = value_of(text[start], line.split(|byte| !is_word(*byte)))?;
    spend(line.len());
    let attached = text.get(start + 1).is_some_and(|byte| !is_space(*byte) && *byte != before);
    let from = match value {
        Value::Attached if !attached => return None,
        _ if attached => start + 1,
        _ => run_within(text, start + 1, GAP, |byte| is_blank(byte) || byte == b',' || byte == before),
    };
    let value_range = match quoted(text, from) {
        Some(inside) => inside,
        None if is_quote(before) && from > start + 1 => {
            from..run_within(text, from, 256, |byte| byte != before && !is_line_end(byte))
        }
        None => from..value_span::unquoted_end(text, from, Form::Flag),
    };
    let found = text.get(value_range.clone())?;
    let none = found.is_empty()
        || found == REDACTED.as_bytes()
        || found.starts_with(b"-")
        || values::is_all_placeholders(found)
        || value_span::refers(text, from, Form::Flag);
    (!none && (value != Value::User || is_user(found))).then_some(value_range)
}

/// Whether the flag takes a user and a password, whatever the command.
pub(super) fn is_user_flag(flag: &[u8]) -> bool {
    matches!(flag, b"-u" | b"--user" | b"--proxy-user")
}

/// The value of the flags of curl: `-u name:password` and `--user name:password`.
pub(super) fn user(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let dash = start.checked_sub(if &text[start..end] == b"u" { 1 } else { 2 })?;
    let flag = is_user_flag(&text[dash..end]) && text[..dash].last().is_none_or(|byte| !is_word(*byte));
    let from = run_within(text, end, 4, |byte| is_blank(byte) || matches!(byte, b'=' | b'"' | b'\''));
    if !flag || from == end {
        return None;
    }
    let to = match text[from - 1] {
        quote @ (b'"' | b'\'') => run_within(text, from, 256, |byte| byte != quote && !is_line_end(byte)),
        _ => value_span::unquoted_end(text, from, Form::Flag),
    };
    let colon = text[from..to].iter().position(|byte| *byte == b':')?;
    let (user, password) = (&text[from..from + colon], &text[from + colon + 1..to]);
    let numbers = password.iter().all(u8::is_ascii_digit) && user.iter().all(u8::is_ascii_digit);
    let placeholder = values::is_all_placeholders(&text[from..to]);
    let named = !user.is_empty() || (password.len() >= 4 && password[0] != b'/');
    (!numbers && !placeholder && named && text[from..to] != *REDACTED.as_bytes()).then_some(from..to)
}
