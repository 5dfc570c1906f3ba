//! A plugin in this process: the guard's worker threads call its functions.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

use jackfield_plugin_api::abi::{self, Status};

use super::call::{CallState, Explanation, Origin};
use super::callbacks::{self, Running};
use super::error::CloseFailure;
use super::executor::{Entry, Executor, Work};
use super::options::BackendOptions;
use crate::boundary::batch::{Batch, no_events};
use crate::boundary::host_services::HostHandle;
use crate::load::tables::{Abilities, Arguments, PluginTables};

/// The explanation of an `open` that breaks the contract.
pub(crate) const NO_INSTANCE: &str =
    "open answered OK without an instance: the plugin's vendor must correct it";

#[derive(Clone)]
pub(crate) enum Source {
    /// The table's `open`, with this configuration and this host.
    Config(Arc<(String, HostHandle)>),
    /// A function of the host's own program, which makes an instance for the table, without a host.
    Value(Arc<dyn Fn() -> *mut abi::Instance + Send + Sync>),
}

impl Source {
    pub(crate) fn config(options: &BackendOptions) -> Self {
        let host = HostHandle::lend(&options.name, &options.tool_name, &options.tool_version);
        Self::Config(Arc::new((options.config.clone(), host)))
    }
}

/// The way into a plugin in this process.
pub(crate) struct InProcess {
    pub(crate) tables: PluginTables,
    /// The origin of all instances, the first one and those after a failure.
    pub(crate) source: Source,
}

impl Entry for InProcess {
    fn executor(&self) -> Box<dyn Executor> {
        let (tables, source) = (self.tables, self.source.clone());
        Box::new(InProcessInstance { tables, source, raw: AtomicPtr::new(ptr::null_mut()) })
    }

    fn cancel(&self) {
        if let Source::Config(opening) = &self.source {
            opening.1.cancel();
        }
    }

    fn abilities(&self) -> Abilities {
        self.tables.abilities()
    }
}

struct InProcessInstance {
    tables: PluginTables,
    /// Keeps the host handle until the instance is gone.
    source: Source,
    /// Null until the instance is open.
    raw: AtomicPtr<abi::Instance>,
}

impl Executor for InProcessInstance {
    fn run(&self, work: &Work, call: &Arc<CallState>) -> Status {
        let running = Running::enter(call);
        let abi_call = callbacks::to_abi(call, &running);
        match work {
            Work::Open => {
                let (status, out) = self.open(&abi_call);
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

    fn free(&self, _opened: bool) -> Result<(), CloseFailure> {
        let raw = self.raw.swap(ptr::null_mut(), Ordering::AcqRel);
        if raw.is_null() {
            return Ok(());
        }
        // SAFETY: `open` made the instance. By this method's contract no call is inside, and none follows.
        match unsafe { (self.tables.backend.free)(raw) } {
            abi::STATUS_OK => Ok(()),
            _ => Err(CloseFailure::FreePanicked),
        }
    }

    fn is_serial(&self) -> bool {
        self.tables.abilities().is_serial()
    }
}

impl InProcessInstance {
    fn open(&self, call: &abi::Call) -> (Status, *mut abi::Instance) {
        let mut out = ptr::null_mut();
        match &self.source {
            Source::Config(opening) => {
                let (config, host) = &**opening;
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
