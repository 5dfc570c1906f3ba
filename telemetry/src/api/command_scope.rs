//! A command and its duration.

use std::time::Instant;

use crate::api::telemetry::Telemetry;
use crate::event::event::{Event, EventKind};
use crate::event::id::EventId;
use crate::event::value::Value;

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
    args: Option<Vec<String>>,
    error: Option<String>,
    metadata: Vec<(String, Value<'static>)>,
    is_recorded: bool,
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
        let (exit_code, args, error, metadata) = Default::default();
        let started = Instant::now();
        Self { telemetry, name, started, exit_code, args, error, metadata, is_recorded: false }
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

    /// Sets the arguments of the command, without the name of the program. They are kept only with extended collection, and
    /// not even copied without it.
    pub fn set_args(&mut self, args: impl IntoIterator<Item = impl Into<String>>) {
        if self.telemetry.is_extended() {
            self.args = Some(args.into_iter().map(Into::into).collect());
        }
    }

    /// Adds a name and a value to the metadata of the event. The value is a text, a number or a boolean.
    pub fn add_metadata<'v>(&mut self, name: impl Into<String>, value: impl Into<Value<'v>>) {
        self.metadata.push((name.into(), value.into().into_owned()));
    }

    /// Ends the command with this code. Returns the id of its event, as [`Telemetry::track`] does.
    pub fn finish(mut self, exit_code: impl Into<i64>) -> Option<EventId> {
        self.set_exit_code(exit_code);
        self.record()
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

impl CommandScope {
    fn record(&mut self) -> Option<EventId> {
        self.is_recorded = true;
        let panicking = std::thread::panicking();
        let failed = panicking || self.error.is_some();
        let code = if panicking { PANICKED } else { self.exit_code.unwrap_or(i64::from(failed)) };
        let args: Option<Vec<&str>> = self.args.as_ref().map(|args| args.iter().map(|arg| &**arg).collect());
        let values: Vec<_> = self.metadata.iter().map(|(name, value)| (&**name, value.borrowed())).collect();
        let mut event = Event::new(EventKind::of_command(failed), &self.name)
            .duration(self.started.elapsed())
            .exit_code(code)
            .values(&values);
        event.parts.args = args.as_deref();
        event.parts.error = self.error.as_deref().or(panicking.then_some("panicked"));
        self.telemetry.track_event(&event)
    }
}

impl Drop for CommandScope {
    fn drop(&mut self) {
        if !self.is_recorded {
            self.record();
        }
    }
}
