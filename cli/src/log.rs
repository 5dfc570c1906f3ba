//! The log of the command on standard error: records of the host and of plugins, and the messages of the
//! command itself. Each line is text, or with `--log-format json` an object.

use std::{
    fmt::{self, Write as _},
    sync::atomic::{AtomicBool, Ordering},
};

use jackfield_loader::{ForeignText, to_json};
use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

use crate::{
    console::{self, Colour},
    environment::variable,
};

/// The format of the lines on standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    #[default]
    /// `warning: what has happened`
    Text,
    /// An object on each line: timestamp, level, event, the backend that it is about, and further members
    Json,
}

/// The default selection of records: warnings, errors and the ends of outages.
const DEFAULT: &str = "warn,jackfield::outage=info";

static JSON: AtomicBool = AtomicBool::new(false);

/// Sets the format of all further lines.
pub(crate) fn set_format(format: LogFormat) {
    JSON.store(format == LogFormat::Json, Ordering::Relaxed);
}

/// The variable with the format of the log.
pub(crate) const FORMAT: &str = "JACKFIELD_LOG_FORMAT";

/// The variable that selects log records.
const SELECTION: &str = "JACKFIELD_LOG";

/// The format of the lines, in the word of the command line.
pub(crate) fn format() -> &'static str {
    if JSON.load(Ordering::Relaxed) { "json" } else { "text" }
}

/// The selection of records as it is written, and where it comes from.
pub(crate) fn selection() -> (String, String) {
    match variable(SELECTION) {
        Some(wanted) => (wanted.to_string_lossy().into_owned(), format!("${SELECTION}")),
        None => (DEFAULT.to_owned(), "default".to_owned()),
    }
}

/// From now on the records of the host and of the plugins are written.
pub(crate) fn start() {
    let wanted = variable(SELECTION)
        .map(|wanted| parse(&wanted.into_string().map_err(|_| "it is not UTF-8".to_owned())?));
    let (filter, refusal) = match wanted {
        Some(Ok(filter)) => (Some(filter), None),
        Some(Err(refusal)) => (None, Some(refusal)),
        None => (None, None),
    };
    let filter = filter.unwrap_or_else(|| parse(DEFAULT).unwrap_or_default());
    tracing_subscriber::registry().with(Records.with_filter(filter)).init();
    if let Some(refusal) = refusal {
        warn(format_args!("{SELECTION} is ignored: {refusal}"));
    }
}

/// Reads a selection, such as `warn,file=trace`: a level for all, and targets with a level of their own.
fn parse(selection: &str) -> Result<Targets, String> {
    let mut targets = Targets::new();
    for directive in selection.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | ':' | '_');
        let (target, level) = directive.split_once('=').unwrap_or((directive, "trace"));
        targets = match (directive.parse::<LevelFilter>(), level.parse::<LevelFilter>()) {
            (Ok(level), _) => targets.with_default(level),
            (_, Ok(level)) if !target.is_empty() && target.chars().all(is_word) => {
                targets.with_target(target, level)
            }
            _ => return Err(format!("`{}` is no level and no TARGET=LEVEL", ForeignText::from(directive))),
        };
    }
    Ok(targets)
}

/// Writes an error, as one line.
pub(crate) fn error(text: impl fmt::Display) {
    error_of(None, text);
}

/// Writes a warning, as one line.
pub(crate) fn warn(text: impl fmt::Display) {
    write(Level::WARN, Map::new(), &text.to_string());
}

/// Writes an error, as one line, about the backend if there is one.
pub(crate) fn error_of(backend: Option<&str>, text: impl fmt::Display) {
    write(Level::ERROR, about(backend), &text.to_string());
}

/// Writes a warning about a backend, as one line.
pub(crate) fn warn_of(backend: &str, text: impl fmt::Display) {
    write(Level::WARN, about(Some(backend)), &text.to_string());
}

/// The members of a line about the backend. The command's own text needs none.
fn about(backend: Option<&str>) -> Map<String, Value> {
    let backend = backend.filter(|_| JSON.load(Ordering::Relaxed));
    backend.map(|backend| ("backend".to_owned(), backend.into())).into_iter().collect()
}

/// Writes text of one or more lines about what the command does.
pub(crate) fn say(text: impl fmt::Display) {
    tell(Level::INFO, None, text);
}

/// Writes a result of one or more lines, which are about the backend. Only JSON has the level.
pub(crate) fn tell(level: Level, backend: Option<&str>, text: impl fmt::Display) {
    if JSON.load(Ordering::Relaxed) {
        text.to_string().lines().for_each(|line| write(level, about(backend), line.trim_start()));
    } else {
        console::write_error(format!("{text}\n").as_bytes());
    }
}

/// Writes the records of `tracing`.
struct Records;

impl<S: Subscriber> Layer<S> for Records {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        fields.members.insert("target".to_owned(), metadata.target().into());
        write(*metadata.level(), fields.members, &fields.message);
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    members: Map<String, Value>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => drop(self.members.insert(name.to_owned(), value.into())),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.members.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.members.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.members.insert(field.name().to_owned(), value.into());
    }
}

/// Writes one line.
fn write(level: Level, members: Map<String, Value>, event: &str) {
    let line = if JSON.load(Ordering::Relaxed) {
        object(level, members, event)
    } else {
        text(level, &members, event, console::coloured_errors())
    };
    console::write_error(format!("{line}\n").as_bytes());
}

const fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn object(level: Level, members: Map<String, Value>, event: &str) -> String {
    let mut object = Map::new();
    object.insert("timestamp".to_owned(), jiff::Timestamp::now().to_string().into());
    object.insert("level".to_owned(), word(level).into());
    object.insert("event".to_owned(), event.into());
    for (name, value) in members {
        object.entry(name).or_insert(value);
    }
    to_json(&object).unwrap_or_default()
}

/// The event and its members, without a backend that the event names and the target of a record for users.
fn text(level: Level, members: &Map<String, Value>, event: &str, coloured: bool) -> String {
    let mut line = event.to_owned();
    for (name, value) in members {
        let said = match name.as_str() {
            "target" => level <= Level::INFO,
            "backend" => value.as_str().is_some_and(|backend| event.contains(backend)),
            _ => false,
        };
        if !said {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = write!(line, " {name}={value}");
        }
    }
    let word = format!("{}:", word(level));
    let word = match level {
        Level::ERROR => console::paint_if(coloured, &word, Colour::Red),
        Level::WARN => console::paint_if(coloured, &word, Colour::Yellow),
        _ => word,
    };
    format!("{word} {}", ForeignText::from(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_has_levels_and_targets() {
        let targets = parse(" warn, file=trace,jackfield::outage,x=OFF,").expect("a selection");
        for (target, level, is_selected) in [
            ("file", Level::TRACE, true),
            ("jackfield::outage", Level::TRACE, true),
            ("x", Level::ERROR, false),
            ("other", Level::WARN, true),
            ("other", Level::INFO, false),
        ] {
            assert_eq!(targets.would_enable(target, &level), is_selected, "{target} {level}");
        }
        for wrong in ["~ plugins", "=warn", "file=loud", "file==warn", "a[b]=warn"] {
            let refusal = parse(wrong).expect_err(wrong);
            assert!(refusal.contains(wrong), "{refusal}");
        }
    }

    #[test]
    fn a_line_of_text_is_one_line_without_repetition() {
        let members = |pairs: &[(&str, &str)]| -> Map<String, Value> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
        };
        let known = members(&[("backend", "main"), ("target", "jackfield")]);
        assert_eq!(text(Level::WARN, &known, "backend main is down", false), "warning: backend main is down");
        assert_eq!(
            text(Level::INFO, &known, "sent\n\u{1b}[2J", false),
            "info: sent\\n\\u{1b}[2J backend=main"
        );
        assert_eq!(text(Level::DEBUG, &known, "main", false), "debug: main target=jackfield");
        assert_eq!(text(Level::ERROR, &Map::new(), "x", true), "\u{1b}[31merror:\u{1b}[0m x");
    }

    #[test]
    fn a_line_of_json_has_the_members_of_its_record() {
        let members = [("backend", Value::from("main")), ("event", "forged".into()), ("code", 7.into())];
        let members = members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let line = object(Level::WARN, members, "a\u{202e}\nb");
        assert!(!line.contains(['\n', '\u{202e}']), "{line}");
        let value: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!((&value["level"], &value["event"]), (&"warning".into(), &"a\u{202e}\nb".into()));
        assert_eq!((&value["backend"], &value["code"]), (&"main".into(), &7.into()));
        assert!(value["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{line}");
    }
}
