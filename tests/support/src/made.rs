//! Files that are made from the source and checked in.

use std::{env, fs, path::Path};

use schemars::{JsonSchema, schema_for};

/// Fails unless `config.schema.json` in the folder of a plugin's manifest describes the options of type `T`.
///
/// # Panics
/// As [`same_or_bless`].
pub fn assert_schema<T: JsonSchema>(manifest_folder: &str) {
    let mut schema = serde_json::to_string_pretty(&schema_for!(T)).expect("a schema is JSON");
    schema.push('\n');
    same_or_bless(&Path::new(manifest_folder).join("config.schema.json"), &schema);
}

/// Fails unless the file has the expected text, line ends aside. With `JACKFIELD_BLESS=1` it writes the file anew.
///
/// # Panics
/// When the text is another one, with the first line that differs; when the file can't be written.
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
