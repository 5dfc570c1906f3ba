//! Secrets behind a name without a mark: `passwd hunter2x`, `passphrase is "…"`, `sshpass -p …`.

use std::ops::Range;

use crate::redact::bytes::{
    REDACTED, is_blank, is_line_end, is_quote, is_space, is_word, run_within, starts,
};
use crate::redact::key_names::{Name, classify};
use crate::redact::value_span;
use crate::redact::value_span::Form;

/// The greatest number of blanks between a name and its value.
const GAP: usize = 16;

/// The shortest value that is a secret behind a name of a credential, and behind an ordinary word.
const SHORTEST: usize = 8;
const SHORTEST_WEAK: usize = 16;

/// The greatest distance between a program and its `-p…`.
const COMMAND: usize = 128;

/// The value behind the name from `start` to `end`, if it looks like a secret and not like a word of a sentence.
pub(super) fn said(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    if end - start < 3 || !text.get(end).is_some_and(|byte| is_blank(*byte)) {
        return None;
    }
    let mut from = run_within(text, end, GAP, is_blank);
    let verb = [&b"is"[..], b"was"].into_iter().find(|verb| text[from..].starts_with(verb));
    if let Some(verb) = verb {
        let behind = from + verb.len();
        from = run_within(text, behind, GAP, is_blank);
        if from == behind {
            return None;
        }
    }
    let inside = value_span::quoted(text, from).filter(|_| verb.is_some());
    // The cheaper check comes first: most words are no names, and most of the words behind them are no values.
    if inside.is_none() && !has_both(text, from) {
        return None;
    }
    let name = classify(&text[start..end]);
    if !matches!(name, Name::Strong | Name::Weak) {
        return None;
    }
    let value = match inside {
        Some(inside) => inside,
        None => from..value_span::unquoted_end(text, from, Form::Flag),
    };
    let found = text.get(value.clone())?;
    if found.is_empty() || found == REDACTED.as_bytes() || value_span::is_placeholder(found) {
        return None;
    }
    let quoted = value.start > from;
    let secret = match (name, quoted) {
        (Name::Strong, true) => !value_span::is_nothing(found, false) && !value_span::is_plain_word(found),
        (_, true) => found.len() >= SHORTEST && found.iter().any(u8::is_ascii_digit),
        (Name::Strong, false) => found.len() >= SHORTEST && is_one_word(found),
        // Digests and ids of tokens are no secrets.
        (_, false) => {
            found.len() >= SHORTEST_WEAK
                && is_one_word(found)
                && !found.contains(&b'_')
                && !found.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
        }
    };
    secret.then_some(value)
}

/// Whether the word at `start` has letters and digits.
fn has_both(text: &[u8], start: usize) -> bool {
    let head = &text[start.min(text.len())..run_within(text, start, 64, is_word)];
    head.len() >= SHORTEST && head.iter().any(u8::is_ascii_digit) && head.iter().any(u8::is_ascii_alphabetic)
}

/// Whether the value may be a password, and is not a path, a version, a pair or a call.
fn is_one_word(value: &[u8]) -> bool {
    let word = value.strip_suffix(b".").unwrap_or(value);
    word.iter().all(|byte| {
        is_word(*byte) || *byte >= 0x80 || matches!(byte, b'!' | b'@' | b'#' | b'$' | b'+' | b'~')
    })
}

/// The password of `sshpass -p …` and `mysql -p…`. The word at `start` begins with the letter of the flag.
pub(super) fn password_flag(text: &[u8], start: usize) -> Option<Range<usize>> {
    if text[start] != b'p' || start < 2 || text[start - 1] != b'-' || !is_blank(text[start - 2]) {
        return None;
    }
    let line = &text[start.saturating_sub(COMMAND)..start - 1];
    crate::redact::bytes::spend(line.len());
    let line = &line[line.iter().rposition(|byte| is_line_end(*byte)).map_or(0, |at| at + 1)..];
    let program = line.trim_ascii_end();
    let from = if program.ends_with(b"sshpass") {
        run_within(text, start + 1, GAP, is_blank)
    } else if !text.get(start + 1).is_none_or(|byte| is_space(*byte)) && is_database(line) {
        start + 1
    } else {
        return None;
    };
    let value = match value_span::quoted(text, from) {
        Some(inside) => inside,
        None => from..value_span::unquoted_end(text, from, Form::Flag),
    };
    let found = text.get(value.clone())?;
    let none = found.is_empty() || found == REDACTED.as_bytes() || value_span::is_placeholder(found);
    (!none && !found.starts_with(b"-")).then_some(value)
}

/// Whether the line calls a client of MySQL. Only its flag for the password begins with a small `p`.
fn is_database(line: &[u8]) -> bool {
    const CLIENTS: [&[u8]; 6] =
        [b"mysql", b"mysqldump", b"mysqladmin", b"mysqlimport", b"mariadb", b"mariadb-dump"];
    let mut words = line.split(|byte| !is_word(*byte));
    words.any(|word| CLIENTS.contains(&word))
}

/// In `"password = two words"` the value ends at the closing quote, unless another pair comes before it.
pub(super) fn more_words(
    text: &[u8],
    start: usize,
    end: usize,
    form: Form,
    found: Range<usize>,
) -> Range<usize> {
    let quote = start.checked_sub(1).map(|at| text[at]).filter(|byte| is_quote(*byte));
    let spaced = form == Form::Equals && text.get(end).is_some_and(|byte| is_blank(*byte));
    let (Some(quote), true) = (quote, spaced) else { return found };
    let more = |byte: u8| byte != quote && byte != b'=' && !is_line_end(byte);
    let mut to = run_within(text, found.end, 256, more);
    if !text.get(found.end).is_some_and(|byte| is_blank(*byte)) || text.get(to) != Some(&quote) {
        return found;
    }
    while text[to - 1] == b'\\' {
        to -= 1;
    }
    // Another redacted value ends this one.
    if (found.end..to).any(|at| starts(text, at, REDACTED)) { found } else { found.start..to.max(found.end) }
}
