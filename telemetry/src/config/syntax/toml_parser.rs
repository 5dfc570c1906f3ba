//! What is wrong with a text that is not TOML, in the words of the person who has written it.
//!
//! No message repeats a value of the text, because the value may be a secret.

use std::{cmp::Reverse, ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::config::syntax::error::SyntaxError;
use crate::error::Place;

/// Parses the text. A line has at most one mistake, because one mistake makes the parser find further ones.
pub(crate) fn parse(text: &str) -> Result<Spanned<DeTable<'_>>, Vec<SyntaxError>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut found: Vec<_> = errors
        .iter()
        .map(|error| {
            let at = error.span().unwrap_or_else(|| longest_key(text));
            let what = format!("not TOML: {}", describe(text, &table, error.message(), &at));
            SyntaxError { at, what }
        })
        .collect();
    found.sort_by_key(|error| error.at.start);
    found.dedup_by_key(|error| line_of(text, error.at.start).start);
    if found.is_empty() { Ok(table) } else { Err(found) }
}

/// Where the parser names no place: the line whose key has the most parts.
fn longest_key(text: &str) -> Range<usize> {
    let mut start = 0;
    let lines = text.split_inclusive('\n').map(|line| {
        start += line.len();
        (line.matches('.').count(), start - line.len())
    });
    let at = lines.max_by_key(|(dots, start)| (*dots, Reverse(*start))).map_or(0, |(_, start)| start);
    at..at
}

/// The bytes of the line that has this place, without its end.
fn line_of(text: &str, at: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let at = at.min(bytes.len());
    let start = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let end = bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| at + end);
    start..end
}

fn describe(text: &str, table: &Spanned<DeTable<'_>>, message: &str, at: &Range<usize>) -> String {
    let here = text.get(at.clone()).unwrap_or_default();
    let line = text.get(line_of(text, at.start)).unwrap_or_default();
    if text.trim_start().starts_with('{') {
        return "expected TOML, found JSON: write `key = value` lines and `[[backend]]` tables".to_owned();
    }
    if message.starts_with("duplicate key") {
        return duplicate(text, table.get_ref(), at);
    }
    if message.contains("recurs") {
        return "lists, tables or the parts of a key are nested more than 80 deep: write fewer levels"
            .to_owned();
    }
    let key = line.split_once('=').map(|(key, _)| key.trim()).filter(|key| is_plain(key));
    let of_key = key.map(|key| format!(" of `{key}`")).unwrap_or_default();
    let has_no_value = line.split_once('=').is_some_and(|(_, value)| value.trim().is_empty());
    if message.starts_with("invalid boolean") || message.starts_with("string values must be quoted") {
        if has_no_value {
            return format!("the value{of_key} is missing");
        }
        if ["yes", "no", "on", "off"].iter().any(|word| here.eq_ignore_ascii_case(word)) {
            return format!("the value{of_key}: expected `true` or `false`, or text in quotes");
        }
        if here.starts_with(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}']) {
            return format!("the value{of_key} has typographic quotes, expected \" or '");
        }
        let boolean = ["true", "false"].into_iter().find(|word| here.eq_ignore_ascii_case(word));
        if let Some(word) = boolean {
            return format!("the value{of_key}: expected `{word}` in small letters");
        }
        let form = key.map(|key| format!(", such as {key} = \"...\"")).unwrap_or_default();
        return format!("the value{of_key} is text without quotes: write quotes around it{form}");
    }
    if message.starts_with("key with no value") || message.starts_with("invalid unquoted key") {
        let colon = line.split_once(':').filter(|(key, _)| is_plain(key.trim()));
        return match colon {
            Some((key, _)) => format!("expected `{0} = VALUE`, found `{0}:`", key.trim()),
            None => "expected `KEY = VALUE`, a table such as `[plugins]`, or a comment after #".to_owned(),
        };
    }
    if message.contains("unicode") || message.contains("escape") {
        return format!(
            "the text{of_key} has a backslash, which begins an escape between \" and \": write '...', or \\\\ for each"
        );
    }
    let said = match message.split(',').next().unwrap_or_default() {
        "unclosed table" => "the header of a table does not end: expected `]`",
        "unclosed array table" => "the header of a table does not end: expected `]]`",
        "missing comma between array elements" | "unclosed array" => {
            "in a list: expected `,` or, at its end, `]`"
        }
        "unclosed inline table" => "a table between braces does not end: expected `}`",
        "unexpected key or value" => "expected the end of the line behind the value",
        "unexpected leading zero" => "a number has no zero at its beginning",
        text if text.starts_with("invalid") && text.ends_with("string") => {
            "a text does not end: its last quote is missing"
        }
        _ => return message.lines().collect::<Vec<_>>().join(", ").replace(", expected nothing", ""),
    };
    said.to_owned()
}

/// A key that certainly is no value.
fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key.len() <= 64
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

/// The key or table that is there twice, and the line where it is first.
fn duplicate(text: &str, table: &DeTable<'_>, at: &Range<usize>) -> String {
    let name = text.get(at.clone()).unwrap_or_default();
    let line = line_of(text, at.start);
    let header = text.get(line.clone()).and_then(header);
    let mut first = None;
    find(table, name.trim_matches(['"', '\'']), at.start, &mut first);
    if header.is_some() {
        // The parser keeps the place of the second header.
        let before = text.get(..line.start).unwrap_or_default();
        let starts =
            std::iter::once(0).chain(memchr::memchr_iter(b'\n', before.as_bytes()).map(|end| end + 1));
        let mut same =
            starts.filter(|start| before.get(line_of(before, *start)).and_then(self::header) == header);
        first = same.next_back().or(first);
    }
    let place = first.map_or_else(String::new, |first| {
        format!(", first at line {}", Place::of(Path::new(""), text, first).line)
    });
    let what = if header.is_some() { "the table" } else { "the key" };
    format!("{what} `{name}` is there twice{place}: remove one, or make them one")
}

/// The name in the header of a table, such as `[plugins]`, if the line is one.
fn header(line: &str) -> Option<&str> {
    let line = line.trim_start();
    line.starts_with('[').then(|| line[..line.rfind(']').unwrap_or(line.len())].trim_matches(['[', ']', ' ']))
}

/// Finds the last key of this name that begins before `end`: the parser keeps the first of two keys.
fn find(table: &DeTable<'_>, name: &str, end: usize, found: &mut Option<usize>) {
    for (key, value) in table {
        let start = key.span().start;
        if key.get_ref() == name && start < end {
            *found = (*found).max(Some(start));
        }
        find_in(value.get_ref(), name, end, found);
    }
}

fn find_in(value: &DeValue<'_>, name: &str, end: usize, found: &mut Option<usize>) {
    match value {
        DeValue::Table(table) => find(table, name, end, found),
        DeValue::Array(items) => {
            items.iter().for_each(|item| find_in(item.get_ref(), name, end, found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        let Err(errors) = parse(text) else { return Vec::new() };
        let line = |at: usize| 1 + text[..at].matches('\n').count();
        errors
            .iter()
            .map(|error| format!("{}: {}", line(error.at.start), error.what.trim_start_matches("not TOML: ")))
            .collect()
    }

    #[test]
    fn each_line_has_one_mistake_in_words_of_its_key() {
        for (text, expected) in [
            (
                "plugin = file\n",
                "1: the value of `plugin` is text without quotes: write quotes around it, such as plugin = \"...\"",
            ),
            (
                "timeout = 5s\n",
                "1: the value of `timeout` is text without quotes: write quotes around it, such as timeout = \"...\"",
            ),
            (
                "url = ${X}\n",
                "1: the value of `url` is text without quotes: write quotes around it, such as url = \"...\"",
            ),
            ("plugin = \n", "1: the value of `plugin` is missing"),
            ("a = True\n", "1: the value of `a`: expected `true` in small letters"),
            ("plugin: file\n", "1: expected `plugin = VALUE`, found `plugin:`"),
            ("plugin\n", "1: expected `KEY = VALUE`, a table such as `[plugins]`, or a comment after #"),
            ("[backend\nx = 1\n", "1: the header of a table does not end: expected `]`"),
            ("a = yes\n", "1: the value of `a`: expected `true` or `false`, or text in quotes"),
            ("a = \u{201c}x\u{201d}\n", "1: the value of `a` has typographic quotes, expected \" or '"),
            ("a = \"x\n", "1: a text does not end: its last quote is missing"),
            ("a = ['x' 'y']\n", "1: in a list: expected `,` or, at its end, `]`"),
            ("a = 'x';\n", "1: expected the end of the line behind the value"),
            (
                "{ \"backend\": [] }",
                "1: expected TOML, found JSON: write `key = value` lines and `[[backend]]` tables",
            ),
            (
                "a = \"C:\\Users\"\n",
                "1: the text of `a` has a backslash, which begins an escape between \" and \": write '...', or \\\\ for each",
            ),
        ] {
            assert_eq!(mistakes(text), [expected], "{text}");
        }
        assert_eq!(mistakes("[[backend]]\nplugin = 'file'\n"), Vec::<String>::new());
        assert_eq!(mistakes("a = x\nb = y\n").len(), 2, "every line is read");
    }

    #[test]
    fn a_key_or_table_that_is_there_twice_is_named_with_its_first_line() {
        for (text, expected) in [
            (
                "a = 1\nb = 2\na = 3\n",
                "3: the key `a` is there twice, first at line 1: remove one, or make them one",
            ),
            (
                "[plugins]\npath = []\n[plugins]\n",
                "3: the table `plugins` is there twice, first at line 1: remove one, or make them one",
            ),
            (
                "[[backend]]\nname = 'x'\n[[backend]]\nname = 'y'\nname = 'z'\n",
                "5: the key `name` is there twice, first at line 4: remove one, or make them one",
            ),
            (
                "[[backend]]\n[backend]\n",
                "2: the table `backend` is there twice, first at line 1: remove one, or make them one",
            ),
            (
                "[[backend]]\n[backend.config]\n[backend.config]\n",
                "3: the table `config` is there twice, first at line 2: remove one, or make them one",
            ),
        ] {
            assert_eq!(mistakes(text), [expected], "{text}");
        }
    }

    #[test]
    fn no_message_shows_a_value() {
        for text in ["a = hunter2\n", "a = \"hunter2\n", "hunter2\n", "a = 'x' hunter2\n", "a = [hunter2\n"] {
            let said = mistakes(text).join("\n");
            assert!(!said.is_empty() && !said.contains("hunter2"), "{text}: {said}");
        }
    }
}
