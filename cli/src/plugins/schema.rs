//! `jackfield schema`: one JSON Schema for the whole configuration file, for editors.

use std::path::PathBuf;

use jackfield::{PluginsConfig, forward::accepted_plugin_name};
use serde_json::{Map, Value, json};

use crate::{
    console,
    exit::{CommandError, Exit},
    help::Help,
    log,
    settings::CommonArgs,
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield schema > ~/.config/jackfield/config.schema.json",
    notes: "Editors complete and check a `config.toml` with it. Those that use Taplo, such as Even\n\
         Better TOML, need `#:schema ./config.schema.json` as the first line of the file.\n\
         The options are read from the files of the plugins; no plugin is run.",
};

pub(crate) fn run(common: &CommonArgs) -> Result<Exit, CommandError> {
    // The schema helps to correct a wrong configuration, so such a configuration is no error.
    let plugins_path = match common.configuration() {
        Ok(config) => config.plugins.path,
        Err(refusal) => {
            log::warn(format_args!("{refusal}; the schema has the plugins of the default folders"));
            PluginsConfig::default().path
        }
    };
    console::print_json(&whole(&plugins(&plugins_path)))?;
    Ok(Exit::Done)
}

/// The name of each plugin on the search path, as a configuration has it, and the schema of its options.
fn plugins(path: &[PathBuf]) -> Vec<(String, Value)> {
    let plugin = |file: PathBuf| {
        let inspection = jackfield_loader::inspect(&file).ok()?;
        let schema = inspection.metadata.config_schema.as_ref()?;
        let schema = serde_json::from_str(schema.get()).ok().filter(Value::is_object)?;
        Some((accepted_plugin_name(&file, Some(inspection.metadata.name.as_raw()), path), schema))
    };
    jackfield_loader::list(path).into_iter().filter_map(plugin).collect()
}

/// The schema of a configuration file whose backends accept any options.
const CONFIGURATION: &str = include_str!("configuration.schema.json");

/// The schema of a configuration file, with the options of these plugins. Other plugins have any options.
fn whole(plugins: &[(String, Value)]) -> Value {
    let mut definitions = Map::new();
    let mut choices = Vec::new();
    for (name, schema) in plugins {
        let mut schema = schema.clone();
        admit_references(&mut schema);
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
    let mut schema: Value = serde_json::from_str(CONFIGURATION).unwrap_or_default();
    if !plugins.is_empty() {
        let backend = &mut schema["properties"]["backend"]["items"];
        let names: Vec<_> = plugins.iter().map(|(name, _)| name).collect();
        backend["properties"]["plugin"]["examples"] = json!(names);
        backend["allOf"] = json!(choices);
    }
    schema["$defs"] = definitions.into();
    schema
}

/// Admits a text with a `${…}` where the schema wants a number or a boolean.
fn admit_references(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let types = match members.get("type") {
                Some(Value::Array(types)) => types.clone(),
                one => one.cloned().into_iter().collect(),
            };
            let is_scalar = types
                .iter()
                .any(|word| ["integer", "number", "boolean"].contains(&word.as_str().unwrap_or("")));
            if is_scalar && !types.contains(&json!("string")) {
                members.insert("type".to_owned(), types.into_iter().chain([json!("string")]).collect());
                // A pattern restricts texts alone.
                members.insert("pattern".to_owned(), json!(REFERENCE));
            }
            members.values_mut().for_each(admit_references);
        }
        Value::Array(items) => items.iter_mut().for_each(admit_references),
        _ => {}
    }
}

/// A text with a reference, as a regular expression.
const REFERENCE: &str = r"\$\{.+\}";

/// Corrects the references within a schema that becomes a part of another one, at `root`.
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
    use jackfield_loader::Trust;

    use super::*;

    /// The keys that the reader of configurations knows in a table, from its refusal of an unknown one.
    fn known(text: &str) -> Vec<String> {
        let refusal = Config::parse(text, Path::new("c.toml")).expect_err("an unknown key").to_string();
        let (_, list) = refusal.split_once("expected one of ").expect("the list of keys");
        let list = list.split("; ").next().expect("the first part");
        let mut keys: Vec<_> = list.split(", ").map(|key| key.trim_matches('`').to_owned()).collect();
        keys.sort();
        keys
    }

    #[test]
    fn its_keys_are_those_of_the_reader_of_configurations() {
        let schema = whole(&[]);
        let keys = |pointer: &str| -> Vec<String> {
            schema.pointer(pointer).and_then(Value::as_object).expect(pointer).keys().cloned().collect()
        };
        assert_eq!(keys("/properties"), known("qqqqqqqqqqqq = 1"));
        assert_eq!(keys("/properties/plugins/properties"), known("[plugins]\nqqqqqqqqqqqq = 1"));
        let backend = "/properties/backend/items/properties";
        assert_eq!(keys(backend), known("[[backend]]\nqqqqqqqqqqqq = 1"));
        for table in ["limits", "sandbox"] {
            let text = format!("[[backend]]\n{table}.qqqqqqqqqqqq = 1");
            assert_eq!(keys(&format!("{backend}/{table}/properties")), known(&text));
        }
        let words = schema.pointer("/properties/plugins/properties/trust/anyOf/0/enum");
        assert_eq!(words, Some(&json!(Trust::ALL.map(|(word, _)| word))));
    }

    #[test]
    fn a_backend_has_its_plugins_options_or_any_options() {
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
        assert!(fits(json!({ "plugin": "http", "config": { "tls": "${TLS:-true}" } })));
        assert!(!fits(json!({ "plugin": "http", "config": { "tls": "true" } })));
        assert!(fits(json!({ "plugin": "./other.so", "config": { "anything": 1 } })));
        assert!(!fits(json!({ "name": "without" })));
        assert!(!fits(json!({ "plugin": "http", "isolation": "nonsense" })));
    }
}
