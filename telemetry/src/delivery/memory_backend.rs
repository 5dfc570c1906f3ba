//! A backend that keeps events in memory, for the unit tests of tools.

use std::sync::{Arc, Mutex};

use jackfield_loader::plugin_api::{Backend, Batch, Call, Error, Host, NoConfig, Outcome, Outcomes};

use crate::error::DropReason;
use crate::process::lock;

/// Keeps all events that it gets. Clones share them.
///
/// [`Builder::for_tests`](crate::Builder::for_tests) makes one that has an event when `track` returns:
///
/// ```
/// let (telemetry, memory) = jackfield::Telemetry::builder("mytool", "1.4.0").for_tests();
/// telemetry.track("feature.used", "export", &[("format", "pdf")]);
/// assert_eq!(memory.events()[0]["metadata"]["format"], "pdf");
/// ```
///
/// A test of delivery itself adds one by [`Builder::backend`](crate::Builder::backend). It then has the events that a
/// [flush](crate::Telemetry::flush) has delivered within its time.
#[derive(Clone, Debug, Default)]
pub struct MemoryBackend {
    events: Arc<Mutex<Vec<serde_json::Value>>>,
}

impl MemoryBackend {
    /// A backend without events.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The argument for [`Builder::backend`](crate::Builder::backend).
    pub fn maker(&self) -> impl Fn() -> Self + Send + Sync + 'static {
        let this = self.clone();
        move || this.clone()
    }

    /// The events so far, in the order in which they came.
    #[must_use]
    pub fn events(&self) -> Vec<serde_json::Value> {
        lock(&self.events).clone()
    }

    /// Takes the line of an event.
    pub(crate) fn push(&self, line: &[u8]) -> Result<(), DropReason> {
        let event = serde_json::from_slice(line).map_err(|_| DropReason::Damaged)?;
        lock(&self.events).push(event);
        Ok(())
    }

    /// Removes all events.
    pub fn clear(&self) {
        lock(&self.events).clear();
    }
}

impl Backend for MemoryBackend {
    type Config = NoConfig;

    fn open(_: NoConfig, _: Host, _: &Call<'_>) -> Result<Self, Error> {
        Ok(Self::new())
    }

    fn send(&self, batch: &Batch<'_>, _: &Call<'_>) -> Outcomes {
        let parsed: Result<Vec<_>, _> =
            batch.iter().map(|event| serde_json::from_str(event.json())).collect();
        match parsed {
            Ok(events) => {
                lock(&self.events).extend(events);
                Outcome::Delivered.into()
            }
            Err(error) => Outcome::rejected(format!("no JSON: {error}")).into(),
        }
    }
}
