//! What is wrong with an option, in words, and the nearest right key.

use std::fmt;

use jackfield_loader::{ForeignText, nearest};
use serde_json::Value;

/// The number of possible words that a message names.
const MOST_WORDS: usize = 32;
/// The longest word in a message, in characters. Of a longer one the message has the start.
const LONGEST_WORD: usize = 128;

/// One thing that is wrong with a backend's options.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// Where, such as `tls.ca_file` or `hosts[1].port`; empty for the options as a whole.
    pub path: String,
    /// What is wrong there, without the value.
    pub what: String,
}

/// What a check has found wrong at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What<'s> {
    UnknownKey,
    /// The keys of which one is missing.
    Missing(Vec<&'s str>),
    /// The types that are possible, and the one that was found.
    Type(Vec<&'static str>, &'static str),
    /// The words that are possible. They stay in the schema, because a check may meet a long one any number of times.
    Word(Vec<&'s Value>),
    /// What was expected.
    Expected(String),
    NoForm,
    SeveralForms,
    NotAllowed,
}

/// A fault without its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found<'s> {
    pub(super) path: String,
    pub(super) what: What<'s>,
}

impl Found<'_> {
    /// The fault in words. For an unknown key, the words name the nearest key of the schema.
    pub(super) fn told(self, root: &Value) -> Fault {
        let hint = (self.what == What::UnknownKey).then(|| suggest(root, &self.path)).flatten();
        let what = match hint {
            Some(hint) => format!("{}, {hint}", self.what),
            None => self.what.to_string(),
        };
        // The vendor has written the schema's words.
        Fault { path: self.path, what: ForeignText::from(what).to_string() }
    }
}

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey => f.write_str("unknown key"),
            Self::Missing(keys) => {
                let keys: Vec<_> =
                    keys.iter().take(MOST_WORDS).map(|key| format!("`{}`", cut(key))).collect();
                write!(f, "{} is missing", keys.join(" or "))
            }
            Self::Type(expected, found) => write!(f, "expected {}, found {found}", expected.join(" or ")),
            Self::Word(words) if words.len() > MOST_WORDS => {
                let (shown, others) = words.split_at(MOST_WORDS);
                write!(f, "expected {} or one of {} others", told(shown), others.len())
            }
            Self::Word(words) => write!(f, "expected {}", told(words)),
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::NoForm => f.write_str("fits none of the forms that the plugin knows"),
            Self::SeveralForms => f.write_str("fits several of the forms that exclude each other"),
            Self::NotAllowed => f.write_str("is not allowed here"),
        }
    }
}

/// A word of the schema, as long as a message repeats it.
fn cut(word: &str) -> String {
    ForeignText::cut(word, LONGEST_WORD).as_raw().to_owned()
}

fn told(words: &[&Value]) -> String {
    let word = |word: &&Value| match word {
        Value::String(text) => format!("`{}`", cut(text)),
        other => format!("`{}`", cut(&other.to_string())),
    };
    words.iter().map(word).collect::<Vec<_>>().join(" or ")
}

/// Why none of several forms fits: the words, types or keys that are possible, or what is wrong with the one form that was meant.
pub(super) fn no_form<'s>(path: &str, forms: Vec<Vec<Found<'s>>>) -> Vec<Found<'s>> {
    let key = |form: &Vec<Found<'s>>| match &form[..] {
        [Found { path: at, what: What::Missing(keys) }] if at == path => Some(keys.clone()),
        _ => None,
    };
    if let Some(keys) = forms.iter().map(key).collect::<Option<Vec<_>>>().filter(|keys| !keys.is_empty()) {
        return vec![Found { path: path.to_owned(), what: What::Missing(keys.concat()) }];
    }
    let (mut words, mut types, mut found) = (Vec::new(), Vec::new(), None);
    let mut others = Vec::new();
    for form in forms {
        match &form[..] {
            [Found { path: at, what: What::Word(of_form) }] if at == path => words.extend(of_form),
            // The value is of another type, so that this form was not meant.
            [Found { path: at, what: What::Type(of_form, has) }] if at == path => {
                types.extend(of_form);
                found = Some(*has);
            }
            _ => others.push(form),
        }
    }
    if let (true, [_]) = (words.is_empty(), &others[..]) {
        return others.remove(0);
    }
    types.dedup();
    let what = match found {
        _ if !words.is_empty() => What::Word(words),
        Some(found) if others.is_empty() => What::Type(types, found),
        _ => What::NoForm,
    };
    vec![Found { path: path.to_owned(), what }]
}

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

/// The schema that a `$ref` leads to; `None` when the reference leads out of the schema or nowhere.
pub(super) fn resolve<'s>(root: &'s Value, target: &str) -> Option<&'s Value> {
    root.pointer(target.strip_prefix('#')?)
}
