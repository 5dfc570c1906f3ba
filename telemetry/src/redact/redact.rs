//! The replacement of secrets in free text by [`REDACTED`], before the text is stored.
//!
//! # What is replaced
//! - the user part of a URL, `https://[redacted]@host/`, with or without a password, also percent-encoded;
//! - the value behind the name of a credential: `password=…`, `"client_secret": "…"`, `--token …`, `?sig=…`,
//!   `access_token%3D…`, `<password>…</password>`, `{"name": "DB_PASSWORD", "value": "…"}`, in any spelling of the name
//!   (`api-key`, `ApiKey`, `API_KEY`, `MY_API_KEY`);
//! - the credentials of the headers `Authorization`, `Proxy-Authorization`, `Cookie`, `Set-Cookie` and `X-Api-Key`,
//!   without the name of the scheme;
//! - keys in the form of a known provider: `ghp_…`, `sk-…`, `AKIA…`, JSON web tokens, blocks of private keys, and about a
//!   hundred more (`key_prefixes.rs` has the table);
//! - a text that looks like a secret behind such a name without a mark: `passwd hunter2x`, `passphrase is "…"`,
//!   `sshpass -p …`, `mysql -p…`;
//! - lines of base64 with the length of lines in key files, and the lines that follow;
//! - long opaque tokens: 24 or more characters that mix capitals, small letters and digits like random text, and 30 or more
//!   of one case and digits.
//!
//! # What stays
//! Digests and ids: **hexadecimal digits stay, whatever their number**. Error messages are full of commits, checksums
//! and UUIDs, and a secret of hexadecimal digits looks the same. Such a secret is replaced only behind a name, a header
//! or a prefix. Checksums of the form `sha512-…` and `SHA256:…` stay, and so do identifiers, paths, versions,
//! placeholders (`${TOKEN}`, `<TOKEN>`, `***`) and values without information (`null`, `true`; behind a colon also
//! words such as `required`).
//!
//! # Properties
//! The function has no state and no configuration. It is idempotent: text is scanned until a scan finds nothing, and
//! text that still changes after a few scans is replaced as a whole. Its time is linear in the length. It is written by
//! hand because a regular expression engine would be larger than the rest of this crate. A secret in an unknown form
//! passes: redaction reduces the risk, and does not remove it.

use std::{borrow::Cow, ops::Range};

use crate::redact::bytes::REDACTED;
use crate::redact::{key_names, scanner};

/// The number of scans after which text that still changes is replaced as a whole.
const SCANS: usize = 6;

/// `text` with its secrets replaced by [`REDACTED`](crate::REDACTED); borrowed when there are none.
///
/// ```
/// use jackfield::redact;
///
/// assert_eq!(redact("GET https://me:pw@host/?token=abc&page=2"), "GET https://[redacted]@host/?token=[redacted]&page=2");
/// assert_eq!(redact("no such file: src/main.rs"), "no such file: src/main.rs");
/// ```
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    if scanner::is_harmless_word(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let mut found = Vec::new();
    scanner::scan(text, &mut found);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = replace(text, &found);
    for _ in 1..SCANS {
        found.clear();
        scanner::scan(&out, &mut found);
        if found.is_empty() {
            return Cow::Owned(out);
        }
        out = replace(&out, &found);
    }
    Cow::Borrowed(REDACTED)
}

/// Whether `text` is a word of letters, digits, `_` and `-` that [`redact`] leaves as it is.
pub(crate) fn is_harmless_word(text: &str) -> bool {
    scanner::is_harmless_word(text.as_bytes())
}

/// Whether a value with this name is a credential, such as `client_secret`, `X-Api-Key` or `DB_PASSWORD`.
pub(crate) fn is_credential(name: &str) -> bool {
    key_names::classify(name.as_bytes()) != key_names::Name::Other
}

/// Replaces the ranges of `found`, which are in order, without overlap, and end between characters.
fn replace(text: &str, found: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for range in found {
        out.push_str(&text[done..range.start]);
        out.push_str(REDACTED);
        done = range.end;
    }
    out.push_str(&text[done..]);
    out
}

/// The parts of an event besides its name.
///
/// # What is collected
/// `metadata` always. `args` and `error` only when the tool's author has turned on extended collection; otherwise they
/// are dropped here, before anything else reads them.
///
/// # What is never collected
/// Paths and contents of files, the environment, IP address, user name and host name: this crate never reads them into
/// an event. Text that the tool itself puts into these parts is passed on, without its secrets.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventParts<'a> {
    /// The arguments of the command, without the program's name.
    pub args: Option<&'a [&'a str]>,
    /// The message of the error that ended the command.
    pub error: Option<&'a str>,
    /// Names and values.
    pub metadata: &'a [(&'a str, &'a str)],
    /// Whether `args` and `error` may be collected.
    pub extended: bool,
}

/// [`EventParts`] that may be stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedactedParts<'a> {
    /// The redacted arguments, in order; `None` without extended collection.
    pub args: Option<Vec<Cow<'a, str>>>,
    /// The redacted message; `None` without extended collection.
    pub error: Option<Cow<'a, str>>,
    /// Redacted names and values, in order.
    pub metadata: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Redacts every part. The value of a metadata name such as `api_key`, and the argument after a flag such as `--token`,
/// are always replaced.
#[must_use]
pub fn redact_parts<'a>(parts: &EventParts<'a>) -> RedactedParts<'a> {
    RedactedParts {
        args: parts.args.filter(|_| parts.extended).map(arguments),
        error: parts.error.filter(|_| parts.extended).map(redact),
        metadata: parts.metadata.iter().map(|(name, value)| redact_pair(name, value)).collect(),
    }
}

/// The redacted name and value of metadata.
pub(crate) fn redact_pair<'a>(name: &'a str, value: &'a str) -> (Cow<'a, str>, Cow<'a, str>) {
    (redact(name), redact_value(name, value))
}

/// The redacted value of metadata with this name.
pub(crate) fn redact_value<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if !value.is_empty() && is_credential(name) && !is_ordinary(name, value) {
        return Cow::Borrowed(REDACTED);
    }
    redact(value)
}

/// Whether the value is no secret: `key` and `code` are ordinary names, and a switch is an ordinary value.
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

/// Whether the value of `flag`, the next argument, is a secret.
fn announces(flag: &str, value: &str) -> bool {
    if value.is_empty() || !flag.starts_with('-') {
        return false;
    }
    let name = flag.trim_start_matches('-');
    let is_user = matches!(flag, "-u" | "--user" | "--proxy-user") && value.contains(':');
    // A password may begin with one dash, but with two dashes it is probably another flag.
    let is_flag = value.starts_with("--");
    !is_flag && (is_user || (!matches!(name, "key" | "code") && is_credential(name)))
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
