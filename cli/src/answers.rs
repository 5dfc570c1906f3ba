//! What each configured backend answers to one question.

use std::time::Duration;

use jackfield::Config;
use jackfield::forward::BackendConfig;
use jackfield_loader::Backend;
use serde::Serialize;

use crate::{console, exit::Exit, send::Target};

/// How long a backend may take to close, beyond its calls' timeout.
const CLOSING: Duration = Duration::from_secs(1);

/// The answer of a backend that could not be opened.
pub(crate) const UNUSABLE: &str = "unusable";

/// What one backend answered.
#[derive(Serialize)]
pub(crate) struct Answer {
    name: String,
    /// One of the command's words, or [`UNUSABLE`].
    answer: &'static str,
    text: String,
    /// What the command ends with for a backend that is [`UNUSABLE`].
    #[serde(skip)]
    unusable: Option<Exit>,
}

/// Opens each backend whose name is in `only`, or each one, and asks it.
pub(crate) fn of_each(
    config: &Config,
    only: &[String],
    ask: impl Fn(&Backend, &BackendConfig) -> (&'static str, String),
) -> Vec<Answer> {
    let wanted = |backend: &&BackendConfig| only.is_empty() || only.contains(&backend.name);
    let answer = |backend: &BackendConfig| {
        let target = Target::open(config, backend);
        let unusable = target.backend.as_ref().err().map(|refusal| refusal.exit);
        let (answer, text) = match &target.backend {
            Err(refusal) => (UNUSABLE, refusal.reason.clone()),
            Ok(open) => {
                let answer = ask(open, backend);
                if let Err(error) = open.close(backend.timeout + CLOSING) {
                    console::warn(backend.conceal(&error.to_string()));
                }
                answer
            }
        };
        Answer { name: backend.name.clone(), answer, text: backend.conceal(&text), unusable }
    };
    config.backends.iter().filter(wanted).map(answer).collect()
}

/// Prints the answers, and gives the exit: gravest a backend that is [`UNUSABLE`], then an answer among `failures`.
pub(crate) fn print(answers: &[Answer], failures: &[&str], json: bool) -> Exit {
    if answers.is_empty() {
        console::error("no backend of that name is configured");
        return Exit::Usage;
    }
    let text = if json {
        match serde_json::to_string_pretty(answers) {
            Ok(json) => json + "\n",
            Err(error) => {
                console::error(error);
                return Exit::Io;
            }
        }
    } else {
        answers
            .iter()
            .map(|Answer { name, answer, text, .. }| format!("{name}: {answer}: {text}\n"))
            .collect()
    };
    let answered = if let Some(exit) = answers.iter().filter_map(|answer| answer.unusable).max() {
        exit
    } else if answers.iter().any(|answer| failures.contains(&answer.answer)) {
        Exit::Events
    } else {
        Exit::Done
    };
    crate::print(&text).max(answered)
}
