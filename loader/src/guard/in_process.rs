//! A plugin in this process: the guard's worker threads call its functions.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use jackfield_plugin_api::abi::{self, Status};

use super::call::{CallState, Explanation, Origin};
use super::callbacks::{self, Running};
use super::executor::{Entry, Executor, Source, Work};
use crate::boundary::batch::{Batch, no_events};
use crate::boundary::host_services::HostHandle;
use crate::load::tables::{Abilities, Arguments, PluginTables};

/// The explanation of an `open` that breaks the contract.
pub(crate) const NO_INSTANCE: &str =
    "open answered OK without an instance: the plugin's vendor must correct it";

impl Entry for PluginTables {
    fn executor(&self) -> Box<dyn Executor> {
        Box::new(InProcess { tables: *self, raw: AtomicPtr::new(ptr::null_mut()) })
    }

    fn abilities(&self) -> Abilities {
        PluginTables::abilities(self)
    }
}

struct InProcess {
    tables: PluginTables,
    /// Null until the instance is open.
    raw: AtomicPtr<abi::Instance>,
}

impl Executor for InProcess {
    fn run(&self, work: &Work, call: &Arc<CallState>) -> Status {
        let running = Running::enter(call);
        let abi_call = callbacks::to_abi(call, &running);
        match work {
            Work::Open { source, host } => {
                let (status, out) = self.open(source, host, &abi_call);
                if status == abi::STATUS_OK && out.is_null() {
                    call.explain(Explanation::of(Origin::Plugin, NO_INSTANCE));
                    return abi::STATUS_FAILED;
                }
                if status == abi::STATUS_OK {
                    self.raw.store(out, Ordering::Release);
                }
                status
            }
            Work::Call { function, text, batch, answer } => {
                let arguments = Arguments {
                    text: text.as_deref().unwrap_or_default(),
                    batch: batch.as_ref().map_or_else(no_events, Batch::to_abi),
                    call: &raw const abi_call,
                    sink: callbacks::sink(running.context()),
                };
                // SAFETY: jobs only enter an open instance, and `free` follows the last job. This job keeps
                // its batch and its call until the function returns.
                let (status, number) =
                    unsafe { self.tables.call(*function, self.raw.load(Ordering::Acquire), &arguments) };
                if let Some(answer) = answer {
                    answer.store(number, Ordering::Release);
                }
                status
            }
        }
    }

    fn free(&self, _opened: bool) -> Status {
        let raw = self.raw.swap(ptr::null_mut(), Ordering::AcqRel);
        if raw.is_null() {
            return abi::STATUS_OK;
        }
        // SAFETY: `open` made the instance. By this method's contract no call is inside, and none follows.
        unsafe { (self.tables.backend.free)(raw) }
    }

    fn is_serial(&self) -> bool {
        self.tables.abilities().is_serial()
    }
}

impl InProcess {
    fn open(
        &self,
        source: &Source,
        host: &'static HostHandle,
        call: &abi::Call,
    ) -> (Status, *mut abi::Instance) {
        let mut out = ptr::null_mut();
        match source {
            Source::Config(config) => {
                let config = abi::Str::new(config);
                // SAFETY: the table was checked, and the arguments are as the contract requires.
                let status = unsafe { (self.tables.backend.open)(host.as_ptr(), config, call, &raw mut out) };
                (status, out)
            }
            Source::Value(make) => match catch_unwind(AssertUnwindSafe(|| make())) {
                Ok(instance) => (abi::STATUS_OK, instance),
                Err(_) => (abi::STATUS_PANIC, out),
            },
        }
    }
}
