//! A walk over options and the schemas that apply to them, bounded in depth and in steps.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use crate::config::schema::fault::{Fault, Found, What, no_form, resolve};

/// The greatest depth of schemas within schemas: those behind a `$ref`, and those of members and items.
const DEEPEST: usize = 64;
/// The number of keywords, members, items and choices that a check looks at.
const MOST_STEPS: usize = 100_000;
/// The number of faults that are reported.
const MOST_FAULTS: usize = 32;

/// Keywords that the walk checks, and keywords without a restriction. Another keyword may hold a restriction that the host
/// does not know.
const KNOWN: &str = "$comment $defs $id $ref $schema additionalProperties allOf anyOf const default deprecated \
    description enum examples exclusiveMaximum exclusiveMinimum format items maxItems maxLength maximum minItems \
    minLength minimum oneOf properties readOnly required title type writeOnly x-env \
    x-env-without";

/// The types that a schema can name, and what people call them.
pub(super) const TYPES: [(&str, &str); 7] = [
    ("array", "a list"),
    ("boolean", "a boolean"),
    ("integer", "an integer"),
    ("null", "nothing"),
    ("number", "a number"),
    ("object", "a table"),
    ("string", "a string"),
];

/// The faults of `options` in words; none when the check would exceed a bound.
pub(super) fn faults(root: &Value, options: &Value) -> Vec<Fault> {
    find(root, options).into_iter().map(|found| found.told(root)).collect()
}

/// The faults of `options`; none when the check would exceed a bound.
pub(super) fn find<'s>(root: &'s Value, options: &Value) -> Vec<Found<'s>> {
    let mut walk = Walk { root, steps: MOST_STEPS, exact: true };
    let Ok(mut found) = walk.check(root, options, &At::Root, DEEPEST) else { return Vec::new() };
    found.dedup();
    found.truncate(MOST_FAULTS);
    found
}

/// Whether options are checked by this keyword, or need not be.
pub(super) fn checks(keyword: &str) -> bool {
    KNOWN.split(' ').any(|known| known == keyword)
}

/// Whether even the check of no options would exceed a bound.
pub(super) fn exceeds_its_bounds(root: &Value) -> bool {
    let mut walk = Walk { root, steps: MOST_STEPS, exact: true };
    walk.check(root, &Value::Object(Map::new()), &At::Root, DEEPEST).is_err()
}

/// The keywords of a schema.
type Keywords = Map<String, Value>;

/// The check would exceed a bound.
struct TooMuch;

type Checked<'s> = Result<Vec<Found<'s>>, TooMuch>;

/// A place in the options.
enum At<'a> {
    Root,
    Key(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    /// Such as `hosts[1].port`.
    fn path(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Item(parent, index) => format!("{}[{index}]", parent.path()),
            Self::Key(parent, key) => {
                let mut path = parent.path();
                if !path.is_empty() {
                    path.push('.');
                }
                path + key
            }
        }
    }

    fn found<'s>(&self, what: What<'s>) -> Found<'s> {
        Found { path: self.path(), what }
    }
}

struct Walk<'s> {
    root: &'s Value,
    /// The number of steps that are left.
    steps: usize,
    /// Whether the walk knows every keyword that it has seen.
    exact: bool,
}

impl<'s> Walk<'s> {
    fn spend(&mut self, steps: usize) -> Result<(), TooMuch> {
        self.steps = self.steps.checked_sub(steps).ok_or(TooMuch)?;
        Ok(())
    }

    /// The faults of `value`. `depth` is the remaining depth.
    fn check(&mut self, schema: &'s Value, value: &Value, at: &At<'_>, depth: usize) -> Checked<'s> {
        let depth = depth.checked_sub(1).ok_or(TooMuch)?;
        let Value::Object(schema) = schema else {
            self.spend(1)?;
            let refuses = *schema == Value::Bool(false);
            return Ok(if refuses { vec![at.found(What::NotAllowed)] } else { Vec::new() });
        };
        self.spend(1 + schema.len())?;
        self.exact &= schema.keys().all(|keyword| checks(keyword));
        // A value of a wrong type has no further fault.
        if let Some(what) = wrong_type(schema, value) {
            return Ok(vec![at.found(what)]);
        }
        let mut found = self.reference(schema, value, at, depth)?;
        found.extend(self.word(schema, value)?.map(|what| at.found(what)));
        match value {
            Value::Number(number) => found.extend(wrong_number(schema, number).map(|what| at.found(what))),
            Value::String(text) => {
                self.spend(text.len() / 256)?;
                let (length, limits) = (text.chars().count(), ["minLength", "maxLength"]);
                found.extend(wrong_length(schema, length, limits, "character").map(|what| at.found(what)));
            }
            Value::Array(items) => {
                let limits = ["minItems", "maxItems"];
                found.extend(wrong_length(schema, items.len(), limits, "item").map(|what| at.found(what)));
                found.extend(self.items(schema, items, at, depth)?);
            }
            Value::Object(members) => found.extend(self.members(schema, members, at, depth)?),
            Value::Null | Value::Bool(_) => {}
        }
        for (keyword, exclusive) in [("anyOf", false), ("oneOf", true)] {
            if let Some(Value::Array(forms)) = schema.get(keyword) {
                found.extend(self.one_of(forms, exclusive, value, at, depth)?);
            }
        }
        if let Some(Value::Array(all)) = schema.get("allOf") {
            for schema in all {
                found.extend(self.check(schema, value, at, depth)?);
            }
        }
        Ok(found)
    }

    fn reference(&mut self, schema: &'s Keywords, value: &Value, at: &At<'_>, depth: usize) -> Checked<'s> {
        let Some(Value::String(target)) = schema.get("$ref") else { return Ok(Vec::new()) };
        self.spend(target.len() / 64)?;
        match resolve(self.root, target) {
            Some(schema) => self.check(schema, value, at, depth),
            None => {
                self.exact = false;
                Ok(Vec::new())
            }
        }
    }

    /// The fault of a value that `enum` or `const` does not allow.
    fn word(&mut self, schema: &'s Keywords, value: &Value) -> Result<Option<What<'s>>, TooMuch> {
        let options = match (schema.get("const"), schema.get("enum")) {
            (Some(only), _) => std::slice::from_ref(only),
            (None, Some(Value::Array(options))) => options,
            _ => return Ok(None),
        };
        self.spend(options.len())?;
        if options.iter().any(|option| is_equal(option, value)) {
            return Ok(None);
        }
        Ok(Some(What::Word(options.iter().filter(|option| !option.is_null()).collect())))
    }

    fn items(&mut self, schema: &'s Keywords, items: &[Value], at: &At<'_>, depth: usize) -> Checked<'s> {
        let mut found = Vec::new();
        let (Some(schema), None) = (schema.get("items"), schema.get("prefixItems")) else { return Ok(found) };
        for (index, item) in items.iter().enumerate() {
            found.extend(self.check(schema, item, &At::Item(at, index), depth)?);
            if found.len() > MOST_FAULTS {
                break;
            }
        }
        Ok(found)
    }

    fn members(
        &mut self,
        schema: &'s Keywords,
        members: &Map<String, Value>,
        at: &At<'_>,
        depth: usize,
    ) -> Checked<'s> {
        let known = schema.get("properties").and_then(Value::as_object);
        // Only the plugin can match a key with a pattern.
        let others = schema.get("additionalProperties").filter(|_| !schema.contains_key("patternProperties"));
        let mut found = Vec::new();
        for (key, value) in members {
            self.spend(1)?;
            let at = At::Key(at, key);
            match (known.and_then(|known| known.get(key)), others) {
                (Some(schema), _) => found.extend(self.check(schema, value, &at, depth)?),
                (None, Some(Value::Bool(false))) => found.push(at.found(What::UnknownKey)),
                (None, Some(schema)) => found.extend(self.check(schema, value, &at, depth)?),
                (None, None) => {}
            }
            if found.len() > MOST_FAULTS {
                break;
            }
        }
        for key in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            self.spend(1)?;
            if let Some(key) = key.as_str().filter(|key| !members.contains_key(*key)) {
                found.push(at.found(What::Missing(vec![key])));
            }
        }
        Ok(found)
    }

    /// The fault when no form fits, or when several forms fit that exclude each other.
    fn one_of(
        &mut self,
        forms: &'s [Value],
        exclusive: bool,
        value: &Value,
        at: &At<'_>,
        depth: usize,
    ) -> Checked<'s> {
        let exact_before = std::mem::replace(&mut self.exact, true);
        let (mut fitting, mut refusals) = (0, Vec::new());
        for form in forms {
            match self.check(form, value, at, depth)? {
                found if found.is_empty() => fitting += 1,
                found => refusals.push(found),
            }
        }
        // With an unknown keyword a form may seem to fit.
        let exact = self.exact;
        self.exact &= exact_before;
        Ok(match fitting {
            0 => no_form(&at.path(), refusals),
            2.. if exclusive && exact => vec![at.found(What::SeveralForms)],
            _ => Vec::new(),
        })
    }
}

fn wrong_type<'s>(schema: &'s Keywords, value: &Value) -> Option<What<'s>> {
    let words: Vec<&str> = match schema.get("type")? {
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        word => word.as_str().into_iter().collect(),
    };
    let (is, found) = match value {
        Value::Null => ("null", "nothing"),
        Value::Bool(_) => ("boolean", "a boolean"),
        Value::Number(number) if number.is_f64() => ("number", "a number with a fraction"),
        Value::Number(_) => ("integer", "an integer"),
        Value::String(_) => ("string", "a string"),
        Value::Array(_) => ("array", "a list"),
        Value::Object(_) => ("object", "a table"),
    };
    if words.is_empty() {
        return None;
    }
    let is_whole = value.as_f64().is_some_and(|number| number.fract() == 0.0);
    let fits =
        |word: &str| word == is || (word == "number" && value.is_number()) || (word == "integer" && is_whole);
    if words.iter().any(|word| fits(word)) {
        return None;
    }
    // A configuration can't say null.
    let named = |(word, _): &&(&str, &str)| words.contains(word) && (*word != "null" || words.len() == 1);
    Some(What::Type(TYPES.iter().filter(named).map(|(_, name)| *name).collect(), found))
}

fn wrong_number<'s>(schema: &'s Keywords, number: &Number) -> Option<What<'s>> {
    let limits = [
        ("minimum", "at least", [Ordering::Greater, Ordering::Equal]),
        ("maximum", "at most", [Ordering::Less, Ordering::Equal]),
        ("exclusiveMinimum", "more than", [Ordering::Greater; 2]),
        ("exclusiveMaximum", "less than", [Ordering::Less; 2]),
    ];
    limits.into_iter().find_map(|(keyword, words, right)| {
        let limit = schema.get(keyword)?.as_number()?;
        let is_wrong = compare(number, limit).is_some_and(|order| !right.contains(&order));
        is_wrong.then(|| What::Expected(format!("{words} {limit}")))
    })
}

fn wrong_length(
    schema: &Keywords,
    length: usize,
    [shortest, longest]: [&str; 2],
    unit: &str,
) -> Option<What<'static>> {
    let limit = |keyword| schema.get(keyword).and_then(Value::as_u64);
    let units = |limit: u64| if limit == 1 { unit.to_owned() } else { format!("{unit}s") };
    let length = length as u64;
    match (limit(shortest), limit(longest)) {
        (Some(1), _) if length == 0 && unit == "character" => {
            Some(What::Expected("text that is not empty".to_owned()))
        }
        (Some(least), _) if length < least => {
            Some(What::Expected(format!("at least {least} {}", units(least))))
        }
        (_, Some(most)) if length > most => Some(What::Expected(format!("at most {most} {}", units(most)))),
        _ => None,
    }
}

/// Compares whole numbers exactly, up to 64 bits.
fn compare(a: &Number, b: &Number) -> Option<Ordering> {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// Whether both values are equal for JSON Schema: 1 and 1.0 are.
fn is_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare(a, b) == Some(Ordering::Equal),
        _ => a == b,
    }
}
