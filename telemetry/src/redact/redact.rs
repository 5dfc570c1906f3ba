//! Secrets in free text, replaced by [`REDACTED`] before the text touches a disk.
//!
//! # What is replaced
//! - the user part of a URL, `https://[redacted]@host/`, whether it has a password or not, also percent-encoded;
//! - the value behind the name of a credential: `password=…`, `"client_secret": "…"`, `--token …`, `?sig=…`,
//!   `access_token%3D…`, `<password>…</password>`, `{"name": "DB_PASSWORD", "value": "…"}`, in any case and with any
//!   spelling of the name (`api-key`, `ApiKey`, `API_KEY`, `MY_API_KEY`);
//! - the credentials of `Authorization`, `Proxy-Authorization`, `Cookie`, `Set-Cookie` and `X-Api-Key` headers; the
//!   scheme's name stays, as does all else of a `Bearer` or `Basic` pair;
//! - keys in the form of a known provider: `ghp_…`, `sk-…`, `AKIA…`, JSON web tokens, blocks of private
//!   keys, about a hundred more (`key_prefixes.rs` has the table);
//! - a text that looks like a secret beside such a name, without a mark in between: `passwd hunter2x`, `passphrase is "…"`,
//!   `sshpass -p …`, `mysql -p…`;
//! - lines of base64 with the length of lines in key files, and the lines that follow;
//! - long opaque tokens: 24 or more characters that mix capitals, small letters and digits as random text does, 30 or more
//!   of one case and digits.
//!
//! # What stays
//! Digests and ids: **hexadecimal digits stay, whatever their number**. Error messages are full of commits, checksums and
//! UUIDs, and a secret of hexadecimal digits looks the same. Such a secret is replaced only behind a name, a header or a
//! prefix. Checksums of the form `sha512-…` and `SHA256:…` stay, and so do identifiers, paths, versions, placeholders
//! (`${TOKEN}`, `<TOKEN>`, `***`) and values without information (`null`, `true`; behind a colon also words such as
//! `required`).
//!
//! # Properties
//! The function has no state and no configuration. It is idempotent: text is scanned until a scan finds nothing, and text
//! that still changes after a few scans is replaced as a whole. Its time is linear in the length: every look ahead is
//! bounded or consumed. It is written by hand because a regular expression engine would be larger than the rest of this
//! crate. A secret in an unknown form passes: redaction reduces the risk, and does not remove it.

use std::{borrow::Cow, ops::Range};

use crate::redact::bytes::REDACTED;
use crate::redact::{key_names, scanner};

/// The number of scans after which text that still changes is replaced. The first scan finds the secrets, the second finds
/// nothing.
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

/// Whether [`redact`] leaves `text` as it is for being a word of letters, digits, `_` and `-`.
pub(crate) fn is_harmless_word(text: &str) -> bool {
    scanner::is_harmless_word(text.as_bytes())
}

/// Whether a value called `name` is a credential, such as `client_secret`, `X-Api-Key` or `DB_PASSWORD`.
pub(crate) fn is_credential(name: &str) -> bool {
    key_names::classify(name.as_bytes()) != key_names::Name::Other
}

/// `found` is in order and does not overlap; its ends are at characters.
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

#[cfg(test)]
#[path = "tests/mod.rs"]
mod tests;
