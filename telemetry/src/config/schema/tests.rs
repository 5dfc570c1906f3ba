use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{LARGEST, OptionsSchema, SchemaError};

const SCHEMA: &str = r##"{"type":"object","additionalProperties":false,"required":["url"],"properties":{
    "url":{"type":"string","minLength":1},"format":{"oneOf":[{"const":"pretty"},{"const":"lines"}]},
    "level":{"enum":[1,2]},"retries":{"type":"integer","minimum":1,"maximum":9},
    "token":{"type":["string","null"]},"ratio":{"type":"number","exclusiveMaximum":1},
    "region":{"anyOf":[{"oneOf":[{"const":"eu"},{"const":"us"}]},{"type":"null"}]},
    "tags":{"anyOf":[{"type":"array","items":{"type":"string"},"maxItems":2},
        {"type":"object","additionalProperties":{"type":"string"}}]},
    "tls":{"anyOf":[{"$ref":"#/$defs/Tls"},{"type":"null"}]},
    "hosts":{"type":"array","items":{"$ref":"#/$defs/Tls"}}},
    "$defs":{"Tls":{"type":"object","additionalProperties":false,"properties":{"ca_file":{"type":"string"}}}}}"##;

fn faults(schema: &Value, options: &Value) -> Vec<(String, String)> {
    let schema = OptionsSchema::parse(&schema.to_string()).expect("a schema");
    schema.faults(options).into_iter().map(|fault| (fault.path, fault.what)).collect()
}

fn of_schema(options: &Value) -> Vec<(String, String)> {
    faults(&serde_json::from_str(SCHEMA).expect("JSON"), options)
}

#[test]
fn options_that_fit_have_no_fault() {
    for options in [
        json!({"url": "u"}),
        json!({"url": "u", "format": "lines", "level": 2, "retries": 9, "tls": {"ca_file": "f"}}),
        json!({"url": "u", "level": 1.0, "ratio": 0.5, "token": null, "region": "eu", "hosts": [{}]}),
        json!({"url": "u", "tags": ["a", "b"]}),
        json!({"url": "u", "tags": {"a": "b"}}),
    ] {
        assert_eq!(of_schema(&options), [], "{options}");
    }
}

#[test]
fn each_fault_names_the_key_and_not_the_value() {
    for (key, value, path, what) in [
        ("formt", json!("x"), "formt", "unknown key, did you mean `format`?"),
        ("url", json!(true), "url", "expected a string, found a boolean"),
        ("url", json!(""), "url", "expected text that is not empty"),
        ("format", json!("secret"), "format", "expected `pretty` or `lines`"),
        ("region", json!("secret"), "region", "expected `eu` or `us`"),
        ("level", json!(3), "level", "expected `1` or `2`"),
        ("retries", json!(0), "retries", "expected at least 1"),
        ("retries", json!(10), "retries", "expected at most 9"),
        ("retries", json!(1.5), "retries", "expected an integer, found a number with a fraction"),
        ("ratio", json!(1), "ratio", "expected less than 1"),
        ("token", json!(5), "token", "expected a string, found an integer"),
        ("tags", json!("a"), "tags", "expected a list or a table, found a string"),
        ("tags", json!(["a", "b", "c"]), "tags", "expected at most 2 items"),
        ("tags", json!({"a": 1}), "tags.a", "expected a string, found an integer"),
        ("tls", json!({"ca_flie": 1}), "tls.ca_flie", "unknown key, did you mean `ca_file`?"),
        ("hosts", json!([{}, {"ca_file": 1}]), "hosts[1].ca_file", "expected a string, found an integer"),
    ] {
        let mut options = json!({"url": "u"});
        options[key] = value;
        assert_eq!(of_schema(&options), [(path.to_owned(), what.to_owned())], "{options}");
    }
    assert_eq!(of_schema(&json!({})), [(String::new(), "`url` is missing".to_owned())]);
}

#[test]
fn all_faults_are_found_at_once() {
    assert_eq!(of_schema(&json!({"formt": 1, "retries": 99})).len(), 3);
}

#[test]
fn the_keys_of_which_one_is_missing_are_named() {
    let one_of = |keyword: &str| json!({"type": "object", keyword: [{"required": ["url"]}, {"required": ["urls"]}, {"required": ["file"]}]});
    let missing = [(String::new(), "`url` or `urls` or `file` is missing".to_owned())];
    for keyword in ["anyOf", "oneOf"] {
        assert_eq!(faults(&one_of(keyword), &json!({"a": 1})), missing);
        assert_eq!(faults(&one_of(keyword), &json!({"urls": 1})), []);
    }
    // One form was meant.
    let other = json!({"anyOf": [{"required": ["a"]}, {"required": ["b", "c"]}]});
    let several = "fits none of the forms that the plugin knows";
    assert_eq!(faults(&other, &json!({})), [(String::new(), several.to_owned())]);
}

#[test]
fn keywords_that_the_host_does_not_check_refuse_nothing() {
    for schema in [
        json!({"patternProperties": {"^x-": {}}, "additionalProperties": false}),
        json!({"not": {}, "unevaluatedProperties": false, "dependentRequired": {"a": ["b"]}}),
        json!({"if": {}, "then": false, "$dynamicRef": "#x", "$ref": "https://example.org/other"}),
        json!({"properties": {"a": {"pattern": "^[0-9]$", "format": "email"}}}),
        json!({"properties": {"a": {"oneOf": [{"pattern": "^x"}, {"pattern": "^y"}]}}}),
    ] {
        assert_eq!(faults(&schema, &json!({"a": "x", "x-b": 1})), [], "{schema}");
    }
    let both = json!({"properties": {"a": {"oneOf": [{"type": "string"}, {"minLength": 1}]}}});
    let several = "fits several of the forms that exclude each other";
    assert_eq!(faults(&both, &json!({"a": "x"})), [("a".to_owned(), several.to_owned())]);
}

#[test]
fn a_wrong_schema_is_told_with_its_place() {
    for (schema, says) in [
        ("", "not JSON: "),
        ("null", "``: expected an object or a boolean"),
        (r#"{"type":"objekt"}"#, "`/type`: expected a type of JSON, or a list of them"),
        (r##"{"$ref":"#/nowhere"}"##, "`/$ref`: expected a reference to a schema"),
        (
            r#"{"properties":{"a/b":{"minLength":-1}}}"#,
            "`/properties/a~1b/minLength`: expected a whole number",
        ),
        (r#"{"anyOf":[{},{"enum":1}]}"#, "`/anyOf/1/enum`: expected a list"),
        (
            r#"{"properties":{"a\u001b[31m\n":{"type":1}}}"#,
            r"`/properties/a\u{1b}[31m\n/type`: expected a type of JSON",
        ),
    ] {
        let error = OptionsSchema::parse(schema).expect_err(schema).to_string();
        assert!(error.starts_with(says), "{schema}: {error}");
    }
    let long = json!({"properties": {"x".repeat(LARGEST / 2): 1}}).to_string();
    let error = OptionsSchema::parse(&long).expect_err("no schema").to_string();
    assert!(error.starts_with("`/properties/xxx") && error.len() < 1000, "{} bytes", error.len());
    let large = format!(r#"{{"description":"{}"}}"#, "x".repeat(LARGEST));
    assert!(matches!(OptionsSchema::parse(&large), Err(SchemaError::TooLarge { .. })));
}

#[test]
fn a_schema_whose_check_would_take_for_ever_refuses_nothing() {
    let twice = |keyword: &str| {
        let mut schema = json!({"$ref": "#/$defs/d0", "$defs": {"d41": {"type": "string"}}});
        for number in 0..=40 {
            let next = json!({ "$ref": format!("#/$defs/d{}", number + 1) });
            schema["$defs"][format!("d{number}")] = json!({ keyword: [next, next] });
        }
        schema
    };
    let itself = json!({"allOf": [{"$ref": "#"}, {"type": "string"}]});
    let started = Instant::now();
    for schema in [twice("allOf"), twice("anyOf"), twice("oneOf"), itself] {
        assert_eq!(faults(&schema, &json!({"a": 1})), []);
        let schema = OptionsSchema::parse(&schema.to_string()).expect("a schema");
        assert_eq!(schema.suggest(&["a"; 100].join(".")), None);
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn the_nearest_key_is_found_where_the_path_leads() {
    let schema = OptionsSchema::parse(
        r##"{"type":"object","properties":{"url":{"type":"string"},"queue":{},
        "tls":{"anyOf":[{"$ref":"#/$defs/Tls"},{"type":"null"}]},
        "hosts":{"type":"array","items":{"$ref":"#/$defs/Host"}},"loop":{"$ref":"#/$defs/Loop"}},
        "$defs":{"Tls":{"properties":{"ca_file":{},"verify":{}}},"Host":{"properties":{"port":{}}},
        "Loop":{"anyOf":[{"$ref":"#/$defs/Loop"}]}}}"##,
    )
    .expect("a schema");
    for (path, expected) in [
        ("ulr", Some("did you mean `url`?")),
        ("colour", Some("expected one of `hosts`, `loop`, `queue`, `tls`, `url`")),
        ("tls.ca_flie", Some("did you mean `ca_file`?")),
        ("tls.ca_file", None),
        ("hosts[1].prot", Some("did you mean `port`?")),
        ("hosts.1.prot", Some("did you mean `port`?")),
        ("url.x", None),
        ("missing.x", None),
        ("loop.x", None),
        ("", Some("expected one of `hosts`, `loop`, `queue`, `tls`, `url`")),
    ] {
        assert_eq!(schema.suggest(path).as_deref(), expected, "{path}");
    }
}

/// Values of the kinds that configurations have.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-3..4i64).prop_map(Value::from),
        (-2..3i32).prop_map(|halves| Value::from(f64::from(halves) / 2.0)),
        "[ab]{0,3}".prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Schemas of keywords that the host checks. Those with references need the definition `a`.
fn schema() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        proptest::sample::select(vec!["array", "boolean", "integer", "null", "number", "object", "string"])
            .prop_map(|name| json!({"type": name})),
        Just(json!({"type": ["string", "null"]})),
        Just(json!({"$ref": "#/$defs/a"})),
        proptest::collection::vec(value(), 1..3).prop_map(|options| json!({"enum": options})),
        value().prop_map(|only| json!({"const": only})),
        (
            proptest::sample::select(vec!["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]),
            -2..3i64
        )
            .prop_map(|(keyword, limit)| json!({keyword: limit})),
        (proptest::sample::select(vec!["minLength", "maxLength", "minItems", "maxItems"]), 0..3u64)
            .prop_map(|(keyword, limit)| json!({keyword: limit})),
        proptest::collection::vec("[a-c]", 0..2).prop_map(|keys| {
            let keys: std::collections::BTreeSet<_> = keys.into_iter().collect();
            json!({"required": keys})
        }),
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        let forms = proptest::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            (proptest::sample::select(vec!["anyOf", "oneOf", "allOf"]), forms)
                .prop_map(|(keyword, forms)| json!({keyword: forms})),
            inner.clone().prop_map(|items| json!({"items": items})),
            (proptest::collection::btree_map("[a-c]", inner.clone(), 0..3), inner).prop_map(
                |(properties, others)| json!({"properties": properties, "additionalProperties": others})
            ),
        ]
    })
}

proptest! {
    #[test]
    fn an_independent_validator_gives_the_same_verdict(
        mut root in schema(),
        definition in proptest::sample::select(vec![json!({"type": "string"}), json!({"required": ["a"]})]),
        options in value(),
    ) {
        if let Some(root) = root.as_object_mut() {
            root.insert("$defs".to_owned(), json!({"a": definition}));
        }
        prop_assume!(root.is_object());
        let fits = jsonschema::validator_for(&root).expect("a schema").is_valid(&options);
        let faults = faults(&root, &options);
        prop_assert_eq!(faults.is_empty(), fits, "{}: {:?}", root, faults);
    }

    #[test]
    fn no_text_makes_a_check_panic(text in ".{0,64}", schema in schema(), options in value(), path in "[a-c.\\[\\]0-9]{0,20}") {
        let _ = OptionsSchema::parse(&text);
        // Its references may lead nowhere.
        if let Ok(schema) = OptionsSchema::parse(&schema.to_string()) {
            let _ = schema.faults(&options);
            let _ = schema.suggest(&path);
        }
    }
}

#[test]
fn what_options_are_not_checked_by_is_named() {
    let unchecked = |schema: Value| {
        let schema = OptionsSchema::parse(&schema.to_string()).expect("a schema");
        schema.unchecked().map(|unchecked| unchecked.to_string())
    };
    assert_eq!(unchecked(serde_json::from_str(SCHEMA).expect("JSON")), None);
    let named = |at: &str| Some(format!("not checked by `{at}`, which the host does not know"));
    assert_eq!(
        unchecked(json!({"properties": {"url": {"type": "string", "pattern": "^(a+)+$"}}})),
        named("/properties/url/pattern")
    );
    assert_eq!(unchecked(json!({"$ref": "http://127.0.0.1:1/schema"})), named("/$ref"));
    let mut definitions = json!({"d40": {"type": "object"}});
    for at in 0..40 {
        let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
        definitions[format!("d{at}")] = json!({"allOf": [next, next]});
    }
    let all = "not checked, since a check by the plugin's schema would take too many steps";
    assert_eq!(unchecked(json!({"$ref": "#/$defs/d0", "$defs": definitions})).as_deref(), Some(all));
    let itself = json!({"$ref": "#/$defs/a"});
    assert_eq!(unchecked(json!({"$ref": "#/$defs/a", "$defs": {"a": itself}})).as_deref(), Some(all));
}
