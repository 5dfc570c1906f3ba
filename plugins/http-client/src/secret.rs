//! Credentials, and their removal from texts.

use std::fmt;

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD_NO_PAD as STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD},
};

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

const BLOT: &str = "***";
/// The least number of characters of a secret that are removed at the end of a text. Fewer match by chance, and reveal
/// little.
const TOO_FEW: usize = 4;
/// The marks that servers put after a text that they have cut off.
const BEHIND: &[char] = &['.', '…', '"', '\'', '}', ']', ')', ' ', '\r', '\n'];

/// Removes every one of `secrets` from `text`, in each spelling that a server may use, and the beginning of a secret at
/// the end of the text, where an answer was cut off.
pub(crate) fn scrub(text: &str, secrets: &[Secret]) -> String {
    let mut spellings: Vec<String> = secrets.iter().flat_map(spellings).collect();
    // One spelling may be a part of another.
    spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
    let mut text = text.to_owned();
    for spelling in &spellings {
        if text.contains(spelling) {
            text = text.replace(spelling, BLOT);
        }
    }
    let cut_off = |text: &str| {
        let begun = spellings.iter().filter_map(|spelling| begun(text, spelling));
        begun.max().map(|length| format!("{}{BLOT}", &text[..text.len() - length]))
    };
    cut_off(&text).or_else(|| cut_off(text.trim_end_matches(BEHIND))).unwrap_or(text)
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

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
        assert_eq!(scrub("no key hunter2, hunter2!", &[secret, Secret::new("")]), "no key ***, ***!");
    }

    #[test]
    fn a_secret_is_found_in_every_spelling() {
        let secret = [Secret::new("p@ss \"wörd\"/+x")];
        for spelt in [
            r#"p@ss "wörd"/+x"#,
            "p%40ss%20%22w%C3%B6rd%22%2F%2Bx",
            "p%40ss%20%22w%c3%b6rd%22%2f%2bx",
            "p%40ss+%22w%C3%B6rd%22%2F%2Bx",
            "p%40ss+%22w%c3%b6rd%22%2f%2bx",
            r#"p@ss \"wörd\"/+x"#,
            r#"p@ss \"wörd\"\/+x"#,
            r#"p@ss \"w\u00f6rd\"/+x"#,
            "cEBzcyAid8O2cmQiLyt4",
        ] {
            assert_eq!(scrub(&format!("no key ({spelt})"), &secret), "no key (***)");
        }
        let other = [Secret::new("??>>ab")];
        assert_eq!(scrub("Pz8+PmFi Pz8-PmFi", &other), "*** ***");
        assert_eq!(scrub("begin ab, abc", &[Secret::new("ab"), Secret::new("abc")]), "begin ***, ***");
    }

    #[test]
    fn a_secret_that_is_cut_off_is_not_shown() {
        let secret = [Secret::new("sk-live-0123456789")];
        for (text, shown) in [
            ("no key sk-live-012345678", "no key ***"),
            ("no key sk-l", "no key ***"),
            ("no key sk-", "no key sk-"),
            (r#"{"error":"no key sk-live-012..."}"#, r#"{"error":"no key ***"#),
            ("sk-live is a prefix", "sk-live is a prefix"),
            ("", ""),
        ] {
            assert_eq!(scrub(text, &secret), shown);
        }
        assert_eq!(scrub("käse wör", &[Secret::new("wörter")]), "käse wör");
        assert_eq!(scrub("käse wört", &[Secret::new("wörter")]), "käse ***");
    }
}
