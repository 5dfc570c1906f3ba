//! One call: the functions that a plugin may call meanwhile, and its breaches of the contract.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jackfield_plugin_api::Outcome;
use jackfield_plugin_api::abi::{self, Status};

#[cfg(any(target_os = "linux", windows))]
use super::host::Pages;
use super::host::{Cancel, Terms, further_tables};
use super::late::note_use;
use super::log::{MOST_BREACHES, text_breach};
use crate::boundary::process::{lock, nanoseconds};
use crate::boundary::text::{self, REASON_LIMIT};

/// The answer to one call.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Answer {
    /// The returned status.
    pub status: Status,
    /// The outcome of each event.
    pub outcomes: Vec<Option<Outcome>>,
    /// Subject and message of `explain`.
    pub explained: Option<(String, String)>,
    /// Breaches of the contract, in words.
    pub breaches: Vec<String>,
    /// The labels of a preview, and the number of all its bytes.
    pub previewed: (Vec<String>, usize),
    /// The number that `request` or `probe` wrote.
    pub number: u32,
    /// The time of the call; `None` without one.
    pub started: Option<Instant>,
    /// The duration.
    pub took: Duration,
}

#[derive(Debug)]
struct Context {
    cancel: Cancel,
    heard: Mutex<Answer>,
}

/// The running calls, by their context. The context of an ended call is not in the map.
static RUNNING: Mutex<BTreeMap<usize, Arc<Context>>> = Mutex::new(BTreeMap::new());
static LAST: AtomicUsize = AtomicUsize::new(0);

/// Makes a call about `events` events on these terms, by `body`.
pub(super) fn during(terms: &Terms, events: usize, body: impl FnOnce(*const abi::Call) -> Status) -> Answer {
    let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    let heard = Answer { outcomes: vec![None; events], ..Answer::default() };
    let context = Arc::new(Context { cancel: terms.cancel.clone(), heard: Mutex::new(heard) });
    lock(&RUNNING).insert(number, Arc::clone(&context));
    let call = abi::Call {
        size: size_of::<abi::Call>() as u32,
        reserved: 0,
        timeout_ns: nanoseconds(terms.timeout),
        context: ptr::without_provenance(number),
        cancelled,
        report,
        explain,
        tables: further_tables(terms.host),
    };
    let pointer = &raw const call;
    #[cfg(any(target_os = "linux", windows))]
    let pages = Pages::of_value(terms.memory, &call);
    #[cfg(any(target_os = "linux", windows))]
    let pointer = pages.as_ref().map_or(pointer, |(_, copy)| *copy);
    let start = Instant::now();
    let status = body(pointer);
    let took = start.elapsed();
    lock(&RUNNING).remove(&number);
    Answer { status, started: Some(start), took, ..std::mem::take(&mut *lock(&context.heard)) }
}

impl Answer {
    fn breach(&mut self, what: impl Into<String>) {
        let what = what.into();
        if self.breaches.len() < MOST_BREACHES && !self.breaches.contains(&what) {
            self.breaches.push(what);
        }
    }

    /// Reads a text, which must be UTF-8.
    ///
    /// # Safety
    /// The view is readable.
    unsafe fn text(&mut self, whose: &str, view: abi::Str) -> String {
        // SAFETY: the caller vouches for it.
        if let Some(what) = unsafe { text_breach(whose, view) } {
            self.breach(what);
        }
        // SAFETY: as above.
        unsafe { text::from_plugin(view, REASON_LIMIT) }.to_string()
    }

    /// The same of a text that has one line; a line feed at its end is allowed.
    ///
    /// # Safety
    /// The view is readable.
    unsafe fn line(&mut self, whose: &str, view: abi::Str) -> String {
        // SAFETY: the caller vouches for it.
        if unsafe { view.to_str() }.is_ok_and(|line| line.trim().contains(['\n', '\r'])) {
            self.breach(format!("{whose} has more than one line"));
        }
        // SAFETY: as above.
        unsafe { self.text(whose, view) }
    }
}

fn find(context: *const c_void) -> Option<Arc<Context>> {
    let found = lock(&RUNNING).get(&context.addr()).cloned();
    if found.is_none() {
        note_use();
    }
    found
}

unsafe extern "C" fn cancelled(context: *const c_void) -> u32 {
    find(context).map_or(1, |context| u32::from(context.cancel.is_cancelled()))
}

unsafe extern "C" fn report(context: *const c_void, first: u64, count: u64, outcome: *const abi::Outcome) {
    let Some(context) = find(context) else { return };
    let mut heard = lock(&context.heard);
    // SAFETY: the contract requires a readable outcome.
    let Some(outcome) = (unsafe { outcome.as_ref() }) else {
        return heard.breach("an outcome that was reported is null");
    };
    if !(abi::OUTCOME_DELIVERED..=abi::OUTCOME_TOO_LARGE).contains(&outcome.code) {
        heard.breach(format!("the outcome code {} is unknown: hosts take it for a retry", outcome.code));
    }
    if outcome.reserved != 0 {
        heard.breach("a reserved member of an outcome is not 0");
    }
    // SAFETY: the contract requires a readable reason.
    let reason = unsafe { heard.line("the reason of an outcome", outcome.reason) };
    let bounded = abi::Outcome { reason: abi::Str::new(&reason), ..*outcome };
    // SAFETY: the reason is a string of this function.
    let outcome = unsafe { Outcome::from_abi(&bounded) };
    let len = heard.outcomes.len() as u64;
    if first.checked_add(count).is_none_or(|end| end > len) {
        heard.breach(format!("outcomes of the events {first} to {}, of {len}", first.saturating_add(count)));
    }
    let (first, end) = (first.min(len) as usize, first.saturating_add(count).min(len) as usize);
    for event in &mut heard.outcomes[first..end] {
        *event = Some(outcome.clone());
    }
}

unsafe extern "C" fn explain(context: *const c_void, subject: abi::Str, message: abi::Str) {
    let Some(context) = find(context) else { return };
    let mut heard = lock(&context.heard);
    // SAFETY: the contract requires readable text.
    let (subject, message) = unsafe {
        (heard.text("the subject of `explain`", subject), heard.text("the message of `explain`", message))
    };
    heard.explained = Some((subject, message));
}

/// The function of a preview's sink.
pub(super) unsafe extern "C" fn preview_message(
    context: *const c_void,
    label: abi::Str,
    bytes: *const u8,
    len: usize,
) {
    let Some(context) = find(context) else { return };
    let mut heard = lock(&context.heard);
    // SAFETY: the contract requires readable text.
    let label = unsafe { heard.line("the label of a preview", label) };
    if bytes.is_null() && len > 0 {
        heard.breach("the bytes of a preview are null and have a length");
    }
    heard.previewed.1 += len;
    if heard.previewed.0.len() < 1000 {
        heard.previewed.0.push(label);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::late::late_uses;

    fn terms() -> Terms {
        Terms::new(Duration::from_secs(1))
    }

    #[test]
    fn a_reason_is_one_line_and_a_long_one_is_cut() {
        let long = "x".repeat(5 << 20);
        for (reason, breaches) in [("one line\n", 0), ("two\nlines", 1), (&*long, 0)] {
            let answer = during(&terms(), 1, |call| {
                let retry = abi::Outcome { reason: abi::Str::new(reason), ..outcome(abi::OUTCOME_RETRY) };
                // SAFETY: the call and the outcome live as long as this closure runs.
                unsafe { ((*call).report)((*call).context, 0, 1, &raw const retry) };
                abi::STATUS_OK
            });
            assert_eq!(answer.breaches.len(), breaches, "{:?}", answer.breaches);
            let Some(Some(Outcome::Retry { reason, .. })) = answer.outcomes.first() else {
                panic!("{answer:?}")
            };
            assert!(reason.len() <= REASON_LIMIT + '…'.len_utf8());
        }
    }

    fn outcome(code: u32) -> abi::Outcome {
        abi::Outcome { code, reserved: 0, retry_after_ms: 0, reason: abi::Str::EMPTY }
    }

    #[test]
    fn reports_of_a_call_are_kept_and_breaches_named() {
        let answer = during(&terms(), 3, |call| {
            // SAFETY: the call lives as long as this closure runs, and the outcomes are readable.
            unsafe {
                let call = &*call;
                (call.report)(call.context, 0, 2, &raw const *Box::leak(Box::new(outcome(1))));
                (call.report)(call.context, 2, 2, &raw const *Box::leak(Box::new(outcome(77))));
                (call.report)(call.context, u64::MAX, 2, ptr::null());
                (call.explain)(call.context, abi::Str::new("key"), abi::Str::new("why"));
            }
            abi::STATUS_FAILED
        });
        assert_eq!(answer.outcomes[..2], [Some(Outcome::Delivered), Some(Outcome::Delivered)]);
        assert!(matches!(answer.outcomes[2], Some(Outcome::Retry { .. })));
        assert_eq!(answer.explained, Some(("key".to_owned(), "why".to_owned())));
        let expected = ["the outcome code 77 is unknown", "outcomes of the events 2 to 4, of 3", "is null"];
        assert_eq!(answer.breaches.len(), expected.len(), "{:?}", answer.breaches);
        for (breach, part) in answer.breaches.iter().zip(expected) {
            assert!(breach.contains(part), "{breach}");
        }
    }

    #[test]
    fn a_returned_call_is_cancelled_and_its_late_use_counted() {
        let (mut cancelled_during, mut kept) = (1, None);
        let _ = during(&terms(), 1, |call| {
            // SAFETY: as above.
            let call = unsafe { *call };
            // SAFETY: as above.
            cancelled_during = unsafe { (call.cancelled)(call.context) };
            kept = Some(call);
            abi::STATUS_OK
        });
        let (call, before) = (kept.unwrap(), late_uses());
        // SAFETY: the context of an ended call is a number.
        let cancelled_after = unsafe { (call.cancelled)(call.context) };
        assert_eq!((cancelled_during, cancelled_after), (0, 1));
        assert!(late_uses() > before);
    }
}
