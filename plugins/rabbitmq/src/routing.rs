//! The routing key: a template with fields of the event.

use jackfield_plugin_api::Event;
use lapin::types::ShortString;

/// A field that a template may name, by its name in the event's JSON.
#[derive(Clone, Copy)]
struct Field {
    name: &'static str,
    get: for<'a> fn(&Event<'a>) -> &'a str,
}

const FIELDS: [Field; 11] = [
    Field { name: "id", get: |event| event.id() },
    Field { name: "timestamp", get: |event| event.timestamp() },
    Field { name: "type", get: |event| event.kind() },
    Field { name: "name", get: |event| event.name() },
    Field { name: "machine_id", get: |event| event.machine_id() },
    Field { name: "tool_name", get: |event| event.tool_name() },
    Field { name: "version", get: |event| event.tool_version() },
    Field { name: "os", get: |event| event.os() },
    Field { name: "arch", get: |event| event.arch() },
    Field { name: "os_version", get: |event| event.os_version() },
    Field { name: "runtime_version", get: |event| event.runtime_version() },
];

enum Part {
    Text(String),
    Field(Field),
}

/// A template that was checked.
pub(crate) enum RoutingKey {
    /// A key that is the same for every event.
    Constant(ShortString),
    /// A key with fields of the event.
    Template(Vec<TemplatePart>),
}

/// A part of a [`RoutingKey::Template`].
pub(crate) struct TemplatePart(Part);

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
        Ok(Self::Template(parts.into_iter().map(TemplatePart).collect()))
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
        for TemplatePart(part) in parts {
            match part {
                Part::Text(text) => key.push_str(text),
                Part::Field(field) => key.push_str((field.get)(event)),
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
    if let Some(field) = FIELDS.iter().find(|field| field.name == name) {
        return Ok(*field);
    }
    let nearest = FIELDS
        .iter()
        .map(|field| (strsim::damerau_levenshtein(field.name, name), field.name))
        .min()
        .filter(|(distance, _)| *distance <= 1 + name.len() / 3);
    let known = || FIELDS.map(|field| field.name).join(", ");
    Err(match nearest {
        Some((_, nearest)) => format!("names the unknown field `{{{name}}}`; did you mean `{{{nearest}}}`?"),
        None => format!("names the unknown field `{{{name}}}`; the fields are {}", known()),
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
                .map(|TemplatePart(part)| match part {
                    Part::Text(text) => format!("[{text}]"),
                    Part::Field(field) => format!("<{}>", field.name),
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
    fn a_brace_without_its_pair_and_a_key_that_is_too_long_are_refused() {
        for template in ["a{type", "a}b", "{"] {
            assert!(shape(template).expect_err(template).contains("without its pair"), "{template}");
        }
        assert!(shape(&"x".repeat(256)).expect_err("too long").contains("256 bytes"));
    }
}
