//! `jackfield doctor` and `jackfield forget`: ask every configured backend a question, and print the answers.

use std::time::Duration;

use clap::Args;
use jackfield::BackendConfig;
use jackfield::forward::{EventBuffer, EventDefaults, open_backend};
use jackfield::{Config, EventKind};
use jackfield_loader::{
    Backend, Batch, ForeignText,
    plugin_api::{Deletion, Probe},
};
use serde::Serialize;

use crate::{
    console,
    exit::{CommandError, Exit, UnusableBackend},
    help::Help,
    log,
    settings::{self, CommonArgs, TOOL, VERSION},
};

pub(crate) const DOCTOR_HELP: Help = Help {
    examples: "  jackfield doctor\n  jackfield doctor --only main --json",
    notes: "The answer of a backend is one of: reachable, unreachable, refused (by its platform),\n\
         unsupported (the plugin can't find out), or unusable (the backend could not be opened).\n\n\
         With --json, a list of: name, answer, text.",
};

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Ask only the backend of this name; may be given several times
    #[arg(long, value_name = "BACKEND")]
    only: Vec<String>,
}

pub(crate) fn doctor(common: &CommonArgs, args: &DoctorArgs) -> Result<Exit, CommandError> {
    let config = common.configuration_of_backends()?;
    // The backend is open, so the policy has allowed its plugin.
    let trust = config.plugins.trust;
    let answers = ask_each(&config, &args.only, |backend, config| {
        let (answer, text) = match backend.probe(config.timeout) {
            Probe::Reachable(text) => ("reachable", text),
            Probe::Unreachable(text) => ("unreachable", text),
            Probe::Refused(text) => ("refused", text),
            Probe::Unsupported(text) => ("unsupported", text),
        };
        (answer, format!("{text} (trust: ok by \"{trust}\")").trim_start().to_owned())
    })?;
    print(&answers, &["unreachable", "refused"], common.json)
}

pub(crate) const FORGET_HELP: Help = Help {
    examples: "  jackfield forget 3bf690336b01aed7275a70c788d44b6e\n  \
         jackfield forget --only posthog 3bf690336b01aed7275a70c788d44b6e --json",
    notes: "The receipt of a backend is one of: sent (the platform has received the request, and is\n\
         responsible for the rest), unsupported (there is no way to ask), failed, or unusable (the\n\
         backend could not be opened).\n\n\
         With --json, a list of: name, answer, text.",
};

#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    /// The member `machine_id` of the machine's events
    #[arg(value_name = "MACHINE_ID")]
    machine_id: String,
    /// Ask only the backend of this name; may be given several times
    #[arg(long, value_name = "BACKEND")]
    only: Vec<String>,
}

pub(crate) fn forget(common: &CommonArgs, args: &ForgetArgs) -> Result<Exit, CommandError> {
    let config = common.configuration_of_backends()?;
    let event = deletion_event(&args.machine_id)?;
    let answers = ask_each(&config, &args.only, |backend, config| {
        match backend.request_deletion(&args.machine_id, &event, config.timeout) {
            Deletion::Sent(text) => ("sent", text),
            Deletion::Unsupported(text) => ("unsupported", text),
            Deletion::Failed(text) => ("failed", text),
        }
    })?;
    print(&answers, &["failed"], common.json)
}

/// The request as an event, for platforms that take only events.
fn deletion_event(machine_id: &str) -> Result<Batch, CommandError> {
    if machine_id.is_empty() || machine_id.len() > 256 || machine_id.chars().any(char::is_control) {
        let refusal = "MACHINE_ID: expected 1 to 256 bytes without control characters";
        return Err(CommandError::Usage(refusal.to_owned()));
    }
    let line = serde_json::json!({
        "type": EventKind::DATA_DELETION_REQUEST.as_str(),
        "name": EventKind::DATA_DELETION_REQUEST.as_str(),
        "machine_id": machine_id,
    });
    let mut buffer = EventBuffer::new(EventDefaults::new(TOOL, VERSION));
    buffer.push_line(line.to_string().as_bytes()).map_err(|error| CommandError::Usage(error.to_string()))?;
    Ok(buffer.take())
}

/// The time for a backend to close, in addition to the timeout of its calls.
const CLOSING: Duration = Duration::from_secs(1);

/// The answer of one backend.
#[derive(Serialize)]
struct Answer {
    name: String,
    answer: &'static str,
    text: ForeignText,
    /// The exit of a backend that could not be opened.
    #[serde(skip)]
    unusable: Option<Exit>,
}

/// Opens each backend whose name is in `only`, or each one, and asks it.
fn ask_each(
    config: &Config,
    only: &[String],
    ask: impl Fn(&Backend, &BackendConfig) -> (&'static str, String),
) -> Result<Vec<Answer>, CommandError> {
    let answer = |backend: &BackendConfig| {
        let name = backend.name.clone();
        let open = match open_backend(config, backend, &settings::backend_options(config, backend)) {
            Ok((open, _)) => open,
            Err(error) => {
                let UnusableBackend { exit, reason, .. } = UnusableBackend::new(&name, &error);
                return Answer { name, answer: "unusable", text: reason.into(), unusable: Some(exit) };
            }
        };
        let (answer, text) = ask(&open, backend);
        if let Err(error) = open.close(backend.timeout + CLOSING) {
            log::warn_of(&backend.name, backend.conceal(&error.to_string()));
        }
        Answer { name, answer, text: backend.reason(&text).into(), unusable: None }
    };
    Ok(settings::chosen_backends(config, only)?.into_iter().map(answer).collect())
}

/// Prints the answers. Gives the exit of a backend that could not be opened, else that of the `failures`.
fn print(answers: &[Answer], failures: &[&str], json: bool) -> Result<Exit, CommandError> {
    if json {
        console::print_json(&answers)?;
    } else {
        let line = |Answer { name, answer, text, .. }: &Answer| format!("{name}: {answer}: {text}\n");
        console::print(&answers.iter().map(line).collect::<String>())?;
    }
    let has_failed = answers.iter().any(|answer| failures.contains(&answer.answer));
    let answered = if has_failed { Exit::Events } else { Exit::Done };
    Ok(answers.iter().filter_map(|answer| answer.unusable).max().unwrap_or(answered))
}
