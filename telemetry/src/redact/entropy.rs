//! Long tokens that look random.
//!
//! In random text, capitals, small letters and digits change at every other character, and few runs of letters could be
//! words. Identifiers, paths and sentences are the opposite. The limits were tested with 166,000 long words of
//! published source code (0.1 % are found, nearly all of them base64), and with random text of 32 and more characters
//! (at least 95 % is found).

use std::ops::Range;

use crate::redact::bytes::{is_space, run, run_within, spend, starts};

/// The shortest token of capitals, small letters and digits that is examined.
pub(super) const SHORTEST: usize = 20;

/// The shortest run with slashes that is examined as a whole.
const LONG: usize = 24;

/// The shortest token of digits and letters of one case that is examined.
const SHORTEST_ONE_CASE: usize = 24;

/// The shortest part of hexadecimal digits that counts as a digest or an id, and is not examined.
const HEX: usize = 6;

fn is_opaque_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'/')
}

/// Finds the opaque tokens of the run that begins at `start`. Returns the end of the run.
pub(super) fn find(text: &[u8], start: usize, found: &mut Vec<Range<usize>>) -> usize {
    let end = run(text, start, is_opaque_byte);
    // Behind an escaped line feed, the run begins with the `n` of `\n`.
    let line = start + usize::from(text[start] == b'n' && text[..start].ends_with(b"\\"));
    if let Some(to) = key_lines(text, line, end) {
        found.push(line..to);
        return end;
    }
    if end - start < SHORTEST || is_checksum(text, start, end) || text[start..end].starts_with(b"nix/store/")
    {
        return end;
    }
    let before = found.len();
    let mut piece = start;
    while piece < end {
        let stop = run(&text[..end], piece, |byte| byte != b'/');
        if is_random(&text[piece..stop]) {
            found.push(piece..stop);
        }
        piece = stop + 1;
    }
    // Base64 contains slashes, so that every piece may be short.
    let long = end - start >= LONG;
    if found.len() == before && long && (is_random(&text[start..end]) || is_aws_secret(&text[start..end])) {
        found.push(start..end);
    }
    end
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// The end of the lines of base64 that begin with the run, as in files of keys: lines of equal length, and a shorter
/// last one.
fn key_lines(text: &[u8], start: usize, end: usize) -> Option<usize> {
    /// The lengths of lines in PEM, OpenSSH and MIME.
    const LENGTHS: [usize; 3] = [64, 70, 76];
    let line = &text[start..end];
    let len = line.len();
    let whole =
        |at: usize| text.get(at).is_none_or(|byte| is_space(*byte) || matches!(byte, b'=' | b'\\' | b'"'));
    if !LENGTHS.contains(&len)
        || !is_line_start(text, start)
        || !whole(end)
        || !line.iter().all(|byte| is_base64(*byte))
        || !is_random(line)
    {
        return None;
    }
    let mut to = end;
    while let Some(next) = next_line(text, to) {
        let stop = run_within(text, next, len + 1, is_base64);
        let padded = run_within(text, stop, 2, |byte| byte == b'=');
        if stop - next == len && whole(stop) {
            to = padded;
            continue;
        }
        let last = &text[next..padded];
        let is_last = stop - next < len && whole(padded) && last.len() >= 4 && last.len().is_multiple_of(4);
        if is_last && last.iter().any(|byte| !byte.is_ascii_alphabetic()) {
            to = padded;
        }
        break;
    }
    Some(to)
}

fn is_line_start(text: &[u8], at: usize) -> bool {
    at == 0 || matches!(text[at - 1], b'\n' | b'"') || text[..at].ends_with(b"\\n")
}

/// The position behind the line feed at `at`, which may be written `\\n`.
fn next_line(text: &[u8], at: usize) -> Option<usize> {
    ["\n", "\r\n", "\\n", "\\r\\n"].iter().find(|feed| starts(text, at, feed)).map(|feed| at + feed.len())
}

/// Whether the token is a secret key of AWS: 40 characters of base64. With this exact length, weaker limits hold.
fn is_aws_secret(token: &[u8]) -> bool {
    if token.len() != 40 || !token.iter().all(|byte| is_base64(*byte)) {
        return false;
    }
    let mut whole = Looks::default();
    for part in token.split(|byte| !byte.is_ascii_alphanumeric()) {
        whole.add(&Looks::of(part), part);
    }
    (whole.small && whole.capital && whole.digit)
        && whole.changes * 100 >= whole.len * 30
        && whole.in_words * 100 <= whole.len * 70
}

/// Whether the run is a checksum: `sha512-…` of package managers, or `SHA256:…` of ssh.
fn is_checksum(text: &[u8], start: usize, end: usize) -> bool {
    const LENGTHS: [(&str, usize); 4] = [("sha1-", 27), ("sha256-", 43), ("sha384-", 64), ("sha512-", 86)];
    let run = &text[start..end];
    let subresource =
        LENGTHS.iter().any(|(name, len)| run.starts_with(name.as_bytes()) && run.len() == name.len() + len);
    // Base64 of 32 bytes, which may begin with a sign.
    let signs = text[..start].iter().rev().take(2).take_while(|byte| matches!(byte, b'+' | b'/')).count();
    let before = &text[..start - signs];
    subresource || ((before.ends_with(b"SHA256:") || before.ends_with(b"h1:")) && run.len() + signs == 43)
}

fn is_random(token: &[u8]) -> bool {
    spend(token.len());
    // Mangled names of C++ and Rust, and the boundary of a form.
    if token.len() < SHORTEST || token.starts_with(b"_Z") || token.starts_with(b"WebKitFormBoundary") {
        return false;
    }
    let mut whole = Looks::default();
    for part in token.split(|byte| matches!(byte, b'-' | b'_' | b'+' | b'/')) {
        if is_hex(part) {
            continue;
        }
        let looks = Looks::of(part);
        if looks.is_random_of_one_case() {
            return true;
        }
        whole.add(&looks, part);
    }
    whole.is_random()
}

/// Whether the token looks like random text and is no digest.
pub(super) fn looks_random(token: &[u8]) -> bool {
    is_random(token) || is_aws_secret(token)
}

fn is_hex(part: &[u8]) -> bool {
    let digits = part.strip_prefix(b"0x").unwrap_or(part);
    let one_case =
        |other: fn(&u8) -> bool| digits.iter().all(|byte| byte.is_ascii_hexdigit() && !other(byte));
    (digits.len() >= HEX && (one_case(u8::is_ascii_uppercase) || one_case(u8::is_ascii_lowercase)))
        || digits.iter().all(u8::is_ascii_digit)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Small,
    Capital,
    Digit,
}

fn class(byte: u8) -> Class {
    match byte {
        b'a'..=b'z' => Class::Small,
        b'A'..=b'Z' => Class::Capital,
        _ => Class::Digit,
    }
}

/// The features of a token without its separators.
#[derive(Debug, Default, Clone, Copy)]
struct Looks {
    len: usize,
    /// The number of changes of the class between neighbours.
    changes: usize,
    /// The number of characters in runs of four or more letters that could be a word.
    in_words: usize,
    small: bool,
    capital: bool,
    digit: bool,
    last: Option<Class>,
}

impl Looks {
    fn of(part: &[u8]) -> Self {
        let mut looks = Self { len: part.len(), ..Self::default() };
        let (mut word, mut word_class) = (0, None);
        for &byte in part {
            let class = class(byte);
            match class {
                Class::Small => looks.small = true,
                Class::Capital => looks.capital = true,
                Class::Digit => looks.digit = true,
            }
            looks.changes += usize::from(looks.last.is_some_and(|last| last != class));
            looks.last = Some(class);
            // A word has only small letters or only capitals, or one capital at its beginning.
            let goes_on = class != Class::Digit
                && (word_class == Some(class)
                    || (word == 1 && word_class == Some(Class::Capital) && class == Class::Small));
            if !goes_on {
                looks.in_words += if word >= 4 { word } else { 0 };
                word = 0;
            }
            word += usize::from(class != Class::Digit);
            word_class = Some(class);
        }
        looks.in_words += if word >= 4 { word } else { 0 };
        looks
    }

    fn add(&mut self, part: &Self, bytes: &[u8]) {
        let joint = matches!((self.last, bytes.first()), (Some(last), Some(first)) if last != class(*first));
        self.len += part.len;
        self.changes += part.changes + usize::from(joint);
        self.in_words += part.in_words;
        self.small |= part.small;
        self.capital |= part.capital;
        self.digit |= part.digit;
        self.last = part.last.or(self.last);
    }

    fn is_random(&self) -> bool {
        let (changes, words) = match self.len {
            32.. => (35, 60),
            24.. => (35, 50),
            _ => (40, 30),
        };
        self.len >= SHORTEST
            && (self.small && self.capital && self.digit)
            && self.changes * 100 >= self.len * changes
            && self.in_words * 100 <= self.len * words
    }

    fn is_random_of_one_case(&self) -> bool {
        // Short ones of capitals are ids, such as a ULID.
        let (changes, words) = match self.len {
            30.. => (25, 80),
            _ if self.small => (30, 60),
            _ => return false,
        };
        self.len >= SHORTEST_ONE_CASE
            && (self.small != self.capital && self.digit)
            && self.changes * 100 >= self.len * changes
            && self.in_words * 100 <= self.len * words
    }
}
