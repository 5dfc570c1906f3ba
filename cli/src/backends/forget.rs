//! `jackfield forget`: asks every backend's platform to delete what it has of a machine.

use clap::Args;
use jackfield::forward::{EventBuffer, EventDefaults};
use jackfield_loader::{Batch, plugin_api::Deletion};

use crate::{
    backends::answers,
    common_args::{CommonArgs, Help},
    exit::{CommandError, Exit},
    settings::{self, TOOL, VERSION},
};

pub(crate) const HELP: Help = Help {
    examples: "  jackfield forget 3bf690336b01aed7275a70c788d44b6e\n  \
         jackfield forget --only posthog 3bf690336b01aed7275a70c788d44b6e --json",
    notes: "Prints a receipt for each backend: sent (the request has reached the platform, which\nanswers for the rest), \
         unsupported (there is no way to ask), failed, or unusable (the\nbackend could not be opened).\n\n\
         With --json, a list of: name, answer, text.",
};

#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    /// The member `machine_id` of the machine's events
    #[arg(value_name = "MACHINE_ID")]
    pub(crate) machine_id: String,
    /// Ask the backend of this name only; may be given several times
    #[arg(long, value_name = "BACKEND")]
    pub(crate) only: Vec<String>,
}

pub(crate) fn run(common: &CommonArgs, args: &ForgetArgs) -> Result<Exit, CommandError> {
    let config = settings::load(common.config.as_deref())?;
    let event = request_event(&args.machine_id)?;
    let answers = answers::of_each(&config, &args.only, |backend, config| {
        match backend.request_deletion(&args.machine_id, &event, config.timeout) {
            Deletion::Sent(text) => ("sent", text),
            Deletion::Unsupported(text) => ("unsupported", text),
            Deletion::Failed(text) => ("failed", text),
        }
    })?;
    answers::print(&answers, &["failed"], common.json)
}

/// The event for platforms that take nothing but events.
fn request_event(machine_id: &str) -> Result<Batch, CommandError> {
    if machine_id.is_empty() || machine_id.len() > 256 || machine_id.chars().any(char::is_control) {
        let refusal = "the machine id: expected 1 to 256 bytes without control characters";
        return Err(CommandError::Usage(refusal.to_owned()));
    }
    let line = serde_json::json!({
        "type": "data.deletion_request",
        "name": "deletion request",
        "machine_id": machine_id,
    });
    let mut buffer = EventBuffer::new(EventDefaults::new(TOOL, VERSION));
    buffer.push_line(line.to_string().as_bytes()).map_err(|error| CommandError::Usage(error.to_string()))?;
    Ok(buffer.take())
}
