//! The functions that a plugin may call during a call, from any thread. Each sends a record to the host.

use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use jackfield_plugin_api::{abi, diagnostics::PreviewSink};

use super::super::protocol::{LONGEST, Record, record};
use super::super::shared_memory::SharedMemory;
use super::super::system::ChildWaker;
use crate::boundary::process::lock;
use crate::boundary::text::{self, REASON_LIMIT};

/// The low bits of a context are the index of the channel, the others the number of the call.
const PLACE_BITS: u32 = 5;

/// The channels. They are never freed, because a plugin may use a context late.
static PLACES: OnceLock<Vec<ChannelEnd>> = OnceLock::new();

pub(super) struct ChannelEnd {
    pub(super) waker: ChildWaker,
    out: Mutex<Out>,
    /// The context of the running call, or 0.
    current: AtomicUsize,
}

pub(super) struct Out {
    pub(super) memory: SharedMemory,
    /// Number of bytes put into the ring so far.
    put: u64,
    /// Number of bytes of the preview so far. Past the host's limit, only lengths are passed on.
    shown: usize,
}

pub(super) fn install(ends: Vec<(ChildWaker, SharedMemory)>) -> &'static [ChannelEnd] {
    PLACES.get_or_init(|| {
        let place = |(waker, memory)| ChannelEnd {
            waker,
            out: Mutex::new(Out { memory, put: 0, shown: 0 }),
            current: AtomicUsize::new(0),
        };
        ends.into_iter().map(place).collect()
    })
}

impl ChannelEnd {
    pub(super) fn lock(&self) -> MutexGuard<'_, Out> {
        lock(&self.out)
    }

    pub(super) fn send(&self, record: &Record<'_>) {
        self.put(&mut self.lock(), record);
    }

    fn put(&self, out: &mut Out, record: &Record<'_>) {
        for mut bytes in [&record.head()[..], record.first, record.second] {
            while !bytes.is_empty() {
                let count = out.memory.put(out.put, bytes);
                out.put += count as u64;
                bytes = &bytes[count..];
                if count == 0 {
                    // The ring is full. To report room would cost the host a system call for each record.
                    self.wake(out);
                    std::thread::sleep(Duration::from_micros(50));
                }
            }
        }
        self.wake(out);
    }

    fn wake(&self, out: &Out) {
        if out.memory.wake_host() {
            self.waker.wake();
        }
    }

    /// Begins a call, and returns its context.
    pub(super) fn begin(&self, place: usize, number: u32) -> usize {
        let context = ((number as usize) << PLACE_BITS) | place | (1 << (usize::BITS - 1));
        self.lock().shown = 0;
        self.current.store(context, Ordering::Release);
        context
    }

    /// Ends the call: later callbacks have no effect.
    pub(super) fn end(&self) {
        // Under the lock, because a thread of the plugin could be writing a record.
        let _out = self.lock();
        self.current.store(0, Ordering::Release);
    }
}

/// The channel of the running call with this context, locked.
fn find(context: *const c_void) -> Option<(&'static ChannelEnd, MutexGuard<'static, Out>)> {
    let wanted = context.addr();
    let place = PLACES.get()?.get(wanted & ((1 << PLACE_BITS) - 1))?;
    let out = place.lock();
    (place.current.load(Ordering::Acquire) == wanted && wanted != 0).then_some((place, out))
}

pub(super) fn call(context: usize, timeout_ns: u64) -> abi::Call {
    abi::Call {
        size: size_of::<abi::Call>() as u32,
        reserved: 0,
        timeout_ns,
        context: std::ptr::without_provenance(context),
        cancelled,
        report,
        explain,
        tables: abi::Tables::EMPTY,
    }
}

pub(super) fn sink(context: usize) -> PreviewSink {
    PreviewSink {
        size: size_of::<PreviewSink>() as u32,
        reserved: 0,
        context: std::ptr::without_provenance(context),
        message,
    }
}

unsafe extern "C" fn cancelled(context: *const c_void) -> u32 {
    find(context).is_none_or(|(_, out)| out.memory.is_cancelled()).into()
}

unsafe extern "C" fn report(context: *const c_void, first: u64, count: u64, outcome: *const abi::Outcome) {
    // SAFETY: the contract requires null or a readable outcome.
    let Some(outcome) = (unsafe { outcome.as_ref() }) else { return };
    // SAFETY: as above, for the reason.
    let reason = unsafe { text::from_plugin(outcome.reason, REASON_LIMIT) };
    let Some((place, mut out)) = find(context) else { return };
    let record = Record {
        kind: record::REPORT,
        code: outcome.code,
        x: first,
        y: count,
        z: outcome.retry_after_ms,
        first: reason.as_bytes(),
        second: b"",
    };
    place.put(&mut out, &record);
}

unsafe extern "C" fn explain(context: *const c_void, subject: abi::Str, message: abi::Str) {
    // SAFETY: the contract requires readable text.
    let text = |text| unsafe { text::from_plugin(text, REASON_LIMIT) };
    let (subject, message) = (text(subject), text(message));
    let Some((place, mut out)) = find(context) else { return };
    let record = Record {
        kind: record::EXPLAIN,
        first: subject.as_bytes(),
        second: message.as_bytes(),
        ..Record::default()
    };
    place.put(&mut out, &record);
}

unsafe extern "C" fn message(context: *const c_void, label: abi::Str, bytes: *const u8, len: usize) {
    // SAFETY: as above.
    let label = unsafe { text::from_plugin(label, REASON_LIMIT) };
    let Some((place, mut out)) = find(context) else { return };
    out.shown = out.shown.saturating_add(len);
    let withheld = out.shown > LONGEST;
    let bytes = if bytes.is_null() || withheld {
        &[][..]
    } else {
        // SAFETY: the contract requires null or `len` readable bytes.
        unsafe { std::slice::from_raw_parts(bytes, len) }
    };
    let record = Record {
        kind: record::MESSAGE,
        // Exceeds the host's limit in any case.
        x: if withheld { u64::MAX } else { 0 },
        first: label.as_bytes(),
        second: bytes,
        ..Record::default()
    };
    place.put(&mut out, &record);
}
