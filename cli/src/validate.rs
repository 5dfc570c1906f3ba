//! A backend's configuration against the JSON Schema that its plugin carries, before any of the plugin runs.
//!
//! Messages never repeat a value: it may be a secret. What the schema says nothing about is for the plugin to refuse.

use jackfield::forward::{BackendConfig, suggest_key};
use jsonschema::{JsonType, ValidationError, error::ValidationErrorKind};
use serde_json::Value;

/// What is wrong with a backend's configuration, a line each with the place where ops wrote it; empty when it fits.
///
/// A schema that is none is no reason to refuse anything: the plugin itself judges as well.
pub(crate) fn refusals(backend: &BackendConfig, schema: &str) -> Vec<String> {
    let (Ok(parsed), Ok(config)) =
        (serde_json::from_str::<Value>(schema), serde_json::from_str::<Value>(&backend.config))
    else {
        return Vec::new();
    };
    let mut found: Vec<Refusal> = match jsonschema::validator_for(&parsed) {
        Ok(validator) => validator.iter_errors(&config).flat_map(|error| explain(&error)).collect(),
        Err(error) => {
            tracing::debug!(backend = %backend.name, "the plugin's schema is none: {error}");
            return Vec::new();
        }
    };
    found.dedup();
    found.iter().map(|refusal| refusal.line(backend, schema)).collect()
}

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    /// Where, such as `tls.ca_file` or `hosts[1].port`; empty for the whole.
    path: String,
    what: What,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    UnknownKey,
    Other(String),
}

impl Refusal {
    fn line(&self, backend: &BackendConfig, schema: &str) -> String {
        let at = backend.place_of(&self.path).map(|at| format!("configuration {at}: ")).unwrap_or_default();
        let dot = if self.path.is_empty() { "" } else { "." };
        let what = match &self.what {
            What::UnknownKey => match suggest_key(schema, &self.path) {
                Some(hint) => format!("unknown key, {hint}"),
                None => "unknown key".to_owned(),
            },
            What::Other(what) => what.clone(),
        };
        format!("{at}backend `{}`: `backend.config{dot}{}`: {what}", backend.name, self.path)
    }
}

fn explain(error: &ValidationError<'_>) -> Vec<Refusal> {
    let path = path_of(error);
    let other = |what: String| vec![Refusal { path: path.clone(), what: What::Other(what) }];
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let key = |key: &String| Refusal { path: join(&path, key), what: What::UnknownKey };
            unexpected.iter().map(key).collect()
        }
        ValidationErrorKind::Required { property } => {
            other(format!("`{}` is missing", property.as_str().unwrap_or_default()))
        }
        ValidationErrorKind::Type { kind } => {
            let expected: Vec<_> = match kind {
                jsonschema::error::TypeKind::Single(one) => vec![type_name(*one)],
                jsonschema::error::TypeKind::Multiple(set) => {
                    set.iter().filter(|one| *one != JsonType::Null).map(type_name).collect()
                }
            };
            other(format!("expected {}, found {}", expected.join(" or "), found(error.instance())))
        }
        ValidationErrorKind::Enum { options } => {
            let options = options.as_array().map(|all| all.iter().map(word).collect::<Vec<_>>());
            other(format!("expected {}", options.unwrap_or_default().join(" or ")))
        }
        ValidationErrorKind::Constant { expected_value } => {
            other(format!("expected {}", word(expected_value)))
        }
        ValidationErrorKind::Minimum { limit } => other(format!("expected at least {limit}")),
        ValidationErrorKind::Maximum { limit } => other(format!("expected at most {limit}")),
        ValidationErrorKind::ExclusiveMinimum { limit } => other(format!("expected more than {limit}")),
        ValidationErrorKind::ExclusiveMaximum { limit } => other(format!("expected less than {limit}")),
        ValidationErrorKind::MinLength { limit: 1 } => other("expected text that is not empty".to_owned()),
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            choices(&path, context)
        }
        ValidationErrorKind::OneOfMultipleValid { .. } => {
            other("fits several of the forms that exclude each other".to_owned())
        }
        _ => other(error.masked().to_string()),
    }
}

/// Why none of several forms fits: the words that are possible, or what is wrong with the one form that was meant.
fn choices(path: &str, forms: &[Vec<ValidationError<'_>>]) -> Vec<Refusal> {
    let mut words = Vec::new();
    let mut others = Vec::new();
    for form in forms {
        match &form[..] {
            [error] if path_of(error) == path => match error.kind() {
                ValidationErrorKind::Constant { expected_value } => words.push(word(expected_value)),
                ValidationErrorKind::Enum { options } => {
                    words.extend(options.as_array().into_iter().flatten().map(word));
                }
                // Of another type than what was written: not the form that was meant.
                ValidationErrorKind::Type { .. } => {}
                _ => others.push(form),
            },
            _ => others.push(form),
        }
    }
    if let [meant] = &others[..]
        && words.is_empty()
    {
        return meant.iter().flat_map(explain).collect();
    }
    let what = if words.is_empty() {
        "fits none of the forms that the plugin knows".to_owned()
    } else {
        format!("expected {}", words.join(" or "))
    };
    vec![Refusal { path: path.to_owned(), what: What::Other(what) }]
}

/// A JSON pointer in the form that configurations have: `hosts[1].port`.
fn path_of(error: &ValidationError<'_>) -> String {
    let pointer = error.instance_path().as_str();
    pointer.split('/').skip(1).fold(String::new(), |path, part| {
        let part = part.replace("~1", "/").replace("~0", "~");
        match part.bytes().all(|byte| byte.is_ascii_digit()) {
            true => format!("{path}[{part}]"),
            false => join(&path, &part),
        }
    })
}

fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

fn type_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "a list",
        JsonType::Boolean => "a boolean",
        JsonType::Integer => "an integer",
        JsonType::Null => "nothing",
        JsonType::Number => "a number",
        JsonType::Object => "a table",
        JsonType::String => "a string",
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jackfield::Config;

    use super::*;

    const SCHEMA: &str = r##"{"type":"object","additionalProperties":false,"required":["url"],"properties":{
        "url":{"type":"string"},"format":{"oneOf":[{"const":"pretty"},{"const":"lines"}]},
        "level":{"enum":[1,2]},"retries":{"type":"integer","minimum":1,"maximum":9},
        "token":{"type":["string","null"]},
        "tls":{"anyOf":[{"$ref":"#/$defs/Tls"},{"type":"null"}]},
        "hosts":{"type":"array","items":{"$ref":"#/$defs/Tls"}}},
        "$defs":{"Tls":{"type":"object","additionalProperties":false,"properties":{"ca_file":{"type":"string"}}}}}"##;

    /// What is said of a configuration whose first line is line 3.
    fn said(config: &str) -> Vec<String> {
        let text = format!("[[backend]]\nplugin = \"x\"\n[backend.config]\n{config}");
        let config = Config::parse(&text, Path::new("/c.toml")).expect("a configuration");
        refusals(&config.backends[0], SCHEMA)
    }

    fn one(config: &str) -> String {
        let said = said(config);
        let [line] = &said[..] else { panic!("{said:?}") };
        line.replace("configuration /c.toml:", "")
            .replace("backend `x`: `backend.config", "")
            .replace('`', "'")
    }

    #[test]
    fn what_fits_is_not_refused() {
        assert!(
            said("url = \"u\"\nformat = \"lines\"\nlevel = 2\nretries = 9\ntls = { ca_file = \"f\" }")
                .is_empty()
        );
    }

    #[test]
    fn each_fault_is_told_with_its_line_and_key_and_without_the_value() {
        for (config, expected) in [
            ("url = \"u\"\nformt = \"x\"", "5: .formt': unknown key, did you mean 'format'?"),
            ("url = true", "4: .url': expected a string, found a boolean"),
            ("format = \"lines\"", "3: ': 'url' is missing"),
            ("url = \"u\"\nformat = \"secret\"", "5: .format': expected 'pretty' or 'lines'"),
            ("url = \"u\"\nlevel = 3", "5: .level': expected '1' or '2'"),
            ("url = \"u\"\nretries = 0", "5: .retries': expected at least 1"),
            (
                "url = \"u\"\nretries = 1.5",
                "5: .retries': expected an integer, found a number with a fraction",
            ),
            ("url = \"u\"\ntoken = 5", "5: .token': expected a string, found an integer"),
            (
                "url = \"u\"\n[backend.config.tls]\nca_flie = 1",
                "6: .tls.ca_flie': unknown key, did you mean 'ca_file'?",
            ),
            (
                "url = \"u\"\nhosts = [{}, { ca_file = 1 }]",
                "5: .hosts[1].ca_file': expected a string, found an integer",
            ),
        ] {
            assert_eq!(one(config), expected, "{config}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        assert_eq!(said("formt = 1\nretries = 99").len(), 3);
    }

    #[test]
    fn a_schema_that_is_none_refuses_nothing() {
        let text = "[[backend]]\nplugin = \"x\"\n";
        let config = Config::parse(text, Path::new("/c.toml")).expect("a configuration");
        for schema in ["", "null", "{\"type\": 5}", "{\"$ref\": \"#/nowhere\"}"] {
            assert!(refusals(&config.backends[0], schema).is_empty(), "{schema}");
        }
    }
}
