//! The routing key: a template with fields of the event.

use jackfield_plugin_api::Event;
use lapin::types::ShortString;

/// A field that a template may name: its name in the event's JSON, and its value.
type Field = (&'static str, for<'a> fn(&Event<'a>) -> &'a str);

const FIELDS: [Field; 11] = [
    ("id", |event| event.id()),
    ("timestamp", |event| event.timestamp()),
    ("type", |event| event.kind()),
    ("name", |event| event.name()),
    ("machine_id", |event| event.machine_id()),
    ("tool_name", |event| event.tool_name()),
    ("version", |event| event.tool_version()),
    ("os", |event| event.os()),
    ("arch", |event| event.arch()),
    ("os_version", |event| event.os_version()),
    ("runtime_version", |event| event.runtime_version()),
];

/// A part of a [`RoutingKey::Template`].
pub(crate) enum Part {
    Text(String),
    Field(Field),
}

/// A template that was checked.
pub(crate) enum RoutingKey {
    /// A key that is the same for every event.
    Constant(ShortString),
    /// A key with fields of the event.
    Template(Vec<Part>),
}

impl RoutingKey {
    /// Reads a template: `{field}` stands for the event's field, `{{` and `}}` for a brace.
    pub(crate) fn parse(template: &str) -> Result<Self, String> {
        let mut parts: Vec<Part> = Vec::new();
        let mut rest = template;
        let mut text = String::new();
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                text.push_str(brace);
                rest = after;
                continue;
            }
            let Some((name, after)) = rest.split_once('}').filter(|_| brace == "{") else {
                return Err(format!(
                    "has a `{brace}` without its pair; write `{brace}{brace}` for the character"
                ));
            };
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(Part::Field(field(name)?));
            rest = after;
        }
        text.push_str(rest);
        if parts.is_empty() {
            return constant(text);
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self::Template(parts))
    }

    /// A key without fields. Braces have no meaning in it.
    pub(crate) fn constant(text: &str) -> Result<Self, String> {
        constant(text.to_owned())
    }

    /// The key if it is the same for every event.
    pub(crate) const fn as_constant(&self) -> Option<&ShortString> {
        match self {
            Self::Constant(key) => Some(key),
            Self::Template(_) => None,
        }
    }

    /// The key of an event, or why it can't have one.
    pub(crate) fn of(&self, event: &Event<'_>) -> Result<ShortString, String> {
        let parts = match self {
            Self::Constant(key) => return Ok(key.clone()),
            Self::Template(parts) => parts,
        };
        let mut key = String::new();
        for part in parts {
            match part {
                Part::Text(text) => key.push_str(text),
                Part::Field((_, value)) => key.push_str(value(event)),
            }
        }
        let length = key.len();
        ShortString::try_new(key)
            .map_err(|_| format!("its routing key would have {length} bytes, and AMQP allows 255"))
    }
}

fn constant(text: String) -> Result<RoutingKey, String> {
    let length = text.len();
    ShortString::try_new(text)
        .map(RoutingKey::Constant)
        .map_err(|_| format!("has {length} bytes; AMQP allows 255"))
}

fn field(name: &str) -> Result<Field, String> {
    if let Some(field) = FIELDS.into_iter().find(|(known, _)| *known == name) {
        return Ok(field);
    }
    let known = FIELDS.map(|(known, _)| known);
    let nearest = known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(known, name), known))
        .min()
        .filter(|(distance, _)| *distance <= 1 + name.len() / 3);
    Err(match nearest {
        Some((_, nearest)) => format!("names the unknown field `{{{name}}}`; did you mean `{{{nearest}}}`?"),
        None => format!("names the unknown field `{{{name}}}`; the fields are {}", known.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(template: &str) -> Result<String, String> {
        Ok(match RoutingKey::parse(template)? {
            RoutingKey::Constant(key) => format!("={key}"),
            RoutingKey::Template(parts) => parts
                .iter()
                .map(|part| match part {
                    Part::Text(text) => format!("[{text}]"),
                    Part::Field((name, _)) => format!("<{name}>"),
                })
                .collect(),
        })
    }

    #[test]
    fn a_template_is_text_and_fields() {
        assert_eq!(shape("telemetry.{type}.{tool_name}").as_deref(), Ok("[telemetry.]<type>[.]<tool_name>"));
        assert_eq!(shape("{os}").as_deref(), Ok("<os>"));
        assert_eq!(shape("plain").as_deref(), Ok("=plain"));
        assert_eq!(shape("").as_deref(), Ok("="));
        assert_eq!(shape("a{{b}}c").as_deref(), Ok("=a{b}c"));
    }

    #[test]
    fn an_unknown_field_is_refused_with_the_nearest() {
        let error = shape("t.{tool_nam}").expect_err("unknown");
        assert!(error.contains("`{tool_nam}`") && error.contains("did you mean `{tool_name}`"), "{error}");
        let error = shape("{zzzzzzzz}").expect_err("unknown");
        assert!(error.contains("the fields are id, timestamp, type"), "{error}");
    }

    #[test]
    fn a_single_brace_and_a_long_key_are_refused() {
        for template in ["a{type", "a}b", "{"] {
            assert!(shape(template).expect_err(template).contains("without its pair"), "{template}");
        }
        assert!(shape(&"x".repeat(256)).expect_err("too long").contains("256 bytes"));
    }
}
