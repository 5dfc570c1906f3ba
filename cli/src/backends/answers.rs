//! Asks each configured backend one question, and prints the answers.

use std::time::Duration;

use jackfield::Config;
use jackfield::forward::{BackendConfig, open_backend};
use jackfield_loader::Backend;
use serde::Serialize;

use crate::{
    chosen_backends::chosen,
    exit::{CommandError, Exit},
    log, output, settings,
};

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
    /// The exit for a backend that is [`UNUSABLE`].
    #[serde(skip)]
    unusable: Option<Exit>,
}

/// Opens each backend whose name is in `only`, or each one, and asks it.
///
/// # Errors
/// As [`chosen`].
pub(crate) fn of_each(
    config: &Config,
    only: &[String],
    ask: impl Fn(&Backend, &BackendConfig) -> (&'static str, String),
) -> Result<Vec<Answer>, CommandError> {
    let answer = |backend: &BackendConfig| {
        let opened = open_backend(config, backend, &settings::backend_options(config, backend));
        let unusable = opened.as_ref().err().map(Exit::from);
        let (answer, text) = match opened {
            Err(error) => (UNUSABLE, error.line(&backend.name)),
            Ok((open, _)) => {
                let answer = ask(&open, backend);
                if let Err(error) = open.close(backend.timeout + CLOSING) {
                    log::warn(backend.conceal(&error.to_string()));
                }
                answer
            }
        };
        Answer { name: backend.name.clone(), answer, text: backend.conceal(&text), unusable }
    };
    Ok(chosen(config, only)?.into_iter().map(answer).collect())
}

/// Prints the answers, and gives the exit: of a backend that is [`UNUSABLE`], else of an answer in `failures`.
///
/// # Errors
/// The answers can't be printed.
pub(crate) fn print(answers: &[Answer], failures: &[&str], json: bool) -> Result<Exit, CommandError> {
    if json {
        output::json(&answers)?;
    } else {
        let line = |Answer { name, answer, text, .. }: &Answer| format!("{name}: {answer}: {text}\n");
        output::text(&answers.iter().map(line).collect::<String>())?;
    }
    let has_failed = answers.iter().any(|answer| failures.contains(&answer.answer));
    let answered = if has_failed { Exit::Events } else { Exit::Done };
    Ok(answers.iter().filter_map(|answer| answer.unusable).max().unwrap_or(answered))
}
