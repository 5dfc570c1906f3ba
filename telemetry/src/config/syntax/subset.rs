//! The part of TOML that a tool without the feature `config-file` reads, which is enough for its user's consent: comments,
//! headers of tables, and keys that are `true` or `false`. A text that is read means what TOML says. Any other text is a
//! mistake, so that nothing in it is passed over.
//!
//! The types have the names and methods of those of the crate `toml` that are used here.

use std::{borrow::Cow, fmt, ops::Range};

use crate::config::syntax::error::SyntaxError;

pub(crate) type DeString<'i> = Cow<'i, str>;

/// A value and its place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spanned<T> {
    at: Range<usize>,
    value: T,
}

impl<T> Spanned<T> {
    pub(crate) fn span(&self) -> Range<usize> {
        self.at.clone()
    }

    pub(crate) fn get_ref(&self) -> &T {
        &self.value
    }

    pub(crate) fn into_inner(self) -> T {
        self.value
    }
}

#[derive(Clone, Debug)]
#[allow(dead_code, reason = "kinds of values that the subset does not have")]
pub(crate) enum DeValue<'i> {
    Boolean(bool),
    Table(DeTable<'i>),
    String(DeString<'i>),
    Integer(Absent),
    Float(Absent),
    Datetime(Absent),
    Array(Vec<Spanned<DeValue<'i>>>),
}

impl<'i> DeValue<'i> {
    pub(crate) fn as_table(&self) -> Option<&DeTable<'i>> {
        if let Self::Table(table) = self { Some(table) } else { None }
    }

    pub(crate) fn as_array(&self) -> Option<&Vec<Spanned<Self>>> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }
}

/// A value that no text has.
#[derive(Clone, Debug)]
pub(crate) enum Absent {}

impl Absent {
    pub(crate) fn as_str(&self) -> &str {
        match *self {}
    }

    pub(crate) fn radix(&self) -> u32 {
        match *self {}
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct DeTable<'i>(Vec<(Spanned<DeString<'i>>, Spanned<DeValue<'i>>)>);

impl<'i> DeTable<'i> {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Spanned<DeValue<'i>>> {
        self.iter().find(|(known, _)| known.value == key).map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Spanned<DeString<'i>>, &Spanned<DeValue<'i>>)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Spanned<DeString<'i>>> {
        self.iter().map(|(key, _)| key)
    }

    /// Adds a key, unless it is there.
    fn add(&mut self, key: Spanned<DeString<'i>>, value: Spanned<DeValue<'i>>) -> Result<(), String> {
        if self.get(&key.value).is_some() {
            return Err(format!("`{}` is there twice: remove one", key.value));
        }
        self.0.push((key, value));
        Ok(())
    }
}

/// Reads a text. A line that is wrong is a mistake, and the others are read.
pub(crate) fn parse(text: &str) -> Result<Spanned<DeTable<'_>>, Vec<SyntaxError>> {
    let (mut root, mut mistakes) = (DeTable::new(), Vec::new());
    // Whether keys belong to the last table.
    let mut in_table = false;
    let mut start = 0;
    for whole in text.split_inclusive('\n') {
        let line = whole.strip_suffix('\n').map_or(whole, |line| line.strip_suffix('\r').unwrap_or(line));
        let read = read_line(line, start).and_then(|read| match read {
            None => Ok(()),
            Some((key, DeValue::Table(table), at)) => {
                in_table = true;
                root.add(key, Spanned { at, value: DeValue::Table(table) })
            }
            Some((key, value, at)) => {
                let last = root.0.last_mut().filter(|_| in_table).map(|(_, last)| &mut last.value);
                let table = if let Some(DeValue::Table(table)) = last { table } else { &mut root };
                table.add(key, Spanned { at, value })
            }
        });
        if let Err(what) = read {
            mistakes.push(SyntaxError { at: start..start + line.len(), what });
        }
        start += whole.len();
    }
    if mistakes.is_empty() { Ok(Spanned { at: 0..text.len(), value: root }) } else { Err(mistakes) }
}

type Read<'i> = Option<(Spanned<DeString<'i>>, DeValue<'i>, Range<usize>)>;

/// The table or the key of a line that begins at `start`; none of an empty line.
fn read_line(line: &str, start: usize) -> Result<Read<'_>, String> {
    let unknown = || {
        "expected `[TABLE]`, `KEY = true` or `KEY = false`: this tool is built without the feature `config-file`, \
        and reads no other TOML"
            .to_owned()
    };
    let (code, comment) = line.split_once('#').unwrap_or((line, ""));
    let code = code.trim_matches([' ', '\t']);
    if comment.chars().any(|c| c.is_ascii_control() && c != '\t') {
        return Err(unknown());
    }
    if code.is_empty() {
        return Ok(None);
    }
    // The place of a part of the line.
    let place = |part: &str| {
        let at = start + (part.as_ptr() as usize - line.as_ptr() as usize);
        at..at + part.len()
    };
    let (name, value, at) = match code.strip_prefix('[').and_then(|code| code.strip_suffix(']')) {
        Some(name) => (name, DeValue::Table(DeTable::new()), place(code)),
        None => {
            let (name, value) = code.split_once('=').ok_or_else(unknown)?;
            let value = value.trim_matches([' ', '\t']);
            (name, DeValue::Boolean(value.parse().map_err(|_| unknown())?), place(value))
        }
    };
    let name = name.trim_matches([' ', '\t']);
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
        return Err(unknown());
    }
    Ok(Some((Spanned { at: place(name), value: name.into() }, value, at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_part_of_the_subset_is_a_mistake_of_its_line() {
        for line in [
            "a = 1",
            "a = \"true\"",
            "a.b = true",
            "\"a\" = true",
            "a = [true]",
            "a = { b = true }",
            "[a.b]",
            "[[a]]",
            "a = True",
            "a =",
            "= true",
            "a",
            "a = true b = true",
            "text = '''",
            "# \u{1}",
            "a = true \r ",
        ] {
            let text = format!("\n[table]\n{line}\nlast = true\n");
            let Err(mistakes) = parse(&text) else { panic!("{line}") };
            assert_eq!(mistakes.len(), 1, "{line}");
            assert_eq!(mistakes[0].at.start, 9, "{line}");
            assert!(mistakes[0].what.contains("the feature `config-file`"), "{}", mistakes[0].what);
        }
        for text in ["a = true\na = true", "[a]\n[a]", "a = true\n[a]", "[a]\nb = true\nb = false"] {
            let Err(mistakes) = parse(text) else { panic!("{text}") };
            assert!(mistakes[0].what.ends_with("is there twice: remove one"), "{}", mistakes[0].what);
        }
    }

    /// A table as text, with all places.
    #[cfg(feature = "config-file")]
    fn shown(table: &DeTable<'_>) -> String {
        let value = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
            DeValue::Table(table) => format!("{{{}}}", shown(table)),
            DeValue::Boolean(is) => format!("{is}@{:?}", value.span()),
            _ => unreachable!(),
        };
        let mut all: Vec<_> =
            table.iter().map(|(key, it)| format!("{}@{:?}={} ", key.value, key.at, value(it))).collect();
        all.sort();
        all.concat()
    }

    #[cfg(feature = "config-file")]
    fn expected(table: &toml::de::DeTable<'_>) -> String {
        let value = |value: &toml::Spanned<toml::de::DeValue<'_>>| match value.get_ref() {
            toml::de::DeValue::Table(table) => format!("{{{}}}", expected(table)),
            other => format!("{}@{:?}", other.as_bool().expect("a boolean"), value.span()),
        };
        let mut all: Vec<_> = table
            .iter()
            .map(|(key, it)| format!("{}@{:?}={} ", key.get_ref(), key.span(), value(it)))
            .collect();
        all.sort();
        all.concat()
    }

    #[cfg(feature = "config-file")]
    proptest::proptest! {
        #[test]
        fn a_text_that_is_read_means_what_toml_says(
            text in "([ \t]?(a|b|b-1|telemetry|enabled|=|\\[|\\]|\\[\\[|true|false|True|#|\\.|\"|'|''')|[ \t]|\r?\n){0,16}"
        ) {
            if let Ok(table) = parse(&text) {
                let known = toml::de::DeTable::parse(&text);
                let known = known.unwrap_or_else(|error| panic!("{text:?} is no TOML: {error}"));
                proptest::prop_assert_eq!(shown(table.get_ref()), expected(known.get_ref()));
            }
        }

        #[test]
        fn lines_of_the_subset_are_read(
            text in "((# .*|\\[(a|b|c|d)\\]|[e-z] ?= ?(true|false))? ?(# \t.)?\r?\n){0,6}"
        ) {
            if toml::de::DeTable::parse(&text).is_ok() {
                proptest::prop_assert!(parse(&text).is_ok());
            }
        }
    }
}
