//! Events of others, on their way through this process's spool.

use crate::{Error, EventBuffer, Telemetry, quiet::Quiet};

/// Puts events that others have made into a telemetry's spool, from which they are delivered like its own. For programs
/// that pass events on.
#[derive(Debug)]
pub struct Forwarder {
    telemetry: Telemetry,
    buffer: EventBuffer,
}

impl Telemetry {
    /// A way in for events that others have made. What they lack is filled in as for [`EventBuffer`]; nothing is redacted.
    #[must_use]
    pub fn forwarder(&self) -> Forwarder {
        Forwarder { telemetry: self.clone(), buffer: EventBuffer::new(self.inner().fill()) }
    }

    /// Has the thread of a service look at its spool now, for who knows that another process has put events there.
    /// Nothing with another [`Deliver`](crate::Deliver).
    pub fn deliver_soon(&self) {
        self.inner().courier().look(self.inner());
    }
}

impl Forwarder {
    /// Takes one line. Gives whether it was an event: a blank one is none, and no error. The event is with the operating
    /// system when this returns.
    ///
    /// # Errors
    /// [`Error::Event`] when the line is not an event, [`Error::Unstored`] when it can't be kept.
    pub fn push(&mut self, line: &[u8]) -> Result<bool, Error> {
        let _quiet = Quiet::enter();
        self.buffer.push_line(line)?;
        let Some(event) = self.buffer.take_only() else { return Ok(false) };
        self.telemetry.inner().store(event.as_bytes()).map_err(|reason| Error::Unstored { reason })?;
        Ok(true)
    }
}
