//! A host for the unit tests of a backend, behind the feature `test-host`: it calls the backend as it is, without a library.
//!
//! ```
//! use std::time::Duration;
//!
//! use jackfield_plugin_api::{
//!     Backend, Batch, Call, Error, Host, NoConfig, Outcome, Outcomes, test_host::TestHost,
//! };
//!
//! struct Short;
//!
//! impl Backend for Short {
//!     type Config = NoConfig;
//!
//!     fn open(_config: NoConfig, _host: Host, _call: &Call<'_>) -> Result<Self, Error> {
//!         Ok(Self)
//!     }
//!
//!     fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
//!         if call.is_cancelled() {
//!             return Outcome::retry("the host no longer waits").into();
//!         }
//!         let fits = |name: &str| if name.len() < 8 { Outcome::Delivered } else { Outcome::rejected("too long") };
//!         Outcomes::Each(batch.iter().map(|event| fits(event.name())).collect())
//!     }
//! }
//!
//! let host = TestHost::new();
//! let backend: Short = host.open("{}")?;
//! let report = host.send(&backend, [r#"{"type":"a","name":"fine"}"#, r#"{"type":"a","name":"not so fine"}"#]);
//! assert_eq!(report.outcomes, [Some(Outcome::Delivered), Some(Outcome::rejected("too long"))]);
//!
//! let gone = TestHost::new().cancelled_after(Duration::ZERO);
//! assert!(!gone.send(&backend, ["{}"]).is_delivered());
//! # Ok::<(), Error>(())
//! ```
//!
//! What a library does beside that (it catches panics, answers a `send` after `close`, and a second `close`) is in the
//! export macro, and `jackfield check` tests it with the library.

mod call;
mod events;

use std::{
    ffi::c_void,
    fmt, ptr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tracing_core::{Level, dispatcher};

use self::{call::Recorder, events::OwnedBatch};
use crate::{
    abi,
    backend::{Backend, Error},
    call::Call,
    config,
    deletion::{DeletesData, Deletion, DeletionRequest},
    diagnostics::{Diagnoses, Probe},
    export,
    host::{Host, dispatch, number},
};

pub use self::call::Report;

/// A host for unit tests. It lives as long as the process, as every host does, so it is never freed.
#[derive(Clone, Copy)]
pub struct TestHost {
    host: Host,
    log: &'static Log,
    timeout: Duration,
    cancelled_after: Option<Duration>,
}

/// One record of a backend's log: what `tracing` has got on the thread that called the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Its level.
    pub level: Level,
    /// Where it comes from, such as a module path.
    pub target: String,
    /// What it says, fields included.
    pub message: String,
}

/// The context of the services.
type Log = Mutex<Vec<LogLine>>;

fn lines(log: &Log) -> MutexGuard<'_, Vec<LogLine>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for TestHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestHost").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Default for TestHost {
    fn default() -> Self {
        Self::new()
    }
}

impl TestHost {
    /// A host of the tool `mytool` 1.4.0, whose calls may take 5 seconds.
    #[must_use]
    pub fn new() -> Self {
        // A backend may keep its host, so the memory is never freed.
        let log: &'static Log = Box::leak(Box::default());
        let services = Box::leak(Box::new(abi::HostServices {
            size: size_of::<abi::HostServices>() as u32,
            reserved: 0,
            context: ptr::from_ref(log).cast(),
            tool_name: abi::Str::new("mytool"),
            tool_version: abi::Str::new("1.4.0"),
            backend_name: abi::Str::new("test"),
            log_enabled,
            log: take_record,
            cancelled,
        }));
        let host = Host::of_services(services);
        Self { host, log, timeout: Duration::from_secs(5), cancelled_after: None }
    }

    /// The same host, whose calls may take so long. The host does not end them: see [`Report::took`].
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The same host, which stops waiting for a call when it has taken so long: [`Call::is_cancelled`] is true then.
    #[must_use]
    pub fn cancelled_after(self, after: Duration) -> Self {
        Self { cancelled_after: Some(after), ..self }
    }

    /// Opens a backend with its configuration as a JSON object, as ops write it. An unknown key is refused, as by every
    /// host.
    ///
    /// # Errors
    /// That of the backend, or of a configuration that its type does not take.
    pub fn open<B: Backend>(&self, config: &str) -> Result<B, Error> {
        let (opened, _) = self.call(0, |call| B::open(config::parse(config)?, self.host, call));
        opened
    }

    /// Sends events, each of which is one JSON object. Their [fields](crate::Event) are taken from it.
    ///
    /// # Panics
    /// When an event is not a JSON object.
    pub fn send<B: Backend>(
        &self,
        backend: &B,
        events: impl IntoIterator<Item = impl Into<String>>,
    ) -> Report {
        let batch = OwnedBatch::new(events);
        let batch = batch.view();
        let ((), report) =
            self.call(batch.len(), |call| export::report(call, batch.len(), backend.send(&batch, call)));
        report
    }

    /// Closes the backend.
    ///
    /// # Errors
    /// That of the backend.
    pub fn close<B: Backend>(&self, backend: &B) -> Result<(), Error> {
        self.call(0, |call| backend.close(call)).0
    }

    /// Asks the backend for the deletion of what its platform has of a machine.
    pub fn request_deletion<B: DeletesData>(&self, backend: &B, machine_id: &str) -> Deletion {
        let event = serde_json::json!({
            "id": "019a9d4e-0000-7000-8000-000000000000",
            "timestamp": "2026-01-01T00:00:00Z",
            "type": "data.deletion_request",
            "name": "data.deletion_request",
            "machine_id": machine_id,
        });
        let event = OwnedBatch::new([event.to_string()]);
        self.call(1, |call| backend.request_deletion(&DeletionRequest::new(machine_id, event.view()), call)).0
    }

    /// The labels and the bytes of what the backend would send for these events.
    ///
    /// # Errors
    /// That of the backend.
    ///
    /// # Panics
    /// As [`send`](Self::send).
    pub fn preview<B: Diagnoses>(
        &self,
        backend: &B,
        events: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let batch = OwnedBatch::new(events);
        let batch = batch.view();
        let mut shown = Vec::new();
        let mut sink = |label: &str, bytes: &[u8]| shown.push((label.to_owned(), bytes.to_owned()));
        self.call(batch.len(), |call| backend.preview(&batch, &mut sink, call)).0?;
        Ok(shown)
    }

    /// Asks the backend whether its platform answers.
    pub fn probe<B: Diagnoses>(&self, backend: &B) -> Probe {
        self.call(0, |call| backend.probe(call)).0
    }

    /// What the backends have logged so far, in order: the `tracing` events of the threads that this host's calls were made
    /// from. What a backend's own threads log goes to the subscriber of the test, as without a host.
    #[must_use]
    pub fn log(&self) -> Vec<LogLine> {
        lines(self.log).clone()
    }

    fn call<T>(&self, events: usize, body: impl FnOnce(&Call<'_>) -> T) -> (T, Report) {
        let recorder = Recorder::new(events, self.cancelled_after);
        let raw = recorder.to_abi(self.timeout);
        // SAFETY: the call and its recorder outlive `body`.
        let call = unsafe { Call::from_abi(&raw const raw) }.expect("a call of this ABI");
        let done = dispatcher::with_default(&dispatch(self.host), || body(&call));
        (done, recorder.report())
    }
}

unsafe extern "C" fn log_enabled(_: *const c_void, _: u32, _: abi::Str) -> u32 {
    1
}

unsafe extern "C" fn cancelled(_: *const c_void) -> u32 {
    0
}

unsafe extern "C" fn take_record(context: *const c_void, record: *const abi::LogRecord) {
    // SAFETY: the context is a log, which is never freed; the record and its texts live until this function returns.
    let (log, record) = unsafe { (&*context.cast::<Log>(), &*record) };
    // SAFETY: as above.
    let text = |view: abi::Str| unsafe { view.to_str() }.unwrap_or_default().to_owned();
    let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG];
    let level = levels.into_iter().find(|level| number(*level) == record.level).unwrap_or(Level::TRACE);
    lines(log).push(LogLine { level, target: text(record.target), message: text(record.message) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, NoConfig, Outcome, Outcomes};

    /// Delivers what is named `good`, and says nothing of the rest.
    struct Choosy;

    impl Backend for Choosy {
        type Config = NoConfig;

        fn open(_: NoConfig, host: Host, call: &Call<'_>) -> Result<Self, Error> {
            assert_eq!((host.tool_name(), host.is_cancelled()), ("mytool", false));
            if call.timeout() < Duration::from_secs(1) {
                return Err(Error::unavailable("too little time"));
            }
            Ok(Self)
        }

        fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
            for (at, event) in batch.iter().enumerate() {
                if event.name() == "good" {
                    call.report(at..at + 1, &Outcome::Delivered);
                    tracing::info!(count = event.metadata().count(), "delivered {}", event.kind());
                } else if call.is_cancelled() {
                    call.report(at..at + 9, &Outcome::retry("cancelled"));
                }
            }
            Outcomes::Reported
        }
    }

    impl DeletesData for Choosy {
        fn request_deletion(&self, request: &DeletionRequest<'_>, _: &Call<'_>) -> Deletion {
            let event = request.event().get(0).expect("one event");
            Deletion::Sent(format!("{} {}", event.kind(), event.machine_id()))
        }
    }

    #[test]
    fn what_a_backend_says_and_does_not_say_is_known() {
        let host = TestHost::new();
        let backend: Choosy = host.open("{}").expect("it opens");
        let good = r#"{"type":"t","name":"good","metadata":{"a":"b","c":1}}"#;
        let report = host.send(&backend, [good, r#"{"name":"bad"}"#]);
        assert_eq!(report.outcomes, [Some(Outcome::Delivered), None]);
        assert!(!report.is_delivered());
        assert!(host.send(&backend, [good]).is_delivered());
        assert_eq!(
            host.log()[0],
            LogLine {
                level: Level::INFO,
                target: module_path!().to_owned(),
                message: "delivered t count=2".to_owned()
            }
        );
        let cancelled = host.cancelled_after(Duration::ZERO).send(&backend, ["{}", good, "{}"]);
        let retry = Some(Outcome::retry("cancelled"));
        assert_eq!(cancelled.outcomes, [retry.clone(), Some(Outcome::Delivered), retry]);
        assert_eq!(
            host.request_deletion(&backend, "m"),
            Deletion::Sent("data.deletion_request m".to_owned())
        );
        host.close(&backend).expect("it closes");
    }

    #[test]
    fn a_backend_that_does_not_open_says_why() {
        let refusal =
            |host: TestHost, config| host.open::<Choosy>(config).err().expect("refused").to_string();
        assert_eq!(refusal(TestHost::new(), r#"{"url":1}"#), "url: unknown key");
        assert_eq!(refusal(TestHost::new().timeout(Duration::ZERO), "{}"), "too little time");
    }
}
