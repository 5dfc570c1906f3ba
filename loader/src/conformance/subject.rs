//! A plugin that is loaded, and its instances: each function as one method.

use std::{
    path::Path,
    ptr,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicPtr, atomic::Ordering},
    time::{Duration, Instant},
};

use jackfield_plugin_api::{
    abi::{self, Status},
    deletion::DeletionRequestView,
    diagnostics::PreviewSink,
};

use super::{
    batch::Views,
    call::{self, Answer},
    host,
    terms::Terms,
};
use crate::{
    boundary::batch::Batch,
    inspect::error::InspectError,
    load::check::PluginTables,
    plugin::{
        error::Error,
        stages::{Candidate, Plugin},
    },
    verify::trust::Trust,
};

/// A plugin that is loaded and whose tables are checked.
#[derive(Debug)]
pub struct Subject {
    plugin: Plugin,
}

/// An instance. It is not freed unless [`free`](Self::free) is called.
pub struct Instance {
    raw: AtomicPtr<abi::Instance>,
    tables: PluginTables,
    /// Held during each call of a serial plugin.
    turn: Mutex<()>,
}

impl Subject {
    /// Takes a file through all stages, whoever owns it.
    ///
    /// # Errors
    /// As [`Plugin::load`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let candidate = Candidate::open(path)?;
        candidate.inspection().verdict().map_err(|refusal| Error::Inspect {
            path: path.to_owned(),
            source: InspectError::Refused(refusal),
        })?;
        Ok(Self { plugin: candidate.verify(Trust::Any)?.load()? })
    }

    /// The plugin.
    #[must_use]
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Whether its table says that it must be entered once at a time.
    #[must_use]
    pub fn is_serial(&self) -> bool {
        self.plugin.tables().backend.flags & abi::BACKEND_SERIAL != 0
    }

    /// Whether it has the table for deletion, and that for diagnostics.
    #[must_use]
    pub fn optional_tables(&self) -> (bool, bool) {
        let tables = self.plugin.tables();
        (tables.deletion.is_some(), tables.diagnostics.is_some())
    }

    /// Opens an instance with a configuration, a JSON object.
    #[must_use]
    pub fn open(&self, config: &str, terms: &Terms) -> (Answer, Option<Instance>) {
        let tables = self.plugin.tables();
        let mut raw = ptr::null_mut();
        let host = host::of(terms.host);
        let mut answer = call::during(terms, 0, |call| {
            // SAFETY: the table was checked; the host lives as long as the process, the rest until the call is over.
            unsafe { (tables.backend.open)(host, abi::Str::new(config), call, &raw mut raw) }
        });
        match (answer.status == abi::STATUS_OK, raw.is_null()) {
            (true, true) => answer.breaches.push("`open` returned OK and stored no instance".to_owned()),
            (false, false) => {
                answer.breaches.push("`open` failed and stored an instance all the same".to_owned());
            }
            (true, false) => {
                let raw = AtomicPtr::new(raw);
                return (answer, Some(Instance { raw, tables, turn: Mutex::new(()) }));
            }
            (false, true) => {}
        }
        (answer, None)
    }
}

impl Instance {
    fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        (self.tables.backend.flags & abi::BACKEND_SERIAL != 0)
            .then(|| self.turn.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn raw(&self) -> *const abi::Instance {
        self.raw.load(Ordering::Relaxed)
    }

    /// Sends a batch.
    #[must_use]
    pub fn send(&self, batch: &Batch, terms: &Terms) -> Answer {
        let _turn = self.turn();
        let views = Views::of(batch, terms);
        let batch = views.to_abi();
        call::during(terms, batch.len, |call| {
            // SAFETY: an instance that `open` stored and nobody has freed; batch and call live until this call is over.
            unsafe { (self.tables.backend.send)(self.raw(), &raw const batch, call) }
        })
    }

    /// Closes it.
    #[must_use]
    pub fn close(&self, terms: &Terms) -> Answer {
        let _turn = self.turn();
        call::during(terms, 0, |call| {
            // SAFETY: as for `send`.
            unsafe { (self.tables.backend.close)(self.raw(), call) }
        })
    }

    /// Previews a batch; `None` without the table.
    #[must_use]
    pub fn preview(&self, batch: &Batch, terms: &Terms) -> Option<Answer> {
        let table = self.tables.diagnostics?;
        let _turn = self.turn();
        let views = Views::of(batch, terms);
        let batch = views.to_abi();
        Some(call::during(terms, batch.len, |call| {
            let sink = PreviewSink {
                size: size_of::<PreviewSink>() as u32,
                reserved: 0,
                // SAFETY: `during` hands in a call that lives until it is over.
                context: unsafe { (*call).context },
                message: call::preview_message,
            };
            // SAFETY: as for `send`; the sink lives as long.
            unsafe { (table.preview)(self.raw(), &raw const batch, call, &raw const sink) }
        }))
    }

    /// Probes the platform; `None` without the table.
    #[must_use]
    pub fn probe(&self, terms: &Terms) -> Option<Answer> {
        let table = self.tables.diagnostics?;
        let _turn = self.turn();
        let mut number = 0;
        let mut answer = call::during(terms, 0, |call| {
            // SAFETY: as for `send`; `number` takes what is written.
            unsafe { (table.probe)(self.raw(), call, &raw mut number) }
        });
        answer.number = number;
        Some(answer)
    }

    /// Asks for the deletion of a machine's data; `None` without the table.
    #[must_use]
    pub fn request_deletion(&self, machine_id: &str, event: &Batch, terms: &Terms) -> Option<Answer> {
        let table = self.tables.deletion?;
        let _turn = self.turn();
        let views = Views::of(event, terms);
        let event = views.to_abi();
        let mut number = 0;
        let mut answer = call::during(terms, 0, |call| {
            let request = DeletionRequestView {
                size: size_of::<DeletionRequestView>() as u32,
                reserved: 0,
                machine_id: abi::Str::new(machine_id),
                event: &raw const event,
            };
            // SAFETY: as for `send`; the request lives as long, and `number` takes what is written.
            unsafe { (table.request)(self.raw(), &raw const request, call, &raw mut number) }
        });
        answer.number = number;
        Some(answer)
    }

    /// Frees it: status and time. No other call on it runs, as this takes it.
    #[must_use]
    pub fn free(self) -> (Status, Duration) {
        let start = Instant::now();
        // SAFETY: an instance that `open` stored, freed here and nowhere else, with no call on it as `self` is owned.
        let status = unsafe { (self.tables.backend.free)(self.raw.load(Ordering::Relaxed)) };
        (status, start.elapsed())
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").finish_non_exhaustive()
    }
}
