//! Whether a JSON value is a JSON Schema, as far as the host checks options by it.

use serde_json::Value;

use crate::config::schema::{error::SchemaError, reference::resolve};

/// The types that a schema can name, and what people call them.
pub(super) const TYPES: [(&str, &str); 7] = [
    ("array", "a list"),
    ("boolean", "a boolean"),
    ("integer", "an integer"),
    ("null", "nothing"),
    ("number", "a number"),
    ("object", "a table"),
    ("string", "a string"),
];

/// Refuses a schema in which a keyword has a value that the keyword can't have. The parser of JSON bounds the depth.
pub(super) fn judge(root: &Value) -> Result<(), SchemaError> {
    schema(root, root, &mut String::new())
}

fn schema(root: &Value, schema: &Value, at: &mut String) -> Result<(), SchemaError> {
    let keywords = match schema {
        Value::Object(keywords) => keywords,
        Value::Bool(_) => return Ok(()),
        _ => return Err(SchemaError::Keyword { at: at.clone(), expected: "an object or a boolean" }),
    };
    for (keyword, value) in keywords {
        within(at, keyword, |at| {
            if let Some(expected) = refusal(root, keyword, value) {
                return Err(SchemaError::Keyword { at: at.clone(), expected });
            }
            parts(root, keyword, value, at)
        })?;
    }
    Ok(())
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
fn parts(root: &Value, keyword: &str, value: &Value, at: &mut String) -> Result<(), SchemaError> {
    match (keyword, value) {
        ("additionalProperties" | "items", value) => schema(root, value, at),
        ("properties" | "$defs", Value::Object(members)) => {
            members.iter().try_for_each(|(name, member)| within(at, name, |at| schema(root, member, at)))
        }
        ("anyOf" | "oneOf" | "allOf", Value::Array(forms)) => forms
            .iter()
            .enumerate()
            .try_for_each(|(index, form)| within(at, &index.to_string(), |at| schema(root, form, at))),
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
