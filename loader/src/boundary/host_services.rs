//! The host as a plugin sees it.
//!
//! The context of the services is a number and not a pointer, as that of a call is: a faulty plugin may pass anything. An
//! invented number finds no context, or at worst that of another backend.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use jackfield_plugin_api::abi;

use super::budget::Budget;
use super::log;
use super::process::lock;
use super::text::{self, LOG_MESSAGE_LIMIT, LOG_TARGET_LIMIT};

/// The host that `open` of a plugin gets, lent to one backend until its last instance is gone.
///
/// A plugin may use it while the process lives, also after `free`. So the memory is leaked, and lent again to
/// a later backend of the same name: the number of handles does not grow with the number of reloads.
pub(crate) struct HostHandle(&'static HostData);

/// The memory that the plugin sees.
struct HostData {
    raw: abi::Host,
    services: abi::HostServices,
    entry: abi::TableEntry,
    context: Context,
}

/// How many unused handles of one backend name stay cancelled. A thread that a plugin has left behind reads
/// that it is cancelled until so many later backends of that name are closed.
const RESTING: usize = 4;

/// The handles of this process.
struct Handles {
    /// Those that are not lent, in the order of their return.
    resting: Vec<&'static HostData>,
    count: usize,
    bytes: usize,
}

static HANDLES: Mutex<Handles> = Mutex::new(Handles { resting: Vec::new(), count: 0, bytes: 0 });

/// How many host handles this process has made for plugins, and their bytes. They stay until it ends.
#[must_use]
pub fn host_handles() -> (usize, usize) {
    let handles = lock(&HANDLES);
    (handles.count, handles.bytes)
}

/// The contexts by their numbers: in the place K those from 2^K on. No place is ever written again, so a look waits for
/// nothing, not even in a forked process.
static CONTEXTS: [OnceLock<Box<[OnceLock<&'static Context>]>>; 32] = [const { OnceLock::new() }; 32];

/// The bit by which a context differs from that of a call.
const OF_HOST: usize = 1 << (usize::BITS - 1);

struct Context {
    backend: String,
    tool_name: String,
    tool_version: String,
    cancelled: AtomicBool,
    log: Mutex<Budget>,
}

impl Context {
    fn is_of(&self, backend: &str, tool_name: &str, tool_version: &str) -> bool {
        (&*self.backend, &*self.tool_name, &*self.tool_version) == (backend, tool_name, tool_version)
    }
}

// SAFETY: the pointers lead into the leaked memory itself. Only the atomic is written again.
unsafe impl Send for HostData {}
// SAFETY: as above.
unsafe impl Sync for HostData {}

impl HostHandle {
    pub(crate) fn lend(backend: &str, tool_name: &str, tool_version: &str) -> Self {
        let mut handles = lock(&HANDLES);
        let is_of = |data: &HostData| data.context.is_of(backend, tool_name, tool_version);
        let mut resting = handles.resting.iter().enumerate().filter(|(_, data)| is_of(data));
        if let Some((oldest, _)) = resting.next()
            && resting.count() >= RESTING
        {
            let data = handles.resting.remove(oldest);
            data.context.cancelled.store(false, Ordering::Release);
            return Self(data);
        }
        handles.count += 1;
        handles.bytes += size_of::<HostData>() + backend.len() + tool_name.len() + tool_version.len();
        Self(HostData::leak(handles.count, backend, tool_name, tool_version))
    }

    pub(crate) fn as_ptr(&self) -> *const abi::Host {
        &raw const self.0.raw
    }

    /// Tells the plugin's own threads that the host is done with this backend.
    pub(crate) fn cancel(&self) {
        self.0.context.cancelled.store(true, Ordering::Release);
    }
}

impl Drop for HostHandle {
    fn drop(&mut self) {
        self.cancel();
        log::emit_left_out(&self.0.context.log, &self.0.context.backend);
        lock(&HANDLES).resting.push(self.0);
    }
}

impl HostData {
    /// `number` is above 0 and that of no other context.
    fn leak(number: usize, backend: &str, tool_name: &str, tool_version: &str) -> &'static Self {
        let context = Context {
            backend: backend.to_owned(),
            tool_name: tool_name.to_owned(),
            tool_version: tool_version.to_owned(),
            cancelled: AtomicBool::new(false),
            log: Mutex::new(log::budget()),
        };
        let data = Box::leak(Box::new(Self {
            raw: abi::Host {
                size: size_of::<abi::Host>() as u32,
                abi_major: abi::ABI_MAJOR,
                abi_minor: abi::ABI_MINOR,
                reserved: 0,
                tables: abi::Tables::EMPTY,
            },
            services: abi::HostServices {
                size: size_of::<abi::HostServices>() as u32,
                reserved: 0,
                context: std::ptr::null(),
                tool_name: abi::Str::EMPTY,
                tool_version: abi::Str::EMPTY,
                backend_name: abi::Str::EMPTY,
                log_enabled,
                log: log_record,
                cancelled,
            },
            entry: abi::TableEntry { id: abi::HOST_TABLE_SERVICES, reserved: 0, table: std::ptr::null() },
            context,
        }));
        // The address is final now, so that the parts can point to each other.
        data.services.context = std::ptr::without_provenance(number ^ OF_HOST);
        data.services.tool_name = abi::Str::new(&data.context.tool_name);
        data.services.tool_version = abi::Str::new(&data.context.tool_version);
        data.services.backend_name = abi::Str::new(&data.context.backend);
        data.entry.table = (&raw const data.services).cast();
        data.raw.tables = abi::Tables { ptr: &raw const data.entry, len: 1 };
        let data: &'static Self = data;
        let (chunk, place) = place(number);
        let chunk = CONTEXTS[chunk].get_or_init(|| (0..1 << chunk).map(|_| OnceLock::new()).collect());
        let _ = chunk[place].set(&data.context);
        data
    }
}

/// Where the context with this number is. The number is above 0.
const fn place(number: usize) -> (usize, usize) {
    let chunk = number.ilog2() as usize;
    (chunk, number - (1 << chunk))
}

/// The context of this number, if there is one.
fn find(context: *const c_void) -> Option<&'static Context> {
    let number = context.addr() ^ OF_HOST;
    let (chunk, place) = if number == 0 { return None } else { place(number) };
    CONTEXTS.get(chunk)?.get()?.get(place)?.get().copied()
}

unsafe extern "C" fn log_enabled(_context: *const c_void, level: u32, target: abi::Str) -> u32 {
    // A panic of a subscriber must not unwind into the plugin.
    catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: the contract requires readable text.
        let target = unsafe { text::from_plugin(target, LOG_TARGET_LIMIT) };
        u32::from(log::enabled(level, &target))
    }))
    .unwrap_or(0)
}

unsafe extern "C" fn log_record(ctx: *const c_void, record: *const abi::LogRecord) {
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let Some(context) = find(ctx) else { return };
        // SAFETY: the contract requires null or a readable record.
        let Some(record) = (unsafe { record.as_ref() }) else { return };
        // SAFETY: as above, for the record's strings.
        let target = unsafe { text::from_plugin(record.target, LOG_TARGET_LIMIT) };
        // SAFETY: as above.
        let message = || unsafe { text::from_plugin(record.message, LOG_MESSAGE_LIMIT) };
        log::emit_within(&context.log, record.level, &target, &context.backend, message);
    }));
}

/// A backend that nobody knows counts as cancelled.
unsafe extern "C" fn cancelled(ctx: *const c_void) -> u32 {
    find(ctx).map_or(1, |context| u32::from(context.cancelled.load(Ordering::Acquire)))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use jackfield_plugin_api::Host;
    use tracing_core::dispatcher::with_default;
    use tracing_core::field::Visit;
    use tracing_core::span::{Attributes, Id, Record};
    use tracing_core::{Dispatch, Event, Field, Metadata, Subscriber};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<(String, String)>>>);

    impl Visit for Kept {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            if field.name() == "message" {
                self.0.lock().unwrap().last_mut().unwrap().1 = format!("{value:?}");
            }
        }
    }

    impl Subscriber for Kept {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn event(&self, event: &Event<'_>) {
            self.0.lock().unwrap().push((event.metadata().target().to_owned(), String::new()));
            event.record(&mut self.clone());
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_log_record_becomes_one_bounded_line() {
        let handle = HostHandle::lend("events", "tool", "1.2.3");
        let (target, message) = ("t\n".repeat(10_000), "m\u{1b}".repeat(100_000));
        let record = abi::LogRecord {
            level: abi::LEVEL_ERROR,
            line: 0,
            target: abi::Str::new(&target),
            file: abi::Str::EMPTY,
            message: abi::Str::new(&message),
        };
        let kept = Kept::default();
        with_default(&Dispatch::new(kept.clone()), || {
            // SAFETY: the handle is leaked, and the record is readable.
            unsafe { (handle.0.services.log)(handle.0.services.context, &raw const record) };
        });
        let lines = kept.0.lock().unwrap();
        let [(target, message)] = &lines[..] else { panic!("{} records", lines.len()) };
        assert!(target.starts_with("t\\nt\\n") && target.ends_with('…'), "{target}");
        assert!(message.starts_with("m\\u{1b}m\\u{1b}") && message.ends_with('…'));
        assert!(!target.contains('\n') && !message.contains('\u{1b}'));
        let ellipsis = '…'.len_utf8();
        assert!(target.len() <= 256 + ellipsis && message.len() <= (16 << 10) + ellipsis);
    }

    #[test]
    #[cfg_attr(miri, ignore = "it would take minutes")]
    fn a_flood_of_log_records_is_cut_off_and_counted() {
        let handle = HostHandle::lend("floods", "tool", "1.2.3");
        let record = abi::LogRecord {
            level: abi::LEVEL_ERROR,
            line: 0,
            target: abi::Str::new("t"),
            file: abi::Str::EMPTY,
            message: abi::Str::EMPTY,
        };
        let kept = Kept::default();
        with_default(&Dispatch::new(kept.clone()), || {
            for _ in 0..61_000 {
                // SAFETY: the handle is leaked, and the record is readable.
                unsafe { (handle.0.services.log)(handle.0.services.context, &raw const record) };
            }
            drop(handle);
        });
        let lines = kept.0.lock().unwrap();
        let Some(((_, last), shown)) = lines.split_last() else { panic!("no records") };
        assert!(shown.len() < 5000, "{} records", shown.len());
        assert!(last.contains(&format!("in {} lines", 61_000 - shown.len())), "{last}");
    }

    #[test]
    fn an_invented_context_of_the_host_finds_nothing() {
        let handle = HostHandle::lend("events", "tool", "1.2.3");
        let services = &handle.0.services;
        let record = abi::LogRecord {
            level: abi::LEVEL_ERROR,
            line: 0,
            target: abi::Str::new("t"),
            file: abi::Str::EMPTY,
            message: abi::Str::new("m"),
        };
        let kept = Kept::default();
        let of_number = |number: usize| std::ptr::without_provenance::<c_void>(number);
        with_default(&Dispatch::new(kept.clone()), || {
            for context in [
                of_number(0),
                of_number(usize::MAX),
                of_number(OF_HOST),
                of_number(OF_HOST | 0x7fff_ffff),
                // The number of a call, perhaps.
                of_number(services.context.addr() ^ OF_HOST),
                (&raw const kept).cast(),
                (&raw const handle.0.context).cast(),
            ] {
                // SAFETY: any context is allowed, and the record is readable.
                unsafe {
                    (services.log)(context, &raw const record);
                    assert_eq!((services.cancelled)(context), 1, "{context:?}");
                }
            }
            assert!(kept.0.lock().unwrap().is_empty());
            // SAFETY: as above.
            unsafe { (services.log)(services.context, &raw const record) };
        });
        assert_eq!(kept.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn each_number_has_a_place_of_its_own() {
        assert_eq!([1, 2, 3, 4, 7, 8].map(place), [(0, 0), (1, 0), (1, 1), (2, 0), (2, 3), (3, 0)]);
    }

    #[test]
    fn a_plugin_sees_the_tool_the_backend_and_the_cancellation() {
        let handle = HostHandle::lend("events", "tool", "1.2.3");
        // SAFETY: the handle is leaked.
        let host = unsafe { Host::from_abi(handle.as_ptr()) }.unwrap();
        assert_eq!((host.backend_name(), host.tool_name(), host.tool_version()), ("events", "tool", "1.2.3"));
        assert!(!host.is_cancelled());
        handle.cancel();
        assert!(host.is_cancelled());
    }

    #[test]
    fn a_handle_is_lent_again_once_it_has_rested_and_never_to_another_backend() {
        let [mut seen, mut others] = [Vec::new(), Vec::new()];
        for life in 0..100 {
            let handle = HostHandle::lend("rests", "tool", "1");
            // SAFETY: a leaked handle.
            let host = unsafe { Host::from_abi(handle.as_ptr()) }.unwrap();
            assert!(!host.is_cancelled(), "life {life}");
            if !seen.contains(&handle.as_ptr()) {
                seen.push(handle.as_ptr());
            }
            drop(handle);
            assert!(host.is_cancelled(), "for whoever has kept it");
            assert_eq!(host.backend_name(), "rests");
            let other = HostHandle::lend("rests", "tool", "2");
            others.push(other.as_ptr());
        }
        assert_eq!(seen.len(), RESTING + 1);
        assert!(seen.iter().all(|handle| !others.contains(handle)));
    }
}
