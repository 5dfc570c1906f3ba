//! JSON values of an event's members. A value without escapes is read without a copy.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value as an error shows it. Lists and objects are skipped.
pub(crate) enum Found<'de> {
    Null,
    Boolean(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Cow<'de, str>),
    List,
    Object,
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
            Self::List => f.write_str("a list"),
            Self::Object => f.write_str("an object"),
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

/// Reads a string; without escapes, no copy is made.
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

/// Reads any value.
pub(crate) struct Any;

impl<'de> DeserializeSeed<'de> for Any {
    type Value = Found<'de>;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

/// The visitor's methods for scalars that become a [`Found`], as `Result<$into, E>`.
macro_rules! scalars {
    ($wrap:expr) => {
        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            $wrap(Found::Null)
        }

        fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Self::Value, E> {
            $wrap(Found::Boolean(value))
        }

        fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
            $wrap(Found::Unsigned(value))
        }

        fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
            $wrap(Found::Signed(value))
        }

        fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
            $wrap(Found::Float(value))
        }

        fn visit_borrowed_str<E: serde::de::Error>(self, value: &'de str) -> Result<Self::Value, E> {
            $wrap(Found::Text(Cow::Borrowed(value)))
        }

        fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Self::Value, E> {
            $wrap(Found::Text(Cow::Owned(value.to_owned())))
        }
    };
}

impl<'de> Visitor<'de> for Any {
    type Value = Found<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    scalars!(Ok);

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Found::Object)
    }
}

/// Skips a value as strictly as a parser that builds it: every string is Unicode, every number fits 64 bits of floating
/// point, and nesting is limited. [`serde::de::IgnoredAny`] checks none of these.
pub(crate) struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(Self)?.is_some() {
            map.next_value_seed(Self)?;
        }
        Ok(())
    }
}

/// Accepts null as an absent value; any other value is an error.
fn absent<T, E: serde::de::Error>(member: &str, expected: &str, found: &Found<'_>) -> Result<Option<T>, E> {
    match found {
        Found::Null => Ok(None),
        found => Err(E::custom(format_args!("`{member}`: expected {expected}, found {found}"))),
    }
}

/// Reads a list of strings or null.
pub(crate) struct Args;

impl<'de> DeserializeSeed<'de> for Args {
    type Value = Option<Vec<Cow<'de, str>>>;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Args {
    type Value = Option<Vec<Cow<'de, str>>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of strings")
    }

    scalars!(|found| absent("args", "a list of strings", &found));

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut args = Vec::new();
        while let Some(found) = seq.next_element_seed(Any)? {
            let Found::Text(arg) = found else {
                let at = args.len();
                return Err(A::Error::custom(format_args!("`args[{at}]`: expected a string, found {found}")));
            };
            args.push(arg);
        }
        Ok(Some(args))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        absent("args", "a list of strings", &Any.visit_map(map)?)
    }
}

/// Reads an object of strings or null.
pub(crate) struct Metadata;

impl<'de> DeserializeSeed<'de> for Metadata {
    type Value = Option<Vec<(Cow<'de, str>, Cow<'de, str>)>>;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Metadata {
    type Value = Option<Vec<(Cow<'de, str>, Cow<'de, str>)>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    scalars!(|found| absent("metadata", "an object of strings", &found));

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        absent("metadata", "an object of strings", &Any.visit_seq(seq)?)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        let mut seen = Seen::default();
        while let Some(key) = map.next_key_seed(Text)? {
            let found = map.next_value_seed(Any)?;
            let Found::Text(value) = found else {
                let key = short(&key);
                return Err(A::Error::custom(format_args!(
                    "`metadata.{key}`: expected a string, found {found}"
                )));
            };
            seen.first_time(key.clone())?;
            pairs.push((key, value));
        }
        Ok(Some(pairs))
    }
}

/// The members that were read. A duplicate is an error, found in time linear in the number of members.
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
