//! The nearest right key of a plugin's options.

use jackfield_loader::{ForeignText, nearest};
use serde_json::Value;

use crate::config::schema::reference::resolve;

/// How many schemas are looked at for one part of a path: a schema may refer to itself.
const MOST: usize = 64;
/// How many keys are compared, how long one may be in bytes, and how many are named: a schema may have any number.
const MOST_KEYS: usize = 512;
const LONGEST_KEY: usize = 128;
const MOST_NAMED: usize = 32;

/// What to write instead of the unknown key at `path` (such as `tls.ca_flie`), as the end of a sentence: the nearest key
/// that the schema has there, or all of them. `None` when the schema does not say, or has the key.
///
/// The search follows `properties`, `items`, `$ref` within the schema, `anyOf`, `oneOf` and `allOf`, and nothing else.
pub(super) fn suggest(root: &Value, path: &str) -> Option<String> {
    let path = path.replace('[', ".").replace(']', "");
    let (parents, key) = path.rsplit_once('.').unwrap_or(("", &path));
    let mut places = spread(root, root);
    for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
        places = places.into_iter().flat_map(|place| step(root, place, parent)).take(MOST).collect();
    }
    let known: Vec<&str> = places
        .iter()
        .filter_map(|place| place.get("properties")?.as_object())
        .flat_map(|properties| properties.keys().map(String::as_str))
        .filter(|known| known.len() <= LONGEST_KEY)
        .take(MOST_KEYS)
        .collect();
    if known.is_empty() || known.contains(&key) || key.len() > LONGEST_KEY {
        return None;
    }
    Some(match nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean `{}`?", ForeignText::from(near)),
        None if known.len() > MOST_NAMED => return None,
        None => format!("expected one of `{}`", ForeignText::from(known.join("`, `"))),
    })
}

/// Schemas that apply where `schema` does.
fn spread<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    let mut places = vec![schema];
    let mut at = 0;
    while let Some(&place) = places.get(at).filter(|_| places.len() < MOST) {
        places.extend(place.get("$ref").and_then(Value::as_str).and_then(|target| resolve(root, target)));
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
