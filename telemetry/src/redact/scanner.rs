//! One pass over a text, from left to right.

use std::ops::Range;

use crate::redact::bytes::{
    REDACTED, colour_end, ends_any_case, is_blank, is_encoded, is_line_end, is_quote, is_word, run,
    run_within, spend, starts,
};
use crate::redact::key_blocks::Block;
use crate::redact::key_names::{Name, classify, label, may_be_name, phrase};
use crate::redact::marks::{self, Form, Mark};
use crate::redact::rule::{Found, Rule};
use crate::redact::{commands, entropy, headers, key_blocks, key_prefixes, prose, urls, value_span, values};

/// Appends the secrets of `text`, in order and without overlap.
pub(super) fn scan(text: &str, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut scan = Scan { text: bytes, taken: 0, opaque: Vec::new(), opaque_to: 0 };
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

    /// Over the user part of a URL, or to `next`.
    fn at_or_to(user: Option<Range<usize>>, next: usize) -> Self {
        user.map_or(Self::to(next), |user| Self::over(user, Rule::Url))
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
}

impl Scan<'_> {
    fn step(&mut self, at: usize) -> Step {
        let text = self.text;
        match text[at] {
            b'[' if starts(text, at, REDACTED) => Step::to(at + REDACTED.len()),
            b':' if starts(text, at, "://") => Step::at_or_to(urls::user_part(text, at + 3), at + 3),
            // A slash in JSON.
            b':' if starts(text, at, ":\\/\\/") => Step::at_or_to(urls::user_part(text, at + 5), at + 5),
            b'%' => match urls::encoded_scheme_end(text, at) {
                Some(start) => Step::at_or_to(urls::encoded_user_part(text, start), start),
                None if is_encoded(text, at) => Step::to(at + 3),
                None => Step::to(at + 1),
            },
            b'@' => urls::user_of_database(text, self.taken, at).map_or(Step::to(at + 1), |found| Step {
                found: Some(Found { range: found, rule: Rule::Url }),
                next: at + 1,
            }),
            0x1b => Step::to(colour_end(text, at).unwrap_or(at + 1)),
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
        if let Some(found) = key_blocks::putty(text, at, end) {
            return Step::over(found, Rule::PrivateKey);
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
        // Most words are no names.
        let may_be_name = may_be_name(&text[at..end]);
        // Before what stands behind the name, which is a placeholder: `'--token <TOKEN>'`.
        if may_be_name && let Some(found) = self.refused(at, end) {
            return Step { found: Some(Found { range: found, rule: Rule::Name }), next: end };
        }
        if may_be_name
            && let Some(step) = beginnings.iter().flatten().find_map(|from| announced(text, *from, end))
        {
            return step;
        }
        if at > 0
            && text[at - 1] >= 0x80
            && let Some(found) = labelled(text, end)
        {
            return Step::over(found, Rule::Name);
        }
        if may_be_name && let Some(found) = self.before(at, end) {
            return Step { found: Some(Found { range: found, rule: Rule::Name }), next: end };
        }
        if let Some(found) = prose::find(text, at, end, may_be_name) {
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

    /// The value that a program has refused for the flag whose name is the word from `start` to `end`.
    fn refused(&self, start: usize, end: usize) -> Option<Range<usize>> {
        let text = self.text;
        let flag = text[..start].ends_with(b"-");
        if !flag || !matches!(classify(&text[start..end]), Name::Strong | Name::Weak) {
            return None;
        }
        marks::refused_value(text, self.taken, start).filter(|found| is_value(&text[found.clone()]))
    }

    /// The value that stands before its name, the word from `start` to `end`.
    fn before(&self, start: usize, end: usize) -> Option<Range<usize>> {
        let text = self.text;
        let before = *text.get(start.checked_sub(1)?)?;
        if before == b' ' {
            return self.compared(start, end);
        }
        let quoted = is_quote(before) && text.get(end) == Some(&before);
        if !quoted || classify(&text[start..end]) != Name::Strong {
            return None;
        }
        marks::value_before(text, self.taken, start).filter(|found| is_value(&text[found.clone()]))
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
        (text[open] == *quote && found.len() >= SHORTEST_BEFORE && !values::is_missing(found))
            .then_some(value)
    }
}

/// The shortest value that stands before its name.
const SHORTEST_BEFORE: usize = 4;

/// Whether a text that stands before a name may be its value.
fn is_value(text: &[u8]) -> bool {
    text.len() >= SHORTEST_BEFORE && !values::is_missing(text) && !values::is_plain_word(text)
}

/// The value behind a label with letters beyond ASCII that ends at `end`.
fn labelled(text: &[u8], end: usize) -> Option<Range<usize>> {
    const LONGEST: usize = 40;
    let next = *text.get(end).filter(|byte| !is_word(**byte))?;
    if next >= 0x80 && !marks::begins(next) {
        return None;
    }
    let mark = marks::assigned_behind(text, end);
    if mark.is_none() && !is_blank(next) {
        return None;
    }
    spend(LONGEST);
    let label = label(&text[end.saturating_sub(LONGEST)..end])?;
    if let Some(mark) = mark {
        return value_span::find(text, mark, Name::Strong, false);
    }
    if text[..end - label.len()].ends_with(b"--") {
        return value_span::find(text, marks::flag_value(text, end, end)?, Name::Strong, false);
    }
    prose::described_behind(text, end)
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
    let mark = marks::mark(text, start, end)?;
    let mut name = classify(&text[start..end]);
    let mut is_key = false;
    let joins = |at: usize| is_blank(text[at]) || matches!(text[at], b'-' | b'\'');
    if matches!(name, Name::Other | Name::Query)
        && start.checked_sub(1).is_some_and(joins)
        && let Some(phrase) = phrase(text, end)
    {
        // "cannot read the private key: no such file"
        is_key = phrase.ends_with(b"key");
        name = if is_key { Name::Weak } else { Name::Strong };
    }
    let Mark { form, value, quoted, .. } = mark;
    // `arn:aws:secretsmanager:eu:1:secret:db`, `:auth:compile`
    let chained = form == Form::Colon && start > 1 && text[start - 1] == b':';
    if name == Name::Weak && (chained || is_bound(text, start, value, form)) {
        return None;
    }
    if name == Name::Other
        || (form == Form::Flag && name == Name::Query)
        || is_no_value(text, start, end, value)
    {
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
            // A cookie is a pair: `a=b`.
            let name = run_within(text, value, 256, |byte| byte != b'=' && !is_line_end(byte));
            let pair = text.get(name) == Some(&b'=') && !starts(text, value, REDACTED);
            let to = if pair { headers::end(text, start, from) } else { value };
            (Rule::Header, (to > value).then_some(value..to))
        }
        Name::Query => {
            let in_query = start.checked_sub(1).is_some_and(|at| matches!(text[at], b'?' | b'&'));
            let name = if in_query { name } else { Name::Suspect };
            let is_key = in_query || text[start..end].eq_ignore_ascii_case(b"key");
            (Rule::Name, is_key.then(|| value_span::find(text, mark, name, false)).flatten())
        }
        _ if text.get(from) == Some(&b'{') && is_plural(&text[start..end]) => {
            (Rule::Name, value_span::map_values(text, from))
        }
        _ => {
            let prose = is_key || is_of_machines(&text[start..end]) || in_prose(text, start);
            let found = value_span::find(text, mark, name, prose);
            (Rule::Name, found.map(|found| prose::more_words(text, start, end, form, found)))
        }
    };
    match found {
        Some(found) => Some(Step::over(found, rule)),
        None if name == Name::Suspect => None,
        None => Some(Step::to(end)),
    }
}

/// Whether the name is one of several credentials: `secrets`, `passwords`.
fn is_plural(name: &[u8]) -> bool {
    ends_any_case(name, b"secrets") || ends_any_case(name, b"passwords")
}

/// Whether machines choose values for this name, so that a sentence behind it is none: `GITHUB_TOKEN: unbound variable`.
fn is_of_machines(name: &[u8]) -> bool {
    [&b"_token"[..], b"_key", b"_secret"].iter().any(|end| ends_any_case(name, end))
}

/// Whether a bound of a type follows: "`Token: Serialize`".
fn is_bound(text: &[u8], start: usize, value: usize, form: Form) -> bool {
    let end = run_within(text, value, 64, |byte| byte.is_ascii_alphabetic() || byte == b':');
    form == Form::Colon && start > 0 && text[start - 1] == b'`' && text.get(end) == Some(&b'`')
}

/// Whether what follows the name from `start` to `end` is no value, because the name has another meaning: `PWD=/home`,
/// "passwd: Authentication failure".
fn is_no_value(text: &[u8], start: usize, end: usize, value: usize) -> bool {
    let (name, found) = (&text[start..end], &text[value.min(text.len())..]);
    match name {
        // "Submodule path 'vendor/token': checked out …"
        _ if start > 0 && text[start - 1] == b'/' && text.get(end) == Some(&b'\'') => true,
        b"PWD" | b"pwd" | b"OLDPWD" => found.first() == Some(&b'/') && text.get(end) == Some(&b'='),
        b"passwd" => {
            let word = run_within(found, 0, 32, |byte| byte.is_ascii_alphabetic());
            text.get(end) == Some(&b':') && value > end + 1 && found.get(word) == Some(&b' ') && word > 0
        }
        _ => false,
    }
}

/// Whether there are words before the name on its line, and no flag.
fn in_prose(text: &[u8], start: usize) -> bool {
    let Some(blank) = start.checked_sub(1).filter(|at| is_blank(text[*at])) else { return false };
    let word = text[..blank].iter().rev().take(32).take_while(|byte| is_word(**byte)).count();
    if text[blank - word..blank].starts_with(b"-") {
        return false;
    }
    // Behind another pair, as in `user: "me", pass: "…"`.
    if text[..blank].ends_with(b"\",") {
        return false;
    }
    text[..blank]
        .last()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b',' | b'\'' | b'`' | b'.'))
}
