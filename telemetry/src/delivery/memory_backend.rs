//! A backend that keeps events in memory, for the unit tests of tools.

use std::sync::{Arc, Mutex};

use jackfield_loader::plugin_api::{Backend, Batch, Call, Error, Host, NoConfig, Outcome, Outcomes};

use crate::process::lock;

/// Keeps all events that it gets. Clones share them.
///
/// ```
/// use jackfield::{Deliver, MemoryBackend, Telemetry};
/// use std::time::Duration;
///
/// # let folder = tempfile::tempdir().expect("a folder");
/// let memory = MemoryBackend::new();
/// let telemetry = Telemetry::builder("mytool", "1.4.0")
///     .force_enabled(true)
///     .data_folder(folder.path())
///     .backend("memory", memory.maker())
///     .build();
/// telemetry.track("feature.used", "export", &[("format", "pdf")]);
/// telemetry.flush(Duration::from_secs(5));
/// assert_eq!(memory.events()[0]["metadata"]["format"], "pdf");
/// ```
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
