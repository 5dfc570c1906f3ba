//! The files that options name: strings whose schema has the format [`INPUT`], such as a certificate, or [`OUTPUT`].

use std::path::PathBuf;

use serde_json::Value;

use crate::config::schema::fault::resolve;

/// The value of the keyword `format` that marks the path of a file that the plugin reads when it opens.
pub(super) const INPUT: &str = "input-file";

/// The value of `format` that marks the path of a file that the plugin writes, in a folder that has to exist.
const OUTPUT: &str = "output-file";

/// A file that the options name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct NamedFile {
    /// The option, such as `tls.ca_file` or `hosts[1].key`.
    pub option: String,
    /// The path, as the options have it.
    pub file: PathBuf,
    /// Whether the plugin reads it when it opens. Otherwise it writes the file.
    pub is_read: bool,
}

/// The number of schemas that are looked at, and how deep one may apply within another: a vendor's schema may be hostile.
pub(super) const MOST_STEPS: usize = 10_000;
pub(super) const DEEPEST: usize = 64;

/// The files that `options` name, in no order.
pub(super) fn named_files(root: &Value, options: &Value) -> Vec<NamedFile> {
    let mut search = Search { root, steps: 0, found: Vec::new() };
    search.look(root, options, "", DEEPEST);
    search.found
}

struct Search<'a> {
    root: &'a Value,
    steps: usize,
    found: Vec<NamedFile>,
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
        match value {
            Value::String(text) if !text.is_empty() => {
                let is_read = schema["format"] == INPUT;
                if is_read || schema["format"] == OUTPUT {
                    let file = NamedFile { option: path.to_owned(), file: text.into(), is_read };
                    // Several forms of one option may say the same.
                    if !self.found.contains(&file) {
                        self.found.push(file);
                    }
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.look(&schema["items"], item, &format!("{path}[{at}]"), depth);
                }
            }
            Value::Object(members) => {
                for (name, value) in members {
                    let of_others = &schema["additionalProperties"];
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    self.look(schema["properties"].get(name).unwrap_or(of_others), value, &path, depth);
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
                "ca": file, "text": {"type": "string"}, "out": {"type": "string", "format": "output-file"},
                "tls": {"$ref": "#/$defs/tls"}, "map": {"additionalProperties": file}, "all": {"items": {"anyOf": [{"type": "null"}, file]}},
            },
            "$defs": {"tls": {"properties": {"key": file}}},
        });
        let options = json!({"ca": "/ca", "text": "/text", "out": "/out", "tls": {"key": "/key"}, "map": {"x": "/x"}, "all": ["/a", null, "/b"]});
        let mut found = named_files(&schema, &options);
        found.sort();
        let file = |option: &str, file: &str| NamedFile {
            option: option.to_owned(),
            file: file.into(),
            is_read: option != "out",
        };
        let expected = [
            file("all[0]", "/a"),
            file("all[2]", "/b"),
            file("ca", "/ca"),
            file("map.x", "/x"),
            file("out", "/out"),
            file("tls.key", "/key"),
        ];
        assert_eq!(found, expected);
        assert!(named_files(&schema, &json!({"ca": null})).is_empty());
    }

    #[test]
    fn a_schema_without_an_end_is_left_after_some_steps() {
        let next = json!({"$ref": "#/$defs/a"});
        let schema = json!({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [next, next]}}});
        assert!(named_files(&schema, &json!("/x")).is_empty());
    }
}
