//! `jackfield config show`: what is in force, and where each value comes from.

use std::path::Path;

use jackfield::{
    BackendConfig, Config,
    forward::{EffectiveValue, OptionsSchema, Origin},
};
use jackfield_loader::show_path;
use serde::Serialize;
use serde_json::Value;

use crate::{
    console,
    environment::variable,
    exit::{CommandError, Exit},
    log,
    plugins::option_table,
    settings::{self, CommonArgs, no_configuration},
};

/// One value.
#[derive(Serialize)]
struct Row {
    /// The name of the backend; `None` for a value of no backend.
    backend: Option<String>,
    key: String,
    value: Value,
    /// In words.
    from: String,
    file: Option<String>,
    line: Option<usize>,
}

impl Row {
    fn new(backend: Option<&str>, key: &str, value: impl Into<Value>, from: impl Into<String>) -> Self {
        let (backend, key) = (backend.map(str::to_owned), key.to_owned());
        Self { backend, key, value: value.into(), from: from.into(), file: None, line: None }
    }
}

pub(super) fn run(common: &CommonArgs) -> Result<Exit, CommandError> {
    let mut rows = Vec::new();
    let reading = match common.locate(Path::to_owned)? {
        Some(located) => {
            rows.push(Row::new(None, "configuration", show_path(&located.path).to_string(), located.by));
            common.judged(located.file)?.read_all()?
        }
        None => {
            log::warn(no_configuration());
            rows.push(Row::new(None, "configuration", Value::Null, "default"));
            Config::embedded().into()
        }
    };
    if let Some(first) = reading.mistakes.into_iter().next() {
        return Err(first.into());
    }
    rows.extend(common.effective());
    for value in reading.values {
        let backend = value.backend.and_then(|index| reading.config.backends.get(index));
        rows.push(row(backend, value));
    }
    for backend in &reading.config.backends {
        rows.extend(of_plugin(&reading.config, backend));
    }
    // All rows of a backend are beside each other, in the order of the backends.
    rows.sort_by_key(|row| {
        let is_of = |backend: &BackendConfig| row.backend.as_deref() == Some(&*backend.name);
        reading.config.backends.iter().position(is_of)
    });
    if common.json {
        console::print_json(&rows)?;
    } else {
        console::print(&text(&rows))?;
    }
    Ok(Exit::Done)
}

fn row(backend: Option<&BackendConfig>, value: EffectiveValue) -> Row {
    let EffectiveValue { key, value, origin, .. } = value;
    let backend = backend.map(|backend| backend.name.as_str());
    let from = match &origin {
        Origin::File(place) => place.to_string(),
        Origin::Variable(name) => format!("${name}"),
        _ => "default".to_owned(),
    };
    let mut row = Row::new(backend, &key, value, from);
    if let Origin::File(place) = origin {
        (row.file, row.line) = (Some(show_path(&place.file).to_string()), Some(place.line));
    }
    row
}

/// The file of the backend's plugin, and where the options come from that are not written: a variable that the plugin reads,
/// else its default.
fn of_plugin(config: &Config, backend: &BackendConfig) -> Vec<Row> {
    let name = Some(backend.name.as_str());
    let found = jackfield_loader::find(&backend.plugin, &config.plugins.path, &config.folder);
    let Ok(plugin) = found else { return vec![Row::new(name, "file", Value::Null, "not found")] };
    let mut rows = vec![Row::new(name, "file", plugin.to_string(), "search path")];
    let Ok(inspection) = jackfield_loader::inspect(&plugin) else { return rows };
    let schema = inspection.metadata.config_schema.as_ref().map(|schema| schema.get());
    let written: Value = serde_json::from_str(&backend.config).unwrap_or_default();
    let parsed = schema.and_then(|schema| OptionsSchema::parse(schema).ok());
    let of_variables = parsed.map(|schema| schema.from_variables(&written)).unwrap_or_default();
    for it in &of_variables {
        let key = format!("config.{}", it.option);
        let reference = format!("${{{}}}", it.variable);
        rows.push(Row::new(name, key.trim_end_matches('.'), reference, format!("${}", it.variable)));
    }
    for (option, default) in schema.map(option_table::defaults).unwrap_or_default() {
        let is_written = written.pointer(&format!("/{}", option.replace('.', "/"))).is_some();
        if !is_written && of_variables.iter().all(|it| it.option != option) {
            rows.push(Row::new(name, &format!("config.{option}"), default, "default of the plugin"));
        }
    }
    rows
}

/// A table, in which the rows of each backend follow a heading.
fn text(rows: &[Row]) -> String {
    let cell = |row: &Row| {
        let value = match &row.value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        vec![row.key.clone(), value, row.from.clone()]
    };
    let mut table = vec![["KEY", "VALUE", "FROM"].map(str::to_owned).to_vec()];
    let mut last = None;
    for row in rows {
        if row.backend != last {
            table.push(vec![format!("backend {}", row.backend.as_deref().unwrap_or_default())]);
            last.clone_from(&row.backend);
        }
        table.push(cell(row));
    }
    console::table(&table, |_, _, cell| cell)
}

impl CommonArgs {
    /// What this command line and the environment say beside the configuration.
    fn effective(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        if self.trust_config() {
            rows.push(Row::new(None, "trust-config", true, "command line (--trust-config)"));
        }
        let from = match (self.log_format(), variable(log::FORMAT)) {
            (Some(_), _) => "command line (--log-format)".to_owned(),
            (None, Some(_)) => format!("${}", log::FORMAT),
            (None, None) => "default".to_owned(),
        };
        rows.push(Row::new(None, "log format", log::format(), from));
        let (records, from) = log::selection();
        rows.push(Row::new(None, "log records", records, from));
        let state = settings::state_folder().map(|folder| show_path(&folder).to_string());
        rows.push(Row::new(None, "state folder", state, settings::state_base().1));
        rows
    }
}
