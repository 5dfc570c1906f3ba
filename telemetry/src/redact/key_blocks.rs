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

/// The lines of base64 behind `Private-Lines: 2` in a file of PuTTY.
pub(super) fn putty(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
    if &text[start..end] != b"Private-Lines" {
        return None;
    }
    let first = run_within(text, end, 16, |byte| !is_line_end(byte));
    let first = run_within(text, first, 2, is_line_end);
    let lines = run(text, first, |byte| {
        is_line_end(byte) || byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
    });
    // The run ends in the name of the next field.
    let stop = text[first..lines].iter().rposition(|byte| is_line_end(*byte)).map(|at| first + at);
    let stop = if lines == text.len() { Some(lines) } else { stop };
    stop.map(|stop| first..first + text[first..stop].trim_ascii_end().len()).filter(|found| !found.is_empty())
}

/// The end of the public key of ssh whose type is the word from `start` to `end`, or of the public key in DER and base64
/// that begins at `start`.
pub(super) fn public_key(text: &[u8], start: usize, end: usize) -> Option<usize> {
    /// The beginnings of SubjectPublicKeyInfo (RFC 5280) for Ed25519, a curve, RSA with 2048 bits, RSA with 1024 bits.
    const DER: [&[u8]; 4] =
        [b"MCowBQYDK2Vw", b"MFkwEwYHKoZIzj0C", b"MIIBIjANBgkqhkiG9w0BAQEF", b"MIGfMA0GCSqGSIb3DQEBAQUA"];
    if text[start] == b'M' && DER.iter().any(|begin| text[start..end].starts_with(begin)) {
        return Some(run(text, end, is_token68));
    }
    if text.get(end) != Some(&b' ') || text.get(end + 1) != Some(&b'A') {
        return None;
    }
    let word = &text[start..end];
    let ssh = word.starts_with(b"ssh-") || word.starts_with(b"ecdsa-sha2-") || word.starts_with(b"sk-ssh-");
    (ssh && starts(text, end, " AAAA")).then(|| run(text, end + 1, is_token68))
}
