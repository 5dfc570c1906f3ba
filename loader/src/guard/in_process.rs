//! A plugin in this process: its functions are called by the guard's worker threads.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
    sync::{
        Arc,
        atomic::{AtomicPtr, AtomicU32, Ordering},
    },
};

use jackfield_plugin_api::{
    abi::{self, Status},
    deletion::{DELETION_UNSUPPORTED, DeletionRequestView},
};

use super::{
    call::{CallState, Explanation},
    call_registry::Running,
    callbacks,
    executor::{Entry, Executor},
    work::{Made, Source, Work},
};
use crate::{
    boundary::{batch::Batch, host_services::HostHandle},
    load::check::PluginTables,
};

impl Entry for PluginTables {
    fn executor(&self) -> Box<dyn Executor> {
        Box::new(InProcess { tables: *self, raw: AtomicPtr::new(ptr::null_mut()) })
    }

    fn has_diagnostics(&self) -> bool {
        self.diagnostics.is_some()
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
        let (tables, raw) = (&self.tables, self.raw.load(Ordering::Acquire).cast_const());
        match work {
            Work::Open { source, host } => {
                let (status, out) = open(tables, source, host, &abi_call);
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
            Work::Send(batch) => {
                let batch = batch.to_abi();
                // SAFETY: jobs enter an open instance only; this one keeps batch and call alive until the return.
                unsafe { (tables.backend.send)(raw, &raw const batch, &raw const abi_call) }
            }
            Work::Delete { machine_id, event, answer } => {
                delete(tables, raw, machine_id, event, answer, &abi_call)
            }
            Work::Preview(batch) => preview(tables, raw, batch, &running, &abi_call),
            Work::Probe { answer } => probe(tables, raw, answer, &abi_call),
            // SAFETY: jobs enter an open instance only; the call is live.
            Work::Close => unsafe { (tables.backend.close)(raw, &raw const abi_call) },
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
        self.tables.backend.flags & abi::BACKEND_SERIAL != 0
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

fn delete(
    tables: &PluginTables,
    raw: *const abi::Instance,
    machine_id: &str,
    event: &Batch,
    answer: &AtomicU32,
    call: &abi::Call,
) -> Status {
    let Some(table) = tables.deletion else {
        answer.store(DELETION_UNSUPPORTED, Ordering::Release);
        return abi::STATUS_OK;
    };
    let event = event.to_abi();
    let request = DeletionRequestView {
        size: size_of::<DeletionRequestView>() as u32,
        reserved: 0,
        machine_id: abi::Str::new(machine_id),
        event: &raw const event,
    };
    let mut number = 0;
    // SAFETY: jobs enter an open instance only; request, call and answer live until the function returns.
    let status = unsafe { (table.request)(raw, &raw const request, call, &raw mut number) };
    answer.store(number, Ordering::Release);
    status
}

fn preview(
    tables: &PluginTables,
    raw: *const abi::Instance,
    batch: &Batch,
    running: &Running,
    call: &abi::Call,
) -> Status {
    // The supervisor has looked for the table before it made the job.
    let Some(table) = tables.diagnostics else { return abi::STATUS_INVALID_ARGUMENT };
    let (batch, sink) = (batch.to_abi(), callbacks::sink(running.context()));
    // SAFETY: jobs enter an open instance only; batch, call and sink live until the function returns.
    unsafe { (table.preview)(raw, &raw const batch, call, &raw const sink) }
}

fn probe(tables: &PluginTables, raw: *const abi::Instance, answer: &AtomicU32, call: &abi::Call) -> Status {
    // As above.
    let Some(table) = tables.diagnostics else { return abi::STATUS_INVALID_ARGUMENT };
    let mut number = 0;
    // SAFETY: jobs enter an open instance only; call and answer live until the function returns.
    let status = unsafe { (table.probe)(raw, call, &raw mut number) };
    answer.store(number, Ordering::Release);
    status
}
