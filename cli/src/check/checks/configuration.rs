//! Configurations that the plugin has to accept or to refuse.

use jackfield::forward::OptionsSchema;
use jackfield_loader::{conformance::Terms, plugin_api::abi};
use serde_json::{Map, Value, json};

use crate::check::harness::{self, CheckError, CheckResult, Harness, TIMEOUT, fail, skip};

/// Opens with the given options.
pub(super) fn open(harness: &Harness) -> CheckResult {
    harness::end(harness.open()?)?;
    let options = harness.config.len();
    Ok(if options == 0 {
        "opened without options".to_owned()
    } else {
        format!("opened with {options} options")
    })
}

/// An unknown key has to be refused.
pub(super) fn unknown_keys(harness: &Harness) -> CheckResult {
    const UNKNOWN: &str = "jackfield_check_unknown";
    let mut config = harness.config.clone();
    config.insert(UNKNOWN.to_owned(), json!(1));
    refused(harness, &config, UNKNOWN, "unknown")?;
    Ok("an unknown key is refused and named".to_owned())
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
    Ok(format!("wrong types of {tried} options are refused and named"))
}

/// The plugin has to refuse the configuration, and to name `key`.
fn refused(harness: &Harness, config: &Map<String, Value>, key: &str, what: &str) -> Result<(), CheckError> {
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
    Ok(())
}
