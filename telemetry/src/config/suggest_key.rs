//! The nearest right key of a plugin's configuration, from the JSON Schema that the plugin carries.

use jackfield_loader::{ForeignText, nearest};
use serde_json::Value;

/// What to write instead of the unknown key at `path` (such as `tls.ca_flie`), as the end of a sentence: the nearest key
/// that `schema` has there, or all of them. `None` when the schema does not say, or has the key.
///
/// It is a hint and no validation: `properties` are followed through `$ref` within the schema, `items`, `anyOf`, `oneOf`
/// and `allOf`; anything else is passed over.
#[must_use]
pub fn suggest_key(schema: &str, path: &str) -> Option<String> {
    let root: Value = serde_json::from_str(schema).ok()?;
    let path = path.replace('[', ".").replace(']', "");
    let (parents, key) = path.rsplit_once('.').unwrap_or(("", &path));
    let mut places = spread(&root, &root);
    for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
        places = places.into_iter().flat_map(|place| step(&root, place, parent)).collect();
    }
    let known: Vec<&str> = places
        .iter()
        .filter_map(|place| place.get("properties")?.as_object())
        .flat_map(|properties| properties.keys().map(String::as_str))
        .collect();
    if known.is_empty() || known.contains(&key) {
        return None;
    }
    Some(match nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean `{}`?", ForeignText::from(near)),
        None => format!("expected one of `{}`", ForeignText::from(known.join("`, `"))),
    })
}

/// Schemas that apply where `schema` does.
fn spread<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    /// A schema may refer to itself.
    const MOST: usize = 64;
    let mut places = vec![schema];
    let mut at = 0;
    while let Some(&place) = places.get(at).filter(|_| places.len() < MOST) {
        let target = place.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
        places.extend(target.and_then(|target| root.pointer(target)));
        for combination in ["anyOf", "oneOf", "allOf"] {
            places.extend(place.get(combination).and_then(Value::as_array).into_iter().flatten());
        }
        at += 1;
    }
    places
}

/// Schemas of the member or item `key`.
fn step<'s>(root: &'s Value, place: &'s Value, key: &str) -> Vec<&'s Value> {
    let member = place.get("properties").and_then(|properties| properties.get(key));
    let item = key.bytes().all(|byte| byte.is_ascii_digit()).then(|| place.get("items")).flatten();
    member.or(item).map(|schema| spread(root, schema)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r##"{"type":"object","properties":{"url":{"type":"string"},"queue":{},
        "tls":{"anyOf":[{"$ref":"#/$defs/Tls"},{"type":"null"}]},
        "hosts":{"type":"array","items":{"$ref":"#/$defs/Host"}},"loop":{"$ref":"#/$defs/Loop"}},
        "$defs":{"Tls":{"properties":{"ca_file":{},"verify":{}}},"Host":{"properties":{"port":{}}},
        "Loop":{"anyOf":[{"$ref":"#/$defs/Loop"}]}}}"##;

    #[test]
    fn the_nearest_key_is_found_where_the_path_leads() {
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
            assert_eq!(suggest_key(SCHEMA, path).as_deref(), expected, "{path}");
        }
        assert_eq!(suggest_key("null", "x"), None);
        assert_eq!(suggest_key("not JSON", "x"), None);
    }
}
