//! The pages for operators have every key of the configuration, and the exit codes as the command tells them.

#![cfg(unix)]

use std::fs;

use jackfield_tests::pages::Block;

use crate::{
    docs::{blocks_of, root},
    site::Site,
};

#[test]
fn what_the_guides_repeat_of_the_help_stands_there() {
    let help = Site::new(&[]).run(&["--help"]).with_code(0).stdout;
    for Block { at, lines, .. } in blocks_of("text", "help") {
        assert!(help.contains(&lines.join("\n")), "{at}: {help}");
    }
}

/// The names of the keys in a schema of a table or of a list of tables, each with its path.
fn keys(schema: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        keys(schema, &path, found);
        keys(&schema["items"], &path, found);
        found.push(path);
    }
}

#[test]
fn the_page_of_the_configuration_has_every_key() {
    let schema =
        fs::read_to_string(root().join("cli/src/plugins/configuration.schema.json")).expect("a schema");
    let schema = serde_json::from_str(&schema).expect("JSON");
    let mut found = Vec::new();
    keys(&schema, "", &mut found);
    assert!(found.len() > 15, "{found:?}");
    let page = fs::read_to_string(root().join("docs/operating/configuration.md")).expect("a page");
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let is_named = |text: &str, row: &str| row.split('`').skip(1).step_by(2).any(|word| word == text);
    for key in found.iter().filter(|key| key.contains('.')) {
        let of_row = |row: &&str| {
            let (table, name) = key.rsplit_once('.').expect("a key of a table");
            is_named(key, row) || (is_named(table, row) && is_named(name, row))
        };
        assert!(rows.iter().any(of_row), "{key} is not there");
    }
}
