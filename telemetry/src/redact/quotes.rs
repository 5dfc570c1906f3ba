//! Texts in quotes.

use std::ops::Range;

use crate::redact::bytes::{is_line_end, is_quote, is_space, run, run_within, spend, starts};

/// The text in the quotes that open at `start`, which may be escaped several times. It ends at the closing quote, or at
/// the end.
pub(super) fn quoted(text: &[u8], start: usize) -> Option<Range<usize>> {
    if starts(text, start, "%22") {
        let inside = start + 3;
        let mut at = inside;
        while at < text.len() && !starts(text, at, "%22") && !is_space(text[at]) {
            at += 1;
        }
        spend(at - inside);
        return Some(inside..at);
    }
    // A quote of a shell within a text in quotes, and one of HTML.
    if let Some(quote) = ["'\"'\"'", "'\\''", "&quot;"].iter().find(|quote| starts(text, start, quote)) {
        let inside = start + quote.len();
        let mut at = inside;
        while at < text.len() && !starts(text, at, quote) && !is_line_end(text[at]) {
            at += 1;
        }
        spend(at - inside);
        return Some(inside..at);
    }
    let escapes = run_within(text, start, 8, |byte| byte == b'\\') - start;
    let quote = *text.get(start + escapes).filter(|byte| is_quote(**byte))?;
    let inside = start + escapes + 1;
    let mut at = inside;
    loop {
        at = run(text, at, |byte| byte != quote && byte != b'\\');
        let slashes = run(text, at, |byte| byte == b'\\') - at;
        match text.get(at + slashes) {
            None => return Some(inside..text.len()),
            Some(byte) if *byte == quote => {
                let closes = slashes <= escapes || (escapes == 0 && slashes.is_multiple_of(2));
                if closes {
                    return Some(inside..if escapes == 0 { at + slashes } else { at });
                }
                at += slashes + 1;
            }
            Some(_) => at += slashes.max(1),
        }
    }
}

/// The position behind the quotes that close the string whose text ends at `end`.
pub(super) fn closers_of_string(text: &[u8], end: usize) -> usize {
    run_within(text, end, 4, |byte| byte == b'\\' || is_quote(byte))
}
