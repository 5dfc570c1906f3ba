//! JSON values of an event's members. A string without escapes is read without a copy.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

/// A value, as far as an event or an error needs it.
pub(crate) enum Found<'de> {
    Null,
    Boolean(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Cow<'de, str>),
    List,
    Object,
    /// The list of [`Reader::Args`].
    Args(Vec<Cow<'de, str>>),
    /// The object of [`Reader::Metadata`].
    Metadata(Vec<(Cow<'de, str>, Cow<'de, str>)>),
}

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Unsigned(value) => write!(f, "integer {value}"),
            Self::Signed(value) => write!(f, "integer {value}"),
            Self::Float(value) => write!(f, "number {value:?}"),
            Self::Text(value) => write!(f, "string {:?}", short(value)),
            Self::List | Self::Args(_) => f.write_str("a list"),
            Self::Object | Self::Metadata(_) => f.write_str("an object"),
        }
    }
}

/// The beginning of `text`, so that an error is one short line.
pub(crate) fn short(text: &str) -> Cow<'_, str> {
    const LIMIT: usize = 40;
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// Reads a string.
pub(crate) struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Reads a value as strictly as a parser that builds it: every string is Unicode, every number fits 64 bits of floating
/// point, and nesting is limited. [`serde::de::IgnoredAny`] checks none of these.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Any value. The contents of lists and objects are checked and dropped.
    Any,
    /// `args`: a list holds strings.
    Args,
    /// `metadata`: an object holds strings, numbers and booleans, and no key twice. A number or a boolean is read as its text.
    Metadata,
}

impl<'de> DeserializeSeed<'de> for Reader {
    type Value = Found<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Found::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Found::Boolean(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Found::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Found::Signed(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Found::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Found::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Found::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut args = Vec::new();
        while let Some(found) = seq.next_element_seed(Self::Any)? {
            match (self, found) {
                (Self::Args, Found::Text(arg)) => args.push(arg),
                (Self::Args, found) => {
                    let at = args.len();
                    let refusal = format_args!("`args[{at}]`: expected a string, found {found}");
                    return Err(A::Error::custom(refusal));
                }
                _ => {}
            }
        }
        Ok(if self == Self::Args { Found::Args(args) } else { Found::List })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut pairs, mut seen) = (Vec::new(), Seen::default());
        while let Some(key) = map.next_key_seed(Text)? {
            let found = map.next_value_seed(Self::Any)?;
            if self == Self::Metadata {
                seen.first_time(key.clone())?;
                let value = text_of(&key, found)?;
                pairs.push((key, value));
            }
        }
        Ok(if self == Self::Metadata { Found::Metadata(pairs) } else { Found::Object })
    }
}

/// The text of a value of metadata with this key.
fn text_of<'de, E: serde::de::Error>(key: &str, found: Found<'de>) -> Result<Cow<'de, str>, E> {
    Ok(match found {
        Found::Text(text) => text,
        Found::Boolean(value) => Cow::Borrowed(if value { "true" } else { "false" }),
        Found::Unsigned(number) => number.to_string().into(),
        Found::Signed(number) => number.to_string().into(),
        Found::Float(number) => serde_json::json!(number).to_string().into(),
        found => {
            let key = short(key);
            let refusal =
                format_args!("`metadata.{key}`: expected a string, a number or a boolean, found {found}");
            return Err(E::custom(refusal));
        }
    })
}

/// The members that were read. A duplicate is found in time linear in the number of members.
#[derive(Default)]
pub(crate) struct Seen<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

pub(crate) fn twice<E: serde::de::Error>(key: &str) -> E {
    E::custom(format_args!("`{}`: a member of this name comes twice", short(key)))
}

impl<'de> Seen<'de> {
    pub(crate) fn first_time<E: serde::de::Error>(&mut self, key: Cow<'de, str>) -> Result<(), E> {
        /// Up to this number a comparison with each member is cheaper than a hash.
        const FEW: usize = 24;
        if self.few.contains(&key) || !self.many.is_empty() && self.many.contains(&key) {
            return Err(twice(&key));
        }
        if self.few.len() < FEW {
            if self.few.is_empty() {
                self.few.reserve_exact(FEW);
            }
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
        Ok(())
    }
}
