//! `jackfield forget`: asks every backend's platform to delete what it has of a machine.

use jackfield::forward::{EventBuffer, EventDefaults};
use jackfield_loader::{Batch, plugin_api::Deletion};

use crate::{
    answers,
    args::{Common, ForgetArgs},
    console,
    exit::Exit,
    send::{TOOL, VERSION},
    settings,
};

pub(crate) fn run(common: &Common, args: &ForgetArgs) -> Exit {
    let config = match settings::loaded(common) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let event = match request_event(&args.machine_id) {
        Ok(event) => event,
        Err(refusal) => {
            console::error(refusal);
            return Exit::Usage;
        }
    };
    let answers = answers::of_each(&config, &args.only, |backend, config| {
        match backend.request_deletion(&args.machine_id, &event, config.timeout) {
            Deletion::Sent(text) => ("sent", text),
            Deletion::Unsupported(text) => ("unsupported", text),
            Deletion::Failed(text) => ("failed", text),
        }
    });
    answers::print(&answers, &["failed"], common.json)
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
    let mut buffer = EventBuffer::new(EventDefaults::new(TOOL, VERSION));
    buffer.push_line(line.to_string().as_bytes()).map_err(|error| error.to_string())?;
    Ok(buffer.take())
}
