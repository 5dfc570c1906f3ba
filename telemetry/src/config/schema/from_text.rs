//! Text of variables and files as numbers and booleans.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::config::schema::fault::What;
use crate::config::schema::walk::find;

/// Replaces each text of `filled`, such as `hosts[0].port`, whose type the schema refuses by the number or boolean that the
/// text spells in JSON. Another text stays, and the check refuses it.
pub(super) fn convert(root: &Value, options: &mut Value, filled: &BTreeSet<String>) {
    if filled.is_empty() {
        return;
    }
    // A check reports a limited number of faults.
    loop {
        let found = find(root, options).into_iter().filter(|found| matches!(found.what, What::Type(..)));
        let wrong = found.map(|found| found.path).filter(|path| filled.contains(path)).collect();
        if !replace(options, "", &wrong) {
            return;
        }
    }
}

/// Whether a text was replaced.
fn replace(value: &mut Value, path: &str, wrong: &BTreeSet<String>) -> bool {
    match value {
        Value::String(text) => match serde_json::from_str(text) {
            Ok(scalar @ (Value::Number(_) | Value::Bool(_))) if wrong.contains(path) => {
                *value = scalar;
                true
            }
            _ => false,
        },
        Value::Array(items) => {
            let item = |(at, item): (usize, &mut Value)| replace(item, &format!("{path}[{at}]"), wrong);
            items.iter_mut().enumerate().map(item).fold(false, |any, one| any | one)
        }
        Value::Object(members) => {
            let separator = if path.is_empty() { "" } else { "." };
            let member = |(key, value): (&String, &mut Value)| {
                replace(value, &format!("{path}{separator}{key}"), wrong)
            };
            members.iter_mut().map(member).fold(false, |any, one| any | one)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_of_a_variable_is_a_number_or_boolean_where_the_schema_wants_one() {
        let schema = json!({
            "properties": {
                "port": {"type": "integer"}, "ratio": {"type": ["number", "null"]}, "tls": {"type": "boolean"},
                "name": {"type": "string"}, "any": {}, "either": {"type": ["string", "integer"]},
                "hosts": {"items": {"$ref": "#/$defs/host"}}, "limit": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]},
            },
            "$defs": {"host": {"properties": {"port": {"type": "integer"}}}, "n": {"type": "integer"}},
        });
        let options = json!({
            "port": "5672", "ratio": "0.5", "tls": "true", "name": "7", "any": "7", "either": "7",
            "hosts": [{"port": "1"}, {"port": "2"}], "limit": "9",
        });
        let all = ["port", "ratio", "tls", "name", "any", "either", "hosts[0].port", "limit"];
        let mut read = options.clone();
        convert(&schema, &mut read, &all.map(str::to_owned).into());
        let expected = json!({
            "port": 5672, "ratio": 0.5, "tls": true, "name": "7", "any": "7", "either": "7",
            "hosts": [{"port": 1}, {"port": "2"}], "limit": 9,
        });
        assert_eq!(read, expected, "what is in quotes in the file itself stays a text");
        let mut wrong = json!({"port": "abc", "tls": "yes", "hosts": "[]"});
        convert(&schema, &mut wrong, &["port", "tls", "hosts"].map(str::to_owned).into());
        assert_eq!(wrong, json!({"port": "abc", "tls": "yes", "hosts": "[]"}));
    }

    #[test]
    fn more_texts_are_read_than_one_check_reports() {
        let schema = json!({"additionalProperties": {"type": "integer"}});
        let keys: BTreeSet<_> = (0..100).map(|key| format!("k{key}")).collect();
        let mut options: Value = keys.iter().map(|key| (key.clone(), json!("1"))).collect();
        convert(&schema, &mut options, &keys);
        assert!(options.as_object().expect("an object").values().all(|value| value == 1), "{options}");
    }
}
