//! The functions that a plugin may call during a call: report, explain, "is it cancelled", and the sink of a preview.

use std::{ffi::c_void, time::Instant};

use jackfield_plugin_api::{
    Outcome,
    abi::{self, Str},
    diagnostics::PreviewSink,
};

use super::{
    call::{CallState, Explanation, Origin},
    call_registry::{self, Running},
};
use crate::boundary::text::{self, REASON_LIMIT};

/// The call as the plugin sees it, to which it answers as long as `running` lasts.
pub(super) fn to_abi(call: &CallState, running: &Running) -> abi::Call {
    let left = call.deadline().saturating_duration_since(Instant::now());
    abi::Call {
        size: size_of::<abi::Call>() as u32,
        reserved: 0,
        timeout_ns: u64::try_from(left.as_nanos()).unwrap_or(u64::MAX),
        context: running.context(),
        cancelled,
        report,
        explain,
        tables: abi::Tables::EMPTY,
    }
}

/// A call that is over counts as cancelled.
unsafe extern "C" fn cancelled(context: *const c_void) -> u32 {
    call_registry::find(context).map_or(1, |call| u32::from(call.is_cancelled()))
}

unsafe extern "C" fn report(context: *const c_void, first: u64, count: u64, outcome: *const abi::Outcome) {
    let Some(call) = call_registry::find(context) else { return };
    // SAFETY: the contract: null or a readable outcome.
    let Some(outcome) = (unsafe { outcome.as_ref() }) else { return };
    // SAFETY: as above, for the reason.
    let reason = unsafe { text::from_plugin(outcome.reason, REASON_LIMIT) };
    let bounded = abi::Outcome { reason: abi::Str::new(&reason), ..*outcome };
    // SAFETY: the reason is a string of this function's.
    call.note(first, count, unsafe { Outcome::from_abi(&bounded) });
}

unsafe extern "C" fn explain(context: *const c_void, subject: abi::Str, message: abi::Str) {
    let Some(call) = call_registry::find(context) else { return };
    // SAFETY: the contract: readable text.
    let text = |text| unsafe { text::from_plugin(text, REASON_LIMIT) };
    call.explain(Explanation { subject: text(subject), message: text(message), origin: Origin::Plugin });
}

/// The sink of the call that `context` stands for.
pub(super) fn sink(context: *const c_void) -> PreviewSink {
    PreviewSink { size: size_of::<PreviewSink>() as u32, reserved: 0, context, message }
}

unsafe extern "C" fn message(context: *const c_void, label: Str, bytes: *const u8, len: usize) {
    let Some(call) = call_registry::find(context) else { return };
    // SAFETY: the contract: readable text.
    let label = unsafe { text::from_plugin(label, REASON_LIMIT) };
    call.collect(|collected| {
        if !collected.admit(label.len(), len) {
            return;
        }
        let bytes = if bytes.is_null() {
            &[]
        } else {
            // SAFETY: the contract: null or `len` readable bytes, which are fewer than `LIMIT`.
            unsafe { std::slice::from_raw_parts(bytes, len) }
        };
        collected.push_admitted(label, bytes);
    });
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::{
        super::{
            call::Ended,
            preview::{Collected, LIMIT, PreviewError},
            report::Reported,
            spin::Spin,
        },
        *,
    };

    fn delivered() -> abi::Outcome {
        Outcome::Delivered.to_abi()
    }

    fn started() -> (Arc<CallState>, Running) {
        let call = Arc::new(CallState::new(2, Instant::now() + Duration::from_secs(60)));
        assert!(call.start());
        let running = Running::enter(&call);
        (call, running)
    }

    #[test]
    fn what_a_plugin_says_after_its_function_returned_goes_nowhere() {
        let (call, running) = started();
        let (late, outcome) = (to_abi(&call, &running), delivered());
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
        let Ended::Finished { reported: Reported::Each(each), explanation, .. } = call.wait(&Spin::new())
        else {
            panic!("finished with a report of one event")
        };
        assert_eq!(each, [Some(Outcome::Delivered), None]);
        assert!(explanation.message.is_empty());
        assert_eq!(Arc::strong_count(&call), 1);
        drop(call);
        say();
    }

    #[test]
    fn what_a_plugin_says_after_the_deadline_changes_nothing() {
        let (call, running) = started();
        let (abi, outcome) = (to_abi(&call, &running), delivered());
        assert!(matches!(call.abandon(), Ended::Expired { running: true, reported: Reported::Nothing }));
        // SAFETY: the functions of a call that runs.
        unsafe {
            (abi.report)(abi.context, 0, 2, &raw const outcome);
            (abi.explain)(abi.context, abi::Str::EMPTY, abi::Str::new("too late"));
            assert_eq!((abi.cancelled)(abi.context), 1);
        }
        assert!(!call.finish(abi::STATUS_OK));
    }

    /// Hands over messages from a call that runs, and gives what was collected.
    fn collected(hand_over: impl FnOnce(&PreviewSink)) -> Collected {
        let call = Arc::new(CallState::new(2, Instant::now() + Duration::from_secs(60)));
        assert!(call.start());
        let running = Running::enter(&call);
        let sink = sink(running.context());
        hand_over(&sink);
        drop(running);
        // SAFETY: any context may be given; label and bytes are readable.
        unsafe { (sink.message)(sink.context, Str::new("late"), b"late".as_ptr(), 4) };
        call.finish(0);
        let Ended::Finished { collected, .. } = call.wait(&Spin::new()) else { panic!("it has finished") };
        collected
    }

    #[test]
    fn messages_are_taken_while_the_call_runs_and_no_longer() {
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
    fn a_preview_without_end_is_refused_and_not_read() {
        let collected = collected(|sink| {
            // SAFETY: the sink of a call that runs; a length above the limit is not read.
            unsafe { (sink.message)(sink.context, Str::new("large"), std::ptr::dangling(), LIMIT) };
            // SAFETY: as above, with readable bytes.
            unsafe { (sink.message)(sink.context, Str::new("small"), b"ab".as_ptr(), 2) };
        });
        assert_eq!(collected.preview(Reported::Nothing, 2), Err(PreviewError::TooLarge { limit: LIMIT }));
    }
}
