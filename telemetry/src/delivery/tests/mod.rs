//! What the tests of delivery share: a delivery whose backend does as it is told.

mod attempt;
mod backend_state;
mod circuit_breaker;
mod direct;
mod pass;
mod progress;
mod resend;
mod settle;

use std::{path::Path, sync::Arc, time::Duration};

use jackfield_loader::{
    Backend, BackendOptions, Batch,
    plugin_api::{self, Call, Error, Host, NoConfig, Outcomes},
};

use crate::consent::consent::Collection;
use crate::delivery::backend_state::States;
use crate::delivery::configured_backend::{ConfiguredBackend, Source};
use crate::delivery::in_flight_lock::InFlightLock;
use crate::delivery::pass::SpoolDelivery;
use crate::delivery::pass_context::{ConsentCheck, DeliveryConfig};
use crate::delivery::settle::DeliveryMode;
use crate::delivery::settle::{BackendFailure, Settlement};
use crate::delivery::unconfirmed::UnconfirmedFile;
use crate::event::batch_buffer::EventBuffer;
use crate::event::defaults::EventDefaults;
use crate::spool::handle::Spool;
use crate::spool::store::Limits;

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// Does what a closure says with each batch.
#[derive(Clone)]
struct Scripted(Arc<dyn Fn(&plugin_api::Batch<'_>) -> Outcomes + Send + Sync>);

impl Scripted {
    fn new(send: impl Fn(&plugin_api::Batch<'_>) -> Outcomes + Send + Sync + 'static) -> Self {
        Self(Arc::new(send))
    }

    fn open(&self, options: &BackendOptions) -> Backend {
        let this = self.clone();
        Backend::open_with(options, move || this.clone()).expect("it opens")
    }
}

impl plugin_api::Backend for Scripted {
    type Config = NoConfig;

    fn open(_: NoConfig, _: Host, _: &Call<'_>) -> Result<Self, Error> {
        Err(Error::failed("made by the test"))
    }

    fn send(&self, batch: &plugin_api::Batch<'_>, _: &Call<'_>) -> Outcomes {
        (self.0)(batch)
    }
}

/// A batch of so many events.
fn batch(len: usize) -> Batch {
    let mut buffer = EventBuffer::new(EventDefaults::new("tool", "1"));
    for _ in 0..len {
        buffer.push_line(br#"{"type":"a","name":"b"}"#).expect("an event");
    }
    buffer.take()
}

/// The backend `a`, which is opened by a closure.
fn target(
    options: BackendOptions,
    open: impl Fn(&BackendOptions) -> Backend + Send + Sync + 'static,
) -> ConfiguredBackend {
    ConfiguredBackend::new(Source::Static(Arc::new(move |options| Ok(open(options)))), options)
}

fn spool(home: &Path) -> Spool {
    Spool::on_disk(home.join("spool"), Limits::default())
}

fn delivery(
    home: &Path,
    target: ConfiguredBackend,
    mode: DeliveryMode,
    may_send: ConsentCheck,
) -> SpoolDelivery {
    delivery_to(home, vec![target], mode, may_send)
}

fn delivery_to(
    home: &Path,
    targets: Vec<ConfiguredBackend>,
    mode: DeliveryMode,
    may_send: ConsentCheck,
) -> SpoolDelivery {
    let config = DeliveryConfig {
        spool: spool(home),
        states: States::new(home, &Arc::default()),
        in_flight: InFlightLock::new(home),
        unconfirmed: Some(UnconfirmedFile::new(home)),
        mode,
        fill: EventDefaults::new("tool", "1"),
        collection: Collection::On,
        local: false,
        may_send: Arc::clone(&may_send),
        consented: may_send,
    };
    SpoolDelivery::new(config, targets, &Arc::default())
}

/// What an attempt comes to that the backend wants repeated.
fn failure(wish: Option<Duration>) -> Settlement {
    let failure = BackendFailure { retry_after: wish, reason: "down".into() };
    Settlement { failure: Some(failure), ..Settlement::default() }
}
