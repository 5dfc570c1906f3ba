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

/// Replaces the ranges of `found`, which are in order, without overlap, and end between characters.
pub(super) fn replace(text: &str, found: &[Found]) -> String {
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

/// Adds what was found in the text in which `all` is replaced.
pub(super) fn merge(all: &mut Vec<Found>, found: Vec<Found>) {
    // A position in the replaced text, in the original one. Inside of a marker it is the beginning or the end.
    let original = |at: usize, end: bool| {
        let mut shift = 0_isize;
        for it in all.iter() {
            let start = it.range.start.saturating_add_signed(-shift);
            if at <= start {
                break;
            }
            if at < start + REDACTED.len() {
                return if end { it.range.end } else { it.range.start };
            }
            shift += it.range.len().cast_signed() - REDACTED.len().cast_signed();
        }
        at.saturating_add_signed(shift)
    };
    let found: Vec<_> = found
        .into_iter()
        .map(|it| Found {
            range: original(it.range.start, false)..original(it.range.end, true),
            rule: it.rule,
        })
        .collect();
    all.retain(|old| {
        !found.iter().any(|new| new.range.start <= old.range.start && old.range.end <= new.range.end)
    });
    all.extend(found);
    all.sort_by_key(|it| it.range.start);
}
