//! What the server does with a request.

use std::{fmt, sync::Arc, time::Duration};

use super::Received;

/// An answer, or what comes in its place.
#[derive(Clone)]
pub struct Reply(pub(super) Kind);

#[derive(Clone)]
pub(super) enum Kind {
    /// An answer.
    Answer(Answer),
    /// No answer, and the connection stays open.
    Silence,
    /// No answer, and the connection is closed.
    Close,
    /// As the request says.
    With(Arc<dyn Fn(&Received) -> Reply + Send + Sync>),
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The body goes on with zeros until it is so long.
    pub(super) length: usize,
    pub(super) delay: Duration,
    pub(super) pace: Pace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// All at once.
    Whole,
    /// From its first byte on one byte a second.
    DripAll,
    /// The head at once, the body one byte a second.
    DripBody,
    /// The head and half of the body, then the connection is closed.
    Cut,
}

impl Reply {
    /// An answer with this status and an empty body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self(Kind::Answer(Answer {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            length: 0,
            delay: Duration::ZERO,
            pace: Pace::Whole,
        }))
    }

    /// It reads the request and says nothing.
    #[must_use]
    pub const fn silence() -> Self {
        Self(Kind::Silence)
    }

    /// It reads the request and closes the connection.
    #[must_use]
    pub const fn close() -> Self {
        Self(Kind::Close)
    }

    /// What `choose` makes of the request.
    pub fn with(choose: impl Fn(&Received) -> Self + Send + Sync + 'static) -> Self {
        Self(Kind::With(Arc::new(choose)))
    }

    /// An answer to go elsewhere.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("Location", location)
    }

    /// With a header.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.answer(|answer| answer.headers.push((name.to_owned(), value.to_owned())))
    }

    /// With a body.
    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        self.answer(|answer| {
            answer.body = body.into();
            answer.length = answer.body.len();
        })
    }

    /// With a body of so many bytes: what [`body`](Self::body) gave, then zeros.
    #[must_use]
    pub fn length(self, bytes: usize) -> Self {
        self.answer(|answer| answer.length = bytes)
    }

    /// After a while.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.answer(|answer| answer.delay = delay)
    }

    /// One byte a second, from the first of the head on.
    #[must_use]
    pub fn drip(self) -> Self {
        self.answer(|answer| answer.pace = Pace::DripAll)
    }

    /// The head at once, the body one byte a second.
    #[must_use]
    pub fn drip_body(self) -> Self {
        self.answer(|answer| answer.pace = Pace::DripBody)
    }

    /// Cut off in the middle of the body.
    #[must_use]
    pub fn cut(self) -> Self {
        self.answer(|answer| answer.pace = Pace::Cut)
    }

    fn answer(mut self, change: impl FnOnce(&mut Answer)) -> Self {
        if let Kind::Answer(answer) = &mut self.0 {
            change(answer);
        }
        self
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Answer(answer) => answer.fmt(f),
            Kind::Silence => f.write_str("Silence"),
            Kind::Close => f.write_str("Close"),
            Kind::With(_) => f.write_str("With(..)"),
        }
    }
}
