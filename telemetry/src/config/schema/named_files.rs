//! The files that options name: strings whose schema has the format [`INPUT`], such as a certificate, or [`OUTPUT`].

use std::path::PathBuf;

use serde_json::Value;

use crate::config::schema::visit::{Visited, visit};

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

/// The files that `options` name, in no order.
pub(super) fn named_files(root: &Value, options: &Value) -> Vec<NamedFile> {
    let mut found = Vec::new();
    visit(root, options, Visited::Present, &mut |schema, value, path| {
        let Some(text) = value.as_str().filter(|text| !text.is_empty()) else { return };
        let is_read = schema["format"] == INPUT;
        let file = NamedFile { option: path.to_owned(), file: text.into(), is_read };
        // Several forms of one option may say the same.
        if (is_read || schema["format"] == OUTPUT) && !found.contains(&file) {
            found.push(file);
        }
    });
    found
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
}
