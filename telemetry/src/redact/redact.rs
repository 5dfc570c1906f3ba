//! Secrets in free text, replaced by [`REDACTED`] before the text touches a disk.
//!
//! # What is replaced
//! - the user part of a URL, `https://[redacted]@host/`, whether it has a password or not, also percent-encoded;
//! - the value that a credential's name announces: `password=…`, `"client_secret": "…"`, `--token …`, `?sig=…`,
//!   `access_token%3D…`, `<password>…</password>`, `{"name": "DB_PASSWORD", "value": "…"}`, in any case and with any
//!   spelling of the name (`api-key`, `ApiKey`, `API_KEY`, `MY_API_KEY`);
//! - the credentials of `Authorization`, `Proxy-Authorization`, `Cookie`, `Set-Cookie` and `X-Api-Key` headers; the
//!   scheme's name stays, as does all else of a `Bearer` or `Basic` pair;
//! - what has the shape that a provider gives to its keys: `ghp_…`, `sk-…`, `AKIA…`, JSON web tokens, blocks of private
//!   keys, some hundred more (`redact/provider.rs` has the table);
//! - what stands beside such a name without a mark, where it looks like a secret: `passwd hunter2x`, `passphrase is "…"`,
//!   `sshpass -p …`, `mysql -p…`;
//! - lines of base64 of the length that files of keys have, with those that follow;
//! - long opaque tokens: 24 or more characters that mix capitals, small letters and digits as random text does, 30 or more
//!   of one case and digits.
//!
//! # What stays
//! Digests and ids: **hexadecimal digits stay whatever their number**, because commits, checksums and UUIDs are what error
//! messages are about, and a secret of hexadecimal digits can't be told from them by its looks. Such a secret is
//! replaced only where a name, a header or a prefix gives it away. Checksums of the form `sha512-…` and `SHA256:…` stay
//! too, as do identifiers, paths, versions, placeholders (`${TOKEN}`, `<TOKEN>`, `***`) and values that tell nothing
//! (`null`, `true`; behind a colon also words such as `required`).
//!
//! # Properties
//! The function knows no state and no configuration. It is idempotent: text is scanned until a scan finds nothing more,
//! and text that does not come to rest after a few scans is replaced as a whole. Its time is linear in the length: every
//! look ahead is either bounded or consumed. It is written by hand because a regular expression engine would weigh more
//! than the rest of this crate; the price is that what it does not know it lets pass: redaction is a net, not a proof.

use std::{borrow::Cow, ops::Range};

use crate::redact::marker::REDACTED;
use crate::redact::{key_names, scanner};

/// Scans after which text that still changes is given up. One finds the secrets, one sees that nothing is left.
const SCANS: usize = 6;

/// `text` with its secrets replaced by [`REDACTED`]; borrowed when there are none. See the module's page for what counts.
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
