//! A backend's options against the JSON Schema that its plugin carries, before any of the plugin runs.
//!
//! The host checks `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`, `items`, the limits of numbers,
//! texts and lists, `anyOf`, `oneOf`, `allOf`, and a `$ref` into the schema itself. It ignores other keywords. The plugin
//! checks everything else when it opens.
//!
//! A vendor's schema may be hostile. Its size, the depth of a check and the number of steps are bounded, and there are no
//! regular expressions. When a check would exceed a bound, only the plugin checks the options.
//!
//! No message repeats a value of the configuration, because the value may be a secret.
//!
//! A variable or a file has text alone. Where the schema refuses the type of such a text, `from_text.rs` reads the text as
//! a number or a boolean.

use jackfield_loader::ForeignText;
use serde_json::Value;

use crate::config::model::BackendConfig;
use crate::config::schema::fault::{Fault, resolve};
use crate::config::schema::named_files::NamedFile;
use crate::config::schema::variables::FromVariable;
use crate::config::schema::walk::TYPES;

pub(crate) mod fault;
mod from_text;
pub(crate) mod named_files;
#[cfg(test)]
mod tests;
pub(crate) mod variables;
mod visit;
mod walk;

/// The JSON Schema of a plugin's options.
#[derive(Debug)]
pub struct OptionsSchema {
    root: Value,
}

impl OptionsSchema {
    /// Reads a schema of draft 2020-12.
    ///
    /// # Errors
    /// [`SchemaError`]: the schema is too large, is not JSON, or is not a JSON Schema.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        if text.len() > LARGEST {
            return Err(SchemaError::TooLarge { found: text.len() });
        }
        let root =
            serde_json::from_str(text).map_err(|error| SchemaError::NotJson { reason: error.to_string() })?;
        schema(&root, &root, &mut String::new(), &mut |_, _, _| {})?;
        Ok(Self { root })
    }

    /// What of the schema options are not checked by; `None` when they are checked by all of it.
    #[must_use]
    pub fn unchecked(&self) -> Option<Unchecked> {
        let mut unknown = None;
        let mut look = |keyword: &str, value: &Value, at: &str| {
            let leads_nowhere = || value.as_str().is_some_and(|target| resolve(&self.root, target).is_none());
            if unknown.is_none() && (!walk::checks(keyword) || (keyword == "$ref" && leads_nowhere())) {
                unknown = Some(Unchecked::Keyword { at: ForeignText::cut(at, LONGEST_PLACE) });
            }
        };
        let _ = schema(&self.root, &self.root, &mut String::new(), &mut look);
        if walk::exceeds_its_bounds(&self.root) { Some(Unchecked::All) } else { unknown }
    }

    /// The options of a backend, a JSON object, as the plugin gets them: a text that has come from a variable or a file is a
    /// number or a boolean where the schema wants one.
    #[must_use]
    pub fn options(&self, backend: &BackendConfig) -> Value {
        let mut options = serde_json::from_str(&backend.config).unwrap_or_default();
        from_text::convert(&self.root, &mut options, &backend.filled_options);
        options
    }

    /// The faults of `options`, a JSON object; none when they fit, and none when the check would exceed a bound.
    #[must_use]
    pub fn faults(&self, options: &Value) -> Vec<Fault> {
        walk::faults(&self.root, options)
    }

    /// The files that these options name: strings whose `format` is `input-file` or `output-file`.
    #[must_use]
    pub fn files(&self, options: &Value) -> Vec<NamedFile> {
        named_files::named_files(&self.root, options)
    }

    /// The options that are not in `options`, and that a variable of this process's environment sets.
    #[must_use]
    pub fn from_variables(&self, options: &Value) -> Vec<FromVariable> {
        let is_set = |name: &str| std::env::var(name).is_ok_and(|value| !value.trim().is_empty());
        variables::from_variables(&self.root, options, &is_set)
    }

    /// What to write instead of the unknown key at `path`, as the end of a sentence.
    pub(crate) fn suggest(&self, path: &str) -> Option<String> {
        fault::suggest(&self.root, path)
    }
}

/// The largest schema that is read, in bytes.
const LARGEST: usize = 256 << 10;

/// The longest place that a message names, in characters.
const LONGEST_PLACE: usize = 256;

/// Why a text is no JSON Schema that options can be checked with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// It is larger than the host reads.
    #[error("expected at most {LARGEST} bytes, found {found}")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// It is not JSON.
    #[error("not JSON: {reason}")]
    NotJson {
        /// What the parser says.
        reason: String,
    },
    /// A keyword has a value that the keyword can't have.
    #[error("`{at}`: expected {expected}")]
    Keyword {
        /// A JSON pointer, such as `/properties/url/type`, or its start.
        at: ForeignText,
        /// What the keyword can have.
        expected: &'static str,
    },
}

/// A part of a schema that options are not checked by. The plugin alone decides about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unchecked {
    /// A keyword that the host does not know, or a reference to another document.
    #[error("not checked by `{at}`, which the host does not know")]
    Keyword {
        /// A JSON pointer, such as `/properties/url/pattern`, or its start.
        at: ForeignText,
    },
    /// A check would take more steps than the host makes.
    #[error("not checked, since a check by the plugin's schema would take too many steps")]
    All,
}

/// What is done with each keyword: its name, its value, and a JSON pointer to it.
type Look<'a> = dyn FnMut(&str, &Value, &str) + 'a;

/// Refuses a schema in which a keyword has a value that the keyword can't have. The parser of JSON bounds the depth.
fn schema(root: &Value, schema: &Value, at: &mut String, look: &mut Look<'_>) -> Result<(), SchemaError> {
    let keywords = match schema {
        Value::Object(keywords) => keywords,
        Value::Bool(_) => return Ok(()),
        _ => return Err(refused(at, "an object or a boolean")),
    };
    for (keyword, value) in keywords {
        within(at, keyword, |at| {
            if let Some(expected) = refusal(root, keyword, value) {
                return Err(refused(at, expected));
            }
            look(keyword, value, at);
            parts(root, keyword, value, at, look)
        })?;
    }
    Ok(())
}

fn refused(at: &str, expected: &'static str) -> SchemaError {
    SchemaError::Keyword { at: ForeignText::cut(at, LONGEST_PLACE), expected }
}

fn within(
    at: &mut String,
    part: &str,
    judge: impl FnOnce(&mut String) -> Result<(), SchemaError>,
) -> Result<(), SchemaError> {
    let before = at.len();
    at.push('/');
    at.push_str(&part.replace('~', "~0").replace('/', "~1"));
    judge(at)?;
    at.truncate(before);
    Ok(())
}

/// Judges the schemas that are in a keyword's value.
fn parts(
    root: &Value,
    keyword: &str,
    value: &Value,
    at: &mut String,
    look: &mut Look<'_>,
) -> Result<(), SchemaError> {
    match (keyword, value) {
        ("additionalProperties" | "items", value) => schema(root, value, at, look),
        ("properties" | "$defs", Value::Object(members)) => members
            .iter()
            .try_for_each(|(name, member)| within(at, name, |at| schema(root, member, at, look))),
        ("anyOf" | "oneOf" | "allOf", Value::Array(forms)) => forms
            .iter()
            .enumerate()
            .try_for_each(|(index, form)| within(at, &index.to_string(), |at| schema(root, form, at, look))),
        _ => Ok(()),
    }
}

/// What a keyword can have, when `value` is something else.
fn refusal(root: &Value, keyword: &str, value: &Value) -> Option<&'static str> {
    let texts = |all: &Value| all.as_array().is_some_and(|all| all.iter().all(Value::is_string));
    let (fits, expected) = match keyword {
        "type" => (is_type(value), "a type of JSON, or a list of them"),
        "enum" => (value.is_array(), "a list"),
        "properties" | "$defs" => (value.is_object(), "an object of schemas"),
        "required" => (texts(value), "a list of strings"),
        "anyOf" | "oneOf" | "allOf" => {
            (value.as_array().is_some_and(|forms| !forms.is_empty()), "a list of schemas that is not empty")
        }
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => (value.is_number(), "a number"),
        "minLength" | "maxLength" | "minItems" | "maxItems" => {
            (value.is_u64(), "a whole number that is not negative")
        }
        "pattern" | "format" | "title" | "description" => (value.is_string(), "a string"),
        "$ref" => match value.as_str() {
            // A reference within the schema leads to a schema. A percent sign stands for what a pointer can't have.
            Some(target) if target.starts_with("#/") && !target.contains('%') => (
                resolve(root, target).is_some_and(|it| it.is_object() || it.is_boolean()),
                "a reference to a schema",
            ),
            target => (target.is_some(), "a string"),
        },
        _ => return None,
    };
    (!fits).then_some(expected)
}

fn is_type(value: &Value) -> bool {
    let known =
        |word: &Value| word.as_str().is_some_and(|word| TYPES.iter().any(|(known, _)| *known == word));
    match value {
        Value::Array(words) => !words.is_empty() && words.iter().all(known),
        word => known(word),
    }
}
