//! Keys in files: blocks between `-----BEGIN` and `-----END`, and public keys of ssh.

use std::ops::Range;

use crate::redact::bytes::{is_line_end, is_space, is_token68, run, run_within, spend, starts};

/// What a block is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Block {
    /// A private key, which is a secret.
    Private(Range<usize>),
    /// A certificate or a public key, which stays: the position behind its text, or behind its first line if it has no end.
    Public(usize),
}

/// The block that begins at `at`.
pub(super) fn block(text: &[u8], at: usize) -> Block {
    if let Some(found) = private_key(text, at) {
        return Block::Private(found);
    }
    let label = run_within(text, at + 11, 64, |byte| byte != b'-' && !is_line_end(byte));
    let body = run_within(text, label, 5, |byte| byte == b'-');
    let end = run(text, body, |byte| {
        is_space(byte) || matches!(byte, b'+' | b'/' | b'=') || byte.is_ascii_alphanumeric()
    });
    Block::Public(if starts(text, end, "-----END ") { end } else { at + 5 })
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

/// The end of the public key of ssh whose type is the word from `start` to `end`.
pub(super) fn public_key(text: &[u8], start: usize, end: usize) -> Option<usize> {
    if text.get(end) != Some(&b' ') || text.get(end + 1) != Some(&b'A') {
        return None;
    }
    let word = &text[start..end];
    let ssh = word.starts_with(b"ssh-") || word.starts_with(b"ecdsa-sha2-") || word.starts_with(b"sk-ssh-");
    (ssh && starts(text, end, " AAAA")).then(|| run(text, end + 1, is_token68))
}
