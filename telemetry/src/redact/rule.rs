//! What is found, and by which rule.

use std::{fmt, ops::Range};

use crate::redact::bytes::REDACTED;

/// A secret in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its bytes.
    pub range: Range<usize>,
    /// The rule that took it.
    pub rule: Rule,
}

/// A rule of redaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// The user part of a URL, or of another name of a database.
    Url,
    /// The value behind the name of a credential.
    Name,
    /// The value of a header of HTTP.
    Header,
    /// What follows `Bearer`, `Basic` or `ApiKey`.
    Scheme,
    /// A value behind a name without a mark.
    Said,
    /// The value of a flag.
    Flag,
    /// A key of a provider, by the beginning that it has.
    Key(&'static str),
    /// A key of a provider, by its form.
    Shape,
    /// The path of a webhook's URL.
    Hook,
    /// A block of a private key.
    PrivateKey,
    /// A token that looks random.
    Opaque,
    /// A secret that another rule took elsewhere in the same text.
    Again,
    /// Personal data of this kind.
    Personal(&'static str),
    /// Text that does not come to rest, which is replaced as a whole.
    Unstable,
}

impl Rule {
    /// The rule's id, one word.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Name => "name",
            Self::Header => "header",
            Self::Scheme => "scheme",
            Self::Said => "said",
            Self::Flag => "flag",
            Self::Key(_) => "key",
            Self::Shape => "shape",
            Self::Hook => "hook",
            Self::PrivateKey => "private-key",
            Self::Opaque => "opaque",
            Self::Again => "again",
            Self::Personal(kind) => kind,
            Self::Unstable => "unstable",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(prefix) => write!(f, "key {prefix}"),
            other => f.write_str(other.id()),
        }
    }
}

/// `text` with the ranges of `found` replaced by [`REDACTED`]. They are those that [`find_secrets`](crate::find_secrets) or
/// [`find_in_message`](crate::find_in_message) has found in this text.
///
/// # Panics
/// When the ranges are of another text.
#[must_use]
pub fn replace_found(text: &str, found: &[Found]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for Found { range, .. } in found {
        out.push_str(&text[done..range.start]);
        out.push_str(REDACTED);
        done = range.end;
    }
    out.push_str(&text[done..]);
    out
}

/// Adds what was found in the text in which `all` is replaced. Both are in order, and so is the result. A find that touches a
/// marker takes in what the marker stands for. The time is linear.
pub(super) fn merge(all: &mut Vec<Found>, found: Vec<Found>) {
    let mut merged = Vec::with_capacity(all.len() + found.len());
    let mut old = std::mem::take(all).into_iter().peekable();
    // How far a position of the original text is behind that of the replaced one.
    let mut shift = 0_isize;
    for Found { range, rule } in found {
        while let Some(before) = old.next_if(|it| marker(it, shift).end <= range.start) {
            shift += growth(&before);
            merged.push(before);
        }
        let mut start = range.start.saturating_add_signed(shift);
        if let Some(within) = old.peek().filter(|it| marker(it, shift).start < range.start) {
            start = within.range.start;
        }
        while let Some(covered) = old.next_if(|it| marker(it, shift).end <= range.end) {
            shift += growth(&covered);
        }
        let mut end = range.end.saturating_add_signed(shift);
        if let Some(within) = old.next_if(|it| marker(it, shift).start < range.end) {
            end = within.range.end;
            shift += growth(&within);
        }
        let start = start.max(merged.last().map_or(0, |last| last.range.end));
        merged.push(Found { range: start..end, rule });
    }
    merged.extend(old);
    *all = merged;
}

/// The bytes of the marker in the replaced text, where all before it has moved by `shift`.
fn marker(found: &Found, shift: isize) -> Range<usize> {
    let start = found.range.start.saturating_add_signed(-shift);
    start..start + REDACTED.len()
}

/// By how much the original is longer than its marker.
fn growth(found: &Found) -> isize {
    found.range.len().cast_signed() - REDACTED.len().cast_signed()
}
