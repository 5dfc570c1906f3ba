//! One pass over a text, from left to right.

use std::ops::Range;

use crate::redact::bytes::{
    REDACTED, is_blank, is_encoded, is_line_end, is_quote, is_space, is_word, run, run_within, spend, starts,
};
use crate::redact::key_names::{Name, classify};
use crate::redact::value_span::Form;
use crate::redact::{entropy, key_prefixes, prose, value_span};

/// Appends the secrets of `text`, in order and without overlap.
pub(super) fn scan(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut scan = Scan { text: bytes, opaque: Vec::new(), opaque_to: 0, blanks_at: 0 };
    let mut at = 0;
    while at < bytes.len() {
        spend(1);
        let step = scan.step(at);
        if let Some(range) = step.found {
            debug_assert!(range.start < range.end && range.end <= step.next);
            debug_assert!(found.last().is_none_or(|last| last.end <= range.start));
            found.push(range);
        }
        debug_assert!(step.next > at);
        at = step.next;
    }
}

/// Whether `text` is one word without a secret, as most names and values of metadata are: it has no name in front, is
/// too short to be opaque, and no key begins in it. (Keys without a prefix have other bytes.)
pub(super) fn is_harmless_word(text: &[u8]) -> bool {
    if text.len() >= entropy::SHORTEST || !text.iter().all(|byte| is_word(*byte)) {
        return false;
    }
    let start = run(text, 0, |byte| byte == b'-');
    text.len() - start < key_prefixes::SHORTEST || prefixed(text, start, text.len()).is_none()
}

struct Step {
    found: Option<Range<usize>>,
    next: usize,
}

impl Step {
    fn to(next: usize) -> Self {
        Self { found: None, next }
    }

    fn over(found: Range<usize>) -> Self {
        Self { next: found.end, found: Some(found) }
    }
}

struct Scan<'a> {
    text: &'a [u8],
    /// The opaque tokens of the run up to `opaque_to`, in reverse order.
    opaque: Vec<Range<usize>>,
    opaque_to: usize,
    /// The position up to which no `@` ends the user part of a URL.
    blanks_at: usize,
}

impl Scan<'_> {
    fn step(&mut self, at: usize) -> Step {
        let text = self.text;
        match text[at] {
            b'[' if starts(text, at, REDACTED) => Step::to(at + REDACTED.len()),
            b':' if starts(text, at, "://") => self.user_part(at + 3, b"@", b"/?#"),
            b'%' => match value_span::encoded_scheme_end(text, at) {
                Some(start) => self.user_part(start, b"%40", b"%2"),
                None if is_encoded(text, at) => Step::to(at + 3),
                None => Step::to(at + 1),
            },
            // A code for the colour of a terminal ends in a letter.
            0x1b if text.get(at + 1) == Some(&b'[') => Step::to(
                (run_within(text, at + 2, 32, |byte| matches!(byte, b'0'..=b'?')) + 1).min(text.len()),
            ),
            b'-' if starts(text, at, "-----BEGIN ") => {
                private_key(text, at).map_or(Step::to(at + 5), Step::over)
            }
            b'-' => Step::to(at + 1),
            byte if is_word(byte) => self.word(at),
            _ => Step::to(at + 1),
        }
    }

    /// Examines the word that begins at `at`: it may be a key, a name before a value, or opaque.
    fn word(&mut self, at: usize) -> Step {
        let text = self.text;
        let end = run(text, at, is_word);
        let start = at + escaped(text, at).min(end - at);
        // An escaped letter may be the beginning of the word: `\token`, `\next`.
        let beginnings = [Some(at), (at < start && start < end).then_some(start)];
        if let Some(found) = beginnings.iter().flatten().find_map(|from| key(text, *from, end)) {
            return Step::over(found);
        }
        if at >= self.opaque_to {
            self.opaque.clear();
            self.opaque_to = entropy::find(text, at, &mut self.opaque);
            self.opaque.reverse();
        }
        while let Some(token) = self.opaque.last() {
            if token.start >= end {
                break;
            }
            let token = token.start.max(at)..token.end;
            self.opaque.pop();
            if token.start < token.end {
                // Base64 ends in at most two `=`.
                let padded = run_within(text, token.end, 2, |byte| byte == b'=');
                return Step::over(token.start..padded);
            }
        }
        if let Some(found) = scheme(text, at, end) {
            return Step { next: found.end, found: Some(found) };
        }
        if let Some(step) = beginnings.iter().flatten().find_map(|from| announced(text, *from, end)) {
            return step;
        }
        if let Some(found) = prose::said(text, at, end).or_else(|| prose::password_flag(text, at)) {
            return Step::over(found);
        }
        user_flag(text, at, end).map_or(Step::to(end), Step::over)
    }

    /// Examines the user part of a URL whose user or host begins at `start`. The sign `at` ends the user part, and
    /// `stops` begin the path.
    fn user_part(&mut self, start: usize, at: &[u8], stops: &[u8]) -> Step {
        let text = self.text;
        let limit = |byte: u8| is_space(byte) || matches!(byte, b'"' | b'<' | b'>' | b'`' | b'\\');
        if at == b"%40" {
            let end = run_within(text, start, 512, |byte| !limit(byte) && byte != b'&');
            let found =
                text[start..end].windows(3).position(|it| it == at || it.eq_ignore_ascii_case(b"%2f"));
            let found = found.filter(|found| text[start + found..].starts_with(at) && *found > 0);
            spend(end - start);
            return match found.map(|found| start..start + found) {
                Some(user) if &text[user.clone()] != REDACTED.as_bytes() => Step::over(user),
                _ => Step::to(start),
            };
        }
        let mut path = run(text, start, |byte| !limit(byte) && !stops.contains(&byte));
        let mut sign = text[start..path].iter().rposition(|byte| *byte == b'@').map(|found| start + found);
        if sign.is_none() && has_password(&text[start..path]) && start >= self.blanks_at {
            // A password that contains a slash without an encoding.
            let end = run(text, start, |byte| !limit(byte));
            match text[path..end].iter().position(|byte| *byte == b'@') {
                Some(found) => {
                    path = run(text, path + found, |byte| !limit(byte) && !stops.contains(&byte));
                    sign =
                        text[start..path].iter().rposition(|byte| *byte == b'@').map(|found| start + found);
                }
                None => self.blanks_at = end,
            }
        }
        match sign {
            Some(sign) if sign > start && &text[start..sign] != REDACTED.as_bytes() => {
                Step::over(start..sign)
            }
            _ => Step::to(start),
        }
    }
}

/// Whether the authority of a URL is `user:password`, and not `host:port`.
fn has_password(authority: &[u8]) -> bool {
    let Some(colon) = authority.iter().position(|byte| *byte == b':') else { return false };
    let port = &authority[colon + 1..];
    authority[0] != b'[' && !port.is_empty() && !port.iter().all(u8::is_ascii_digit)
}

/// The number of bytes at the beginning of the word that belong to an escape such as `\n` or `\u0026`.
fn escaped(text: &[u8], at: usize) -> usize {
    if at == 0 || text[at - 1] != b'\\' {
        return 0;
    }
    match text[at] {
        b'n' | b'r' | b't' | b'b' | b'f' => 1,
        b'u' if text.get(at + 1..at + 5).is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit)) => 5,
        _ => 0,
    }
}

/// A key of a known provider that the word contains or begins.
fn key(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    if !key_prefixes::is_long_enough(text, start) {
        return None;
    }
    if let Some((from, to)) = key_prefixes::hook(text, start) {
        return (&text[from..to] != REDACTED.as_bytes()).then_some(from..to);
    }
    if let Some((from, to)) = key_prefixes::shaped(text, start, end) {
        return Some(from..to);
    }
    prefixed(text, start, end)
}

/// A key with a known prefix, at the beginning of a part of the word.
fn prefixed(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let begins = |at: usize| at == start || matches!(text[at - 1], b'_' | b'-');
    let mut parts = (start..end).filter(|at| begins(*at));
    parts.find_map(|at| key_prefixes::prefixed(text, at).map(|to| at..to))
}

/// The block of a private key up to its last line, or up to the end of the text when that line is missing.
fn private_key(text: &[u8], start: usize) -> Option<Range<usize>> {
    const BEGIN: usize = "-----BEGIN ".len();
    let label_end = run_within(text, start + BEGIN, 64, |byte| byte != b'-');
    let label = &text[start + BEGIN..label_end];
    if !label.windows(11).any(|it| it == b"PRIVATE KEY") {
        return None;
    }
    let end = memchr::memmem::find(&text[label_end..], b"-----END ").map(|found| label_end + found);
    spend(end.unwrap_or(text.len()) - label_end);
    let Some(end) = end else { return Some(start..text.len()) };
    let closing = run_within(text, end + 9, 64, |byte| byte != b'-' && !is_line_end(byte));
    Some(start..run_within(text, closing, 5, |byte| byte == b'-'))
}

/// The credentials behind the word `Bearer`, `ApiKey` or `Basic`.
fn scheme(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let word = &text[start..end];
    let bearer = word.eq_ignore_ascii_case(b"bearer") || word.eq_ignore_ascii_case(b"apikey");
    let basic = word.eq_ignore_ascii_case(b"basic");
    if !bearer && !basic {
        return None;
    }
    let from = run_within(text, end, 4, |byte| is_blank(byte) || byte == b'+');
    let from = if starts(text, end, "%20") { end + 3 } else { from };
    if from == end {
        return None;
    }
    let to = run(text, from, is_token68);
    let token = &text[from..to];
    let head = &token[..token.len().min(256)];
    let secret = match (bearer, token.len()) {
        (true, 8..) => token.len() >= 20 || head.iter().any(u8::is_ascii_digit),
        (false, 4..) => decodes_to_pair(head),
        _ => false,
    };
    secret.then_some(from..to)
}

fn is_token68(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=')
}

/// Whether the token is base64 of printable text with a colon.
fn decodes_to_pair(token: &[u8]) -> bool {
    let (mut bits, mut held, mut colon) = (0_u32, 0, false);
    for &byte in token.iter().take_while(|byte| **byte != b'=') {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return false,
        };
        bits = (bits << 6) | u32::from(digit);
        held += 6;
        if held >= 8 {
            held -= 8;
            let decoded = (bits >> held) as u8;
            colon |= decoded == b':';
            if decoded < b' ' {
                return false;
            }
        }
    }
    colon
}

/// Examines the value behind the name from `start` to `end`.
fn announced(text: &[u8], start: usize, end: usize) -> Option<Step> {
    let (form, from) = value_span::mark(text, start, end)?;
    let name = classify(&text[start..end]);
    if name == Name::Other || (form == Form::Flag && name == Name::Query) {
        return None;
    }
    let from = from.min(text.len());
    let found = match name {
        Name::Authorization => authorization(text, start, from, form),
        Name::Cookie => {
            let to = if starts(text, from, REDACTED) { from } else { header_end(text, start, from) };
            (to > from).then_some(from..to)
        }
        Name::Query if !start.checked_sub(1).is_some_and(|at| matches!(text[at], b'?' | b'&')) => None,
        _ => {
            let found = value_span::find(text, from, form, name, in_prose(text, start));
            found.map(|found| prose::more_words(text, start, end, form, found))
        }
    };
    Some(found.map_or(Step::to(from.max(end)), Step::over))
}

/// Whether there are words before the name on its line.
fn in_prose(text: &[u8], start: usize) -> bool {
    let Some(blank) = start.checked_sub(1).filter(|at| is_blank(text[*at])) else { return false };
    text[..blank]
        .last()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b',' | b'\'' | b'`' | b'.'))
}

/// The end of a header's value: the end of its line, or of the quotes around the header.
fn header_end(text: &[u8], name: usize, from: usize) -> usize {
    let around = name.checked_sub(1).map(|at| text[at]).filter(|byte| is_quote(*byte));
    let behind = text.get(from).copied().filter(|byte| is_quote(*byte));
    if let Some(quote) = behind {
        return run(text, from + 1, |byte| byte != quote && !is_line_end(byte));
    }
    run(text, from, |byte| !is_line_end(byte) && Some(byte) != around)
}

/// The credentials of an `Authorization` header whose value begins at `from`, without the scheme.
fn authorization(text: &[u8], name: usize, from: usize, form: Form) -> Option<Range<usize>> {
    const ONE_TOKEN: [&str; 8] =
        ["bearer", "basic", "token", "negotiate", "ntlm", "apikey", "bot", "sso-key"];
    let opened = from + (run_within(text, from, 8, |byte| byte == b'\\') - from);
    let quoted = text.get(opened).is_some_and(|byte| is_quote(*byte));
    let value = if quoted { opened + 1 } else { from };
    let word = run_within(text, value, 64, is_word);
    let blank = if starts(text, word, "%20") {
        word + 3
    } else {
        run_within(text, word, 4, |byte| is_blank(byte) || byte == b'+')
    };
    let known = ONE_TOKEN.iter().any(|scheme| text[value..word].eq_ignore_ascii_case(scheme.as_bytes()));
    if known && blank > word && blank < text.len() {
        if starts(text, blank, REDACTED) {
            return None;
        }
        let to = value_span::unquoted_end(text, blank, form);
        return (to > blank).then_some(blank..to);
    }
    if starts(text, value, REDACTED) || value >= text.len() {
        return None;
    }
    // The name of a scheme with parameters stays: `Digest username="…", …`.
    let scheme = blank > word && word > value && text[value].is_ascii_alphabetic();
    let start = if scheme && !text[value..word].iter().all(u8::is_ascii_lowercase) { blank } else { value };
    if starts(text, start, REDACTED) {
        return None;
    }
    let to = if quoted {
        run(text, value, |byte| byte != text[opened] && !is_line_end(byte))
    } else if scheme {
        header_end(text, name, value)
    } else {
        header_end(&text[..value_span::unquoted_end(text, value, form)], name, value)
    };
    (to > start).then_some(start..to)
}

/// The value of the flags of curl: `-u name:password` and `--user name:password`.
fn user_flag(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    let word = &text[start..end];
    let dashes = if word == b"u" { 1 } else { 2 };
    if !matches!(word, b"u" | b"user" | b"proxy-user") || start < dashes {
        return None;
    }
    let before = &text[..start];
    let flag = before.ends_with(&b"--"[..dashes])
        && before[..start - dashes].last().is_none_or(|byte| !is_word(*byte));
    let from = run_within(text, end, 4, |byte| is_blank(byte) || matches!(byte, b'=' | b'"' | b'\''));
    if !flag || from == end {
        return None;
    }
    let to = value_span::unquoted_end(text, from, Form::Flag);
    let colon = text[from..to].iter().position(|byte| *byte == b':')?;
    let (user, password) = (&text[from..from + colon], &text[from + colon + 1..to]);
    let numbers = password.iter().all(u8::is_ascii_digit) && user.iter().all(u8::is_ascii_digit);
    (!numbers && !user.is_empty()).then_some(from..to)
}
