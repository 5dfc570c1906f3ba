//! Configurations that the plugin has to accept or to refuse.

use jackfield::forward::OptionsSchema;
use jackfield_loader::{conformance::Terms, count, plugin_api::abi};
use serde_json::{Map, Value, json};

use crate::check::{
    harness::{self, CheckError, CheckResult, Harness, TIMEOUT, fail, skip},
    lives::{UNKNOWN, with_unknown_key},
};

/// Opens with the given options, which the plugin's own schema has to allow.
pub(super) fn open(harness: &Harness) -> CheckResult {
    let terms = Terms::new(TIMEOUT);
    let (answer, instance) = harness.subject.open(&harness.task.config, &terms);
    if instance.is_none() && answer.status == abi::STATUS_INVALID_CONFIG {
        harness::judge("open", &answer, &terms)?;
        let what = if harness.config.is_empty() { "to have no options" } else { "the given options" };
        return Err(CheckError::Refused(format!("the plugin refuses {what}: {}", harness::said(&answer))));
    }
    harness::end(harness::opened(&answer, instance, &terms)?)?;
    let schema = harness.schema().and_then(|schema| OptionsSchema::parse(&schema.to_string()).ok());
    let faults = schema.map(|schema| schema.faults(&Value::from(harness.config.clone()))).unwrap_or_default();
    if let Some(fault) = faults.first() {
        return Err(fail(
            format!("the plugin takes options that its schema refuses: `{}`: {}", fault.path, fault.what),
            "make the schema what the plugin takes: hosts refuse by the schema before the plugin is asked",
        ));
    }
    let options = harness.config.len();
    Ok(if options == 0 {
        "opened without options".to_owned()
    } else {
        format!("opened with {}", count(options, "option"))
    })
}

/// An unknown key has to be refused.
pub(super) fn unknown_keys(harness: &Harness) -> CheckResult {
    let config = with_unknown_key(harness);
    let said = refused(harness, &config, UNKNOWN, "unknown")?;
    let schema = harness.schema().unwrap_or_default();
    let known = schema.get("properties").and_then(Value::as_object);
    // The words of serde, which names what it expected in these quotes.
    let expected = said.split_once("expected one of ").map_or("", |(_, list)| list);
    let untold = expected
        .split('`')
        .skip(1)
        .step_by(2)
        .find(|key| known.is_some_and(|known| !known.contains_key(*key)));
    if let Some(key) = untold {
        return Err(fail(
            format!("the plugin takes the option `{key}`, and its schema does not name it"),
            "name each option in `properties`: hosts refuse a key that the schema does not name",
        ));
    }
    Ok("an unknown key is refused and named".to_owned())
}

/// Each key that the schema names has to be one that the plugin knows.
pub(super) fn schema_keys(harness: &Harness) -> CheckResult {
    let Some(schema) = harness.schema() else {
        return Err(skip("the metadata has no schema that names options"));
    };
    let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let (mut known, mut undecided) = (0, 0);
    for (key, of_key) in &properties {
        if harness.config.contains_key(key) {
            known += 1;
            continue;
        }
        let mut config = harness.config.clone();
        config.insert(key.clone(), example(&schema, of_key));
        let terms = Terms::new(TIMEOUT);
        let (answer, instance) = harness.subject.open(&Value::from(config).to_string(), &terms);
        if let Some(instance) = instance {
            harness::end(instance)?;
            known += 1;
            continue;
        }
        harness::judge("open", &answer, &terms)?;
        let said = harness::said(&answer);
        // The words of serde, and the usual ones.
        let is_unknown =
            ["key", "field", "option", "member"].iter().any(|what| said.contains(&format!("unknown {what}")));
        if is_unknown && said.contains(key.as_str()) {
            return Err(fail(
                format!("the schema names the option `{key}`, and the plugin does not know it: {said}"),
                "remove the key from the schema, or read it",
            ));
        }
        // Another value would be right, or another option must be there, too.
        undecided += 1;
    }
    match (known, undecided) {
        (0, 0) => Err(skip("the schema names no option")),
        (known, 0) => Ok(format!("{} of the schema taken", count(known, "option"))),
        _ => Ok(format!(
            "{} of the schema taken, {undecided} refused for another reason than the name",
            count(known, "option")
        )),
    }
}

/// The options that the schema requires have to be those without which the plugin does not open. An option that a variable of the
/// environment may give is not judged.
pub(super) fn required_keys(harness: &Harness) -> CheckResult {
    let Some(schema) = harness.schema() else {
        return Err(skip("the metadata has no schema that names options"));
    };
    let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let has_variable = |key: &str| properties.get(key).is_some_and(|of_key| of_key.get("x-env").is_some());
    let Ok(rules) = OptionsSchema::parse(&schema.to_string()) else {
        return Err(skip("the schema in the metadata is invalid, see above"));
    };
    let is_refused = |config: &Map<String, Value>| !rules.faults(&Value::from(config.clone())).is_empty();
    if is_refused(&harness.config) {
        return Err(skip("the schema refuses the given options, see above"));
    }
    let open = |config: Map<String, Value>| {
        let terms = Terms::new(TIMEOUT);
        let (answer, instance) = harness.subject.open(&Value::from(config).to_string(), &terms);
        match instance {
            Some(instance) => harness::end(instance).map(|()| None),
            None => harness::judge("open", &answer, &terms).map(|()| Some(answer)),
        }
    };
    // Of options of which one is enough, each is required when it is alone.
    let (mut refused, mut least) = (0, harness.config.clone());
    for key in harness.config.keys() {
        let mut config = least.clone();
        config.remove(key);
        if !is_refused(&config) {
            least = config;
        }
    }
    for key in least.keys().filter(|key| !has_variable(key)) {
        let mut config = least.clone();
        config.remove(key);
        if open(config)?.is_none() {
            return Err(fail(
                format!("the schema requires the option `{key}`, and the plugin opens without it"),
                "take the key out of `required`: hosts refuse a configuration without it, before the plugin is asked",
            ));
        }
        refused += 1;
    }
    if let Some(answer) = open(least.clone())?.filter(|answer| answer.status == abi::STATUS_INVALID_CONFIG) {
        let said = harness::said(&answer);
        let is_named =
            |key: &str| said.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == key);
        let is_untold = |key: &&String| !least.contains_key(*key) && !has_variable(key) && is_named(key);
        if let Some(key) = properties.keys().find(is_untold) {
            return Err(fail(
                format!("the schema does not require the option `{key}`, and the plugin does: {said}"),
                "put the key into `required`, and keys of which one is enough into `anyOf`, each as `required` of a form: hosts say what is missing before the plugin is asked",
            ));
        }
    }
    Ok(format!("without each of {} it does not open", count(refused, "required option")))
}

/// A value that the part of a schema allows, as far as that is told by its simple keywords.
fn example(schema: &Value, part: &Value) -> Value {
    if let Some(name) = part.get("$ref").and_then(Value::as_str)
        && let Some(meant) = name.strip_prefix('#').and_then(|path| schema.pointer(path))
    {
        return example(schema, meant);
    }
    let listed =
        ["examples", "enum", "anyOf", "oneOf"].map(|list| part.get(list).and_then(|list| list.get(0)));
    if let Some(value) = part.get("const") {
        return value.clone();
    }
    match (part.get("default"), listed) {
        (Some(value), _) if !value.is_null() => value.clone(),
        (_, [Some(value), ..] | [_, Some(value), ..]) => value.clone(),
        (_, [_, _, Some(form), _] | [_, _, _, Some(form)]) => example(schema, form),
        _ => {
            let kind = part.get("type").map_or(&Value::Null, |kind| kind.get(0).unwrap_or(kind));
            match kind.as_str() {
                Some("boolean") => json!(true),
                Some("integer" | "number") => part.get("minimum").cloned().unwrap_or_else(|| json!(1)),
                Some("array") => json!([]),
                Some("object") => json!({}),
                _ => json!("x"),
            }
        }
    }
}

/// A value of a wrong type has to be refused, for each option whose type is in the schema.
pub(super) fn wrong_types(harness: &Harness) -> CheckResult {
    let Some(schema) = harness.schema() else {
        return Err(skip("the metadata has no schema that says which types are wrong"));
    };
    let Ok(options) = OptionsSchema::parse(&schema.to_string()) else {
        return Err(skip("the schema in the metadata is invalid, see above"));
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut tried = 0;
    for key in properties.into_iter().flat_map(Map::keys) {
        let wrong = [json!(true), json!([]), json!({}), json!(1.5)].into_iter().find_map(|value| {
            let mut config = harness.config.clone();
            config.insert(key.clone(), value);
            let config = Value::from(config);
            let here = options.faults(&config).iter().any(|fault| fault.path == *key);
            here.then_some(config)
        });
        if let Some(Value::Object(config)) = wrong {
            refused(harness, &config, key, "of a wrong type")?;
            tried += 1;
        }
    }
    if tried == 0 {
        return Err(skip("the schema has no option with a type"));
    }
    Ok(format!("wrong types of {} are refused and named", count(tried, "option")))
}

/// The plugin has to refuse the configuration, and to name `key`. Gives what it has said.
fn refused(harness: &Harness, config: &Map<String, Value>, key: &str, what: &str) -> CheckResult {
    let advice = "return STATUS_INVALID_CONFIG, with the key as the subject of `explain`: a user who misspells an option needs that message";
    let terms = Terms::new(TIMEOUT);
    let (answer, instance) = harness.subject.open(&Value::from(config.clone()).to_string(), &terms);
    if let Some(instance) = instance {
        harness::end(instance)?;
        return Err(fail(format!("the key `{key}`, which is {what}, is taken"), advice));
    }
    harness::judge("open", &answer, &terms)?;
    if answer.status != abi::STATUS_INVALID_CONFIG {
        let found = format!(
            "the key `{key}`, which is {what}, is refused with status {}: {}",
            answer.status,
            harness::said(&answer)
        );
        return Err(fail(found, advice));
    }
    if !harness::said(&answer).contains(key) {
        let found = format!(
            "the refusal of the key `{key}`, which is {what}, does not name it: {}",
            harness::said(&answer)
        );
        return Err(fail(found, advice));
    }
    Ok(harness::said(&answer))
}
