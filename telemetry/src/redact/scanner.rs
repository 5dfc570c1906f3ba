//! One pass over a text, from left to right.

use std::ops::Range;

use crate::redact::bytes::{
    REDACTED, is_blank, is_encoded, is_line_end, is_quote, is_space, is_word, run, run_within, spend, starts,
};
use crate::redact::key_blocks::Block;
use crate::redact::key_names::{Name, classify, is_label, is_phrase, may_be_name};
use crate::redact::marks::{self, Form, Mark};
use crate::redact::rule::{Found, Rule};
use crate::redact::{commands, entropy, headers, key_blocks, key_prefixes, prose, value_span, values};

/// Appends the secrets of `text`, in order and without overlap.
pub(super) fn scan(text: &str, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut scan = Scan { text: bytes, taken: 0, opaque: Vec::new(), opaque_to: 0, blanks_at: 0 };
    let mut at = 0;
    while at < bytes.len() {
        spend(1);
        let step = scan.step(at);
        if let Some(it) = step.found {
            debug_assert!(it.range.start < it.range.end && it.range.end <= step.next);
            debug_assert!(scan.taken <= it.range.start);
            scan.taken = it.range.end;
            found.push(it);
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
    found: Option<Found>,
    next: usize,
}

impl Step {
    fn to(next: usize) -> Self {
        Self { found: None, next }
    }

    fn over(range: Range<usize>, rule: Rule) -> Self {
        Self { next: range.end, found: Some(Found { range, rule }) }
    }
}

struct Scan<'a> {
    text: &'a [u8],
    /// The end of the last secret.
    taken: usize,
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
            b':' if starts(text, at, "://") => self.user_part(at + 3),
            // A slash in JSON.
            b':' if starts(text, at, ":\\/\\/") => self.user_part(at + 5),
            b'%' => match value_span::encoded_scheme_end(text, at) {
                Some(start) => self.encoded_user_part(start),
                None if is_encoded(text, at) => Step::to(at + 3),
                None => Step::to(at + 1),
            },
            b'@' => self.user_of_database(at).map_or(Step::to(at + 1), |found| Step {
                found: Some(Found { range: found, rule: Rule::Url }),
                next: at + 1,
            }),
            // A code for the colour of a terminal ends in a letter.
            0x1b if text.get(at + 1) == Some(&b'[') => Step::to(
                (run_within(text, at + 2, 32, |byte| matches!(byte, b'0'..=b'?')) + 1).min(text.len()),
            ),
            b'-' if starts(text, at, "-----BEGIN ") => match key_blocks::block(text, at) {
                Block::Private(found) => Step::over(found, Rule::PrivateKey),
                Block::Public(end) => Step::to(end),
            },
            b'*' if at == 0 || is_line_end(text[at - 1]) => {
                prose::pgpass(text, at).map_or(Step::to(at + 1), |found| Step::over(found, Rule::Said))
            }
            byte if is_word(byte) && byte != b'-' => self.word(at),
            byte if byte >= 0x80 => {
                labelled(text, at + 1).map_or(Step::to(at + 1), |found| Step::over(found, Rule::Name))
            }
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
        if let Some((found, rule)) = beginnings.iter().flatten().find_map(|from| key(text, *from, end)) {
            return Step::over(found, rule);
        }
        if let Some(to) = key_blocks::public_key(text, at, end) {
            return Step::to(to);
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
                return Step::over(token.start..padded, Rule::Opaque);
            }
        }
        if let Some(found) = headers::scheme(text, at, end) {
            return Step::over(found, Rule::Scheme);
        }
        if let Some(step) = beginnings.iter().flatten().find_map(|from| announced(text, *from, end)) {
            return step;
        }
        if at > 0
            && text[at - 1] >= 0x80
            && let Some(found) = labelled(text, end)
        {
            return Step::over(found, Rule::Name);
        }
        if let Some(found) = self.compared(at, end) {
            return Step { found: Some(Found { range: found, rule: Rule::Name }), next: end };
        }
        let found = prose::said(text, at, end).or_else(|| prose::told(text, at, end));
        if let Some(found) = found {
            return Step::over(found, Rule::Said);
        }
        let before = at.checked_sub(1).map(|at| text[at]);
        match before {
            Some(b'-') => {
                let found = commands::find(text, at).or_else(|| commands::user(text, at, end));
                found.map_or(Step::to(end), |found| Step::over(found, Rule::Flag))
            }
            None | Some(b'\n' | b'\r') => {
                prose::pgpass(text, at).map_or(Step::to(end), |found| Step::over(found, Rule::Said))
            }
            _ => Step::to(end),
        }
    }

    /// Examines the user part of a URL whose user or host begins at `start`.
    fn user_part(&mut self, start: usize) -> Step {
        let text = self.text;
        let limit = |byte: u8| is_space(byte) || matches!(byte, b'"' | b'<' | b'>' | b'`' | b'\\');
        let stop = |byte: u8| matches!(byte, b'/' | b'?' | b'#');
        let authority = run(text, start, |byte| !limit(byte) && !stop(byte));
        let mut sign = text[start..authority].iter().rposition(|byte| *byte == b'@').map(|at| start + at);
        if sign.is_none() && has_password(&text[start..authority]) && start >= self.blanks_at {
            // A password that contains a slash or a quote without an encoding.
            let around = quote_around(text, start);
            let end = run(text, start, |byte| !is_space(byte) && Some(byte) != around);
            let hosts = |at: &usize| {
                text[*at] == b'@'
                    && text.get(at + 1).is_some_and(|it| it.is_ascii_alphanumeric() || *it == b'[')
            };
            let found = (authority..end)
                .find(hosts)
                .filter(|at| !text[authority..*at].windows(3).any(|it| it == b"://"));
            match found {
                Some(found) => {
                    let to = run(text, found, |byte| !limit(byte) && !stop(byte));
                    sign = text[found..to].iter().rposition(|byte| *byte == b'@').map(|at| found + at);
                }
                None => self.blanks_at = end,
            }
        }
        let user = sign.map(|sign| &text[start..sign]).unwrap_or_default();
        let reference = values::is_all_placeholders(user);
        match sign {
            Some(sign) if !user.is_empty() && user != REDACTED.as_bytes() && !reference => {
                Step::over(start..sign, Rule::Url)
            }
            _ => Step::to(start),
        }
    }

    /// The same in a URL that is percent-encoded as a whole.
    fn encoded_user_part(&mut self, start: usize) -> Step {
        let text = self.text;
        let limit = |byte: u8| is_space(byte) || matches!(byte, b'"' | b'<' | b'>' | b'`' | b'\\' | b'&');
        let end = run_within(text, start, 512, |byte| !limit(byte));
        let found = text[start..end]
            .windows(3)
            .position(|it| it == b"%40" || it.eq_ignore_ascii_case(b"%2f"))
            .filter(|found| text[start + found..].starts_with(b"%40") && *found > 0);
        spend(end - start);
        match found.map(|found| start..start + found) {
            Some(user) if &text[user.clone()] != REDACTED.as_bytes() => Step::over(user, Rule::Url),
            _ => Step::to(start),
        }
    }

    /// The user and the password before the `@` at `at` of a name of a database without `://`: `user:password@tcp(host)`,
    /// `jdbc:oracle:thin:user/password@host`.
    fn user_of_database(&self, at: usize) -> Option<Range<usize>> {
        const LONGEST: usize = 128;
        const HOSTS: [&str; 5] = ["tcp(", "tcp6(", "udp(", "unix(", "("];
        let text = self.text;
        let from = self.taken.max(at.saturating_sub(LONGEST));
        let before = &text[from..at];
        spend(before.len());
        let ends = |byte: &u8| is_space(*byte) || is_quote(*byte) || *byte == b'=';
        let mut start = from + before.iter().rposition(ends).map_or(0, |found| found + 1);
        let go = HOSTS.iter().any(|host| starts(text, at + 1, host)) && text[start..at].contains(&b':');
        let thin = memchr::memmem::find(&text[start..at], b":thin:").map(|found| start + found + 6);
        if let Some(thin) = thin {
            start = thin;
        }
        let oracle =
            (thin.is_some() || text[..start].ends_with(b"sqlplus ")) && text[start..at].contains(&b'/');
        ((go || oracle) && start < at && &text[start..at] != REDACTED.as_bytes()).then_some(start..at)
    }

    /// The value in `"value" == name`, whose name is the word from `start` to `end`.
    fn compared(&self, start: usize, end: usize) -> Option<Range<usize>> {
        const LONGEST: usize = 128;
        let text = self.text;
        if start < 6 || text[start - 1] != b' ' || text[start - 2] != b'=' {
            return None;
        }
        let from = self.taken.max(start.saturating_sub(LONGEST));
        let before = text[from..start].trim_ascii_end();
        let signs = before.iter().rev().take(3).take_while(|byte| matches!(byte, b'=' | b'!')).count();
        let (quote, inside) = before[..before.len() - signs].trim_ascii_end().split_last()?;
        spend(before.len());
        if signs < 2 || !is_quote(*quote) || !matches!(classify(&text[start..end]), Name::Strong | Name::Weak)
        {
            return None;
        }
        let open = from + inside.iter().rposition(|byte| byte == quote || is_line_end(*byte))?;
        let value = open + 1..from + inside.len();
        let found = &text[value.clone()];
        (text[open] == *quote
            && found.len() >= 4
            && found != REDACTED.as_bytes()
            && !values::is_placeholder(found))
        .then_some(value)
    }
}

/// The quote before the scheme of the URL whose user begins at `start`.
fn quote_around(text: &[u8], start: usize) -> Option<u8> {
    let scheme = text[..start].iter().rev().take(40);
    let before = scheme
        .skip_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-' | b':' | b'/'));
    before.copied().next().filter(|byte| is_quote(*byte))
}

/// The value behind a label with letters beyond ASCII that ends at `end`.
fn labelled(text: &[u8], end: usize) -> Option<Range<usize>> {
    const LONGEST: usize = 40;
    if text.get(end).is_none_or(|byte| is_word(*byte)) {
        return None;
    }
    let mark = marks::assigned_behind(text, end)?;
    spend(LONGEST);
    if !is_label(&text[end.saturating_sub(LONGEST)..end]) {
        return None;
    }
    value_span::find(text, mark, Name::Strong, false)
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
fn key(text: &[u8], start: usize, end: usize) -> Option<(Range<usize>, Rule)> {
    if !key_prefixes::is_long_enough(text, start) {
        return None;
    }
    if let Some((from, to)) = key_prefixes::hook(text, start) {
        return (&text[from..to] != REDACTED.as_bytes()).then_some((from..to, Rule::Hook));
    }
    if let Some((from, to)) = key_prefixes::shaped(text, start, end) {
        return Some((from..to, Rule::Shape));
    }
    prefixed(text, start, end)
}

/// A key with a known prefix, at the beginning of a part of the word.
fn prefixed(text: &[u8], start: usize, end: usize) -> Option<(Range<usize>, Rule)> {
    let begins = |at: usize| at == start || matches!(text[at - 1], b'_' | b'-');
    let mut parts = (start..end).filter(|at| begins(*at));
    parts.find_map(|at| key_prefixes::prefixed(text, at).map(|(to, prefix)| (at..to, Rule::Key(prefix))))
}

/// Examines the value behind the name from `start` to `end`.
fn announced(text: &[u8], start: usize, end: usize) -> Option<Step> {
    // Most words are no names.
    if !may_be_name(&text[start..end]) {
        return None;
    }
    let mark = marks::mark(text, start, end)?;
    let mut name = classify(&text[start..end]);
    let mut is_key = false;
    let joins = |at: usize| is_blank(text[at]) || matches!(text[at], b'-' | b'\'');
    if matches!(name, Name::Other | Name::Query)
        && start.checked_sub(1).is_some_and(joins)
        && is_phrase(text, end)
    {
        // "cannot read the private key: no such file"
        is_key = text[end - 1] | 0x20 == b'y';
        name = if is_key { Name::Weak } else { Name::Strong };
    }
    let Mark { form, value, quoted } = mark;
    // `arn:aws:secretsmanager:eu:1:secret:db`
    let chained = form == Form::Colon && start > 1 && text[start - 1] == b':' && is_word(text[start - 2]);
    if name == Name::Weak && chained {
        return None;
    }
    if name == Name::Other || (form == Form::Flag && name == Name::Query) {
        return None;
    }
    let from = value.min(text.len());
    let mark = Mark { value: from, ..mark };
    let in_quotes = text.get(from).is_some_and(|byte| is_quote(*byte));
    let (rule, found) = match name {
        Name::Authorization | Name::Cookie if quoted && !in_quotes => return None,
        Name::Authorization => (Rule::Header, headers::authorization(text, start, from, form)),
        Name::Cookie => {
            let value = from + usize::from(in_quotes);
            let to = if starts(text, value, REDACTED) { value } else { headers::end(text, start, from) };
            let from = value;
            (Rule::Header, (to > from).then_some(from..to))
        }
        Name::Query => {
            let in_query = start.checked_sub(1).is_some_and(|at| matches!(text[at], b'?' | b'&'));
            let name = if in_query { name } else { Name::Suspect };
            let is_key = in_query || text[start..end].eq_ignore_ascii_case(b"key");
            (Rule::Name, is_key.then(|| value_span::find(text, mark, name, false)).flatten())
        }
        _ => {
            let found = value_span::find(text, mark, name, is_key || in_prose(text, start));
            (Rule::Name, found.map(|found| prose::more_words(text, start, end, form, found)))
        }
    };
    match found {
        Some(found) => Some(Step::over(found, rule)),
        None if name == Name::Suspect => None,
        None => Some(Step::to(end)),
    }
}

/// Whether there are words before the name on its line.
fn in_prose(text: &[u8], start: usize) -> bool {
    let Some(blank) = start.checked_sub(1).filter(|at| is_blank(text[*at])) else { return false };
    text[..blank]
        .last()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b',' | b'\'' | b'`' | b'.'))
}
