//! Classes of bytes, runs of bytes, and the text that replaces a secret.

/// Whether the byte is a letter, a digit, `_` or `-`.
pub(super) fn is_word(byte: u8) -> bool {
    WORD[usize::from(byte)]
}

const WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let it = byte as u8;
        table[byte] = it.is_ascii_alphanumeric() || it == b'_' || it == b'-';
        byte += 1;
    }
    table
};

/// The end of the run of bytes of a class that begins at `start`.
pub(super) fn run(text: &[u8], start: usize, class: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let len = rest.iter().position(|byte| !class(*byte)).unwrap_or(rest.len());
    spend(len + 1);
    start + len
}

/// As [`run`], for at most `limit` bytes.
pub(super) fn run_within(text: &[u8], start: usize, limit: usize, class: impl Fn(u8) -> bool) -> usize {
    let end = text.len().min(start.saturating_add(limit));
    run(&text[..end], start.min(end), class)
}

pub(super) fn starts(text: &[u8], at: usize, with: &str) -> bool {
    text.get(at..).is_some_and(|rest| rest.starts_with(with.as_bytes()))
}

/// As [`starts`], in capital or small letters.
pub(super) fn starts_any_case(text: &[u8], at: usize, with: &str) -> bool {
    begins(text, at, with.as_bytes())
}

/// Whether `with` begins at `at`, in capital or small letters.
pub(super) fn begins(text: &[u8], at: usize, with: &[u8]) -> bool {
    text.get(at..at.saturating_add(with.len())).is_some_and(|it| it.eq_ignore_ascii_case(with))
}

/// Whether the text ends in `with`, in capital or small letters.
pub(super) fn ends_any_case(text: &[u8], with: &[u8]) -> bool {
    text.len().checked_sub(with.len()).is_some_and(|at| begins(text, at, with))
}

/// Whether the text has a letter and a digit.
pub(super) fn has_letter_and_digit(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_digit) && text.iter().any(u8::is_ascii_alphabetic)
}

/// The end of the code for the colour of a terminal that begins at `at`: `\x1b[1;31m` (ECMA-48, 5.4).
pub(super) fn colour_end(text: &[u8], at: usize) -> Option<usize> {
    const LONGEST: usize = 32;
    if !starts(text, at, "\u{1b}[") {
        return None;
    }
    let letter = run_within(text, at + 2, LONGEST, |byte| matches!(byte, b'0'..=b'?'));
    text.get(letter).filter(|byte| byte.is_ascii_alphabetic()).map(|_| letter + 1)
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Whether the byte is white space or another control character.
pub(super) fn is_space(byte: u8) -> bool {
    byte <= b' ' || byte == 0x7f
}

pub(super) fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

pub(super) fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

/// Whether the `%` at `at` begins an encoded byte.
pub(super) fn is_encoded(text: &[u8], at: usize) -> bool {
    text.get(at + 1..at + 3).is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit))
}

/// Whether the byte may be in a `token68` of a header (RFC 9110, 11.2).
pub(super) fn is_token68(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=')
}

#[cfg(test)]
thread_local! {
    /// The number of bytes that scans on this thread have looked at. A test checks that it is linear.
    pub(super) static SPENT: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
pub(super) fn spend(bytes: usize) {
    SPENT.with(|spent| spent.set(spent.get() + bytes as u64));
}

#[cfg(not(test))]
pub(super) fn spend(_bytes: usize) {}

/// The text that replaces a secret.
pub const REDACTED: &str = "[redacted]";
