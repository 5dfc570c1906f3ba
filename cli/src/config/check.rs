//! `jackfield config check`: all mistakes at once.

use std::path::Path;

use jackfield::forward::check_backend;
use jackfield_loader::{count, show_path};
use serde::Serialize;

use crate::{
    console,
    exit::{CommandError, Exit},
    log,
    settings::{CommonArgs, no_backend, no_configuration},
};

/// The result.
#[derive(Serialize)]
struct Checked {
    file: String,
    backends: usize,
    mistakes: Vec<Mistake>,
}

/// One mistake, in one line.
#[derive(Serialize)]
struct Mistake {
    line: Option<usize>,
    backend: Option<String>,
    text: String,
}

pub(super) fn run(common: &CommonArgs) -> Result<Exit, CommandError> {
    let Some(located) = common.locate(Path::to_owned)? else {
        return Err(CommandError::ConfigContent(no_configuration()));
    };
    let mut mistakes = Vec::new();
    let file = match located.file.check_owner() {
        Err(refusal) if !common.trust_config() => {
            mistakes.push(about_the_file(&refusal));
            located.file
        }
        _ => common.judged(located.file)?,
    };
    let reading = file.read_all()?;
    mistakes.extend(reading.mistakes.iter().map(about_the_file));
    let config = &reading.config;
    if reading.mistakes.is_empty() && config.backends.is_empty() {
        mistakes.push(Mistake { line: None, backend: None, text: no_backend(config) });
    }
    let known: Vec<_> = reading.mistakes.iter().filter_map(|mistake| mistake.place().cloned()).collect();
    for backend in config.backends.iter().filter(|backend| !backend.plugin.is_empty()) {
        for refusal in check_backend(config, backend, &known) {
            let text = refusal.line(&backend.name);
            // A lock that can't be read refuses each plugin.
            if !mistakes.iter().any(|mistake| mistake.text == text) {
                let line = refusal.place().map(|place| place.line);
                mistakes.push(Mistake { line, backend: Some(backend.name.clone()), text });
            }
        }
    }
    let checked =
        Checked { file: show_path(&located.path).to_string(), backends: config.backends.len(), mistakes };
    checked.print(common.json)
}

fn about_the_file(mistake: &jackfield::Error) -> Mistake {
    Mistake { line: mistake.place().map(|place| place.line), backend: None, text: mistake.to_string() }
}

impl Checked {
    fn print(&self, json: bool) -> Result<Exit, CommandError> {
        for mistake in &self.mistakes {
            log::error_of(mistake.backend.as_deref(), &mistake.text);
        }
        if json {
            console::print_json(self)?;
        } else if self.mistakes.is_empty() {
            let Self { file, backends, .. } = self;
            console::print(&format!("{file}: {}, no mistake found\n", count(*backends, "backend")))?;
        }
        Ok(if self.mistakes.is_empty() { Exit::Done } else { Exit::Config })
    }
}
