//! `jackfield forget`: asks every backend's platform to delete what it has of a machine.

use std::time::Duration;

use jackfield::{Config, EventBuffer, Fill};
use jackfield_loader::{Batch, plugin_api::Deletion};
use serde::Serialize;

use crate::{
    args::{Common, ForgetArgs},
    console,
    exit::Exit,
    send::{TOOL, Target, VERSION},
    settings,
};

/// What became of the request at one backend.
#[derive(Serialize)]
struct Receipt {
    name: String,
    /// `sent`, `unsupported`, `failed`, or `unusable` when the backend could not be opened.
    answer: &'static str,
    /// What was asked of whom, or why not.
    text: String,
}

/// How long a backend may take to close, beyond its calls' timeout.
const CLOSING: Duration = Duration::from_secs(1);

pub(crate) fn run(common: &Common, args: &ForgetArgs) -> Exit {
    let config = match settings::load(common.config.as_deref()) {
        Ok(config) => config,
        Err(refusal) => {
            console::error(refusal);
            return Exit::Config;
        }
    };
    let event = match request_event(&args.machine_id) {
        Ok(event) => event,
        Err(refusal) => {
            console::error(refusal);
            return Exit::Usage;
        }
    };
    let receipts: Vec<_> = config
        .backends
        .iter()
        .filter(|backend| args.only.is_empty() || args.only.contains(&backend.name))
        .map(|backend| ask(&config, backend, &args.machine_id, &event))
        .collect();
    if receipts.is_empty() {
        console::error("no backend of that name is configured");
        return Exit::Usage;
    }
    let printed = print(&receipts, common.json);
    let has = |answer: &str| receipts.iter().any(|receipt| receipt.answer == answer);
    let asked = match (has("unusable"), has("failed")) {
        (true, _) => Exit::Plugin,
        (false, true) => Exit::Events,
        (false, false) => Exit::Done,
    };
    printed.max(asked)
}

/// The event for platforms that take nothing but events.
fn request_event(machine_id: &str) -> Result<Batch, String> {
    if machine_id.is_empty() || machine_id.len() > 256 || machine_id.chars().any(char::is_control) {
        return Err("the machine id: expected 1 to 256 bytes without control characters".to_owned());
    }
    let line = serde_json::json!({
        "type": "data.deletion_request",
        "name": "deletion request",
        "machine_id": machine_id,
    });
    let mut buffer = EventBuffer::new(Fill::new(TOOL, VERSION));
    buffer.push_line(line.to_string().as_bytes()).map_err(|error| error.to_string())?;
    Ok(buffer.take())
}

fn ask(config: &Config, backend: &jackfield::BackendConfig, machine_id: &str, event: &Batch) -> Receipt {
    let target = Target::open(config, backend);
    let (answer, text) = match &target.backend {
        Err(refusal) => ("unusable", refusal.clone()),
        Ok(open) => {
            let deletion = open.request_deletion(machine_id, event, backend.timeout);
            if let Err(error) = open.close(backend.timeout + CLOSING) {
                console::warn(backend.conceal(&error.to_string()));
            }
            match deletion {
                Deletion::Sent(text) => ("sent", text),
                Deletion::Unsupported(text) => ("unsupported", text),
                Deletion::Failed(text) => ("failed", text),
            }
        }
    };
    Receipt { name: backend.name.clone(), answer, text: backend.conceal(&text) }
}

fn print(receipts: &[Receipt], json: bool) -> Exit {
    let text = if json {
        match serde_json::to_string_pretty(receipts) {
            Ok(json) => json + "\n",
            Err(error) => {
                console::error(error);
                return Exit::Io;
            }
        }
    } else {
        receipts.iter().map(|Receipt { name, answer, text }| format!("{name}: {answer}: {text}\n")).collect()
    };
    crate::print(&text)
}
