//! The host as a plugin sees it.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use jackfield_plugin_api::abi;

use super::log;
use super::text::{self, LOG_MESSAGE_LIMIT, LOG_TARGET_LIMIT};

/// The host that `open` gets. It is leaked (some 300 bytes): a plugin may keep it while the process lives.
pub(crate) struct HostHandle {
    raw: abi::Host,
    services: abi::HostServices,
    entry: abi::TableEntry,
    context: Context,
}

struct Context {
    backend: String,
    tool_name: String,
    tool_version: String,
    cancelled: AtomicBool,
}

// SAFETY: the pointers lead into the leaked handle itself. Only the atomic is written again.
unsafe impl Send for HostHandle {}
// SAFETY: as above.
unsafe impl Sync for HostHandle {}

impl HostHandle {
    pub(crate) fn leak(backend: &str, tool_name: &str, tool_version: &str) -> &'static Self {
        let context = Context {
            backend: backend.to_owned(),
            tool_name: tool_name.to_owned(),
            tool_version: tool_version.to_owned(),
            cancelled: AtomicBool::new(false),
        };
        let handle = Box::leak(Box::new(Self {
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
        handle.services.context = (&raw const handle.context).cast();
        handle.services.tool_name = abi::Str::new(&handle.context.tool_name);
        handle.services.tool_version = abi::Str::new(&handle.context.tool_version);
        handle.services.backend_name = abi::Str::new(&handle.context.backend);
        handle.entry.table = (&raw const handle.services).cast();
        handle.raw.tables = abi::Tables { ptr: &raw const handle.entry, len: 1 };
        handle
    }

    pub(crate) fn as_ptr(&'static self) -> *const abi::Host {
        &raw const self.raw
    }

    /// Tells the plugin's own threads that the host is done with this backend.
    pub(crate) fn cancel(&self) {
        self.context.cancelled.store(true, Ordering::Release);
    }
}

/// # Safety
/// `context` is that of a leaked [`HostHandle`].
unsafe fn context(context: *const c_void) -> &'static Context {
    // SAFETY: the caller vouches for it, and the handle is never freed.
    unsafe { &*context.cast::<Context>() }
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
        // SAFETY: the contract requires the context of these services and a readable record.
        let (context, record) = unsafe { (context(ctx), record.as_ref()) };
        let Some(record) = record else { return };
        // SAFETY: as above, for the record's strings.
        let target = unsafe { text::from_plugin(record.target, LOG_TARGET_LIMIT) };
        // SAFETY: as above.
        let message = || unsafe { text::from_plugin(record.message, LOG_MESSAGE_LIMIT) };
        log::emit(record.level, &target, &context.backend, message);
    }));
}

unsafe extern "C" fn cancelled(ctx: *const c_void) -> u32 {
    // SAFETY: as above.
    u32::from(unsafe { context(ctx) }.cancelled.load(Ordering::Acquire))
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
        let handle = HostHandle::leak("events", "tool", "1.2.3");
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
            unsafe { (handle.services.log)(handle.services.context, &raw const record) };
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
    fn a_plugin_sees_the_tool_the_backend_and_the_cancellation() {
        let handle = HostHandle::leak("events", "tool", "1.2.3");
        // SAFETY: the handle is leaked.
        let host = unsafe { Host::from_abi(handle.as_ptr()) }.unwrap();
        assert_eq!((host.backend_name(), host.tool_name(), host.tool_version()), ("events", "tool", "1.2.3"));
        assert!(!host.is_cancelled());
        handle.cancel();
        assert!(host.is_cancelled());
    }
}
