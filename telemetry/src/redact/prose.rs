//! Secrets behind a name without a mark: `passwd hunter2x`, `passphrase is "…"`.

use std::ops::Range;

use crate::redact::bytes::{
    REDACTED, has_letter_and_digit, is_blank, is_line_end, is_quote, is_space, is_word, run_within, spend,
    starts,
};
use crate::redact::key_names::{Name, classify, is_tail, may_be_listed, phrase};
use crate::redact::marks::{Form, GAP};
use crate::redact::quotes::quoted;
use crate::redact::{value_span, values};

/// The shortest value that is a secret behind a name of a credential, and behind an ordinary word.
const SHORTEST: usize = 8;
/// The shortest behind a verb, in quotes or at the end of a line.
const SHORTEST_SAID: usize = 6;
const SHORTEST_WEAK: usize = 16;

/// The secret behind the word from `start` to `end` without a mark between them. `may_be_name`: the word may be the name of a
/// credential.
pub(super) fn find(text: &[u8], start: usize, end: usize, may_be_name: bool) -> Option<Range<usize>> {
    if !text.get(end).is_some_and(|byte| is_blank(*byte)) {
        return None;
    }
    let found = in_sql(text, start, end).or_else(|| directive(text, start, end));
    if found.is_some() || !may_be_name {
        return found;
    }
    said(text, start, end)
        .or_else(|| told(text, start, end))
        .or_else(|| sent(text, start, end))
        .or_else(|| cell(text, start, end))
        .or_else(|| described(text, start, end))
}

/// The value behind the name from `start` to `end`, if it looks like a secret and not like a word of a sentence.
fn said(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let mut from = run_within(text, end, GAP, is_blank);
    let verbs = [&b"is"[..], b"was", b"ist", b"lautet", b"est", b"es", "è".as_bytes(), "é".as_bytes()];
    let behind = |verb: &[u8]| {
        let behind = from + verb.len();
        text[from..]
            .starts_with(verb)
            .then(|| run_within(text, behind, GAP, is_blank))
            .filter(|at| *at > behind)
    };
    let verb = verbs.into_iter().find_map(behind);
    from = verb.unwrap_or(from);
    let in_quotes = text.get(from).is_some_and(|byte| is_quote(*byte) || *byte == b'\\');
    let inside = if in_quotes && (verb.is_some() || may_be_listed(&text[start..end])) {
        quoted(text, from)
    } else {
        None
    };
    // The cheaper check comes first: most words are no names, and most of the words behind them are no values.
    if inside.is_none() && !has_both(text, from, if verb.is_some() { SHORTEST_SAID } else { SHORTEST }) {
        return None;
    }
    let name = classify(&text[start..end]);
    let is_key = verb.is_some() && text[start..end].eq_ignore_ascii_case(b"key");
    if !matches!(name, Name::Strong | Name::Weak) && !is_key {
        return None;
    }
    let name = if is_key && phrase(text, end).is_some() { Name::Strong } else { name };
    let value = match inside {
        Some(inside) => inside,
        None => from..value_span::unquoted_end(text, from, Form::Flag),
    };
    let found = text.get(value.clone())?;
    if values::is_missing(found) {
        return None;
    }
    let quoted = value.start > from;
    let secret = match (name, quoted) {
        (Name::Query, _) => value_span::is_suspicious(found),
        (Name::Strong, true) if verb.is_none() => {
            let word = !found.iter().any(|byte| is_blank(*byte));
            let phrase = text[start..end].eq_ignore_ascii_case(b"passphrase") && !word;
            (found.len() >= SHORTEST_SAID && word && found.iter().any(u8::is_ascii_digit))
                || (found.len() >= SHORTEST
                    && (phrase || found.iter().any(|byte| !byte.is_ascii_alphabetic() && !is_blank(*byte))))
        }
        (Name::Strong, true) => !values::is_nothing(found, false) && !values::is_plain_word(found),
        (_, true) => {
            let expected = text[..start].trim_ascii_end().ends_with(b"expected");
            found.len() >= SHORTEST
                && found.iter().any(u8::is_ascii_digit)
                && (verb.is_some()
                    || (!expected && found.iter().all(|byte| is_word(*byte)) && has_both(found, 0, SHORTEST)))
        }
        (Name::Strong, false) => is_one_word(found),
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

/// The text in quotes in `PASSWORD '…'` and `IDENTIFIED BY '…'` of SQL.
fn in_sql(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let word = &text[start..end];
    if word != b"PASSWORD" && word != b"BY" {
        return None;
    }
    let from = run_within(text, end, GAP, is_blank);
    if text.get(from) != Some(&b'\'') {
        return None;
    }
    let before = &text[start.saturating_sub(64)..start];
    spend(before.len());
    if word == b"BY" && memchr::memmem::find(before, b"IDENTIFIED ").is_none() {
        return None;
    }
    let inside = quoted(text, from)?;
    (!values::is_missing(&text[inside.clone()])).then_some(inside)
}

/// The value in "temporary password for bob: …", whose name is the word from `start` to `end`.
fn described(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    if !may_be_listed(&text[start..end]) {
        return None;
    }
    // The name is looked up last, since that costs most.
    let found = described_behind(text, end)?;
    (classify(&text[start..end]) == Name::Strong || phrase(text, end).is_some()).then_some(found)
}

/// The value in `vault login …`, and behind words of configurations that have no other meaning.
fn directive(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    const WORDS: [&[u8]; 4] = [b"requirepass", b"masterauth", b"bindpw", b"ConvertTo-SecureString"];
    let word = &text[start..end];
    let known = WORDS.contains(&word) || (word == b"login" && text[..start].ends_with(b"vault "));
    if !known {
        return None;
    }
    let range = value_span::said(text, run_within(text, end, GAP, is_blank));
    let value = text.get(range.clone())?;
    let option =
        value.starts_with(b"-") || value.starts_with(b"$") || (value.contains(&b'=') && word == b"login");
    (value.len() >= SHORTEST_SAID && !option && !values::is_missing(value)).then_some(range)
}

/// The cell of a table behind that with the name: `| password | … |`.
fn cell(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    const LONGEST: usize = 64;
    let bar = run_within(text, end, LONGEST, is_blank);
    if text.get(bar) != Some(&b'|') || bar == end || !may_be_listed(&text[start..end]) {
        return None;
    }
    spend(GAP);
    let before = text[start.saturating_sub(GAP)..start].trim_ascii_end();
    let from = run_within(text, bar + 1, GAP, is_blank);
    let to = run_within(text, from, LONGEST, |byte| !is_space(byte) && byte != b'|');
    let value = text.get(from..to)?;
    let close = run_within(text, to, LONGEST, is_blank);
    let secret = before.ends_with(b"|")
        && text.get(close) == Some(&b'|')
        && value.len() >= SHORTEST_SAID
        && has_letter_and_digit(value)
        && classify(&text[start..end]) == Name::Strong;
    secret.then_some(from..to)
}

/// The value at the end of the line, behind up to five words and a colon, if it has letters and digits and is no path, no
/// time, no address and no version.
pub(super) fn described_behind(text: &[u8], end: usize) -> Option<Range<usize>> {
    const WORDS: usize = 5;
    const LONGEST: usize = 32;
    const NO_LABEL: [&[u8]; 5] = [b"failed", b"failure", b"failures", b"expected", b"unexpected"];
    let mut at = end;
    for _ in 0..=WORDS {
        let word = run_within(text, at, GAP, is_blank);
        let stop = run_within(text, word, LONGEST, |byte| {
            is_word(byte) || byte >= 0x80 || matches!(byte, b'@' | b'.' | b'\'')
        });
        if text.get(stop) == Some(&b':') {
            at = stop;
            break;
        }
        let named = &text[word..stop];
        if word == at || stop == word || is_tail(named) || NO_LABEL.contains(&named) {
            return None;
        }
        at = stop;
    }
    let from = run_within(text, at + 1, GAP, is_blank);
    let to = run_within(text, from, 64, |byte| !is_space(byte));
    let value = text.get(from..to)?;
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let version = value.len() > 1 && value[0] == b'v' && value[1].is_ascii_digit();
    let address = value.contains(&b'@') && value.contains(&b'.');
    let counted = value.iter().take_while(|byte| byte.is_ascii_lowercase()).count() + digits == value.len();
    let secret = text.get(at) == Some(&b':')
        && from > at + 1
        && text.get(to).is_none_or(|byte| is_line_end(*byte))
        && value.len() >= SHORTEST_SAID
        && (letters >= 2 && digits >= 1 && !(counted && digits <= 2 && !starts(text, end, " for ")))
        && !(version
            || address
            || values::is_plain_word(value)
            || value[0] == b'/'
            || value.windows(3).any(|it| it == b"://"));
    secret.then_some(from..to)
}

/// The password in a line of a protocol, such as FTP and Redis: `PASS …`, `AUTH …`, `AUTH PLAIN …`.
fn sent(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let word = &text[start..end];
    if word != b"PASS" && word != b"AUTH" {
        return None;
    }
    let before = &text[..start];
    let begins = before.last().is_none_or(|byte| is_line_end(*byte))
        || before.ends_with(b"> ")
        || before.ends_with(b"C: ");
    let mut from = end + 1;
    let plain = word == b"AUTH" && starts(text, from, "PLAIN ");
    from += if plain { "PLAIN ".len() } else { 0 };
    let to = run_within(text, from, 256, |byte| !is_space(byte));
    let value = text.get(from..to)?;
    let whole = text.get(to).is_none_or(|byte| is_line_end(*byte));
    let secret = value.len() >= SHORTEST_SAID
        && is_one_word(value.strip_suffix(b"==").or(value.strip_suffix(b"=")).unwrap_or(value))
        && !value.contains(&b'_')
        && (plain || has_letter_and_digit(value));
    (begins && whole && text.get(end) == Some(&b' ') && secret).then_some(from..to)
}

/// Whether the word at `start` has letters and digits, and at least `shortest` of them.
fn has_both(text: &[u8], start: usize, shortest: usize) -> bool {
    let head = &text[start.min(text.len())..run_within(text, start, 64, is_word)];
    head.len() >= shortest && has_letter_and_digit(head)
}

/// Whether the value may be a password, and is not a path, a version, a pair or a call.
fn is_one_word(value: &[u8]) -> bool {
    let word = value.strip_suffix(b".").unwrap_or(value);
    word.iter().all(|byte| {
        is_word(*byte) || *byte >= 0x80 || matches!(byte, b'!' | b'@' | b'#' | b'$' | b'+' | b'~')
    })
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

/// The value in `config set password …` and, in a `.netrc`, `login … password …`, whose name is the word from `start` to `end`.
fn told(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    const LONGEST: usize = 128;
    if !may_be_listed(&text[start..end]) {
        return None;
    }
    let before = &text[start.saturating_sub(LONGEST)..start];
    spend(before.len());
    // The name may be the end of a longer one, such as `//registry/:_authToken`.
    let before = &before[..before.iter().rposition(|byte| is_space(*byte))?];
    let mut words =
        before.rsplit(|byte| is_space(*byte)).filter(|word| !word.is_empty() && !word.starts_with(b"-"));
    let (last, first) = (words.next()?, words.next()?);
    if !tells(first, last) || classify(&text[start..end]) != Name::Strong {
        return None;
    }
    let from = run_within(text, end, GAP, is_blank);
    let value = value_span::said(text, from);
    let found = text.get(value.clone())?;
    let none = values::is_missing(found)
        || found.starts_with(b"-")
        || found.starts_with(b"./")
        || values::is_plain_word(found)
        || value_span::refers(text, from, Form::Flag);
    (!none).then_some(value)
}

/// Whether the value of a name is behind it when these two words are before it.
pub(super) fn tells(first: &[u8], last: &[u8]) -> bool {
    const VERBS: [&[u8]; 4] = [b"set", b"put", b"add", b"create"];
    const OBJECTS: [&[u8]; 14] = [
        b"config",
        b"configure",
        b"secret",
        b"secrets",
        b"credential",
        b"credentials",
        b"env",
        b"setting",
        b"settings",
        b"variable",
        b"variables",
        b"parameter",
        b"option",
        b"kv",
    ];
    (VERBS.contains(&last) && OBJECTS.contains(&first))
        || (last == b"config" && first == b"git")
        || (first == b"login" && !last.starts_with(b"-") && !values::is_plain_word(last))
}

/// The password of a line of a `.pgpass` file: `host:5432:database:user:password`. The line begins at `start`.
pub(super) fn pgpass(text: &[u8], start: usize) -> Option<Range<usize>> {
    let end = run_within(text, start, 256, |byte| !is_space(byte));
    let line = &text[start..end];
    let mut fields = line.splitn(5, |byte| *byte == b':');
    let (host, port, database, user) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let password = fields.next()?;
    let any = |field: &[u8]| field == b"*";
    let named = |field: &[u8]| any(field) || field.first().is_some_and(u8::is_ascii_alphabetic);
    let numbered = any(port) || ((2..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit));
    let hosted = any(host)
        || (!host.contains(&b'/') && host.iter().any(|byte| byte.is_ascii_alphabetic() || *byte == b'.'));
    let secret = password.len() >= 4
        && password != REDACTED.as_bytes()
        && !password.contains(&b':')
        && !password.iter().all(u8::is_ascii_digit);
    (hosted && numbered && named(database) && named(user) && secret).then_some(end - password.len()..end)
}
