//! An async backend as one that blocks, which is what the contract has.

use jackfield_plugin_api::{
    self as api, Backend, Batch, DeletesData, Deletion, DeletionRequest, Diagnoses, Error, Host, Outcome,
    Outcomes, Probe,
};

use crate::{
    backend::{AsyncBackend, AsyncDeletesData, AsyncDiagnoses},
    call::Call,
    runtimes::Pool,
};

/// The [`Backend`] of an [`AsyncBackend`], for [`export!`](api::export!) and [`plugin!`](api::plugin!): `backend:
/// Tokio<MyBackend>`.
pub struct Tokio<B> {
    // Before the runtimes: what it has made on them is dropped while they are there.
    backend: B,
    runtimes: Pool,
}

impl<B> Tokio<B> {
    /// Runs the work of one call. The error is the reason why it has no result.
    fn run<T>(&self, call: &api::Call<'_>, work: impl AsyncFnOnce(&B, &Call<'_>) -> T) -> Result<T, String> {
        let lease = self.runtimes.lease()?;
        let call = Call::new(call, &lease);
        lease.block_on(call.run(work(&self.backend, &call))).ok_or_else(|| call.why_cancelled())
    }
}

impl<B: AsyncBackend> Backend for Tokio<B> {
    type Config = B::Config;
    const SERIAL: bool = B::SERIAL;

    fn open(config: B::Config, host: Host, call: &api::Call<'_>) -> Result<Self, Error> {
        let no_runtime = |error| Error::unavailable(format!("no runtime: {error}"));
        let runtimes = Pool::new(B::RUNTIMES, B::configure).map_err(no_runtime)?;
        let lease = runtimes.lease().map_err(Error::unavailable)?;
        let call = Call::new(call, &lease);
        let backend = lease
            .block_on(call.run(B::open(config, host, &call)))
            .ok_or_else(|| Error::unavailable(call.why_cancelled()))??;
        drop(lease);
        Ok(Self { backend, runtimes })
    }

    fn send(&self, batch: &Batch<'_>, call: &api::Call<'_>) -> Outcomes {
        let lease = match self.runtimes.lease() {
            Ok(lease) => lease,
            Err(why) => return Outcome::retry(why).into(),
        };
        let call = Call::new(call, &lease);
        lease.block_on(call.run(self.backend.send(batch, &call))).unwrap_or_else(|| {
            call.fill_in(batch.len());
            Outcomes::Reported
        })
    }

    fn close(&self, call: &api::Call<'_>) -> Result<(), Error> {
        let Some(runtimes) = self.runtimes.close(call.remaining() / 4) else { return Ok(()) };
        let closed = runtimes.last().map(|last| {
            let call = Call::to_close(call, last.local);
            let late = || Error::unavailable(format!("it did not close: {}", call.why_cancelled()));
            last.block_on(call.run(self.backend.close(&call))).unwrap_or_else(|| Err(late()))
        });
        runtimes.end(call.remaining() / 2);
        closed.unwrap_or(Ok(()))
    }
}

impl<B: AsyncDeletesData> DeletesData for Tokio<B> {
    fn request_deletion(&self, request: &DeletionRequest<'_>, call: &api::Call<'_>) -> Deletion {
        self.run(call, async |backend, call| backend.request_deletion(request, call).await)
            .unwrap_or_else(Deletion::Failed)
    }
}

impl<B: AsyncDiagnoses> Diagnoses for Tokio<B> {
    fn preview(
        &self,
        batch: &Batch<'_>,
        sink: &mut dyn FnMut(&str, &[u8]),
        call: &api::Call<'_>,
    ) -> Result<(), Error> {
        self.run(call, async |backend, call| backend.preview(batch, sink, call).await)
            .map_err(Error::unavailable)?
    }

    fn probe(&self, call: &api::Call<'_>) -> Probe {
        self.run(call, async |backend, call| backend.probe(call).await).unwrap_or_else(Probe::Unreachable)
    }
}
