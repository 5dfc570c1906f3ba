//! The options of a plugin as a table, from the JSON Schema in its metadata. The schema may be hostile: what is shown of it is
//! bounded.

use std::collections::HashSet;

use serde_json::Value;

use crate::console;

/// The text between the words of a choice.
const BETWEEN: &str = " | ";
/// The width of the column for kinds, in characters.
const WIDEST: usize = 32;
/// The number of lines for a kind. One more line counts the words that are left out.
const MOST_LINES: usize = 8;

/// The depth to which options are shown, because a schema may refer to itself.
const DEEPEST: usize = 8;
/// The number of bytes of the options that are shown, and how many of them an option counts as beside its texts.
const MOST_BYTES: usize = 128 << 10;
const ROW: usize = 64;
/// The number of forms of a choice among which one form and `null` are looked for, and of required options.
const MOST_FORMS: usize = 16;
const MOST_REQUIRED: usize = 1024;

/// One option of a plugin's configuration.
struct OptionRow {
    /// Such as `tls.ca_file`, `hosts[].port` or `headers.*`.
    name: String,
    /// Such as `string`, or the possible words.
    kind: String,
    /// The default as JSON, `required`, or empty.
    default: String,
    /// The first sentence of its description, and the variables that it comes from when it is left out.
    meaning: String,
}

/// The options in a schema; `None` if there are none.
pub(super) fn table(schema: &str) -> Option<String> {
    let mut table = vec![["OPTION", "TYPE", "DEFAULT", "MEANING"].map(str::to_owned).to_vec()];
    for OptionRow { name, kind, default, meaning } in rows(schema) {
        let mut lines = lines(&kind).into_iter();
        table.push(vec![name, lines.next().unwrap_or_default(), default, meaning]);
        table.extend(lines.map(|line| vec![String::new(), line]));
    }
    let root: Value = serde_json::from_str(schema).unwrap_or_default();
    let others = variables(&root);
    let others = if others.is_empty() { others } else { format!("also{others}\n") };
    (table.len() > 1).then(|| console::table(&table, |_, _, cell| cell) + &others)
}

/// The options in a schema that have a default, and the default as JSON. Those of the items of a list are left out.
pub(crate) fn defaults(schema: &str) -> Vec<(String, Value)> {
    let of_one = |row: OptionRow| {
        let default = serde_json::from_str(&row.default).ok()?;
        (!row.name.contains(['[', '*'])).then_some((row.name, default))
    };
    rows(schema).into_iter().filter_map(of_one).collect()
}

/// The options in `schema`, in its order. The last row says that there are more where they are too many.
fn rows(schema: &str) -> Vec<OptionRow> {
    let Ok(root) = serde_json::from_str::<Value>(schema) else { return Vec::new() };
    let mut rows = Rows { root: &root, left: Some(MOST_BYTES), rows: Vec::new() };
    rows.add_members(&root, "", DEEPEST);
    if rows.left.is_none() {
        rows.rows.push(OptionRow {
            name: "...".to_owned(),
            kind: String::new(),
            default: String::new(),
            meaning: "more options, see --json".to_owned(),
        });
    }
    rows.rows
}

struct Rows<'s> {
    root: &'s Value,
    /// How many bytes may be added; `None` once an option had no room.
    left: Option<usize>,
    rows: Vec<OptionRow>,
}

impl<'s> Rows<'s> {
    /// Adds the rows of the members of an object.
    fn add_members(&mut self, object: &'s Value, parent: &str, depth: usize) {
        let object = resolved(self.root, object);
        let required = object["required"].as_array().into_iter().flatten().take(MOST_REQUIRED);
        let required: HashSet<&str> = required.filter_map(Value::as_str).collect();
        let named = |key: &str| if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") };
        for (key, schema) in object["properties"].as_object().into_iter().flatten() {
            self.add(schema, &named(key), required.contains(key.as_str()), depth);
        }
        if object["additionalProperties"].is_object() {
            self.add(&object["additionalProperties"], &named("*"), false, depth);
        }
    }

    fn add(&mut self, schema: &'s Value, name: &str, required: bool, depth: usize) {
        let Some(left) = self.left else { return };
        let inner = resolved(self.root, schema);
        let default = schema.get("default").or_else(|| inner.get("default")).filter(|value| !value.is_null());
        // The default of an object is shown at its members.
        let default = default.filter(|value| !value.is_object()).map(ToString::to_string);
        let description = schema["description"].as_str().or_else(|| inner["description"].as_str());
        let row = OptionRow {
            kind: kind(self.root, schema, DEEPEST),
            default: default.unwrap_or_else(|| if required { "required".to_owned() } else { String::new() }),
            meaning: format!("{}{}", first_sentence(description.unwrap_or_default()), variables(schema)),
            name: name.to_owned(),
        };
        let texts = [&row.name, &row.kind, &row.default, &row.meaning];
        self.left = left.checked_sub(ROW + texts.map(String::len).iter().sum::<usize>());
        if self.left.is_none() {
            return;
        }
        self.rows.push(row);
        if let Some(depth) = depth.checked_sub(1) {
            self.add_members(inner, name, depth);
            if inner["items"].is_object() {
                self.add_members(&inner["items"], &format!("{name}[]"), depth);
            }
        }
    }
}

/// Follows references, and a choice between one form and `null`.
fn resolved<'s>(root: &'s Value, mut schema: &'s Value) -> &'s Value {
    for _ in 0..DEEPEST {
        let target = schema["$ref"].as_str().and_then(|target| root.pointer(target.strip_prefix('#')?));
        let form = ["anyOf", "oneOf"].iter().find_map(|choice| {
            let forms = schema[choice].as_array().filter(|forms| forms.len() <= MOST_FORMS)?;
            let forms: Vec<_> = forms.iter().filter(|form| form["type"] != "null").collect();
            if let [form] = forms[..] { Some(form) } else { None }
        });
        match target.or(form) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

/// `depth` is that of lists of lists.
fn kind(root: &Value, schema: &Value, depth: usize) -> String {
    let schema = resolved(root, schema);
    if let Some(words) = words(schema) {
        return words;
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let name = |kind| match kind {
        "object" => "table",
        "array" => "list",
        other => other,
    };
    let names: Vec<&str> = kinds.into_iter().filter(|kind| *kind != "null").map(name).collect();
    match names[..] {
        [] => "any".to_owned(),
        ["list"] if depth > 0 && schema["items"].is_object() => {
            format!("list of {}", kind(root, &schema["items"], depth - 1))
        }
        _ => names.join(" or "),
    }
}

/// The words that an `enum`, a `const` or a choice between them allows.
fn words(schema: &Value) -> Option<String> {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some(options) = schema["enum"].as_array() {
        return Some(options.iter().map(word).collect::<Vec<_>>().join(BETWEEN));
    }
    if let Some(only) = schema.get("const") {
        return Some(word(only));
    }
    let forms = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array())?;
    let words: Option<Vec<_>> = forms.iter().map(words).collect();
    words.map(|words| words.join(BETWEEN))
}

/// A kind in at most [`MOST_LINES`] lines of at most [`WIDEST`] characters. Another line counts the words
/// that are left out; `--json` has all of them.
fn lines(kind: &str) -> Vec<String> {
    let words: Vec<_> = kind.split(BETWEEN).collect();
    let mut lines = vec![String::new()];
    for (at, word) in words.iter().enumerate() {
        let mut word = shortened(word);
        if at + 1 < words.len() {
            word.push_str(" |");
        }
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if line.is_empty() {
            *line = word;
        } else if line.chars().count() + 1 + word.chars().count() <= WIDEST {
            line.push(' ');
            line.push_str(&word);
        } else if lines.len() < MOST_LINES {
            lines.push(word);
        } else {
            lines.push(format!("... {} more, see --json", words.len() - at));
            break;
        }
    }
    lines
}

/// The word, cut so that there is room for the bar after it.
fn shortened(word: &str) -> String {
    let most = WIDEST - " |".len();
    if word.chars().count() <= most {
        return word.to_owned();
    }
    word.chars().take(most - 3).chain("...".chars()).collect()
}

/// The variables of the environment that an option comes from, by the annotation `x-env` of its schema.
fn variables(schema: &Value) -> String {
    let names = schema["x-env"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let names: Vec<_> = names.map(|name| format!("${name}")).collect();
    if names.is_empty() { String::new() } else { format!(" (if left out: {})", names.join(", ")) }
}

fn first_sentence(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = text.find(". ").map_or(text.len(), |end| end + 1);
    text[..end].trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_listed_with_their_type_default_and_meaning() {
        let schema = r##"{"type":"object","required":["url"],"properties":{
            "url":{"type":"string","description":"Where to. A second\nsentence."},
            "gzip":{"type":"boolean","default":false,"x-env":["OTEL_A","B"]},
            "method":{"default":"POST","oneOf":[{"const":"POST"},{"const":"PUT"}]},
            "headers":{"type":"object","additionalProperties":{"type":"string"}},
            "hosts":{"type":"array","items":{"$ref":"#/$defs/Host"}},
            "tls":{"anyOf":[{"$ref":"#/$defs/Host"},{"type":"null"}],"default":null},
            "loop":{"$ref":"#/$defs/Loop"}},
            "$defs":{"Host":{"type":"object","properties":{"port":{"type":["integer","null"]}}},
            "Loop":{"properties":{"next":{"$ref":"#/$defs/Loop"}}}}}"##;
        let found: Vec<_> = rows(schema)
            .into_iter()
            .map(|row| format!("{}|{}|{}|{}", row.name, row.kind, row.default, row.meaning))
            .collect();
        let (loops, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|row| row.starts_with("loop"));
        assert_eq!(
            others,
            [
                "gzip|boolean|false| (if left out: $OTEL_A, $B)",
                "headers|table||",
                "headers.*|string||",
                "hosts|list of table||",
                "hosts[].port|integer||",
                "method|POST | PUT|\"POST\"|",
                "tls|table||",
                "tls.port|integer||",
                "url|string|required|Where to",
            ]
        );
        assert_eq!(loops.len(), DEEPEST + 1, "it ends");
    }

    #[test]
    fn a_choice_of_many_words_is_cut_after_several_lines() {
        assert_eq!(lines("string"), ["string"]);
        assert_eq!(lines("POST | PUT"), ["POST | PUT"]);
        let words =
            |number: usize| (0..number).map(|n| format!("word{n:02}")).collect::<Vec<_>>().join(BETWEEN);
        assert_eq!(lines(&words(6)), ["word00 | word01 | word02 |", "word03 | word04 | word05"]);
        let many = lines(&words(100));
        assert_eq!(many.len(), MOST_LINES + 1);
        assert_eq!(many.last().map(String::as_str), Some("... 76 more, see --json"));
        let long = lines(&format!("{} | b", "é".repeat(100)));
        assert!(long.iter().chain(&many).all(|line| line.chars().count() <= WIDEST), "{long:?}");
        assert_eq!(long[1..], ["b"]);
        assert!(long[0].ends_with("é... |"), "{long:?}");
    }

    #[test]
    fn a_schema_with_any_number_of_options_has_a_short_table() {
        // Ten members at each depth, a list of itself, and a text that is shown again and again.
        let members: Vec<_> = (0..10).map(|number| format!(r##""m{number}":{{"$ref":"#"}}"##)).collect();
        let long = "x".repeat(MOST_BYTES / 10);
        for schema in [
            format!(r#"{{"properties":{{{}}}}}"#, members.join(",")),
            format!(r#"{{"description":"{long}","properties":{{{}}}}}"#, members.join(",")),
            r##"{"type":"array","items":{"$ref":"#"},"properties":{"all":{"$ref":"#"}}}"##.to_owned(),
        ] {
            let rows = rows(&schema);
            let last = rows.last().expect("an option");
            assert!(rows.len() < MOST_BYTES / ROW + 2, "{} options", rows.len());
            assert_eq!(
                last.name == "...",
                members.iter().all(|member| schema.contains(member)),
                "{}",
                last.name
            );
        }
    }

    #[test]
    fn an_invalid_schema_has_no_options() {
        for schema in ["", "null", "[]", "{\"properties\":5}"] {
            assert!(rows(schema).is_empty(), "{schema}");
        }
    }
}
