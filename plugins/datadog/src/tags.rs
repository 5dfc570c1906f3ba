//! Tags by the rules of Datadog's page on tagging. A tag starts with a letter, followed by letters, digits,
//! underscores, minuses, colons, periods and slashes; any other character is converted to an underscore. It is
//! lowercase, has at most 200 characters, and does not end with a colon.
//!
//! Datadog converts tags itself, except commas, which separate tags in `ddtags`.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{
        MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};

/// Characters in a tag.
const LONGEST: usize = 200;

/// Appends the tag `key:value`, after a comma if it is not the first one. A value without any allowed character makes
/// no tag.
pub(crate) fn push(tags: &mut String, key: &str, value: &str) {
    let before = tags.len();
    if before > 0 {
        tags.push(',');
    }
    let start = tags.len();
    let characters = key.chars().chain([':']).chain(value.chars());
    write(tags, characters);
    // A key without a value is written without its colon, because a tag can't end with a colon.
    if tags.len() - start <= key.len() + 1 {
        tags.truncate(before);
    }
}

/// Converts `text` to a tag; `None` when no part of it can be one.
pub(crate) fn tag(text: &str) -> Option<String> {
    let mut tag = String::new();
    write(&mut tag, text.chars());
    (!tag.is_empty()).then_some(tag)
}

fn write(tags: &mut String, characters: impl Iterator<Item = char>) {
    let start = tags.len();
    let allowed = characters.flat_map(char::to_lowercase).map(|c| match c {
        '_' | '-' | ':' | '.' | '/' => c,
        c if c.is_alphanumeric() => c,
        _ => '_',
    });
    tags.extend(allowed.skip_while(|c| !c.is_alphabetic()).take(LONGEST));
    let end = tags[start..].trim_end_matches(':').len();
    tags.truncate(start + end);
}

/// Tags of the configuration.
#[derive(Debug, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(untagged, inline))]
pub(crate) enum Tags {
    /// None.
    #[default]
    #[cfg_attr(test, schemars(skip))]
    None,
    /// Tags such as `env:prod`.
    List(Vec<String>),
    /// Tags by their keys, such as `env = "prod"`.
    Map(BTreeMap<String, String>),
}

impl Tags {
    /// Each tag in the form in which it is sent. The error has the key of the configuration and the text that can't be
    /// a tag.
    pub(crate) fn to_sent(&self) -> Result<Vec<String>, (String, String)> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::List(list) => list
                .iter()
                .enumerate()
                .map(|(at, text)| tag(text).ok_or_else(|| (format!("tags[{at}]"), text.clone())))
                .collect(),
            Self::Map(map) => map
                .iter()
                .map(|(key, value)| {
                    let refused = || (format!("tags.{key}"), format!("{key}:{value}"));
                    if tag(key).is_none() {
                        return Err(refused());
                    }
                    tag(&format!("{key}:{value}")).ok_or_else(refused)
                })
                .collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListOrMap;

        impl<'de> Visitor<'de> for ListOrMap {
            type Value = Tags;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of tags such as \"env:prod\", or a table of them such as env = \"prod\"")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Tags, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(seq)).map(Tags::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Tags, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(map)).map(Tags::Map)
            }
        }

        deserializer.deserialize_any(ListOrMap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_only_allowed_characters() {
        for (text, expected) in [
            ("env:prod", Some("env:prod")),
            ("Env:PROD", Some("env:prod")),
            ("env:staging:east", Some("env:staging:east")),
            ("plain", Some("plain")),
            ("a_b-c:d.e/f9", Some("a_b-c:d.e/f9")),
            ("team:a, b;c|d", Some("team:a__b_c_d")),
            ("v:1.2.3+build~5", Some("v:1.2.3_build_5")),
            ("9lives", Some("lives")),
            ("_:x", Some("x")),
            ("env:", Some("env")),
            ("env::", Some("env")),
            ("größe:ÄÖ", Some("größe:äö")),
            ("言語:日本", Some("言語:日本")),
            ("tab\tor\nline", Some("tab_or_line")),
            ("", None),
            ("123", None),
            ("::", None),
            ("😀", None),
        ] {
            assert_eq!(tag(text).as_deref(), expected, "{text:?}");
        }
        assert_eq!(tag(&"ä".repeat(500)).expect("a tag").chars().count(), 200);
        let colon_at_the_end = format!("{}:{}", "k".repeat(199), "v".repeat(10));
        assert_eq!(tag(&colon_at_the_end).expect("a tag"), "k".repeat(199));
    }

    #[test]
    fn a_value_without_allowed_characters_makes_no_tag() {
        let mut tags = String::new();
        for (key, value) in [("os", "linux"), ("arch", ""), ("arch", ":"), ("type", "a,b"), ("n", "1")] {
            push(&mut tags, key, value);
        }
        assert_eq!(tags, "os:linux,type:a_b,n:1");
    }

    #[test]
    fn tags_are_a_list_or_a_table() {
        let sent = |json: &str| serde_json::from_str::<Tags>(json).expect("tags").to_sent();
        assert_eq!(sent(r#"["env:prod","Big Team"]"#).expect("valid"), ["env:prod", "big_team"]);
        assert_eq!(sent(r#"{"env":"prod","team":"x"}"#).expect("valid"), ["env:prod", "team:x"]);
        assert_eq!(sent(r#"["ok","12"]"#).expect_err("no tag").0, "tags[1]");
        assert_eq!(sent(r#"{"12":"x"}"#).expect_err("no tag").0, "tags.12");
        let error = serde_json::from_str::<Tags>("5").expect_err("no tags").to_string();
        assert!(error.contains("a list of tags"), "{error}");
    }
}
