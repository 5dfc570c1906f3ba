//! TOML with the place of each value, so that an error names the line, the key and the nearest right key.

use std::{cell::RefCell, fmt::Display, ops::Range, path::Path, str::FromStr, time::Duration};

use jackfield_loader::nearest;
use serde_json::{Map, Number, Value as Json};

use crate::config::interpolation::{Fault, Values};
use crate::config::syntax::{self, DeString, DeTable, DeValue, Spanned};
use crate::config::values::parse_duration;
use crate::error::{Error, Place};

/// The text of a file, and what the references in its strings stand for.
#[derive(Clone, Copy)]
pub(crate) struct Document<'a> {
    pub(crate) file: &'a Path,
    pub(crate) text: &'a str,
    pub(crate) values: &'a Values<'a>,
    /// The mistakes that were found so far.
    pub(crate) mistakes: &'a Mistakes,
}

/// The mistakes of a document. Its readers go on behind a mistake, so that all are found at once.
#[derive(Default)]
pub(crate) struct Mistakes(RefCell<Vec<Error>>);

impl Mistakes {
    pub(crate) fn note(&self, mistake: Error) {
        self.0.borrow_mut().push(mistake);
    }

    /// All of them: of each table first the unknown keys, because one may be a key that is missing.
    pub(crate) fn take(&self) -> Vec<Error> {
        self.0.take()
    }

    /// What was read, or the first mistake in it.
    pub(crate) fn first_or<T>(&self, read: T) -> Result<T, Error> {
        self.take().into_iter().next().map_or(Ok(read), Err)
    }
}

/// A key and its value, with their places.
pub(crate) struct Entry<'t, 'i> {
    /// The key with those of the tables around it.
    pub(crate) path: String,
    pub(crate) key: &'t str,
    pub(crate) key_at: Range<usize>,
    pub(crate) value: &'t Spanned<DeValue<'i>>,
}

impl<'a> Document<'a> {
    /// The table of the whole text. Where the text is not TOML, every line with a mistake is noted.
    pub(crate) fn parse(self) -> Option<Spanned<DeTable<'a>>> {
        let errors = match syntax::parse(self.text) {
            Ok(table) => return Some(table),
            Err(errors) => errors,
        };
        for syntax::SyntaxError { at, what } in errors {
            self.mistakes.note(self.error(at, what));
        }
        None
    }

    /// What was read of a part, unless that is a mistake, which is noted.
    pub(crate) fn noted<T>(self, read: Result<T, Error>) -> Option<T> {
        read.map_err(|mistake| self.mistakes.note(mistake)).ok()
    }

    pub(crate) fn place(self, at: &Range<usize>) -> Place {
        Place::of(self.file, self.text, at.start)
    }

    pub(crate) fn error(self, at: Range<usize>, reason: impl Into<String>) -> Error {
        Error::Config { at: self.place(&at), reason: reason.into().into() }
    }

    /// The entries of `table` in the order of the text. A key that is not in `known` is a mistake.
    pub(crate) fn entries<'t, 'i>(
        self,
        table: &'t DeTable<'i>,
        parent: &str,
        known: &[&str],
    ) -> Vec<Entry<'t, 'i>> {
        let mut entries = sorted(table, parent);
        entries.retain(|entry| {
            let is_known = known.contains(&entry.key);
            if !is_known {
                let hint = match nearest(entry.key, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if parent == "backend" => {
                        format!(
                            "expected one of `{}`; options of the plugin go into [backend.config]",
                            known.join("`, `")
                        )
                    }
                    None => format!("expected one of `{}`", known.join("`, `")),
                };
                let reason = format!("`{}`: unknown key, {hint}", entry.path);
                self.mistakes.note(self.error(entry.key_at.clone(), reason));
            }
            is_known
        });
        entries
    }

    /// An error about the value of an entry.
    pub(crate) fn refuse(self, entry: &Entry<'_, '_>, reason: impl Display) -> Error {
        self.error(entry.value.span(), format!("`{}`: {reason}", entry.path))
    }

    pub(crate) fn wrong_type(self, entry: &Entry<'_, '_>, expected: &str) -> Error {
        let found = describe(entry.value.get_ref());
        self.refuse(entry, format_args!("expected {expected}, found {found}"))
    }

    /// The [entries](Self::entries) of a value; none of one that is no table, which is a mistake.
    pub(crate) fn table<'t, 'i>(self, entry: &Entry<'t, 'i>, known: &[&str]) -> Vec<Entry<'t, 'i>> {
        match entry.value.get_ref() {
            DeValue::Table(table) => self.entries(table, &entry.path, known),
            _ => {
                self.mistakes.note(self.wrong_type(entry, "a table"));
                Vec::new()
            }
        }
    }

    /// The items of a list of tables; none of another value, which is a mistake.
    pub(crate) fn tables<'t, 'i>(self, entry: &Entry<'t, 'i>) -> Vec<Entry<'t, 'i>> {
        let (path, key) = (&entry.path, entry.key);
        match entry.value.get_ref() {
            DeValue::Array(items) => items
                .iter()
                .map(|value| Entry { path: path.clone(), key, key_at: value.span(), value })
                .collect(),
            _ => {
                let expected = format!("tables, each with the header [[{key}]]");
                self.mistakes.note(self.wrong_type(entry, &expected));
                Vec::new()
            }
        }
    }

    /// A string, with the values of its variables.
    pub(crate) fn string(self, entry: &Entry<'_, '_>) -> Result<String, Error> {
        self.string_of(entry, "a string")
    }

    /// A [string](Self::string), which is what `expected` says.
    pub(crate) fn string_of(self, entry: &Entry<'_, '_>, expected: &str) -> Result<String, Error> {
        match entry.value.get_ref() {
            DeValue::String(text) => self.fill_in(text, &entry.path, entry.value.span(), false),
            _ => Err(self.wrong_type(entry, expected)),
        }
    }

    /// A duration, which is text because it has a unit.
    pub(crate) fn duration(self, entry: &Entry<'_, '_>) -> Result<Duration, Error> {
        let text = self.string_of(entry, "a duration with its unit, in quotes, such as \"5s\"")?;
        parse_duration(&text).map_err(|reason| self.refuse(entry, reason))
    }

    /// A list of strings, with the values of their variables.
    pub(crate) fn strings(self, entry: &Entry<'_, '_>) -> Result<Vec<String>, Error> {
        let DeValue::Array(items) = entry.value.get_ref() else {
            return Err(self.wrong_type(entry, "a list of strings"));
        };
        let string = |(at, value): (usize, &Spanned<DeValue<'_>>)| {
            let path = format!("{}[{at}]", entry.path);
            self.string(&Entry { path, key: entry.key, key_at: value.span(), value })
        };
        items.iter().enumerate().map(string).collect()
    }

    /// A string that is not empty, with the values of its variables.
    pub(crate) fn not_empty(self, entry: &Entry<'_, '_>) -> Result<String, Error> {
        let text = self.string(entry)?;
        if text.is_empty() {
            return Err(self.refuse(entry, "expected a string that is not empty"));
        }
        Ok(text)
    }

    /// The meaning of a word, which is one of `choices`.
    pub(crate) fn choice<T: Copy>(self, entry: &Entry<'_, '_>, choices: &[(&str, T)]) -> Result<T, Error> {
        let known: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        let word = self.string_of(entry, &format!("\"{}\"", known.join("\" or \"")))?;
        if let Some((_, meaning)) = choices.iter().find(|(known, _)| *known == word) {
            return Ok(*meaning);
        }
        let hint = nearest(&word, known.iter().copied()).map(|near| format!(", did you mean \"{near}\"?"));
        let (known, hint) = (known.join("\" or \""), hint.unwrap_or_default());
        Err(self.refuse(entry, format_args!("expected \"{known}\", found {word:?}{hint}")))
    }

    /// A list of strings, each of which is a `T`.
    pub(crate) fn list<T: FromStr<Err: Display>>(self, entry: &Entry<'_, '_>) -> Result<Vec<T>, Error> {
        let parse = |(at, text): (usize, &String)| {
            let refusal = |reason| format!("`{}[{at}]`: {reason}, found {text:?}", entry.path);
            text.parse().map_err(|reason| self.error(entry.value.span(), refusal(reason)))
        };
        self.strings(entry)?.iter().enumerate().map(parse).collect()
    }

    /// `text` with its references replaced. An error shows no value: it may be a secret.
    fn fill_in(self, text: &str, path: &str, at: Range<usize>, is_option: bool) -> Result<String, Error> {
        match self.values.fill_in(text, is_option) {
            Ok(filled) => {
                if filled.has_reference {
                    self.values.note_key(path);
                }
                Ok(filled.text)
            }
            Err(Fault::Text(reason)) => Err(self.error(at, format!("`{path}`: {reason}"))),
            Err(Fault::File { file, reason }) => {
                let reason = format!("`{path}`: {reason}").into();
                Err(Error::ConfigValue { at: self.place(&at), file, reason })
            }
        }
    }

    /// The value as JSON, with null in the place of a mistake. Calls `seen` with the path of every key below `path`, relative
    /// to it, and its place.
    pub(crate) fn json(
        self,
        value: &Spanned<DeValue<'_>>,
        path: &str,
        relative: &str,
        seen: &mut dyn FnMut(&str, Range<usize>),
    ) -> Json {
        match value.get_ref() {
            DeValue::Array(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (at, item) in items.iter().enumerate() {
                    let relative = format!("{relative}.{at}");
                    seen(&relative, item.span());
                    list.push(self.json(item, &format!("{path}[{at}]"), &relative, seen));
                }
                Json::Array(list)
            }
            DeValue::Table(table) => {
                let mut object = Map::new();
                for entry in sorted(table, path) {
                    let relative = join(relative, entry.key);
                    seen(&relative, entry.key_at.clone());
                    object.insert(entry.key.to_owned(), self.json(entry.value, &entry.path, &relative, seen));
                }
                Json::Object(object)
            }
            _ => self.noted(self.scalar(value, path)).unwrap_or_default(),
        }
    }

    /// A value that is no list and no table.
    fn scalar(self, value: &Spanned<DeValue<'_>>, path: &str) -> Result<Json, Error> {
        let refuse = |found: String| {
            self.error(value.span(), format!("`{path}`: expected a value that JSON has too, found {found}"))
        };
        Ok(match value.get_ref() {
            DeValue::String(text) => Json::String(self.fill_in(text, path, value.span(), true)?),
            DeValue::Boolean(value) => Json::Bool(*value),
            DeValue::Integer(integer) => {
                let (digits, radix) = (integer.as_str(), integer.radix());
                let number = i64::from_str_radix(digits, radix).map(Number::from);
                let number = number.or_else(|_| u64::from_str_radix(digits, radix).map(Number::from));
                Json::Number(number.map_err(|_| refuse(format!("integer {digits} of more than 64 bits")))?)
            }
            DeValue::Float(float) => {
                let number = float.as_str().parse().ok().and_then(Number::from_f64);
                Json::Number(number.ok_or_else(|| refuse(format!("number {}", float.as_str())))?)
            }
            DeValue::Datetime(_) => {
                return Err(refuse("a date or time (write it as a string, in quotes)".to_owned()));
            }
            DeValue::Array(_) | DeValue::Table(_) => return Err(refuse("a list or a table".to_owned())),
        })
    }
}

fn sorted<'t, 'i>(table: &'t DeTable<'i>, parent: &str) -> Vec<Entry<'t, 'i>> {
    let entry = |(key, value): (&'t Spanned<DeString<'i>>, &'t Spanned<DeValue<'i>>)| Entry {
        path: join(parent, key.get_ref()),
        key: key.get_ref(),
        key_at: key.span(),
        value,
    };
    let mut entries: Vec<_> = table.iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.key_at.start);
    entries
}

fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

fn describe(value: &DeValue<'_>) -> String {
    match value {
        // The text may be a secret.
        DeValue::String(_) => "a string".to_owned(),
        DeValue::Integer(value) => format!("integer {value}"),
        DeValue::Float(value) => format!("number {value}"),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(value) => format!("the date or time {value}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
