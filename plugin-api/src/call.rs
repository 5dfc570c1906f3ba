//! One call, as a plugin sees it, and the outcomes of events that it reports.

use std::{
    borrow::Cow,
    ops::Range,
    time::{Duration, Instant},
};

use crate::abi;

/// One call of the host: how long it may take, whether the host still waits, and the functions that report outcomes.
///
/// Usable from any thread until the called method returns. [`remaining`](Self::remaining) is the limit of what the backend waits
/// for. An outcome that is [reported](Self::report) as soon as it is known counts even if the call is late in the end.
/// Silence about an event counts as a retry, however the call ends. A call that returns before its deadline, and was not
/// cancelled, is silent about all events of its batch or about none: the host sends again what may have arrived.
///
/// ```
/// use std::{io::Write, net::TcpStream};
///
/// use jackfield_plugin_api::{Batch, Call, Outcome, Outcomes};
///
/// fn send(stream: &mut TcpStream, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
///     for (at, event) in batch.iter().enumerate() {
///         // A socket takes no limit of zero.
///         if call.is_cancelled() || call.remaining().is_zero() {
///             break;
///         }
///         let written = stream
///             .set_write_timeout(Some(call.remaining()))
///             .and_then(|()| stream.write_all(event.json().as_bytes()));
///         match written {
///             Ok(()) => call.report(at..at + 1, &Outcome::Delivered),
///             Err(error) => {
///                 call.report(at..batch.len(), &Outcome::retry(error.to_string()));
///                 break;
///             }
///         }
///     }
///     Outcomes::Reported
/// }
/// ```
pub struct Call<'a> {
    raw: &'a abi::Call,
    started: Instant,
}

// SAFETY: the contract makes a call's functions callable from any thread until the call ends, and 'a ends no later.
unsafe impl Send for Call<'_> {}
// SAFETY: as above.
unsafe impl Sync for Call<'_> {}

impl<'a> Call<'a> {
    /// Views a call that came over the boundary; `None` when it is null or not of this ABI.
    ///
    /// # Safety
    /// `call` is null, or points to a call that is valid for `'a` as [`abi::Call`] says.
    #[must_use]
    pub unsafe fn from_abi(call: *const abi::Call) -> Option<Self> {
        // SAFETY: the caller guarantees a valid call unless it is null.
        let raw = unsafe { call.as_ref() }?;
        (raw.size as usize == size_of::<abi::Call>()).then(|| Self { raw, started: Instant::now() })
    }

    /// How long the call may take in all.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        Duration::from_nanos(self.raw.timeout_ns)
    }

    /// How long the call may still take; zero when its time is up.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.timeout().saturating_sub(self.started.elapsed())
    }

    /// Whether the host has stopped waiting for this call. A long `send` checks it regularly, and returns when it is set.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        // SAFETY: the call is live for 'a, and its context belongs to its functions.
        unsafe { (self.raw.cancelled)(self.raw.context) != 0 }
    }

    /// Reports the outcome of some events before the call returns. The report counts even if the call then exceeds its
    /// deadline, so fewer events are sent again.
    pub fn report(&self, events: Range<usize>, outcome: &Outcome) {
        let count = events.end.saturating_sub(events.start);
        let outcome = outcome.to_abi();
        // SAFETY: the call is live for 'a; the outcome is copied before `report` returns.
        unsafe { (self.raw.report)(self.raw.context, events.start as u64, count as u64, &raw const outcome) };
    }

    /// Says why the call is about to fail.
    pub(crate) fn explain(&self, subject: &str, message: &str) {
        // SAFETY: the call is live for 'a; both strings are copied before `explain` returns.
        unsafe {
            (self.raw.explain)(self.raw.context, abi::Str::new(subject), abi::Str::new(message));
        }
    }
}

/// The outcome of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The event has arrived where the backend sends it.
    Delivered,
    /// The event has not arrived and may be sent again. The host decides whether and when.
    Retry {
        /// How long the platform asks to wait (such as by `Retry-After`), to the millisecond; `None` leaves it to the host.
        after: Option<Duration>,
        /// Why, in one line without secrets.
        reason: Cow<'static, str>,
    },
    /// The event will never be accepted as it is.
    Rejected {
        /// Why, in one line without secrets.
        reason: Cow<'static, str>,
    },
    /// The batch is too large for the platform; smaller parts may pass.
    TooLarge {
        /// Why, in one line without secrets.
        reason: Cow<'static, str>,
    },
}

impl Outcome {
    /// [`Outcome::Retry`] at a time that the host chooses.
    pub fn retry(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Retry { after: None, reason: reason.into() }
    }

    /// The least pause after [`Outcome::refused`].
    pub const REFUSED_PAUSE: Duration = Duration::from_secs(30);

    /// The platform refuses this backend, whatever event it gets: credentials, permissions or address are wrong. The
    /// events are not at fault, so they are not rejected: they wait, and
    /// the host asks again after [`REFUSED_PAUSE`](Self::REFUSED_PAUSE) or more, until a person has changed something.
    pub fn refused(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Retry { after: Some(Self::REFUSED_PAUSE), reason: reason.into() }
    }

    /// [`Outcome::Rejected`].
    pub fn rejected(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Rejected { reason: reason.into() }
    }

    /// [`Outcome::TooLarge`].
    pub fn too_large(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::TooLarge { reason: reason.into() }
    }

    /// Why, in one line; empty for [`Outcome::Delivered`].
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Delivered => "",
            Self::Retry { reason, .. } | Self::Rejected { reason } | Self::TooLarge { reason } => reason,
        }
    }

    /// The C form, which borrows the reason.
    #[must_use]
    pub fn to_abi(&self) -> abi::Outcome {
        let (code, after) = match self {
            Self::Delivered => (abi::OUTCOME_DELIVERED, None),
            Self::Retry { after, .. } => (abi::OUTCOME_RETRY, *after),
            Self::Rejected { .. } => (abi::OUTCOME_REJECTED, None),
            Self::TooLarge { .. } => (abi::OUTCOME_TOO_LARGE, None),
        };
        let retry_after_ms = after.map_or(0, |after| {
            // 0 leaves the wait to the host, so a wait of less than a millisecond becomes one millisecond.
            u64::try_from(after.as_millis()).unwrap_or(u64::MAX).max(1)
        });
        abi::Outcome { code, reserved: 0, retry_after_ms, reason: abi::Str::new(self.reason()) }
    }

    /// Copies the C form. An unknown code becomes [`Outcome::Retry`], which loses no event.
    ///
    /// # Safety
    /// `outcome.reason` is readable for the length of this call.
    #[must_use]
    pub unsafe fn from_abi(outcome: &abi::Outcome) -> Self {
        // SAFETY: the caller guarantees a readable reason.
        let reason = unsafe { outcome.reason.to_str() }.unwrap_or("(a reason that is not UTF-8)");
        let reason = || Cow::Owned(reason.to_owned());
        match outcome.code {
            abi::OUTCOME_DELIVERED => Self::Delivered,
            abi::OUTCOME_RETRY => Self::Retry {
                after: (outcome.retry_after_ms > 0).then(|| Duration::from_millis(outcome.retry_after_ms)),
                reason: reason(),
            },
            abi::OUTCOME_REJECTED => Self::Rejected { reason: reason() },
            abi::OUTCOME_TOO_LARGE => Self::TooLarge { reason: reason() },
            unknown => Self::retry(format!("the plugin answered with the unknown outcome {unknown}")),
        }
    }
}

/// The outcomes of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcomes {
    /// The same for every event.
    All(Outcome),
    /// One for each event, in the order of the batch. The host retries events past the end of the list.
    Each(Vec<Outcome>),
    /// All outcomes were reported by [`Call::report`] while the call ran.
    Reported,
}

impl From<Outcome> for Outcomes {
    fn from(outcome: Outcome) -> Self {
        Self::All(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_survives_the_c_form() {
        let reason = Cow::Borrowed("why");
        for outcome in [
            Outcome::Delivered,
            Outcome::retry("why"),
            Outcome::Retry { after: Some(Duration::from_secs(3)), reason },
            Outcome::rejected("why"),
            Outcome::too_large("why"),
        ] {
            // SAFETY: `outcome` outlives the call.
            assert_eq!(unsafe { Outcome::from_abi(&outcome.to_abi()) }, outcome);
        }
    }

    #[test]
    fn an_unknown_code_is_a_retry_that_names_it() {
        let raw = abi::Outcome { code: 77, reserved: 0, retry_after_ms: 0, reason: abi::Str::EMPTY };
        // SAFETY: the reason is empty.
        let outcome = unsafe { Outcome::from_abi(&raw) };
        assert!(matches!(outcome, Outcome::Retry { reason, .. } if reason.contains("77")));
    }
}
