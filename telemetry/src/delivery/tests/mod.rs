//! What the tests of delivery share: an outbox whose backend does as it is told.

mod attempt;
mod direct;
mod resend;
mod settle;

use std::{path::Path, sync::Arc, time::Duration};

use jackfield_loader::{
    Backend, BackendOptions, Batch,
    plugin_api::{self, Call, Error, Host, NoConfig, Outcomes},
};

use crate::consent::consent::Collection;
use crate::delivery::backend_state::States;
use crate::delivery::in_flight_lock::Sending;
use crate::delivery::pass::{Kept, MaySend, Outbox};
use crate::delivery::target::{Source, Target};
use crate::event::batch_buffer::EventBuffer;
use crate::event::defaults::EventDefaults;
use crate::event::delivery_mode::DeliveryMode;
use crate::spool::limits::Limits;
use crate::spool::spool::Spool;

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
) -> Target {
    Target::new(Source::Static(Arc::new(move |options| Ok(open(options)))), options)
}

fn spool(home: &Path) -> Spool {
    Spool::on_disk(home.join("spool"), Limits::default())
}

fn outbox(home: &Path, target: Target, mode: DeliveryMode, may_send: MaySend) -> Outbox {
    let kept = Kept { spool: spool(home), states: States::new(home), sending: Sending::new(home) };
    Outbox::new(kept, vec![target], mode, EventDefaults::new("tool", "1"), Collection::On, may_send)
}
