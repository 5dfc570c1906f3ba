//! A plugin in this process: its functions are called by the guard's worker threads.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::{
        Arc,
        atomic::{AtomicPtr, Ordering},
    },
};

use jackfield_plugin_api::abi::{self, Status};

use super::{
    call::{CallState, Explanation},
    call_registry::Running,
    callbacks,
    executor::{Entry, Executor},
    work::{Made, Source, Work},
};
use crate::{
    boundary::{
        batch::{Batch, no_events},
        host_services::HostHandle,
    },
    load::tables::{Abilities, Arguments, PluginTables},
};

impl Entry for PluginTables {
    fn executor(&self) -> Box<dyn Executor> {
        Box::new(InProcess { tables: *self, raw: AtomicPtr::new(ptr::null_mut()) })
    }

    fn abilities(&self) -> Abilities {
        PluginTables::abilities(self)
    }
}

/// An instance that is called in this process.
struct InProcess {
    tables: PluginTables,
    /// Null until it is open.
    raw: AtomicPtr<abi::Instance>,
}

impl Executor for InProcess {
    fn run(&self, work: &Work, call: &Arc<CallState>) -> Status {
        let running = Running::enter(call);
        let abi_call = callbacks::to_abi(call, &running);
        match work {
            Work::Open { source, host } => self.open(source, host, call, &abi_call),
            Work::Call { function, text, batch, answer } => {
                let arguments = Arguments {
                    text: text.as_deref().unwrap_or_default(),
                    batch: batch.as_ref().map_or_else(no_events, Batch::to_abi),
                    call: &raw const abi_call,
                    sink: callbacks::sink(running.context()),
                };
                // SAFETY: jobs enter an open instance only, and `free` follows the last of them; this job keeps its batch and
                // its call until the function returns.
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
        // SAFETY: `open` made it, and by the contract of this method no call is inside and none follows.
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
        call: &CallState,
        abi_call: &abi::Call,
    ) -> Status {
        let (status, out) = open(&self.tables, source, host, abi_call);
        if status == abi::STATUS_OK && out.is_null() {
            let message = "open answered OK without an instance: the plugin's vendor must correct it";
            call.explain(Explanation { message: message.to_owned(), ..Explanation::default() });
            return abi::STATUS_FAILED;
        }
        if status == abi::STATUS_OK {
            self.raw.store(out, Ordering::Release);
        }
        status
    }
}

fn open(
    tables: &PluginTables,
    source: &Source,
    host: &'static HostHandle,
    call: &abi::Call,
) -> (Status, *mut abi::Instance) {
    match source {
        Source::Config(config) => {
            let mut out = std::ptr::null_mut();
            // SAFETY: a table that was checked; host, config, call and out are as the contract wants them.
            let status =
                unsafe { (tables.backend.open)(host.as_ptr(), abi::Str::new(config), call, &raw mut out) };
            (status, out)
        }
        Source::Value(make) => match catch_unwind(AssertUnwindSafe(|| make())) {
            Ok(Made(instance)) => (abi::STATUS_OK, instance),
            Err(_) => (abi::STATUS_PANIC, std::ptr::null_mut()),
        },
    }
}
