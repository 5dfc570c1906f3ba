//! Visits each option and the schemas that apply to it, for keywords of a schema that restrict nothing. A vendor's schema
//! may be hostile, so the number of visits and their depth are bounded.

use serde_json::Value;

use crate::config::schema::fault::resolve;

/// The number of schemas that are visited, and how deep one may apply within another.
const MOST_STEPS: usize = 10_000;
const DEEPEST: usize = 64;

/// Which options are visited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Visited {
    /// Those that `options` have.
    Present,
    /// Those that a schema names, too. Their value is null.
    Known,
}

/// Calls `look` with each schema that applies to an option, the option's value, and its path, such as `tls.ca_file` or
/// `hosts[1].key`. The path of the whole is empty.
pub(super) fn visit<'s>(
    root: &'s Value,
    options: &Value,
    visited: Visited,
    look: &mut dyn FnMut(&'s Value, &Value, &str),
) {
    Visit { root, visited, steps: 0, look }.go(root, options, "", DEEPEST);
}

struct Visit<'s, 'a> {
    root: &'s Value,
    visited: Visited,
    steps: usize,
    look: &'a mut dyn FnMut(&'s Value, &Value, &str),
}

impl<'s> Visit<'s, '_> {
    /// `depth` is the remaining depth.
    fn go(&mut self, schema: &'s Value, value: &Value, path: &str, depth: usize) {
        self.steps += 1;
        let Some(depth) = depth.checked_sub(1).filter(|_| self.steps <= MOST_STEPS) else { return };
        if let Some(target) = schema["$ref"].as_str().and_then(|target| resolve(self.root, target)) {
            self.go(target, value, path, depth);
        }
        for forms in ["anyOf", "oneOf", "allOf"] {
            let forms = schema[forms].as_array().into_iter().flatten();
            forms.for_each(|form| self.go(form, value, path, depth));
        }
        (self.look)(schema, value, path);
        for (at, item) in value.as_array().into_iter().flatten().enumerate() {
            self.go(&schema["items"], item, &format!("{path}[{at}]"), depth);
        }
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let known = schema["properties"].as_object();
        for (name, value) in value.as_object().into_iter().flatten() {
            let of_others = &schema["additionalProperties"];
            let schema = known.and_then(|known| known.get(name)).unwrap_or(of_others);
            self.go(schema, value, &below(name), depth);
        }
        if self.visited == Visited::Known {
            let absent = known.into_iter().flatten().filter(|(name, _)| value.get(name).is_none());
            absent.for_each(|(name, schema)| self.go(schema, &Value::Null, &below(name), depth));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_without_an_end_is_left_after_some_steps() {
        let next = json!({"$ref": "#/$defs/a"});
        let schema =
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [next, next], "properties": {"a": next}}}});
        for visited in [Visited::Present, Visited::Known] {
            let mut visits = 0;
            visit(&schema, &json!("/x"), visited, &mut |_, _, _| visits += 1);
            assert!((1..=MOST_STEPS).contains(&visits), "{visits}");
        }
    }
}
