//! Credentials in headers of HTTP: `Authorization: Bearer …`, `Basic …`, the end of a header's value.

use std::ops::Range;

use crate::redact::bytes::{
    REDACTED, is_blank, is_line_end, is_quote, is_token68, is_word, run, run_within, starts,
};
use crate::redact::marks::Form;
use crate::redact::{value_span, values};

/// The credentials behind the word `Bearer`, `ApiKey` or `Basic`.
pub(super) fn scheme(text: &[u8], start: usize, end: usize) -> Option<Range<usize>> {
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

/// The end of a header's value: the end of its line, or of the quotes around the header.
pub(super) fn end(text: &[u8], name: usize, from: usize) -> usize {
    let around = name.checked_sub(1).map(|at| text[at]).filter(|byte| is_quote(*byte));
    let behind = text.get(from).copied().filter(|byte| is_quote(*byte));
    if let Some(quote) = behind {
        return run(text, from + 1, |byte| byte != quote && !is_line_end(byte));
    }
    run(text, from, |byte| !is_line_end(byte) && Some(byte) != around)
}

/// The credentials of an `Authorization` header whose value begins at `from`, without the scheme.
pub(super) fn authorization(text: &[u8], name: usize, from: usize, form: Form) -> Option<Range<usize>> {
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
        let refers = value_span::refers(text, blank, form) || values::is_placeholder(&text[blank..to]);
        return (to > blank && !refers).then_some(blank..to);
    }
    let alone = known && text.get(word).is_none_or(|byte| is_line_end(*byte));
    if alone || starts(text, value, REDACTED) || value >= text.len() {
        return None;
    }
    if value_span::refers(text, value, form) {
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
        end(text, name, value)
    } else {
        end(&text[..value_span::unquoted_end(text, value, form)], name, value)
    };
    (to > start).then_some(start..to)
}
