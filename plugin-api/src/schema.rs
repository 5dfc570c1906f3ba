//! The JSON Schema of a plugin's options, from their type, behind the feature `schema`: for a test of the plugin, so that
//! the library itself brings no generator of schemas.
//!
//! The schema is in the metadata, which is written at compile time, and a type has its schema at run time. A build script can
//! make the schema of options in a file of their own, as in the projects of `jackfield new`. Other plugins have the schema as
//! a file beside the manifest, and this test of the plugin refuses it when it is not that of the type:
//!
//! ```
//! #[derive(serde::Deserialize)]
//! #[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
//! struct Config {
//!     /// Where events go.
//!     url: String,
//! }
//!
//! #[test]
//! fn the_schema_is_that_of_the_options() {
//!     jackfield_plugin_api::schema::assert_schema::<Config>(env!("CARGO_MANIFEST_DIR"));
//! }
//! ```
//!
//! `JACKFIELD_BLESS=1 cargo test` writes the file. The export takes it by
//! `config_schema: include_str!("../config.schema.json")`.
#![allow(clippy::disallowed_methods, reason = "a file of the source, and the process is a test")]
#![allow(clippy::test_attr_in_doctest, reason = "the example is a test")]

use std::{env, fs, path::Path};

use schemars::{JsonSchema, schema_for};

/// Fails unless `config.schema.json` in the folder of a plugin's manifest describes the options of type `T`. With
/// `JACKFIELD_BLESS=1` it writes the file anew.
///
/// # Panics
/// When the file is another one, with the first line that differs; when the file can't be written.
pub fn assert_schema<T: JsonSchema>(manifest_folder: &str) {
    let mut schema = serde_json::to_string_pretty(&schema_for!(T)).expect("a schema is JSON");
    schema.push('\n');
    same_or_bless(&Path::new(manifest_folder).join("config.schema.json"), &schema);
}

/// Fails unless the file has the expected text, line ends aside. With `JACKFIELD_BLESS=1` it writes the file anew.
///
/// # Panics
/// As [`assert_schema`].
#[doc(hidden)]
pub fn same_or_bless(file: &Path, expected: &str) {
    let found = fs::read_to_string(file).unwrap_or_default().replace('\r', "");
    let Some(difference) = difference(&found, expected) else { return };
    if env::var_os("JACKFIELD_BLESS").is_some() {
        return fs::write(file, expected).expect("the file can be written");
    }
    panic!(
        "{} is not what its source says, at {difference}\n\
         JACKFIELD_BLESS=1 writes the file anew; for a released surface of the ABI that breaks every plugin",
        file.display(),
    );
}

/// The first line that differs.
fn difference(found: &str, expected: &str) -> Option<String> {
    if found == expected {
        return None;
    }
    let (mut found, mut expected) = (found.split('\n'), expected.split('\n'));
    for number in 1.. {
        let (file, source) = (found.next(), expected.next());
        if file != source {
            let [file, source] = [file, source].map(|line| line.unwrap_or("(end)"));
            return Some(format!("line {number}:\n  file:   {file}\n  source: {source}"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        let said = |found| difference(found, "a\nb\n").expect("they differ");
        assert_eq!(said("a\nc\n"), "line 2:\n  file:   c\n  source: b");
        assert_eq!(said("a\nb\nc"), "line 3:\n  file:   c\n  source: ");
        assert_eq!(said("a"), "line 2:\n  file:   (end)\n  source: b");
    }
}
