//! `jackfield schema`: one JSON Schema for the whole configuration file, for editors.

use std::path::PathBuf;

use jackfield::{PluginsConfig, forward::accepted_plugin_name};
use jackfield_loader::{Inspection, Trust};
use serde_json::{Map, Value, json};

use crate::{
    common_args::{CommonArgs, Help},
    exit::{CommandError, Exit},
    log, output, settings,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield schema > ~/.config/jackfield/config.schema.json",
    notes: "An editor that knows JSON Schema completes and checks `config.toml` by it: Taplo, and\n\
         so Even Better TOML, when the file begins with `#:schema ./config.schema.json`.\n\
         Runs no plugin: options are read from the files.",
};

pub(crate) fn run(common: &CommonArgs) -> Result<Exit, CommandError> {
    // An editor needs it most while the configuration is wrong.
    let plugins_path = match settings::load(common.config.as_deref()) {
        Ok(config) => config.plugins.path,
        Err(refusal) => {
            log::warn(format_args!("{refusal}; the plugins are those of the usual folders"));
            PluginsConfig::default().path
        }
    };
    output::json(&whole(&plugins(&plugins_path)))?;
    Ok(Exit::Done)
}

/// What a configuration calls each plugin of the search path, and the schema that it carries.
fn plugins(path: &[PathBuf]) -> Vec<(String, Value)> {
    let files = jackfield_loader::list(path);
    let mut found = Vec::new();
    for file in files {
        let Ok(inspection) = jackfield_loader::inspect(&file) else { continue };
        let Some(schema) = schema_of(&inspection) else { continue };
        found.push((accepted_plugin_name(&file, Some(inspection.metadata.name.as_raw()), path), schema));
    }
    found
}

fn schema_of(inspection: &Inspection) -> Option<Value> {
    let schema = inspection.metadata.config_schema.as_ref()?;
    serde_json::from_str(schema.get()).ok().filter(Value::is_object)
}

/// The schema of a file whose backends are of these plugins, or of others, about whose options it says nothing.
fn whole(plugins: &[(String, Value)]) -> Value {
    let mut definitions = Map::new();
    let mut choices = Vec::new();
    for (name, schema) in plugins {
        let mut schema = schema.clone();
        relocate(&mut schema, &format!("#/$defs/{}", pointer(name)));
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("$schema");
            schema.remove("$id");
        }
        definitions.insert(name.clone(), schema);
        choices.push(json!({
            "if": { "properties": { "plugin": { "const": name } }, "required": ["plugin"] },
            "then": { "properties": { "config": { "$ref": format!("#/$defs/{}", pointer(name)) } } },
        }));
    }
    let names: Vec<_> = plugins.iter().map(|(name, _)| name).collect();
    let mut backend = backend();
    if !names.is_empty() {
        backend["properties"]["plugin"]["examples"] = json!(names);
        backend["allOf"] = json!(choices);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of jackfield",
        "type": "object",
        "properties": {
            "plugins": plugins_table(),
            "backend": { "description": "The backends: each gets every event.", "type": "array", "items": backend },
        },
        "additionalProperties": false,
        "$defs": definitions,
    })
}

fn text(description: &str) -> Value {
    json!({ "description": description, "type": "string" })
}

fn texts(description: &str) -> Value {
    json!({ "description": description, "type": "array", "items": { "type": "string" } })
}

fn plugins_table() -> Value {
    json!({
        "description": "Where plugins are, and which of them are trusted.",
        "type": "object",
        "properties": {
            "path": texts("Folders that are searched for plugins, in this order."),
            "trust": {
                "description": "What is required of a file before its code runs.",
                "enum": Trust::ALL.map(|(name, _)| name),
                "default": "owner",
            },
            "lock": {
                "description": "The lock file, for trust = \"pinned\" and for minimum versions.",
                "type": "string",
                "default": "jackfield.lock",
            },
            "helper": text("The executable of plugins' processes; the tool's own unless set."),
            "keys": texts("Public keys of minisign, for trust = \"signed\"."),
            "revoked": texts("Ids of keys whose signatures are not accepted any more."),
        },
        "additionalProperties": false,
    })
}

fn backend() -> Value {
    json!({
        "type": "object",
        "properties": {
            "plugin": text("A plugin's name on the search path, or a path."),
            "name": {
                "description": "What messages and files call this backend; the plugin's name unless set.",
                "type": "string",
                "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$",
            },
            "timeout": {
                "description": "How long a call may take, such as \"5s\" or \"250ms\".",
                "type": "string",
                "default": "5s",
            },
            "longest_pause": {
                "description": "The longest pause between two attempts, while the backend fails.",
                "type": "string",
                "default": "5m",
            },
            "isolation": {
                "description": "Where the plugin runs.",
                "enum": ["thread", "process"],
                "default": "thread",
            },
            "config": { "description": "Handed to the plugin.", "type": "object" },
            "limits": {
                "description": "What the plugin's process may use up; with isolation = \"process\".",
                "type": "object",
                "properties": {
                    "memory": text("Address space, such as \"512MiB\"."),
                    "cpu": text("Processor time of the process's life, such as \"60s\"."),
                    "files": { "description": "Files open at a time.", "type": "integer", "minimum": 1 },
                    "core_dumps": {
                        "description": "Whether a crash leaves a core dump.",
                        "type": "boolean",
                        "default": false,
                    },
                },
                "additionalProperties": false,
            },
            "sandbox": {
                "description": "What the plugin's process may touch; with isolation = \"process\".",
                "type": "object",
                "properties": {
                    "read": texts("Files and folders that it may read."),
                    "write": texts("Files and folders that it may write."),
                },
                "additionalProperties": false,
            },
        },
        "required": ["plugin"],
        "additionalProperties": false,
    })
}

/// References within a schema that becomes a part of another one, at `root`.
fn relocate(schema: &mut Value, root: &str) {
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(target) if key == "$ref" && target.starts_with('#') => {
                        *target = format!("{root}{}", &target[1..]);
                    }
                    _ => relocate(value, root),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| relocate(item, root)),
        _ => {}
    }
}

/// A part of a JSON pointer.
fn pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jackfield::Config;

    use super::*;

    /// The keys that the reader of configurations knows in a table, from its refusal of one that it does not.
    fn known(text: &str) -> Vec<String> {
        let refusal = Config::parse(text, Path::new("c.toml")).expect_err("an unknown key").to_string();
        let (_, list) = refusal.split_once("expected one of ").expect("the list of keys");
        let mut keys: Vec<_> = list.split(", ").map(|key| key.trim_matches('`').to_owned()).collect();
        keys.sort();
        keys
    }

    #[test]
    fn it_has_exactly_the_keys_that_the_reader_of_configurations_knows() {
        let schema = whole(&[]);
        let keys = |pointer: &str| -> Vec<String> {
            schema.pointer(pointer).and_then(Value::as_object).expect(pointer).keys().cloned().collect()
        };
        assert_eq!(keys("/properties"), known("qqqqqqqqqqqq = 1"));
        assert_eq!(keys("/properties/plugins/properties"), known("[plugins]\nqqqqqqqqqqqq = 1"));
        assert_eq!(keys("/properties/backend/items/properties"), known("[[backend]]\nqqqqqqqqqqqq = 1"));
    }

    #[test]
    fn a_backends_options_are_those_of_its_plugin_and_anything_for_an_unknown_one() {
        let plugin = json!({
            "$schema": "x", "type": "object", "additionalProperties": false,
            "properties": { "tls": { "$ref": "#/$defs/Tls" } }, "$defs": { "Tls": { "type": "boolean" } },
        });
        let schema = whole(&[("http".to_owned(), plugin)]);
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let fits = |config: Value| validator.is_valid(&json!({ "backend": [config] }));
        assert!(fits(json!({ "plugin": "http", "config": { "tls": true } })));
        assert!(
            !fits(json!({ "plugin": "http", "config": { "tls": 1 } })),
            "the reference leads to the plugin's own"
        );
        assert!(!fits(json!({ "plugin": "http", "config": { "tsl": true } })));
        assert!(fits(json!({ "plugin": "./other.so", "config": { "anything": 1 } })));
        assert!(!fits(json!({ "name": "without" })));
        assert!(!fits(json!({ "plugin": "http", "isolation": "nonsense" })));
    }
}
