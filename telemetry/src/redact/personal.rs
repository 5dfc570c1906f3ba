//! The replacement of personal data in arguments and messages.
//!
//! | what | form |
//! | --- | --- |
//! | e-mail address | `name@host.domain`; `git@host` stays |
//! | IPv4, IPv6 | each address but those of the machine itself (`127.…`, `0.0.0.0`, `::1`, `::`) |
//! | MAC | six pairs of hexadecimal digits, with `:` or `-` |
//! | folder of a user | the name in `/home/NAME`, `/Users/NAME` and `C:\Users\NAME` |
//! | user and host | the names of this process's user and machine, as whole words of three characters or more |
//! | card number | 13 to 19 digits, in groups or not, of a known issuer and with a correct check digit |
//! | IBAN | with correct check digits |
//! | phone number | `+` and 8 to 15 digits, with blanks, `-`, `.`, `/` and brackets between them |

use std::borrow::Cow;
use std::ops::Range;

use crate::redact::bytes::{REDACTED, is_space, is_word, run, run_within, starts, starts_any_case};
use crate::redact::rule::{Found, Rule, merge, replace_found};

/// Whether personal data are taken out of arguments and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PersonalData {
    /// They are replaced by [`REDACTED`].
    #[default]
    Redact,
    /// They stay.
    Keep,
}

/// Finds personal data.
#[derive(Debug, Clone, Default)]
pub struct PersonalNames {
    /// The names of the user and of the machine, in small letters.
    names: Vec<String>,
}

impl PersonalNames {
    /// With the names of this process's user and of this machine, from the environment and the operating system.
    #[must_use]
    pub fn of_this_process() -> Self {
        const VARIABLES: [&str; 5] = ["USER", "LOGNAME", "USERNAME", "HOSTNAME", "COMPUTERNAME"];
        let names = VARIABLES.iter().filter_map(|name| std::env::var(name).ok());
        #[cfg(unix)]
        let names = names.chain([rustix::system::uname().nodename().to_string_lossy().into_owned()]);
        Self::new(names)
    }

    /// With these names. Names of fewer than three characters, and those of no person, are left out.
    fn new(names: impl IntoIterator<Item = String>) -> Self {
        const IMPERSONAL: [&str; 8] =
            ["root", "user", "admin", "localhost", "runner", "build", "ubuntu", "nobody"];
        let names = names.into_iter().map(|name| name.to_lowercase());
        let names = names.filter(|name| name.len() >= 3 && !IMPERSONAL.contains(&&**name));
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        names.dedup();
        Self { names }
    }

    /// `text` without personal data; borrowed when there are none.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let found = self.find(text);
        if found.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(replace_found(text, &found)) }
    }

    /// What [`redact`](Self::redact) replaces, in order and without overlap.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Found> {
        /// What a scan replaces may show where something else ends.
        const SCANS: usize = 8;
        let mut all = Vec::new();
        let mut now = Cow::Borrowed(text);
        for _ in 0..SCANS {
            let found = self.scan(&now);
            if found.is_empty() {
                break;
            }
            let next = replace_found(&now, &found);
            merge(&mut all, found);
            now = Cow::Owned(next);
        }
        all
    }

    fn scan(&self, text: &str) -> Vec<Found> {
        let bytes = text.as_bytes();
        let mut found: Vec<Found> = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            match self.at(bytes, at) {
                Some((mut range, what)) => {
                    // An e-mail address begins before its `@`, perhaps with the name of the user.
                    while found.last().is_some_and(|last| last.range.start >= range.start) {
                        found.pop();
                    }
                    range.start = range.start.max(found.last().map_or(0, |last| last.range.end));
                    at = range.end;
                    found.push(Found { range, rule: Rule::Personal(what) });
                }
                None if starts(bytes, at, REDACTED) => at += REDACTED.len(),
                None => at += 1,
            }
        }
        found
    }

    /// What begins at `at`, or, for an e-mail address, has its `@` there.
    fn at(&self, text: &[u8], at: usize) -> Option<(Range<usize>, &'static str)> {
        let byte = text[at];
        if byte == b'@' {
            return email(text, at).map(|range| (range, "e-mail"));
        }
        if matches!(byte, b'/' | b'\\') {
            return home(text, at).map(|range| (range, "home"));
        }
        let begins = at == 0 || !(text[at - 1].is_ascii_alphanumeric() || text[at - 1] == b'_');
        if !begins {
            return None;
        }
        match byte {
            b'+' => phone(text, at).map(|range| (range, "phone")),
            b'0'..=b'9' => (mac(text, at).map(|range| (range, "mac")))
                .or_else(|| ipv6(text, at).map(|range| (range, "ip")))
                .or_else(|| ipv4(text, at).map(|range| (range, "ip")))
                .or_else(|| card(text, at).map(|range| (range, "card"))),
            b':' => ipv6(text, at).map(|range| (range, "ip")),
            _ if byte.is_ascii_alphabetic() || byte >= 0x80 => (mac(text, at).map(|range| (range, "mac")))
                .or_else(|| ipv6(text, at).map(|range| (range, "ip")))
                .or_else(|| iban(text, at).map(|range| (range, "iban")))
                .or_else(|| self.name(text, at).map(|range| (range, "name"))),
            _ => None,
        }
    }

    /// A name of the user or the machine, as a whole word.
    fn name(&self, text: &[u8], at: usize) -> Option<Range<usize>> {
        let ends = |end: usize| {
            text.get(end).is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_' && *byte < 0x80)
        };
        let is_here = |name: &&String| starts_any_case(text, at, name) && ends(at + name.len());
        let name = self.names.iter().filter(is_here).max_by_key(|name| name.len())?;
        Some(at..at + name.len())
    }
}

/// The address whose `@` is at `sign`.
fn email(text: &[u8], sign: usize) -> Option<Range<usize>> {
    const LOCAL: usize = 64;
    const DOMAIN: usize = 255;
    let from = sign.saturating_sub(LOCAL);
    let local = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-') || *byte >= 0x80
    };
    let length = text[from..sign].iter().rev().take_while(|byte| local(byte)).count();
    let mut end = run_within(text, sign + 1, DOMAIN, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-') || byte >= 0x80
    });
    while matches!(text[end - 1], b'.' | b'-') {
        end -= 1;
    }
    let domain = text.get(sign + 1..end)?;
    let top = domain.rsplit(|byte| *byte == b'.').next()?;
    let named = domain.contains(&b'.') && top.len() >= 2 && top.iter().all(u8::is_ascii_alphabetic);
    (length > 0 && named && &text[sign - length..sign] != b"git").then_some(sign - length..end)
}

/// The name of a user behind the folder of users that begins at `at`.
fn home(text: &[u8], at: usize) -> Option<Range<usize>> {
    let slash = text[at];
    let behind = |folder: &str| -> Option<usize> {
        let name = run_within(text, at, 2, |byte| byte == slash);
        let end = name + folder.len();
        let next = run_within(text, end, 2, |byte| byte == slash);
        (starts_any_case(text, name, folder) && next > end).then_some(next)
    };
    let folders: &[&str] =
        if slash == b'/' { &["home", "users"] } else { &["users", "documents and settings"] };
    let start = folders.iter().find_map(|folder| behind(folder))?;
    let ends = |byte: u8| matches!(byte, b'/' | b'\\' | b'"' | b'\'' | b':' | b',' | b')' | b'>');
    let mut end = run(text, start, |byte| !is_space(byte) && !ends(byte));
    // A first and a last name, before the next folder.
    let second = run_within(text, end + 1, 32, |byte| byte.is_ascii_alphabetic() || byte >= 0x80);
    if text.get(end) == Some(&b' ') && second > end + 1 && text.get(second) == Some(&slash) {
        end = second;
    }
    let name = &text[start..end];
    let shared = [&b"public"[..], b"shared", b"default", b"runner", b"user"];
    let variable =
        name.starts_with(b"$") || name.starts_with(b"<") || name.starts_with(b"{") || name.starts_with(b"%");
    let open = name.is_empty()
        || variable
        || name.starts_with(REDACTED.as_bytes())
        || shared.iter().any(|it| name.eq_ignore_ascii_case(it));
    (!open).then_some(start..end)
}

fn ipv4(text: &[u8], at: usize) -> Option<Range<usize>> {
    if at > 0 && matches!(text[at - 1], b'.' | b'-') {
        return None;
    }
    let mut end = at;
    for part in 0..4 {
        let start = if part == 0 { end } else { end + 1 };
        if part > 0 && text.get(end) != Some(&b'.') {
            return None;
        }
        end = run_within(text, start, 4, |byte| byte.is_ascii_digit());
        let digits = &text[start..end];
        let number = digits.iter().fold(0, |sum: u32, digit| sum * 10 + u32::from(digit - b'0'));
        if digits.is_empty() || digits.len() > 3 || number > 255 {
            return None;
        }
    }
    let goes_on = text.get(end).is_some_and(|byte| is_word(*byte))
        || (text.get(end) == Some(&b'.') && text.get(end + 1).is_some_and(u8::is_ascii_alphanumeric));
    let address = &text[at..end];
    let own = address.starts_with(b"127.") || address == b"0.0.0.0" || address == b"255.255.255.255";
    (!goes_on && !own).then_some(at..end)
}

fn ipv6(text: &[u8], at: usize) -> Option<Range<usize>> {
    if at > 0 && matches!(text[at - 1], b':' | b'.') {
        return None;
    }
    let end = run_within(text, at, 48, |byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
    let mut end = end;
    while end > at && matches!(text[end - 1], b'.') {
        end -= 1;
    }
    // `::` may end an address, and one colon ends a sentence.
    if text[at..end].ends_with(b":") && !text[at..end].ends_with(b"::") {
        end -= 1;
    }
    let address = &text[at..end];
    if text.get(end).is_some_and(|byte| is_word(*byte)) || !address.contains(&b':') {
        return None;
    }
    let parsed: std::net::Ipv6Addr = std::str::from_utf8(address).ok()?.parse().ok()?;
    let digits = address.iter().any(u8::is_ascii_digit);
    (digits && !parsed.is_loopback() && !parsed.is_unspecified() && address.len() >= 6).then_some(at..end)
}

fn mac(text: &[u8], at: usize) -> Option<Range<usize>> {
    let end = at + 17;
    let address = text.get(at..end)?;
    let sign = address[2];
    let pairs = address.chunks(3).all(|part| {
        part[..2].iter().all(u8::is_ascii_hexdigit) && part.get(2).is_none_or(|byte| *byte == sign)
    });
    let goes_on = text.get(end).is_some_and(|byte| is_word(*byte) || *byte == b':');
    let goes_on = goes_on || (at > 0 && matches!(text[at - 1], b':' | b'-'));
    (matches!(sign, b':' | b'-') && pairs && !goes_on).then_some(at..end)
}

/// The end of a number of digits with single signs between them, and the digits.
fn digits(text: &[u8], at: usize, most: usize, between: impl Fn(u8) -> bool) -> (usize, Vec<u8>) {
    let mut digits = Vec::new();
    let (mut end, mut gap) = (at, 0);
    for (offset, byte) in text[at..].iter().enumerate() {
        if byte.is_ascii_digit() {
            if digits.len() == most {
                break;
            }
            digits.push(byte - b'0');
            (end, gap) = (at + offset + 1, 0);
        } else if between(*byte) && gap < 2 {
            gap += 1;
        } else {
            break;
        }
    }
    (end, digits)
}

fn card(text: &[u8], at: usize) -> Option<Range<usize>> {
    let (end, digits) = digits(text, at, 20, |byte| matches!(byte, b' ' | b'-'));
    let number =
        |count: usize| digits.iter().take(count).fold(0, |sum: u32, digit| sum * 10 + u32::from(*digit));
    let issued = matches!(
        (digits.len(), number(1), number(2), number(4)),
        (13 | 16 | 19, 4, ..)
            | (16, _, 51..=55 | 35 | 65, _)
            | (15, _, 34 | 37, _)
            | (16, _, _, 2221..=2720 | 6011)
    );
    if !issued
        || text.get(end).is_some_and(|byte| is_word(*byte))
        || (at > 0 && matches!(text[at - 1], b'-' | b'.'))
    {
        return None;
    }
    let sum: u32 = digits.iter().rev().enumerate().fold(0, |sum, (place, digit)| {
        let doubled = u32::from(*digit) * if place % 2 == 1 { 2 } else { 1 };
        sum + doubled / 10 + doubled % 10
    });
    sum.is_multiple_of(10).then_some(at..end)
}

fn iban(text: &[u8], at: usize) -> Option<Range<usize>> {
    let head = text.get(at..at + 4)?;
    if !(head[..2].iter().all(u8::is_ascii_uppercase) && head[2..].iter().all(u8::is_ascii_digit)) {
        return None;
    }
    let mut characters = Vec::new();
    let (mut end, mut group) = (at, 0);
    for (offset, byte) in text[at..].iter().enumerate() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' if characters.len() < 34 => {
                characters.push(*byte);
                end = at + offset + 1;
                group += 1;
            }
            // Groups of four.
            b' ' if group == 4 => group = 0,
            _ => break,
        }
    }
    if !(15..=34).contains(&characters.len()) || text.get(end).is_some_and(|byte| is_word(*byte)) {
        return None;
    }
    characters.rotate_left(4);
    let rest = characters.iter().fold(0, |rest: u32, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    });
    (rest == 1).then_some(at..end)
}

fn phone(text: &[u8], at: usize) -> Option<Range<usize>> {
    let between = |byte: u8| matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')');
    let first = *text.get(at + 1)?;
    let (end, digits) = digits(text, at + 1, 16, between);
    let goes_on = text.get(end).is_some_and(|byte| is_word(*byte));
    ((b'1'..=b'9').contains(&first) && (8..=15).contains(&digits.len()) && !goes_on).then_some(at..end)
}

#[cfg(test)]
#[path = "tests/personal.rs"]
mod tests;
