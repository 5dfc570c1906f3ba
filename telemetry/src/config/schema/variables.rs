//! Options that are left out, and that the plugin takes from variables of the environment: the keyword `x-env` of an
//! option's schema lists them, the first one first. `x-env-without` of the whole schema names an option with which none of
//! them counts.

use serde_json::Value;

use crate::config::schema::fault::resolve;
use crate::config::schema::named_files::{DEEPEST, INPUT, MOST_STEPS};

/// An option that comes from a variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct FromVariable {
    /// The option, such as `tls.ca_file`; empty for what is no option.
    pub option: String,
    /// The name of the variable.
    pub variable: String,
    /// Whether it names a file that the plugin reads when it opens.
    pub(crate) is_input: bool,
}

/// The options that are not in `options`, and that a variable sets.
pub(super) fn from_variables(
    root: &Value,
    options: &Value,
    is_set: &dyn Fn(&str) -> bool,
) -> Vec<FromVariable> {
    if root["x-env-without"].as_str().is_some_and(|option| !options[option].is_null()) {
        return Vec::new();
    }
    let mut search = Search { root, is_set, steps: 0, found: Vec::new() };
    search.look(root, options, "", DEEPEST);
    search.found
}

struct Search<'a> {
    root: &'a Value,
    is_set: &'a dyn Fn(&str) -> bool,
    steps: usize,
    found: Vec<FromVariable>,
}

impl<'a> Search<'a> {
    /// Looks at a schema for `value`, which is at `path`. `depth` is the remaining depth.
    fn look(&mut self, schema: &'a Value, value: &Value, path: &str, depth: usize) {
        self.steps += 1;
        let Some(depth) = depth.checked_sub(1).filter(|_| self.steps <= MOST_STEPS) else { return };
        if let Some(target) = schema["$ref"].as_str().and_then(|target| resolve(self.root, target)) {
            self.look(target, value, path, depth);
        }
        for forms in ["anyOf", "oneOf", "allOf"] {
            let forms = schema[forms].as_array().into_iter().flatten();
            forms.for_each(|form| self.look(form, value, path, depth));
        }
        if value.is_null() || path.is_empty() {
            let names = schema["x-env"].as_array().into_iter().flatten().filter_map(Value::as_str);
            self.found.extend(names.into_iter().find(|name| (self.is_set)(name)).map(|name| FromVariable {
                option: path.to_owned(),
                variable: name.to_owned(),
                is_input: schema["format"] == INPUT,
            }));
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            self.look(schema, &value[name.as_str()], &path, depth);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_option_that_is_left_out_comes_from_its_first_variable() {
        let file = json!({"type": ["string", "null"], "format": "input-file", "x-env": ["CA_OF_LOGS", "CA"]});
        let schema = json!({
            "x-env": ["TIMEOUT"],
            "x-env-without": "url",
            "properties": {
                "url": {"x-env": ["URL"]}, "gzip": {"x-env": ["GZIP"]}, "unset": {"x-env": ["UNSET"]},
                "tls": {"$ref": "#/$defs/tls"},
            },
            "$defs": {"tls": {"properties": {"ca": file}}},
        });
        let found = |options: Value| {
            let mut found =
                from_variables(&schema, &options, &|name| name != "UNSET" && name != "CA_OF_LOGS");
            found.sort();
            found.into_iter().map(|it| (it.option, it.variable, it.is_input)).collect::<Vec<_>>()
        };
        let of = |option: &str, variable: &str| (option.to_owned(), variable.to_owned(), option == "tls.ca");
        let all = [of("", "TIMEOUT"), of("gzip", "GZIP"), of("tls.ca", "CA"), of("url", "URL")];
        assert_eq!(found(json!({})), all);
        assert_eq!(
            found(json!({"url": null, "gzip": true, "tls": {"ca": "/ca"}})),
            [of("", "TIMEOUT"), of("url", "URL")]
        );
        assert_eq!(found(json!({"url": "http://h"})), []);
    }

    #[test]
    fn a_schema_without_an_end_is_left_after_some_steps() {
        let next = json!({"$ref": "#/$defs/a"});
        let schema = json!({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [next, next]}}});
        assert_eq!(from_variables(&schema, &json!({}), &|_| true), []);
    }
}
