//! Events from elsewhere, put into the spool of this process.

use crate::api::telemetry::Telemetry;
use crate::error::{DropReason, Error};
use crate::event::batch_buffer::EventBuffer;
use crate::process::ReentrancyGuard;

/// Puts events of other tools into a telemetry's spool. They are delivered from there like the telemetry's own. For
/// programs that pass events on.
#[derive(Debug)]
pub struct Forwarder {
    telemetry: Telemetry,
    buffer: EventBuffer,
    /// The event for which there was no room.
    held: Option<String>,
}

/// What [`Forwarder::push`] has done with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum PushOutcome {
    /// The line is an event, and the operating system has it.
    Stored,
    /// The line is blank.
    Blank,
    /// The line is an event for which there is no room now, for this reason. The forwarder holds the event for
    /// [`Forwarder::again`], and does not count it as lost.
    Held(DropReason),
}

impl Telemetry {
    /// Makes a forwarder into this telemetry's spool. Members that an event lacks are filled in as by [`EventBuffer`].
    /// Nothing is redacted.
    ///
    /// With [`Limits::refuse_when_full`](crate::spool::Limits::refuse_when_full) a full spool refuses new events;
    /// otherwise the oldest events leave.
    #[must_use]
    pub fn forwarder(&self) -> Forwarder {
        Forwarder { telemetry: self.clone(), buffer: EventBuffer::new(self.context().fill()), held: None }
    }

    /// Makes the delivery thread of a service look at its spool now, for a caller that knows of new events from another
    /// process. Does nothing with another [`Deliver`](crate::Deliver).
    pub fn deliver_soon(&self) {
        self.core().scheduler().look(self.context());
    }
}

impl Forwarder {
    /// Takes one line, and never waits. An event without room is held until the next call, which drops it.
    ///
    /// # Errors
    /// [`Error::Event`] when the line is not an event, [`Error::Unstored`] when the spool can never hold it.
    pub fn push(&mut self, line: &[u8]) -> Result<PushOutcome, Error> {
        let _quiet = ReentrancyGuard::enter();
        self.held = None;
        self.buffer.push_line(line)?;
        let Some(event) = self.buffer.take_only() else { return Ok(PushOutcome::Blank) };
        self.offer(event)
    }

    /// Tries again to store the event that is held. Gives [`PushOutcome::Blank`] when there is none. A call is cheap: after a
    /// failure the spool tries to begin a segment at most once a second.
    ///
    /// # Errors
    /// [`Error::Unstored`] when the spool can never hold it.
    pub fn again(&mut self) -> Result<PushOutcome, Error> {
        let _quiet = ReentrancyGuard::enter();
        self.held.take().map_or(Ok(PushOutcome::Blank), |event| self.offer(event))
    }

    fn offer(&mut self, event: String) -> Result<PushOutcome, Error> {
        match self.telemetry.core().offer(event.as_bytes()) {
            Ok(()) => Ok(PushOutcome::Stored),
            Err(reason @ (DropReason::Damaged | DropReason::TooLong)) => Err(Error::Unstored { reason }),
            Err(reason) => {
                self.held = Some(event);
                Ok(PushOutcome::Held(reason))
            }
        }
    }
}
