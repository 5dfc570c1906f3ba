//! Options that are left out, and that the plugin takes from variables of the environment: the keyword `x-env` of an
//! option's schema lists them, the first one first. `x-env-without` of the whole schema names an option with which none of
//! them counts.

use serde_json::Value;

use crate::config::schema::named_files::INPUT;
use crate::config::schema::visit::{Visited, visit};

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
    let mut found = Vec::new();
    visit(root, options, Visited::Known, &mut |schema, value, path| {
        if value.is_null() || path.is_empty() {
            let names = schema["x-env"].as_array().into_iter().flatten().filter_map(Value::as_str);
            found.extend(names.into_iter().find(|name| is_set(name)).map(|name| FromVariable {
                option: path.to_owned(),
                variable: name.to_owned(),
                is_input: schema["format"] == INPUT,
            }));
        }
    });
    found
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
}
