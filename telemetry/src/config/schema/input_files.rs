//! The files that a plugin reads when it opens, such as a certificate: strings whose schema has the format [`FORMAT`].

use std::path::PathBuf;

use serde_json::Value;

use crate::config::schema::fault::resolve;

/// The value of the keyword `format` that marks the path of such a file.
const FORMAT: &str = "input-file";

/// The number of schemas that are looked at, and how deep one may apply within another: a vendor's schema may be hostile.
const MOST_STEPS: usize = 10_000;
const DEEPEST: usize = 64;

/// The files that `options` name, in no order.
pub(super) fn input_files(root: &Value, options: &Value) -> Vec<PathBuf> {
    let mut search = Search { root, steps: 0, found: Vec::new() };
    search.look(root, options, DEEPEST);
    search.found
}

struct Search<'a> {
    root: &'a Value,
    steps: usize,
    found: Vec<PathBuf>,
}

impl<'a> Search<'a> {
    /// Looks at a schema for `value`. `depth` is the remaining depth.
    fn look(&mut self, schema: &'a Value, value: &Value, depth: usize) {
        self.steps += 1;
        let Some(depth) = depth.checked_sub(1).filter(|_| self.steps <= MOST_STEPS) else { return };
        if let Some(target) = schema["$ref"].as_str().and_then(|target| resolve(self.root, target)) {
            self.look(target, value, depth);
        }
        for forms in ["anyOf", "oneOf", "allOf"] {
            schema[forms].as_array().into_iter().flatten().for_each(|form| self.look(form, value, depth));
        }
        match value {
            Value::String(path) if schema["format"] == FORMAT && !path.is_empty() => {
                self.found.push(path.into());
            }
            Value::Array(items) => items.iter().for_each(|item| self.look(&schema["items"], item, depth)),
            Value::Object(members) => {
                for (name, value) in members {
                    let of_others = &schema["additionalProperties"];
                    self.look(schema["properties"].get(name).unwrap_or(of_others), value, depth);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_are_found_at_any_depth_and_by_reference() {
        let file = json!({"type": ["string", "null"], "format": "input-file"});
        let schema = json!({
            "properties": {
                "ca": file, "out": {"type": "string"},
                "tls": {"$ref": "#/$defs/tls"}, "map": {"additionalProperties": file}, "all": {"items": {"anyOf": [{"type": "null"}, file]}},
            },
            "$defs": {"tls": {"properties": {"key": file}}},
        });
        let options = json!({"ca": "/ca", "out": "/out", "tls": {"key": "/key"}, "map": {"x": "/x"}, "all": ["/a", null, "/b"]});
        let mut found = input_files(&schema, &options);
        found.sort();
        assert_eq!(found, ["/a", "/b", "/ca", "/key", "/x"].map(PathBuf::from));
        assert!(input_files(&schema, &json!({"ca": null})).is_empty());
    }

    #[test]
    fn a_schema_without_an_end_is_left_after_some_steps() {
        let next = json!({"$ref": "#/$defs/a"});
        let schema = json!({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [next, next]}}});
        assert!(input_files(&schema, &json!("/x")).is_empty());
    }
}
