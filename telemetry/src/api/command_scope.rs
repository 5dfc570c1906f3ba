//! A command, timed from its start to its end.

use std::time::Instant;

use crate::api::telemetry::Telemetry;
use crate::event::event::Event;
use crate::event::kind::EventKind;

/// What a command that panicked is said to have ended with: the code of a Rust program that did.
pub(crate) const PANICKED: i64 = 101;

/// Records a `command.invocation` when it is dropped, with the time since [`Telemetry::command`] and the exit code that
/// [`finish`](Self::finish) or [`set_exit_code`](Self::set_exit_code) gave: 0 without one, 101 while the thread panics.
#[derive(Debug)]
pub struct CommandScope {
    telemetry: Telemetry,
    name: String,
    started: Instant,
    exit_code: Option<i64>,
    error: Option<String>,
    metadata: Vec<(String, String)>,
}

impl Telemetry {
    /// Times a command from here to the end of the returned scope, and records it then, also on a panic.
    #[must_use = "the command ends when this is dropped"]
    pub fn command(&self, name: impl Into<String>) -> CommandScope {
        CommandScope::new(self.clone(), name.into())
    }
}

impl CommandScope {
    pub(crate) fn new(telemetry: Telemetry, name: String) -> Self {
        Self { telemetry, name, started: Instant::now(), exit_code: None, error: None, metadata: Vec::new() }
    }

    /// How the command will have ended.
    pub fn set_exit_code(&mut self, code: impl Into<i64>) {
        self.exit_code = Some(code.into());
    }

    /// Why the command failed, which makes the event a `command.error`. The message is kept with extended collection
    /// only.
    pub fn set_error(&mut self, message: impl Into<String>) {
        self.error = Some(message.into());
    }

    /// A name and a value for the event.
    pub fn add_metadata(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.metadata.push((name.into(), value.into()));
    }

    /// Ends the command with this code.
    pub fn finish(mut self, exit_code: impl Into<i64>) {
        self.set_exit_code(exit_code);
    }
}

impl Drop for CommandScope {
    fn drop(&mut self) {
        let panicking = std::thread::panicking();
        let failed = panicking || self.error.is_some();
        let kind = if failed { EventKind::COMMAND_ERROR } else { EventKind::COMMAND_INVOCATION };
        let code = if panicking { PANICKED } else { self.exit_code.unwrap_or(i64::from(failed)) };
        let metadata: Vec<(&str, &str)> =
            self.metadata.iter().map(|(name, value)| (&**name, &**value)).collect();
        let mut event = Event::new(kind, &self.name).duration(self.started.elapsed()).exit_code(code);
        if let Some(message) = &self.error {
            event = event.error(message);
        } else if panicking {
            event = event.error("panicked");
        }
        self.telemetry.track_event(&event.metadata(&metadata));
    }
}
