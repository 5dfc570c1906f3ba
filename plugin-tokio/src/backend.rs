//! The traits that an author implements.

use std::future::{Future, ready};

use jackfield_plugin_api::{Batch, Deletion, DeletionRequest, Error, Host, Outcomes, Probe};
use serde_core::de::DeserializeOwned;
use tokio::runtime::Builder;

use crate::{call::Call, runtimes::Runtimes};

/// A telemetry backend whose functions are async. A plugin exports [`Tokio`](crate::Tokio) of it.
///
/// Its futures are polled on the thread that the host calls from, so they need not be `Send`. They may spawn tasks, which
/// end with the runtime. A future that has not ended when the call [is cancelled](Call::cancelled) is polled once more, then
/// dropped. A future that blocks its thread can't be ended: what blocks belongs into `tokio::task::spawn_blocking`.
///
/// The example of the [crate](crate) is a whole plugin.
pub trait AsyncBackend: Send + Sync + Sized + 'static {
    /// The configuration, as in [`Backend`](jackfield_plugin_api::Backend).
    type Config: DeserializeOwned;

    /// Whether `send` must not run twice at once on the same instance.
    const SERIAL: bool = false;

    /// Which runtimes the calls run on.
    const RUNTIMES: Runtimes = Runtimes::Shared;

    /// Changes how each runtime is made, such as the names of its threads. IO and time are enabled, and a shared runtime
    /// has one thread.
    fn configure(runtime: &mut Builder) {
        let _ = runtime;
    }

    /// Opens an instance. It should not fail because the platform is down: a connection can wait until the first `send`.
    ///
    /// # Errors
    /// [`Error::config`] for a value that makes no sense, anything else that prevents sending for good.
    fn open(config: Self::Config, host: Host, call: &Call<'_>) -> impl Future<Output = Result<Self, Error>>;

    /// Sends a batch, and gives the outcome of each event. An outcome that is [reported](Call::report) before the call ends
    /// counts, however it ends.
    fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> impl Future<Output = Outcomes>;

    /// Flushes what is inside and releases connections. It has half of the time of the call; the runtime ends in the rest of
    /// it. Called at most once. A call that runs meanwhile, which a host avoids, is cancelled before.
    ///
    /// # Errors
    /// When something that `send` had reported as delivered may not have arrived. It is an error, too, when the time does
    /// not suffice.
    fn close(&self, call: &Call<'_>) -> impl Future<Output = Result<(), Error>> {
        let _ = call;
        ready(Ok(()))
    }
}

/// A backend that can ask its platform to delete what it has of a machine. Exported by `offers: [deletion]`.
pub trait AsyncDeletesData: AsyncBackend {
    /// Sends the request to the platform. A request whose time is up has failed.
    fn request_deletion(
        &self,
        request: &DeletionRequest<'_>,
        call: &Call<'_>,
    ) -> impl Future<Output = Deletion>;
}

/// A backend that can show what it would send, and find out whether its platform would accept it. Exported by
/// `offers: [diagnostics]`.
pub trait AsyncDiagnoses: AsyncBackend {
    /// Hands `sink` what [`send`](AsyncBackend::send) would send, and sends nothing:
    /// [`Diagnoses::preview`](jackfield_plugin_api::Diagnoses::preview) says what a label and the bytes are.
    ///
    /// # Errors
    /// When the backend can't tell what it would send.
    fn preview(
        &self,
        batch: &Batch<'_>,
        sink: &mut dyn FnMut(&str, &[u8]),
        call: &Call<'_>,
    ) -> impl Future<Output = Result<(), Error>>;

    /// Finds out by a request whether the platform can be reached and accepts this backend, without delivering an event. A
    /// platform that has not answered when the time is up is unreachable.
    fn probe(&self, call: &Call<'_>) -> impl Future<Output = Probe>;
}
