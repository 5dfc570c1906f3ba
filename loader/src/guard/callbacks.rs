//! The functions that a plugin may call during a call, and the calls that run.
//!
//! A plugin passes the context of its call to each function. A faulty plugin may do that after the call. So
//! the context is a number and not a pointer. The number is looked up in a table, and is never used for
//! another call: a late or invented number finds no call.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use jackfield_plugin_api::Outcome;
use jackfield_plugin_api::abi::{self, Str};
use jackfield_plugin_api::diagnostics::PreviewSink;

use super::call::{CallState, Explanation, Origin};
use crate::boundary::process::{lock, nanoseconds};
use crate::boundary::text::{self, REASON_LIMIT};

/// Number of the table's parts, so that threads seldom wait for each other's lock. A power of two.
const SHARDS: usize = 16;

/// A list, because the few calls that run at once are spread over the shards.
type Shard = Mutex<Vec<(usize, Arc<CallState>)>>;

static TABLE: [Shard; SHARDS] = [const { Mutex::new(Vec::new()) }; SHARDS];

/// The last number. No call has the number 0, which is a null context.
static LAST: AtomicUsize = AtomicUsize::new(0);

fn shard(id: usize) -> MutexGuard<'static, Vec<(usize, Arc<CallState>)>> {
    lock(&TABLE[id % SHARDS])
}

/// A running call. Its entry in the table lasts as long as this value.
pub(super) struct Running {
    id: usize,
}

impl Running {
    /// Adds a call that is about to enter a plugin.
    pub(super) fn enter(call: &Arc<CallState>) -> Self {
        let id = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        shard(id).push((id, Arc::clone(call)));
        Self { id }
    }

    pub(super) fn context(&self) -> *const c_void {
        std::ptr::without_provenance(self.id)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut calls = shard(self.id);
        let entry = calls.iter().position(|(id, _)| *id == self.id).map(|index| calls.swap_remove(index));
        drop(calls);
        // Outside the lock, because this may free what the call holds.
        drop(entry);
    }
}

/// The running call with this context.
fn find(context: *const c_void) -> Option<Arc<CallState>> {
    let wanted = context.addr();
    shard(wanted).iter().find(|(id, _)| *id == wanted).map(|(_, call)| Arc::clone(call))
}

pub(super) fn to_abi(call: &CallState, running: &Running) -> abi::Call {
    let left = call.deadline().saturating_duration_since(Instant::now());
    abi::Call {
        size: size_of::<abi::Call>() as u32,
        reserved: 0,
        timeout_ns: nanoseconds(left),
        context: running.context(),
        cancelled,
        report,
        explain,
        tables: abi::Tables::EMPTY,
    }
}

/// A call that has ended counts as cancelled.
unsafe extern "C" fn cancelled(context: *const c_void) -> u32 {
    find(context).map_or(1, |call| u32::from(call.is_cancelled()))
}

unsafe extern "C" fn report(context: *const c_void, first: u64, count: u64, outcome: *const abi::Outcome) {
    let Some(call) = find(context) else { return };
    // SAFETY: the contract: null or a readable outcome.
    let Some(outcome) = (unsafe { outcome.as_ref() }) else { return };
    // SAFETY: as above, for the reason.
    let reason = unsafe { text::from_plugin(outcome.reason, REASON_LIMIT) };
    let bounded = abi::Outcome { reason: abi::Str::new(&reason), ..*outcome };
    // SAFETY: the reason is a string of this function.
    call.note(first, count, unsafe { Outcome::from_abi(&bounded) });
}

unsafe extern "C" fn explain(context: *const c_void, subject: abi::Str, message: abi::Str) {
    let Some(call) = find(context) else { return };
    // SAFETY: the contract: readable text.
    let text = |text| unsafe { text::from_plugin(text, REASON_LIMIT) };
    call.explain(Explanation { subject: text(subject), message: text(message), origin: Origin::Plugin });
}

pub(super) fn sink(context: *const c_void) -> PreviewSink {
    PreviewSink { size: size_of::<PreviewSink>() as u32, reserved: 0, context, message }
}

unsafe extern "C" fn message(context: *const c_void, label: Str, bytes: *const u8, len: usize) {
    let Some(call) = find(context) else { return };
    // SAFETY: the contract: readable text.
    let label = unsafe { text::from_plugin(label, REASON_LIMIT) };
    call.collect(|collected| {
        collected.push(label, len, || {
            // SAFETY: the contract requires null or `len` readable bytes, which are fewer than `LIMIT`.
            if bytes.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(bytes, len) } }
        });
    });
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use jackfield_plugin_api as api;

    use super::super::call::Ended;
    use super::super::preview::{Collected, LIMIT, PreviewError};
    use super::super::report::Reported;
    use super::super::spin::Spin;
    use super::*;
    use crate::boundary::batch::{Batch, tests::numbered};
    use crate::boundary::host_services::HostHandle;

    fn started() -> (Arc<CallState>, Running) {
        let call = Arc::new(CallState::new(2, Instant::now() + Duration::from_secs(60)));
        assert!(call.start());
        let running = Running::enter(&call);
        (call, running)
    }

    #[test]
    fn callbacks_after_the_function_has_returned_have_no_effect() {
        let (call, running) = started();
        let (late, outcome) = (to_abi(&call, &running), Outcome::Delivered.to_abi());
        // SAFETY: the functions of a call that runs.
        unsafe {
            assert_eq!((late.cancelled)(late.context), 0);
            (late.report)(late.context, 0, 1, &raw const outcome);
        }
        drop(running);
        let say = || {
            // SAFETY: any context may be given to these functions; the other arguments are readable.
            unsafe {
                (late.report)(late.context, 0, 2, &raw const outcome);
                (late.explain)(late.context, abi::Str::new("late"), abi::Str::new("late"));
                assert_eq!((late.cancelled)(late.context), 1);
            }
        };
        say();
        assert!(call.finish(abi::STATUS_FAILED));
        let Ended::Finished { reported: Reported::Each(each), explanation, .. } =
            call.wait(&Spin::new(), None)
        else {
            panic!("finished with a report of one event")
        };
        assert_eq!(each, [Some(Outcome::Delivered), None]);
        assert!(explanation.message.is_empty());
        assert_eq!(Arc::strong_count(&call), 1);
        drop(call);
        say();
    }

    struct Picky;

    impl api::Backend for Picky {
        type Config = api::export::NoConfig;
        fn open(_: Self::Config, host: api::Host, _: &api::Call<'_>) -> Result<Self, api::Error> {
            assert_eq!(host.backend_name(), "picky");
            Ok(Self)
        }
        fn send(&self, batch: &api::Batch<'_>, _: &api::Call<'_>) -> api::Outcomes {
            assert!(!batch.is_empty(), "an empty batch");
            let outcome = |event: api::Event<'_>| match event.id() {
                "0" => Outcome::Delivered,
                id => Outcome::rejected(format!("not {id}")),
            };
            api::Outcomes::Each(batch.iter().map(outcome).collect())
        }
    }

    /// Both sides of the boundary, without a thread or a deadline between them.
    #[test]
    fn a_backend_is_opened_called_and_freed_by_its_table() {
        let table = api::export::static_table::<Picky>();
        let host = HostHandle::lend("picky", "tool", "1");
        let (call, running) = started();
        let abi = to_abi(&call, &running);
        let [full, empty] = [2, 0].map(numbered);
        let mut instance = std::ptr::null_mut();
        // SAFETY: the table is the backend's, and all arguments live until the end.
        unsafe {
            let config = |text| abi::Str::new(text);
            let wrong = (table.open)(host.as_ptr(), config("1"), &raw const abi, &raw mut instance);
            assert_eq!((wrong, instance.is_null()), (abi::STATUS_INVALID_CONFIG, true));
            let opened = (table.open)(host.as_ptr(), config("{}"), &raw const abi, &raw mut instance);
            assert_eq!(opened, abi::STATUS_OK);
            let send = |batch: &Batch| {
                let batch = batch.to_abi();
                (table.send)(instance, &raw const batch, &raw const abi)
            };
            assert_eq!(send(&full), abi::STATUS_OK);
            assert_eq!(send(&empty), abi::STATUS_PANIC);
            assert_eq!((table.close)(instance, &raw const abi), abi::STATUS_OK);
            assert_eq!(send(&full), abi::STATUS_FAILED, "it is closed");
            assert_eq!((table.free)(instance), abi::STATUS_OK);
        }
        call.finish(abi::STATUS_FAILED);
        let Ended::Finished { reported: Reported::Each(each), explanation, .. } = call.abandon() else {
            panic!("finished with reports of both events")
        };
        assert_eq!(each, [Some(Outcome::Delivered), Some(Outcome::rejected("not 1"))]);
        assert_eq!(explanation.message, "the backend is closed");
    }

    #[test]
    fn callbacks_after_the_deadline_have_no_effect() {
        let (call, running) = started();
        let (abi, outcome) = (to_abi(&call, &running), Outcome::Delivered.to_abi());
        assert!(matches!(call.abandon(), Ended::Expired { running: true, reported: Reported::Nothing }));
        // SAFETY: the functions of a call that runs.
        unsafe {
            (abi.report)(abi.context, 0, 2, &raw const outcome);
            (abi.explain)(abi.context, abi::Str::EMPTY, abi::Str::new("too late"));
            assert_eq!((abi.cancelled)(abi.context), 1);
        }
        assert!(!call.finish(abi::STATUS_OK));
    }

    fn collected(hand_over: impl FnOnce(&PreviewSink)) -> Collected {
        let (call, running) = started();
        let sink = sink(running.context());
        hand_over(&sink);
        drop(running);
        // SAFETY: any context may be given; label and bytes are readable.
        unsafe { (sink.message)(sink.context, Str::new("late"), b"late".as_ptr(), 4) };
        call.finish(0);
        let Ended::Finished { collected, .. } = call.wait(&Spin::new(), None) else {
            panic!("it has finished")
        };
        collected
    }

    #[test]
    fn messages_are_only_taken_while_the_call_runs() {
        let collected = collected(|sink| {
            // SAFETY: the sink of a call that runs; label and bytes are readable.
            unsafe {
                (sink.message)(sink.context, Str::new("one\nline"), b"ab".as_ptr(), 2);
                (sink.message)(sink.context, Str::EMPTY, std::ptr::null(), 7);
            }
        });
        let preview = collected.preview(Reported::Nothing, 2).expect("small");
        let messages: Vec<_> = preview.messages.iter().map(|m| (m.label.as_str(), &*m.bytes)).collect();
        assert_eq!(messages, [("one\\nline", b"ab".as_slice()), ("", b"")]);
        assert!(preview.unsent.is_empty());
    }

    #[test]
    fn a_preview_above_the_limit_is_refused_and_not_read() {
        let collected = collected(|sink| {
            // SAFETY: the sink of a call that runs; a length above the limit is not read.
            unsafe { (sink.message)(sink.context, Str::new("large"), std::ptr::dangling(), LIMIT) };
            // SAFETY: as above, with readable bytes.
            unsafe { (sink.message)(sink.context, Str::new("small"), b"ab".as_ptr(), 2) };
        });
        assert_eq!(collected.preview(Reported::Nothing, 2), Err(PreviewError::TooLarge { limit: LIMIT }));
    }

    #[test]
    fn only_a_running_call_is_found_by_its_context() {
        let calls: Vec<_> = (0..40).map(|_| Arc::new(CallState::new(0, Instant::now()))).collect();
        let mut running: Vec<_> = calls.iter().map(Running::enter).collect();
        let contexts: Vec<_> = running.iter().map(Running::context).collect();
        drop(running.drain(..20));
        for (number, (context, call)) in contexts.iter().zip(&calls).enumerate() {
            let found = find(*context);
            assert_eq!(found.is_some(), number >= 20, "call {number}");
            assert!(found.is_none_or(|found| Arc::ptr_eq(&found, call)), "call {number}");
        }
        assert!(find(std::ptr::null()).is_none());
        assert!(find(std::ptr::without_provenance(usize::MAX)).is_none());
        assert!(find((&raw const *calls[30]).cast()).is_none());
        drop(running);
        assert!(
            calls.iter().all(|call| Arc::strong_count(call) == 1),
            "the table keeps no call that has ended"
        );
    }
}
