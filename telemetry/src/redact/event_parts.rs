//! The parts of an event that a person or a program wrote, redacted before they are stored.

use std::borrow::Cow;

use crate::redact::bytes::REDACTED;
use crate::redact::redact::{is_credential, redact};

/// What a tool says of an event besides its name.
///
/// # What is collected
/// `metadata` always. `args` and `error` only while the tool's author has turned extended collection on; without it
/// they are dropped here, before anything else sees them.
///
/// # What is never collected
/// Paths and contents of files, the environment, IP address, user name and host name: no part of this crate reads them
/// into an event. What a tool puts into these parts itself is passed on, less its secrets.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventParts<'a> {
    /// The arguments of the command, without the program's name.
    pub args: Option<&'a [&'a str]>,
    /// The message of the error that ended it.
    pub error: Option<&'a str>,
    /// Names and values.
    pub metadata: &'a [(&'a str, &'a str)],
    /// Whether `args` and `error` may be collected.
    pub extended: bool,
}

/// [`EventParts`] that may touch the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedactedParts<'a> {
    /// As many as there were; `None` without extended collection.
    pub args: Option<Vec<Cow<'a, str>>>,
    /// `None` without extended collection.
    pub error: Option<Cow<'a, str>>,
    /// In the same order.
    pub metadata: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Redacts every part. The value of a metadata name such as `api_key`, and the argument behind a flag such as `--token`,
/// go whatever they look like.
#[must_use]
pub fn redact_parts<'a>(parts: &EventParts<'a>) -> RedactedParts<'a> {
    RedactedParts {
        args: parts.args.filter(|_| parts.extended).map(arguments),
        error: parts.error.filter(|_| parts.extended).map(redact),
        metadata: parts.metadata.iter().map(|(name, value)| redact_pair(name, value)).collect(),
    }
}

/// A name and a value of metadata.
pub(crate) fn redact_pair<'a>(name: &'a str, value: &'a str) -> (Cow<'a, str>, Cow<'a, str>) {
    (redact(name), redact_value(name, value))
}

/// The value of metadata of this name.
pub(crate) fn redact_value<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if !value.is_empty() && is_credential(name) && !is_ordinary(name, value) {
        return Cow::Borrowed(REDACTED);
    }
    redact(value)
}

/// `key` and `code` are names of much that is no secret; a short number or a switch is none anywhere.
fn is_ordinary(name: &str, value: &str) -> bool {
    matches!(name, "key" | "code") || matches!(value, "true" | "false")
}

fn arguments<'a>(args: &[&'a str]) -> Vec<Cow<'a, str>> {
    let mut previous = "";
    let mut redacted = Vec::with_capacity(args.len());
    for arg in args {
        redacted.push(if announces(previous, arg) { Cow::Borrowed(REDACTED) } else { redact(arg) });
        previous = arg;
    }
    redacted
}

/// Whether `flag` is one whose value, the next argument, is a secret.
fn announces(flag: &str, value: &str) -> bool {
    if value.is_empty() || !flag.starts_with('-') {
        return false;
    }
    let name = flag.trim_start_matches('-');
    let is_user = matches!(flag, "-u" | "--user" | "--proxy-user") && value.contains(':');
    // A password may begin with a dash, a flag does with a letter behind it.
    let is_flag = value.starts_with("--");
    !is_flag && (is_user || (!matches!(name, "key" | "code") && is_credential(name)))
}
