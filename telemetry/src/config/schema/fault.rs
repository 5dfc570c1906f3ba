//! What is wrong with an option, in words.

use std::fmt;

use jackfield_loader::ForeignText;
use serde_json::Value;

use crate::config::schema::suggest::suggest;

/// How many of the words that are possible a message names.
const MOST_WORDS: usize = 32;

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
pub(super) enum What {
    UnknownKey,
    Missing(String),
    /// The types that are possible, and the one that was found.
    Type(Vec<&'static str>, &'static str),
    /// The words that are possible.
    Word(Vec<String>),
    /// What was expected.
    Expected(String),
    NoForm,
    SeveralForms,
    NotAllowed,
}

/// A fault before it is put in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) what: What,
}

impl Found {
    /// In words, with the nearest key of the schema for one that it does not have.
    pub(super) fn told(self, root: &Value) -> Fault {
        let hint = (self.what == What::UnknownKey).then(|| suggest(root, &self.path)).flatten();
        let what = match hint {
            Some(hint) => format!("{}, {hint}", self.what),
            None => self.what.to_string(),
        };
        // The schema's words are the vendor's.
        Fault { path: self.path, what: ForeignText::from(what).to_string() }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey => f.write_str("unknown key"),
            Self::Missing(key) => write!(f, "`{key}` is missing"),
            Self::Type(expected, found) => write!(f, "expected {}, found {found}", expected.join(" or ")),
            Self::Word(words) if words.len() > MOST_WORDS => {
                let (shown, others) = words.split_at(MOST_WORDS);
                write!(f, "expected {} or one of {} others", shown.join(" or "), others.len())
            }
            Self::Word(words) => write!(f, "expected {}", words.join(" or ")),
            Self::Expected(what) => write!(f, "expected {what}"),
            Self::NoForm => f.write_str("fits none of the forms that the plugin knows"),
            Self::SeveralForms => f.write_str("fits several of the forms that exclude each other"),
            Self::NotAllowed => f.write_str("is not allowed here"),
        }
    }
}

/// Why none of several forms fits: the words or types that are possible, or what is wrong with the one form that was meant.
pub(super) fn no_form(path: &str, forms: Vec<Vec<Found>>) -> Vec<Found> {
    let (mut words, mut types, mut found) = (Vec::new(), Vec::new(), None);
    let mut others = Vec::new();
    for form in forms {
        match &form[..] {
            [Found { path: at, what: What::Word(of_form) }] if at == path => words.extend(of_form.clone()),
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
