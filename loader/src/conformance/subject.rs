//! A loaded plugin and its instances, with a method for each function.

use std::path::Path;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::{Duration, Instant};

use jackfield_plugin_api::abi::{self, Status};
use jackfield_plugin_api::diagnostics::PreviewSink;

use super::call::{self, Answer};
use super::host::{self, AlteredViews, Terms};
use super::late;
use crate::boundary::batch::{Batch, no_events};
use crate::boundary::process::lock;
use crate::guard::options::{Isolation, ProcessOptions};
use crate::load::loaded_libraries::LOAD_TIMEOUT;
use crate::load::tables::{Arguments, Function, OptionalTable, PluginTables};
use crate::plugin::{Candidate, Error, Plugin};
use crate::verify::trust::Trust;

/// A loaded plugin.
#[derive(Debug)]
pub struct Subject {
    plugin: Plugin,
}

/// An instance. Only [`free`](Self::free) frees it.
pub struct Instance {
    raw: AtomicPtr<abi::Instance>,
    tables: PluginTables,
    /// Held during each call of a serial plugin.
    turn: Mutex<()>,
}

impl Subject {
    /// Takes a file with any owner through all stages. This process may be one of the plugin's own, for one that can't run
    /// in a tool's.
    ///
    /// # Errors
    /// As [`Plugin::load`].
    pub fn load(path: &Path, own_process: bool) -> Result<Self, Error> {
        if !own_process {
            return Ok(Self { plugin: Plugin::load(path, Trust::Any)? });
        }
        let verified =
            Candidate::open(path)?.verify_for(&Isolation::Process(ProcessOptions::new()), Trust::Any)?;
        Ok(Self { plugin: verified.load_here(LOAD_TIMEOUT)? })
    }

    /// The plugin.
    #[must_use]
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Whether only one call at a time may enter it.
    #[must_use]
    pub fn is_serial(&self) -> bool {
        self.plugin.tables().abilities().is_serial()
    }

    /// Whether it has the tables for deletion and for diagnostics.
    #[must_use]
    pub fn optional_tables(&self) -> (bool, bool) {
        let abilities = self.plugin.tables().abilities();
        (abilities.has(OptionalTable::Deletion), abilities.has(OptionalTable::Diagnostics))
    }

    /// Opens an instance with a configuration, a JSON object.
    #[must_use]
    pub fn open(&self, config: &str, terms: &Terms) -> (Answer, Option<Instance>) {
        let tables = self.plugin.tables();
        let mut raw = ptr::null_mut();
        let host = host::of(terms.host, terms.memory);
        let text = abi::Str::new(config);
        #[cfg(any(target_os = "linux", windows))]
        let pages = host::Pages::of_text(terms.memory, config);
        #[cfg(any(target_os = "linux", windows))]
        let text = pages.as_ref().map_or(text, |(_, view)| *view);
        late::begin_life();
        let mut answer = call::during(terms, 0, |call| {
            // SAFETY: the table was checked. The host lives as long as the process, the rest during the call.
            unsafe { (tables.backend.open)(host, text, call, &raw mut raw) }
        });
        #[cfg(any(target_os = "linux", windows))]
        drop(pages);
        let opened = answer.status == abi::STATUS_OK;
        if opened && raw.is_null() {
            answer.breaches.push("`open` returned OK and stored no instance".to_owned());
        } else if !opened && !raw.is_null() {
            answer.breaches.push("`open` failed and stored an instance all the same".to_owned());
        }
        let instance = (opened && !raw.is_null()).then(|| Instance {
            raw: AtomicPtr::new(raw),
            tables,
            turn: Mutex::new(()),
        });
        if instance.is_none() {
            late::end_life();
        }
        (answer, instance)
    }
}

impl Instance {
    fn call(&self, function: Function, text: &str, batch: Option<&Batch>, terms: &Terms) -> Answer {
        let _turn = self.tables.abilities().is_serial().then(|| lock(&self.turn));
        let views = batch.map(|batch| AlteredViews::of(batch, terms));
        let batch = views.as_ref().map_or_else(no_events, AlteredViews::to_abi);
        // A request for deletion has an event, and reports no outcome.
        let events = if function == Function::Delete { 0 } else { batch.len };
        let mut number = 0;
        let mut answer = call::during(terms, events, |call| {
            let sink = PreviewSink {
                size: size_of::<PreviewSink>() as u32,
                reserved: 0,
                // SAFETY: the call lives until this closure returns.
                context: unsafe { (*call).context },
                message: call::preview_message,
            };
            let arguments = &Arguments { text, batch, call, sink };
            #[cfg(any(target_os = "linux", windows))]
            let pages = host::Pages::of_value(terms.memory, arguments);
            // SAFETY: it is a copy, in memory that lives until this closure returns. Arguments have no destructor.
            #[cfg(any(target_os = "linux", windows))]
            let arguments = pages.as_ref().map_or(arguments, |(_, copy)| unsafe { &**copy });
            // SAFETY: the tables were checked, `open` stored the instance, and the arguments live until this
            // returns.
            let (status, written) =
                unsafe { self.tables.call(function, self.raw.load(Ordering::Relaxed), arguments) };
            number = written;
            status
        });
        answer.number = number;
        answer
    }

    fn has(&self, table: OptionalTable) -> bool {
        self.tables.abilities().has(table)
    }

    /// Sends a batch.
    #[must_use]
    pub fn send(&self, batch: &Batch, terms: &Terms) -> Answer {
        self.call(Function::Send, "", Some(batch), terms)
    }

    /// Closes the instance.
    #[must_use]
    pub fn close(&self, terms: &Terms) -> Answer {
        self.call(Function::Close, "", None, terms)
    }

    /// Previews a batch; `None` without the table of diagnostics.
    #[must_use]
    pub fn preview(&self, batch: &Batch, terms: &Terms) -> Option<Answer> {
        self.has(OptionalTable::Diagnostics).then(|| self.call(Function::Preview, "", Some(batch), terms))
    }

    /// Probes the platform; `None` without the table of diagnostics.
    #[must_use]
    pub fn probe(&self, terms: &Terms) -> Option<Answer> {
        self.has(OptionalTable::Diagnostics).then(|| self.call(Function::Probe, "", None, terms))
    }

    /// Asks for the deletion of a machine's data; `None` without the table for deletion.
    #[must_use]
    pub fn request_deletion(&self, machine_id: &str, event: &Batch, terms: &Terms) -> Option<Answer> {
        self.has(OptionalTable::Deletion).then(|| self.call(Function::Delete, machine_id, Some(event), terms))
    }

    /// Frees the instance. Returns the status and the duration.
    #[must_use]
    pub fn free(self) -> (Status, Duration) {
        let start = Instant::now();
        // SAFETY: `open` stored the instance, which only this frees. As `self` is owned, no call is inside.
        let status = unsafe { (self.tables.backend.free)(self.raw.load(Ordering::Relaxed)) };
        let took = start.elapsed();
        late::end_life();
        (status, took)
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").finish_non_exhaustive()
    }
}
