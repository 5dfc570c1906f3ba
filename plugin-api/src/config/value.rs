//! A deserializer of a JSON value whose errors name the path of the key and the type that was found, never the value: any
//! value may be a password in the wrong place, and these errors are printed to terminals and logs. The errors of serde_json
//! quote it. It also notes the first key that the configuration's type does not know.

use std::{
    cell::OnceCell,
    fmt::{self, Display, Formatter},
};

use serde_core::{
    Deserializer,
    de::{
        DeserializeOwned, Error, Expected, IntoDeserializer, Unexpected, Visitor,
        value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::Value;

/// The path of the first key that the type ignores.
type Ignored = OnceCell<String>;

/// Reads a `T`. Returns the path of the first key that `T` does not know, too.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> (Result<T, Refusal>, Option<String>) {
    let ignored = Ignored::new();
    let root = Path { parent: None, step: Step::Root, ignored: &ignored };
    let read = T::deserialize(Node { value, path: root });
    (read, ignored.into_inner())
}

/// The way to a value: the last step, and the way to the value around it.
#[derive(Clone, Copy)]
struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
    ignored: &'p Ignored,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Root,
    Member(&'p str),
    Item(usize),
}

impl<'p> Path<'p> {
    fn to(&'p self, step: Step<'p>) -> Self {
        Self { parent: Some(self), step, ignored: self.ignored }
    }
}

impl Display for Path<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}")?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Member(name) if matches!(self.parent, Some(Path { step: Step::Root, .. })) => {
                f.write_str(name)
            }
            Step::Member(name) => write!(f, ".{name}"),
            Step::Item(at) => write!(f, "[{at}]"),
        }
    }
}

/// A value of the configuration.
struct Node<'de, 'p> {
    value: &'de Value,
    path: Path<'p>,
}

/// A key of an object.
struct Key<'de, 'p> {
    name: &'de str,
    path: Path<'p>,
}

type Members<'de, 'p> = Box<dyn Iterator<Item = (Key<'de, 'p>, Node<'de, 'p>)> + 'p>;

fn members<'de: 'p, 'p>(
    map: &'de serde_json::Map<String, Value>,
    path: &'p Path<'p>,
) -> MapDeserializer<'de, Members<'de, 'p>, Refusal> {
    let members = map.iter().map(move |(name, value)| {
        let path = path.to(Step::Member(name));
        (Key { name, path }, Node { value, path })
    });
    MapDeserializer::new(Box::new(members) as Members<'de, 'p>)
}

impl<'de> IntoDeserializer<'de, Refusal> for Node<'de, '_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Node<'de, '_> {
    fn visit<V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Refusal> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (None, Some(number), _) => visitor.visit_i64(number),
                (None, None, Some(number)) => visitor.visit_f64(number),
                (None, None, None) => Err(Refusal::custom("a number that is too large")),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(values) => {
                let item = |(at, value)| Node { value, path: self.path.to(Step::Item(at)) };
                let mut values = SeqDeserializer::new(values.iter().enumerate().map(item));
                let read = visitor.visit_seq(&mut values)?;
                values.end().map(|()| read)
            }
            Value::Object(map) => {
                let mut members = members(map, &self.path);
                let read = visitor.visit_map(&mut members)?;
                members.end().map(|()| read)
            }
        }
    }
}

impl<'de> Deserializer<'de> for Node<'de, '_> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.visit(visitor).map_err(|refusal| refusal.at(&self.path))
    }

    /// Called for a value whose key the type does not know.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.path.ignored.get_or_init(|| self.path.to_string());
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let path = self.path;
        visitor.visit_newtype_struct(self).map_err(|refusal| refusal.at(&path))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let read = match self.value {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Object(map) if map.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(members(map, &self.path)))
            }
            _ => self.visit(visitor),
        };
        read.map_err(|refusal| refusal.at(&self.path))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

impl<'de> IntoDeserializer<'de, Refusal> for Key<'de, '_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// JSON writes integers that are keys of a map in quotes.
macro_rules! integers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            let read = match (self.name.parse(), self.name.parse()) {
                (Ok(number), _) => visitor.visit_u64(number),
                (_, Ok(number)) => visitor.visit_i64(number),
                _ => visitor.visit_borrowed_str(self.name),
            };
            read.map_err(|refusal: Refusal| refusal.at(&self.path))
        })*
    };
}

impl<'de> Deserializer<'de> for Key<'de, '_> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_borrowed_str(self.name).map_err(|refusal: Refusal| refusal.at(&self.path))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_enum(self.name.into_deserializer())
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32
        deserialize_u64
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

/// An error for serde that quotes only keys of the configuration, and of a key only what [`shown`] allows.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The path of the value; empty for the configuration itself, or if it is not known.
    pub(super) path: String,
    message: String,
}

impl Refusal {
    fn new(message: String) -> Self {
        Self { path: String::new(), message }
    }

    /// The refusal of the value at `path`, unless it is one of a value within that.
    fn at(mut self, path: &Path<'_>) -> Self {
        if self.path.is_empty() {
            self.path = path.to_string();
        }
        self
    }
}

impl Error for Refusal {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("invalid type: {}, expected {expected}", kind(&found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("invalid value: {}, expected {expected}", kind(&found)))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("unknown value{}", OneOf(expected)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::new(format!("unknown key `{}`{}", shown(field), OneOf(expected)))
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

const fn kind(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "integer",
        Unexpected::Float(_) => "floating point number",
        Unexpected::Char(_) | Unexpected::Str(_) => "string",
        Unexpected::Unit => "null",
        Unexpected::Seq | Unexpected::Bytes(_) => "sequence",
        Unexpected::Map => "map",
        _ => "something else",
    }
}

/// `, expected one of ...`; empty when there are no names to choose from.
struct OneOf(&'static [&'static str]);

impl Display for OneOf {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            [only] => write!(f, ", expected `{only}`"),
            [first, second] => write!(f, ", expected `{first}` or `{second}`"),
            all => write!(f, ", expected one of `{}`", all.join("`, `")),
        }
    }
}

/// A key as a message may show it: up to the first character that is not allowed in names, and not too long. A user may
/// write a whole header, such as `Authorization: Bearer ...`, in the place of its name.
pub(crate) fn shown(key: &str) -> String {
    const LONGEST: usize = 64;
    let odd = |c: char| !c.is_alphanumeric() && !"_-.[]".contains(c);
    let end = key.char_indices().enumerate().find(|(count, (_, c))| *count == LONGEST || odd(*c));
    end.map_or_else(|| key.to_owned(), |(_, (end, _))| format!("{}…", &key[..end]))
}
