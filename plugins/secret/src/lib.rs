//! Credentials of backends, and their removal from what a server says.
//!
//! A server may repeat what it was sent: `401: no such key: sk-live-0123456789`. [`Secrets::clean`] makes such a text fit
//! for a message:
//!
//! | the text repeats | shown |
//! | --- | --- |
//! | a credential that a reader may guess from the words around it | a sentence instead of the text |
//! | another credential | the text, with `***` instead of the credential |
//! | a value that may be a credential | the same |
//!
//! A credential may be guessed if it has less than 12 characters, or no letter, or no digit. If the password is `invalid`
//! and the server says `invalid token`, the text `*** token` would tell the password. Only the server's own text is given
//! to `clean`: status, address and advice remain readable.
#![forbid(unsafe_code)]

mod percent;

use std::fmt;

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD_NO_PAD as STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD},
};

pub use percent::{NotPercentEncoded, percent_decoded};

/// A credential from the configuration. Its `Debug` form is `***`.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub struct Secret(String);

impl Secret {
    /// A credential with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text. Only the platform may receive it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether the text is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The secrets of a backend.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    credentials: Vec<Secret>,
    /// Values that are not known to be credentials.
    possible: Vec<Secret>,
}

const BLOT: &str = "***";
/// Stands for a text that is not shown.
const HIDDEN: &str = "(not shown, because it repeats a credential)";
/// The least number of characters of a secret that are removed at the end of a text. Fewer match by chance, and reveal
/// little. Nothing shorter is concealed as a possible credential.
const TOO_FEW: usize = 4;
/// A credential with fewer characters may be guessed from the words around it.
const GUESSABLE_BELOW: usize = 12;
/// The marks that servers put after a text that they have cut off.
const BEHIND: &[char] = &['.', '…', '"', '\'', '}', ']', ')', ' ', '\r', '\n'];

impl Secrets {
    /// Adds a credential.
    pub fn add(&mut self, credential: &Secret) {
        self.credentials.push(credential.clone());
    }

    /// Adds a value that may be a credential. A value of less than 4 bytes is left out, because it would be found in many
    /// words.
    pub fn add_possible(&mut self, value: impl Into<String>) {
        let value = value.into();
        if value.len() >= TOO_FEW {
            self.possible.push(Secret(value));
        }
    }

    /// `text` of a server without secrets, in each spelling that a server may use, and without the beginning of a secret
    /// at its end, where the server has cut it off.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        let (guessable, others): (Vec<_>, Vec<_>) =
            self.credentials.iter().partition(|secret| is_guessable(&secret.0));
        // Servers also repeat a word in lower or upper case.
        let fold = |secret: &Secret| Secret(secret.0.to_lowercase());
        let folded: Vec<_> = guessable.iter().map(|secret| fold(secret)).collect();
        if conceal(&text.to_lowercase(), &folded).is_some() || conceal(text, guessable).is_some() {
            return HIDDEN.to_owned();
        }
        conceal(text, others.into_iter().chain(&self.possible)).unwrap_or_else(|| text.to_owned())
    }
}

/// Whether the words around a credential may tell it.
fn is_guessable(text: &str) -> bool {
    text.chars().count() < GUESSABLE_BELOW
        || !text.contains(char::is_alphabetic)
        || !text.contains(|c: char| c.is_ascii_digit())
}

/// The text with `***` instead of every one of `secrets`; `None` if none of them is in it.
fn conceal<'s>(text: &str, secrets: impl IntoIterator<Item = &'s Secret>) -> Option<String> {
    let mut spellings: Vec<String> = secrets.into_iter().flat_map(spellings).collect();
    // One spelling may be a part of another.
    spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
    let mut concealed = text.to_owned();
    for spelling in &spellings {
        if concealed.contains(spelling) {
            concealed = concealed.replace(spelling, BLOT);
        }
    }
    let cut_off = |text: &str| {
        let begun = spellings.iter().filter_map(|spelling| begun(text, spelling));
        begun.max().map(|length| format!("{}{BLOT}", &text[..text.len() - length]))
    };
    let whole = cut_off(&concealed).or_else(|| cut_off(concealed.trim_end_matches(BEHIND)));
    whole.or_else(|| (concealed != text).then_some(concealed))
}

/// Bytes at the end of `text` with which `spelling` begins.
fn begun(text: &str, spelling: &str) -> Option<usize> {
    let ends = spelling.char_indices().map(|(end, _)| end).skip(TOO_FEW);
    ends.filter(|end| text.ends_with(&spelling[..*end])).max()
}

/// The spellings of a secret: as it is, in a URL, in JSON and in base64.
fn spellings(Secret(text): &Secret) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let json = serde_json::Value::from(text.as_str()).to_string();
    let json = json[1..json.len() - 1].to_owned();
    let mut spellings = vec![
        text.clone(),
        percent_encoded(text, "%20", |byte| format!("%{byte:02X}")),
        percent_encoded(text, "%20", |byte| format!("%{byte:02x}")),
        percent_encoded(text, "+", |byte| format!("%{byte:02X}")),
        percent_encoded(text, "+", |byte| format!("%{byte:02x}")),
        json.replace('/', r"\/"),
        json.chars().map(ascii).collect(),
        json,
    ];
    // The base64 form of one or two letters would be found in many words.
    if text.len() >= TOO_FEW {
        spellings.extend([STANDARD_NO_PAD.encode(text), URL_SAFE_NO_PAD.encode(text)]);
    }
    spellings.sort_unstable();
    spellings.dedup();
    spellings
}

fn percent_encoded(text: &str, space: &str, escape: impl Fn(u8) -> String) -> String {
    let encode = |byte: u8| match byte {
        b' ' => space.to_owned(),
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => escape(byte),
    };
    text.bytes().map(encode).collect()
}

/// A character in the form of JSON that uses only ASCII.
fn ascii(c: char) -> String {
    if c.is_ascii() {
        return c.to_string();
    }
    c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(texts: &[&str]) -> Secrets {
        let credentials = texts.iter().map(|text| Secret::new(*text)).collect();
        Secrets { credentials, possible: Vec::new() }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new("hunter2-hunter2");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
        let secrets = credentials(&["hunter2-hunter2", ""]);
        assert_eq!(secrets.clean("no key hunter2-hunter2, hunter2-hunter2!"), "no key ***, ***!");
    }

    #[test]
    fn a_secret_is_found_in_every_spelling() {
        for (secret, shown) in [("p@ss 8 \"wörd\"/+x", "no key (***)"), ("p@ss \"wörd\"/+x", HIDDEN)] {
            let secrets = credentials(&[secret]);
            let json = serde_json::Value::from(secret).to_string();
            let json = &json[1..json.len() - 1];
            for spelt in [
                secret.to_owned(),
                percent_encoded(secret, "%20", |byte| format!("%{byte:02X}")),
                percent_encoded(secret, "+", |byte| format!("%{byte:02x}")),
                json.to_owned(),
                json.replace('/', r"\/"),
                json.replace('ö', r"\u00f6"),
                STANDARD_NO_PAD.encode(secret),
            ] {
                assert_eq!(secrets.clean(&format!("no key ({spelt})")), shown, "{spelt}");
            }
        }
        let secrets = credentials(&["??>>ab??>>ab1234"]);
        assert_eq!(secrets.clean("Pz8+PmFiPz8+PmFiMTIzNA Pz8-PmFiPz8-PmFiMTIzNA"), "*** ***");
        let secrets = credentials(&["abcdefgh1234", "abcdefgh1234c"]);
        assert_eq!(secrets.clean("begin abcdefgh1234, abcdefgh1234c"), "begin ***, ***");
    }

    #[test]
    fn percent_encoding_is_of_bytes() {
        let encoded = percent_encoded("a ö/~", "+", |byte| format!("%{byte:02X}"));
        assert_eq!(encoded, "a+%C3%B6%2F~");
    }

    #[test]
    fn a_text_that_repeats_a_guessable_credential_is_not_shown() {
        for (credential, text) in [
            ("error", r#"{"error":"Unauthorized"}"#),
            ("error", "Internal Server Error"),
            ("Invalid", "invalid token"),
            ("größe", "Die GRÖSSE und die GRÖßE sind falsch"),
            ("hunter2", "no such key: hunter2"),
            ("hunter", "no such key: hunt..."),
            ("hunter", "no such key: Basic aHVudGVy"),
            ("authentication", "authentication has failed"),
            ("401", "status 401"),
            ("202611301055", "no such key at 202611301055"),
            ("x", "no such index"),
        ] {
            assert_eq!(credentials(&[credential]).clean(text), HIDDEN, "{credential}: {text}");
        }
        let secrets = credentials(&["hunter", ""]);
        assert_eq!(secrets.clean("no such key"), "no such key");
    }

    #[test]
    fn a_possible_credential_is_concealed_in_its_place() {
        let mut secrets = Secrets::default();
        secrets.add_possible("team");
        secrets.add_possible("red");
        assert_eq!(secrets.clean("no team in red"), "no *** in red");
        secrets.add(&Secret::new("hunter"));
        assert_eq!(secrets.clean("no team"), "no ***");
        assert_eq!(secrets.clean("no hunter in team"), HIDDEN);
    }

    #[test]
    fn a_secret_that_is_cut_off_is_not_shown() {
        let secrets = credentials(&["sk-live-0123456789"]);
        for (text, shown) in [
            ("no key sk-live-012345678", "no key ***"),
            ("no key sk-l", "no key ***"),
            ("no key sk-", "no key sk-"),
            (r#"{"error":"no key sk-live-012..."}"#, r#"{"error":"no key ***"#),
            ("sk-live is a prefix", "sk-live is a prefix"),
            ("", ""),
        ] {
            assert_eq!(secrets.clean(text), shown);
        }
        let secrets = credentials(&["wörter-und-1-wort"]);
        assert_eq!(secrets.clean("käse wör"), "käse wör");
        assert_eq!(secrets.clean("käse wört"), "käse ***");
    }
}
