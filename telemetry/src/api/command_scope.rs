//! A command and its duration.

use std::time::Instant;

use crate::api::telemetry::Telemetry;
use crate::event::event::{Event, EventKind};

/// The exit code of a command that panicked: that of a Rust program that panics.
pub(crate) const PANICKED: i64 = 101;

/// Records a `command.invocation` when it is dropped, with the time since [`Telemetry::command`] and the exit code that
/// [`finish`](Self::finish) or [`set_exit_code`](Self::set_exit_code) gave: 0 without one, 101 while the thread panics. A
/// tool that ends by `std::process::exit` calls [`finish_and_exit`](Self::finish_and_exit) instead.
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
    /// Begins a command. The event is recorded when the returned scope is dropped, also by a panic, and has the time in
    /// between as its duration.
    #[must_use = "the command ends when this is dropped"]
    pub fn command(&self, name: impl Into<String>) -> CommandScope {
        CommandScope::new(self.clone(), name.into())
    }
}

impl CommandScope {
    pub(crate) fn new(telemetry: Telemetry, name: String) -> Self {
        Self { telemetry, name, started: Instant::now(), exit_code: None, error: None, metadata: Vec::new() }
    }

    /// Sets the exit code of the command.
    pub fn set_exit_code(&mut self, code: impl Into<i64>) {
        self.exit_code = Some(code.into());
    }

    /// Sets the reason of a failure, which makes the event a `command.error`. The message is kept only with extended
    /// collection.
    pub fn set_error(&mut self, message: impl Into<String>) {
        self.error = Some(message.into());
    }

    /// Adds a name and a value to the metadata of the event.
    pub fn add_metadata(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.metadata.push((name.into(), value.into()));
    }

    /// Ends the command with this code.
    pub fn finish(mut self, exit_code: impl Into<i64>) {
        self.set_exit_code(exit_code);
    }

    /// Ends the command with this code, [closes](Telemetry::close) the telemetry, and ends the process by
    /// [`std::process::exit`]. That function alone drops nothing, so it records no command.
    ///
    /// ```no_run
    /// # let telemetry = jackfield::Telemetry::builder("mytool", "1.4.0").build();
    /// let command = telemetry.command("build");
    /// command.finish_and_exit(2)
    /// ```
    pub fn finish_and_exit(self, exit_code: i32) -> ! {
        let telemetry = self.telemetry.clone();
        self.finish(exit_code);
        telemetry.close();
        std::process::exit(exit_code)
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
