//! Events of others, on their way through this process's spool.

use crate::api::telemetry::Telemetry;
use crate::error::drop_reason::DropReason;
use crate::error::error::Error;
use crate::event::batch_buffer::EventBuffer;
use crate::process::reentrancy::Quiet;

/// Puts events that others have made into a telemetry's spool, from which they are delivered like its own. For programs
/// that pass events on.
#[derive(Debug)]
pub struct Forwarder {
    telemetry: Telemetry,
    buffer: EventBuffer,
    /// The event that found no room.
    held: Option<String>,
}

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Pushed {
    /// It is an event, which is with the operating system.
    Stored,
    /// It is blank.
    Blank,
    /// It is an event for which there is no room now, and why. The forwarder holds it, complete as it was made of the
    /// line, for [`Forwarder::again`]; it is not counted as lost.
    Held(DropReason),
}

impl Telemetry {
    /// A way in for events that others have made. What they lack is filled in as for [`EventBuffer`]; nothing is redacted.
    ///
    /// With [`Limits::refuse_when_full`](crate::spool::Limits::refuse_when_full) a full spool holds events back; else the
    /// oldest leave for them.
    #[must_use]
    pub fn forwarder(&self) -> Forwarder {
        Forwarder { telemetry: self.clone(), buffer: EventBuffer::new(self.context().fill()), held: None }
    }

    /// Has the thread of a service look at its spool now, for who knows that another process has put events there.
    /// Nothing with another [`Deliver`](crate::Deliver).
    pub fn deliver_soon(&self) {
        self.instance().scheduler().look(self.context());
    }
}

impl Forwarder {
    /// Takes one line. Never waits: an event that finds no room is held, and the next line takes its place.
    ///
    /// # Errors
    /// [`Error::Event`] when the line is not an event, [`Error::Unstored`] when the spool can never hold it.
    pub fn push(&mut self, line: &[u8]) -> Result<Pushed, Error> {
        let _quiet = Quiet::enter();
        self.held = None;
        self.buffer.push_line(line)?;
        let Some(event) = self.buffer.take_only() else { return Ok(Pushed::Blank) };
        self.offer(event)
    }

    /// Tries again to store the event that is held. [`Pushed::Blank`] when there is none. A segment that could not be begun
    /// is tried for once a second, so that it costs little to ask often.
    ///
    /// # Errors
    /// [`Error::Unstored`] when the spool can never hold it.
    pub fn again(&mut self) -> Result<Pushed, Error> {
        let _quiet = Quiet::enter();
        self.held.take().map_or(Ok(Pushed::Blank), |event| self.offer(event))
    }

    fn offer(&mut self, event: String) -> Result<Pushed, Error> {
        match self.telemetry.instance().offer(event.as_bytes()) {
            Ok(()) => Ok(Pushed::Stored),
            Err(reason @ (DropReason::Damaged | DropReason::TooLong)) => Err(Error::Unstored { reason }),
            Err(reason) => {
                self.held = Some(event);
                Ok(Pushed::Held(reason))
            }
        }
    }
}
