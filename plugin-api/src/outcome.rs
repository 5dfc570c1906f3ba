//! Outcomes: what a plugin reports of events.

use std::{borrow::Cow, time::Duration};

use crate::abi;

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

    /// [`Outcome::Rejected`].
    pub fn rejected(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Rejected { reason: reason.into() }
    }

    /// [`Outcome::TooLarge`].
    pub fn too_large(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::TooLarge { reason: reason.into() }
    }

    /// The C form, which borrows the reason.
    #[must_use]
    pub fn to_abi(&self) -> abi::Outcome {
        let (code, after, reason) = match self {
            Self::Delivered => (abi::OUTCOME_DELIVERED, None, ""),
            Self::Retry { after, reason } => (abi::OUTCOME_RETRY, *after, reason.as_ref()),
            Self::Rejected { reason } => (abi::OUTCOME_REJECTED, None, reason.as_ref()),
            Self::TooLarge { reason } => (abi::OUTCOME_TOO_LARGE, None, reason.as_ref()),
        };
        let retry_after_ms = after.map_or(0, |after| {
            // 0 leaves the wait to the host, so a wait of less than a millisecond becomes one millisecond.
            u64::try_from(after.as_millis()).unwrap_or(u64::MAX).max(1)
        });
        abi::Outcome { code, reserved: 0, retry_after_ms, reason: abi::Str::new(reason) }
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
    /// All outcomes were reported by [`Call::report`](crate::Call::report) while the call ran.
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
