//! The user part of a URL and of other names of databases.

use std::ops::Range;

use crate::redact::bytes::{
    REDACTED, is_encoded, is_quote, is_space, is_word, run, run_within, spend, starts, starts_any_case,
};
use crate::redact::values;

/// The longest user part with signs that should be encoded, or of a URL that is encoded as a whole.
const LONGEST: usize = 512;

/// The longest host, and the longest part of a name of a database before its `@`.
const LONGEST_HOST: usize = 128;

/// Whether the byte ends a URL, in quotes or not.
fn ends_url(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b'"' | b'<' | b'>' | b'`' | b'\\')
}

/// The end of the authority, which begins at `start`.
fn authority_end(text: &[u8], start: usize) -> usize {
    run(text, start, |byte| !ends_url(byte) && !matches!(byte, b'/' | b'?' | b'#'))
}

/// The last `@` from `start` to `end`.
fn last_sign(text: &[u8], start: usize, end: usize) -> Option<usize> {
    text[start..end].iter().rposition(|byte| *byte == b'@').map(|at| start + at)
}

/// The user part of a URL whose user or host begins at `start`. Its password may have a slash, a quote, `#` or `@` without an
/// encoding.
pub(super) fn user_part(text: &[u8], start: usize) -> Option<Range<usize>> {
    let authority = authority_end(text, start);
    let first = last_sign(text, start, authority);
    if first.is_none() && !has_password(&text[start..authority], text.get(authority).copied()) {
        return None;
    }
    let whole = |sign: usize| is_whole_host(text, sign + 1);
    let end = match first {
        Some(sign) if whole(sign) => authority,
        _ => end_with_signs(text, start).max(authority),
    };
    // Another URL begins.
    let end = memchr::memmem::find(&text[authority..end], b"://").map_or(end, |found| authority + found);
    let begins_host =
        |at: usize| text.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'[');
    let sign = first.or_else(|| {
        let at = (authority..end).find(|at| text[*at] == b'@' && begins_host(*at + 1))?;
        last_sign(text, at, authority_end(text, at))
    })?;
    let sign = if whole(sign) {
        sign
    } else {
        let goes_on = |at: &usize| text[*at] == b'@' && begins_host(*at + 1) && continues(text, sign, *at);
        (sign + 1..end).rfind(goes_on).unwrap_or(sign)
    };
    let user = &text[start..sign];
    let none =
        user.is_empty() || user == b"git" || user == REDACTED.as_bytes() || values::is_all_placeholders(user);
    (!none).then_some(start..sign)
}

/// The end of the text without blanks that begins at `start`, up to the quote around the URL.
fn end_with_signs(text: &[u8], start: usize) -> usize {
    let around = quote_around(text, start);
    let goes_on = |byte: u8| !is_space(byte) && Some(byte) != around;
    let end = run_within(text, start, LONGEST, goes_on);
    if around == Some(b'"') && text[..end].ends_with(b"\\") {
        return run_within(text, text.len().min(end + 1), LONGEST, goes_on);
    }
    end
}

/// The quote before the scheme of the URL whose user begins at `start`.
fn quote_around(text: &[u8], start: usize) -> Option<u8> {
    let scheme = text[..start].iter().rev().take(40);
    let before = scheme
        .skip_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-' | b':' | b'/'));
    before.copied().next().filter(|byte| is_quote(*byte))
}

/// Whether the authority of a URL is `user:password`, and not `host:port`. `next` is the byte behind it.
fn has_password(authority: &[u8], next: Option<u8>) -> bool {
    let Some(colon) = authority.iter().position(|byte| *byte == b':') else { return false };
    let port = &authority[colon + 1..];
    let is_port = port.iter().all(u8::is_ascii_digit) && next != Some(b'#');
    authority[0] != b'[' && !port.is_empty() && !is_port
}

fn host_end(text: &[u8], at: usize) -> usize {
    run_within(text, at, LONGEST_HOST, |byte| is_word(byte) || byte == b'.')
}

/// Whether the host at `at` has a dot or a port, or is the machine itself.
fn is_whole_host(text: &[u8], at: usize) -> bool {
    let end = host_end(text, at);
    let host = &text[at..end];
    let port = text.get(end) == Some(&b':') && text.get(end + 1).is_some_and(u8::is_ascii_digit);
    host.contains(&b'.') || port || host == b"localhost" || text.get(at) == Some(&b'[')
}

/// Whether the user part goes on from the sign `first`, behind which there is no whole host, to the sign `last`.
fn continues(text: &[u8], first: usize, last: usize) -> bool {
    let between = text.get(host_end(text, first + 1)..last).unwrap_or_default();
    let fragment = matches!(between.first(), Some(b'#' | b'?')) && between.len() <= LONGEST_HOST;
    spend(between.len().min(LONGEST_HOST));
    is_whole_host(text, last + 1) || (fragment && !between.contains(&b'='))
}

/// The end of the encoded `://` that begins at `at`.
pub(super) fn encoded_scheme_end(text: &[u8], at: usize) -> Option<usize> {
    (is_encoded(text, at) && starts_any_case(text, at, "%3a%2f%2f")).then_some(at + 9)
}

/// The user part of a URL that is percent-encoded as a whole.
pub(super) fn encoded_user_part(text: &[u8], start: usize) -> Option<Range<usize>> {
    let end = run_within(text, start, LONGEST, |byte| !ends_url(byte) && byte != b'&');
    spend(end - start);
    let found = text[start..end].windows(3).position(|it| it == b"%40" || it.eq_ignore_ascii_case(b"%2f"))?;
    let user = start..start + found;
    (found > 0 && starts(text, user.end, "%40") && &text[user.clone()] != REDACTED.as_bytes()).then_some(user)
}

/// The user and the password before the `@` at `at` of a name of a database without `://`: `user:password@tcp(host)`,
/// `jdbc:oracle:thin:user/password@host`. They begin at `from` or later.
pub(super) fn user_of_database(text: &[u8], from: usize, at: usize) -> Option<Range<usize>> {
    const HOSTS: [&str; 5] = ["tcp(", "tcp6(", "udp(", "unix(", "("];
    let from = from.max(at.saturating_sub(LONGEST_HOST));
    let before = &text[from..at];
    spend(before.len());
    let ends = |byte: &u8| is_space(*byte) || *byte == b'"';
    let mut start = from + before.iter().rposition(ends).map_or(0, |found| found + 1);
    // A name of an option, and a quote, stand before the user.
    let user = &text[start..run_within(&text[..at], start, LONGEST_HOST, |byte| byte != b':')];
    start += user.iter().rposition(|byte| *byte == b'=' || is_quote(*byte)).map_or(0, |found| found + 1);
    let go = HOSTS.iter().any(|host| starts(text, at + 1, host)) && text[start..at].contains(&b':');
    let thin = memchr::memmem::find(&text[start..at], b":thin:").map(|found| start + found + 6);
    if let Some(thin) = thin {
        start = thin;
    }
    let oracle = (thin.is_some() || text[..start].ends_with(b"sqlplus ")) && text[start..at].contains(&b'/');
    ((go || oracle) && start < at && &text[start..at] != REDACTED.as_bytes()).then_some(start..at)
}
