//! The replacement of secrets in free text by [`REDACTED`], before the text is stored.
//!
//! # What is replaced
//! The tables in `rules/` have the rules, each with a text from which it takes a secret and a text that it leaves:
//! - `keys.tsv`: keys that are known by the beginning that their provider gives them;
//! - `names.tsv`: names of credentials, in any spelling (`api-key`, `ApiKey`, `MY_API_KEY`), and labels in other languages;
//! - `marks.tsv`: what may stand between a name and its value (`=`, `:`, `?=`, `%3D`, ...);
//! - `values.tsv`: what a program writes around a value (`Some(`), values that mean nothing, and references;
//! - `commands.tsv`: flags of one letter that take a password; `hooks.tsv`: URLs whose path is the secret.
//!
//! The engine has what a table can't say: where a value ends (`value_span.rs`), the user part of a URL and of other names
//! of databases (`urls.rs`), headers (`headers.rs`), blocks of keys (`key_blocks.rs`), secrets in sentences and lines of password files
//! (`prose.rs`), and tokens that look random (`entropy.rs`). What was found once is replaced wherever it recurs in the same text (`recurrence.rs`).
//!
//! # What stays
//! Digests and ids: **hexadecimal digits stay, whatever their number**. Error messages are full of commits, checksums
//! and UUIDs, and a secret of hexadecimal digits looks the same. Such a secret is replaced only behind a name, a header
//! or a prefix. Checksums of the form `sha512-…` and `SHA256:…`, public keys of ssh and certificates stay, and so do
//! identifiers, paths, versions, references (`${TOKEN}`, `$(cat file)`, `var.password`), placeholders (`<TOKEN>`, `***`) and
//! values without information (`null`, `true`; behind a colon also words such as `required`).
//!
//! # Properties
//! The function has no state and no configuration. It is idempotent: text is scanned until a scan finds nothing, and
//! text that still changes after a few scans is replaced as a whole. Its time is linear in the length: each look ahead or back
//! has a limit or is made once. It is written by hand because a regular expression engine would be larger than the rest of this
//! crate. A secret in an unknown form passes: redaction reduces the risk, and does not remove it.

use std::borrow::Cow;

use crate::redact::bytes::REDACTED;
use crate::redact::key_names::Name;
use crate::redact::personal::PersonalNames;
use crate::redact::rule::{Found, Rule, merge, replace_found};
use crate::redact::{commands, key_names, prose, recurrence, scanner, value_span, values};

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
    let found = find_secrets(text);
    if found.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(replace_found(text, &found)) }
}

/// One scan: what the rules find, and where it recurs.
fn scan(text: &str, found: &mut Vec<Found>) {
    scanner::scan(text, found);
    if !found.is_empty() {
        recurrence::add(text, found);
    }
}

/// What [`redact`] replaces in `text`, in order and without overlap.
#[must_use]
pub fn find_secrets(text: &str) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    let mut now = Cow::Borrowed(text);
    for _ in 0..SCANS {
        let mut found = Vec::new();
        scan(&now, &mut found);
        if found.is_empty() {
            return all;
        }
        let replaced = replace_found(&now, &found);
        merge(&mut all, found);
        now = Cow::Owned(replaced);
    }
    vec![Found { range: 0..text.len(), rule: Rule::Unstable }]
}

/// What redaction replaces in an argument or a message of a tool with extended collection: secrets, and then personal data. In
/// order and without overlap.
#[must_use]
pub fn find_in_message(text: &str, personal: &PersonalNames) -> Vec<Found> {
    let mut all = find_secrets(text);
    let found = personal.find(&replace_found(text, &all));
    merge(&mut all, found);
    all
}

/// Whether `text` is a word of letters, digits, `_` and `-` that [`redact`] leaves as it is.
pub(crate) fn is_harmless_word(text: &str) -> bool {
    scanner::is_harmless_word(text.as_bytes())
}

/// Whether a value with this name is a credential, such as `client_secret`, `X-Api-Key` or `DB_PASSWORD`.
pub(crate) fn is_credential(name: &str) -> bool {
    !matches!(key_names::classify(name.as_bytes()), Name::Other | Name::Suspect)
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
    if !value.is_empty() && is_secret(name, value) {
        return Cow::Borrowed(REDACTED);
    }
    redact(value)
}

/// Whether the value of metadata with this name is a secret. `key` and `code` are ordinary names, and a switch is an ordinary
/// value.
fn is_secret(name: &str, value: &str) -> bool {
    let long = || value_span::is_suspicious(value.as_bytes());
    match key_names::classify(name.as_bytes()) {
        Name::Other => {
            key_names::phrase(name.as_bytes(), name.len()).is_some()
                || key_names::label(name.as_bytes()).is_some()
        }
        Name::Suspect | Name::Query => long(),
        _ => !matches!(value, "true" | "false") && !values::is_placeholder(value.as_bytes()),
    }
}

fn arguments<'a>(args: &[&'a str]) -> Vec<Cow<'a, str>> {
    (0..args.len()).map(|at| argument(&args[..at], args[at])).collect()
}

/// The redacted argument behind others.
fn argument<'a>(before: &[&str], arg: &'a str) -> Cow<'a, str> {
    let previous = before.last().copied().unwrap_or_default();
    if announces(before, previous, arg) {
        return Cow::Borrowed(REDACTED);
    }
    // `-pVALUE`
    let letter = arg.strip_prefix('-').and_then(|rest| rest.chars().next()).filter(char::is_ascii_alphabetic);
    if arg.len() > 2
        && let Some(letter) = letter
        && let Some(form) = command_flag(before, letter as u8)
    {
        let value = &arg[2..];
        let user = form != commands::Value::User || commands::is_user(value.as_bytes());
        if user && !is_reference(value) {
            return Cow::Owned(format!("-{letter}{REDACTED}"));
        }
    }
    redact(arg)
}

/// The form of the value of the flag with this letter of the command that the arguments name.
fn command_flag(before: &[&str], letter: u8) -> Option<commands::Value> {
    /// The greatest number of arguments between a command and its flag.
    const DISTANCE: usize = 16;
    let words = before.iter().rev().take(DISTANCE).map(|arg| arg.rsplit('/').next().unwrap_or_default());
    commands::value_of(letter, words.map(str::as_bytes))
}

fn is_reference(value: &str) -> bool {
    values::is_all_placeholders(value.as_bytes())
}

/// Whether `value` is a secret because of the argument before it.
fn announces(before: &[&str], previous: &str, value: &str) -> bool {
    if value.is_empty() || is_reference(value) {
        return false;
    }
    if let Some(name) = previous.strip_prefix('-').filter(|name| !name.is_empty()) {
        let is_user = commands::is_user_flag(previous.as_bytes()) && value.contains(':');
        if let Some(form) = command_flag(before, name.as_bytes()[0]).filter(|_| name.len() == 1) {
            let user = form != commands::Value::User || commands::is_user(value.as_bytes());
            return form != commands::Value::Attached && user && !value.starts_with('-');
        }
        // A password may begin with one dash, but with two dashes it is probably another flag.
        let name = name.trim_start_matches('-');
        let plain = values::is_plain_word(value.as_bytes()) || values::is_nothing(value.as_bytes(), true);
        return !value.starts_with("--")
            && (is_user || (!matches!(name, "key" | "code") && is_credential(name) && !plain));
    }
    // `config set password VALUE`
    match before {
        [.., first, last, name] => {
            prose::tells(first.as_bytes(), last.as_bytes())
                && key_names::classify(name.as_bytes()) == Name::Strong
                && !value.starts_with('-')
        }
        _ => false,
    }
}

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
