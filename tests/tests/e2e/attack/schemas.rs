//! JSON Schemas of plugins that would take a command's time or memory.

use serde_json::{Value, json};

use super::{
    files::{bounded, words},
    libraries::Plugin,
};
use crate::site::{Site, backend, events, to_file};

/// `$defs` of which each leads twice to the next, by this keyword.
fn doubling(keyword: &str) -> Value {
    let reference = |number: usize| json!({ "$ref": format!("#/$defs/d{number}") });
    let mut definitions = serde_json::Map::new();
    for number in 0..40 {
        let next = reference(number + 1);
        definitions.insert(format!("d{number}"), json!({ keyword: [next, next] }));
    }
    definitions.insert("d40".to_owned(), json!({ "type": "object" }));
    json!({ "$defs": definitions, "$ref": "#/$defs/d0" })
}

/// JSON Schemas that cost a general validator time or memory, or lead it elsewhere.
fn hostile_schemas() -> Vec<Value> {
    let text = |schema: Value| json!({ "type": "object", "properties": { "text": schema, "list": true } });
    let nested = |keyword: &str, depth: usize| {
        (0..depth).fold(json!({ "type": "string" }), |inner, _| match keyword {
            "allOf" | "anyOf" | "oneOf" => json!({ keyword: [inner] }),
            "properties" => json!({ keyword: { "text": inner } }),
            _ => json!({ keyword: inner }),
        })
    };
    let words: Vec<String> = (0..15_000).map(|number| format!("word{number}")).collect();
    let members: serde_json::Map<String, Value> =
        words.iter().take(5000).map(|word| (word.clone(), json!({ "type": "string" }))).collect();
    let itself: serde_json::Map<String, Value> =
        words.iter().take(20).map(|word| (word.clone(), json!({ "$ref": "#" }))).collect();
    let mut all: Vec<Value> = ["allOf", "anyOf", "oneOf"].map(doubling).to_vec();
    all.extend(
        ["allOf", "anyOf", "oneOf", "not", "items", "properties", "if", "additionalProperties"]
            .map(|keyword| text(nested(keyword, 50))),
    );
    all.extend([
        json!({ "$ref": "#" }),
        // Any number of options, and one that is a list of itself.
        json!({ "properties": itself }),
        json!({ "type": "array", "items": { "$ref": "#" }, "properties": { "list": { "$ref": "#" } } }),
        json!({ "allOf": [{ "$ref": "#" }, { "$ref": "#" }] }),
        json!({ "anyOf": [{ "$ref": "#" }, { "$ref": "#" }] }),
        json!({ "properties": { "text": { "$ref": "#" }, "list": { "items": { "$ref": "#" } } } }),
        json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } }, "$ref": "#/$defs/a" }),
        json!({ "$ref": "#/$defs/absent" }),
        json!({ "$ref": "#/%zz~2//" }),
        text(json!({ "$ref": "http://127.0.0.1:1/schema.json" })),
        text(json!({ "$ref": "file:///dev/zero" })),
        text(json!({ "$dynamicRef": "#text" })),
        text(json!({ "pattern": "^(a+)+$" })),
        text(json!({ "pattern": "(((a{1,100}){1,100}){1,100}){1,100}" })),
        text(json!({ "pattern": "[" })),
        json!({ "patternProperties": { "^(t+)+$": true } }),
        text(json!({ "enum": words })),
        text(json!({ "const": "x".repeat(200_000) })),
        json!({ "type": "object", "properties": members, "required": words }),
        json!({ "properties": { "list": { "uniqueItems": true, "contains": { "const": -1 } } } }),
        json!({ "properties": { "list": { "items": { "multipleOf": 1e-300, "maximum": 1e308 } } } }),
        json!({ "properties": { "list": { "minItems": 18_446_744_073_709_551_615_u64 } } }),
        json!({ "unevaluatedProperties": false }),
        json!({ "type": "objekt" }),
        json!({ "type": ["object", "object", 1] }),
        json!({ "properties": [] }),
        json!({ "description": "\u{1b}[2J\u{202e}", "properties": { "\u{1b}[2J": { "type": "string" } } }),
        json!({ "required": ["\u{1b}[2J\u{202e}"] }),
        json!(false),
    ]);
    all
}

#[test]
fn a_hostile_schema_holds_no_command() {
    let scratch = tempfile::tempdir().expect("a folder");
    let schemas = hostile_schemas();
    let text = "a".repeat(5000) + "!";
    let list: Vec<u64> = (0..1000).collect();
    for schema in &schemas {
        let site = Site::new(&[]);
        let shown: String = schema.to_string().chars().take(200).collect();
        let plugin = Plugin::new("victim").metadata(|metadata| metadata["config_schema"] = schema.clone());
        let plugin = plugin.in_file(scratch.path()).build(&site.path(""), "libvictim.so");
        let rest = format!("config = {{ text = {text:?}, list = {list:?} }}");
        site.write("config.toml", backend("victim", &plugin, &rest) + &to_file("healthy", "healthy.jsonl"));
        for (arguments, codes) in [
            (&["inspect"][..], &[0, 4][..]),
            (&["schema"], &[0, 3, 4]),
            (&["doctor"], &[0, 3, 4]),
            (&["send", "--json"], &[0, 3, 4]),
        ] {
            let mut arguments = words(arguments);
            if arguments[0] == "inspect" {
                arguments.push(plugin.as_os_str());
            }
            let ended = bounded(&site, &arguments);
            let told = || format!("{shown}: {arguments:?}: {:?} {:.500}", ended.code, ended.stderr);
            assert!(ended.code.is_some_and(|code| codes.contains(&code)), "{}", told());
            let is_hostile = |c: char| c == '\u{1b}' || c == '\u{202e}';
            assert!(!(ended.stdout.clone() + &ended.stderr).contains(is_hostile), "{}", told());
            assert!(!ended.stderr.contains("panicked"), "{}", told());
        }
        assert_eq!(site.read("healthy.jsonl"), events(0..3), "{shown}");
    }
    super::tried("hostile schemas", schemas.len());
}
