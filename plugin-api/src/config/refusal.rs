//! The error of a refused value. It names the type that was found, never the value: any value may be a password in the
//! wrong place, and these errors are printed to terminals and logs.

use std::fmt::{self, Display, Formatter};

use serde::de::{Error, Expected, Unexpected};

/// An error for serde that quotes only keys of the configuration, and of a key only what [`shown`] allows.
#[derive(Debug)]
pub(super) struct Refusal(String);

impl Error for Refusal {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("invalid type: {}, expected {expected}", kind(&found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(format!("invalid value: {}, expected {expected}", kind(&found)))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self(format!("unknown value{}", OneOf(expected)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self(format!("unknown key `{}`{}", shown(field), OneOf(expected)))
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
