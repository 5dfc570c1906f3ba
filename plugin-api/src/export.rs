//! The boundary on the plugin's side: the functions that [`export!`](crate::export!) puts into a plugin's tables. Every
//! exported function runs its body in `guard`, which catches panics, and checks each pointer once before it becomes a
//! reference.

use std::{
    cell::{Cell, RefCell},
    ffi::c_void,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_core::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

pub use crate::abi::{BackendTable, Descriptor, Str, TableEntry, Tables};
use crate::{
    abi,
    abi::Status,
    backend::{Backend, Error},
    call::{Call, Outcome, Outcomes},
    config,
    event::Batch,
    host::{Host, install_log},
    layout::DIGEST,
};

/// The configuration of a backend that has no options.
#[derive(Debug)]
pub struct NoConfig {}

// By hand: a plugin without options needs no code generator.
impl<'de> Deserialize<'de> for NoConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("NoConfig", &[], NoOptions)
    }
}

struct NoOptions;

impl<'de> Visitor<'de> for NoOptions {
    type Value = NoConfig;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a table without keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NoConfig, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(NoConfig {})
    }
}

/// The value behind an [`abi::Instance`] pointer of a Rust plugin.
struct Instance<B> {
    backend: B,
    closed: AtomicBool,
}

/// A descriptor or table in a static. Its pointers point to constants or other statics.
#[doc(hidden)]
#[repr(transparent)]
pub struct Shared<T>(pub T);

// SAFETY: only `export!` makes it, of a descriptor that is never written, nor is anything that it points to.
unsafe impl<T> Sync for Shared<T> {}

/// The backend table of `B` in a library of its own.
#[doc(hidden)]
#[must_use]
pub const fn table<B: Backend>() -> BackendTable {
    table_with::<B>(open_in_library::<B>)
}

/// The backend table of `B` in the host's own program. It does not touch the program's `tracing` and panic hook.
#[doc(hidden)]
#[must_use]
pub const fn static_table<B: Backend>() -> BackendTable {
    table_with::<B>(open::<B>)
}

/// An instance around a value of the host's own program, for its [`static_table`].
#[doc(hidden)]
#[must_use]
pub fn instance<B: Backend>(backend: B) -> *mut abi::Instance {
    Box::into_raw(Box::new(Instance { backend, closed: AtomicBool::new(false) })).cast()
}

type Open = unsafe extern "C" fn(*const abi::Host, Str, *const abi::Call, *mut *mut abi::Instance) -> Status;

const fn table_with<B: Backend>(open: Open) -> BackendTable {
    BackendTable {
        size: size_of::<BackendTable>() as u32,
        flags: if B::SERIAL { abi::BACKEND_SERIAL } else { 0 },
        open,
        send: send::<B>,
        close: close::<B>,
        free: free::<B>,
    }
}

/// The pointer to a static table, for a descriptor's list.
#[doc(hidden)]
#[must_use]
pub const fn erased<T>(table: &'static T) -> *const c_void {
    (&raw const *table).cast()
}

/// The descriptor over `metadata` and `tables`.
#[doc(hidden)]
#[must_use]
pub const fn descriptor(metadata: &'static [u8], tables: &'static [TableEntry]) -> Descriptor {
    Descriptor {
        magic: abi::MAGIC,
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        size: size_of::<Descriptor>() as u32,
        reserved: 0,
        digest: DIGEST,
        metadata: Str { ptr: metadata.as_ptr(), len: metadata.len() },
        tables: Tables { ptr: tables.as_ptr(), len: tables.len() },
        layouts: crate::layout::pointer(),
    }
}

unsafe extern "C" fn open<B: Backend>(
    host: *const abi::Host,
    config: Str,
    call: *const abi::Call,
    out: *mut *mut abi::Instance,
) -> Status {
    // SAFETY: the contract of `BackendTable::open`: a host that lives as long as the process, a live call and config.
    let (host, call, config) = unsafe { (Host::from_abi(host), Call::from_abi(call), config.to_str()) };
    let (Some(host), Some(call), Ok(config), false) = (host, call, config, out.is_null()) else {
        return abi::STATUS_INVALID_ARGUMENT;
    };
    guard(&call, || {
        let backend = B::open(config::parse(config)?, host, &call)?;
        // SAFETY: the contract of `BackendTable::open`: `out` takes one pointer; it was checked not to be null.
        unsafe { out.write(instance(backend)) };
        Ok(())
    })
}

/// [`open`] for a library that has a `tracing` and a panic hook of its own.
unsafe extern "C" fn open_in_library<B: Backend>(
    host: *const abi::Host,
    config: Str,
    call: *const abi::Call,
    out: *mut *mut abi::Instance,
) -> Status {
    install_panic_hook();
    // SAFETY: the contract of `BackendTable::open`: a host that lives as long as the process.
    if let Some(host) = unsafe { Host::from_abi(host) } {
        install_log(host);
    }
    // SAFETY: the same contract, passed on.
    unsafe { open::<B>(host, config, call, out) }
}

unsafe extern "C" fn send<B: Backend>(
    instance: *const abi::Instance,
    batch: *const abi::Batch,
    call: *const abi::Call,
) -> Status {
    // SAFETY: the contract of `BackendTable::send`: an instance that `open` made, a live batch and call.
    let (backend, batch, call) =
        unsafe { (backend::<B>(instance), Batch::from_abi(batch), Call::from_abi(call)) };
    let (Some(backend), Some(batch), Some(call)) = (backend, batch, call) else {
        return abi::STATUS_INVALID_ARGUMENT;
    };
    guard(&call, || {
        report(&call, batch.len(), backend?.send(&batch, &call));
        Ok(())
    })
}

/// The backend behind an instance, unless it is closed; `None` for null.
///
/// # Safety
/// `instance` is null, or an instance that `open` of the same `B` made and `free` has not taken.
pub(crate) unsafe fn backend<'a, B: Backend>(instance: *const abi::Instance) -> Option<Result<&'a B, Error>> {
    // SAFETY: the caller guarantees it.
    let instance = unsafe { instance.cast::<Instance<B>>().as_ref() }?;
    Some(if instance.closed.load(Ordering::Acquire) {
        Err(Error::failed("the backend is closed"))
    } else {
        Ok(&instance.backend)
    })
}

/// Reports the outcomes that `send` has returned for so many events.
pub(crate) fn report(call: &Call<'_>, events: usize, outcomes: Outcomes) {
    match outcomes {
        Outcomes::All(outcome) => call.report(0..events, &outcome),
        Outcomes::Each(outcomes) => report_each(call, &outcomes),
        Outcomes::Reported => {}
    }
}

/// Reports the outcomes. Equal neighbours become one report.
fn report_each(call: &Call<'_>, outcomes: &[Outcome]) {
    let mut first = 0;
    for run in outcomes.chunk_by(|a, b| a == b) {
        call.report(first..first + run.len(), &run[0]);
        first += run.len();
    }
}

unsafe extern "C" fn close<B: Backend>(instance: *const abi::Instance, call: *const abi::Call) -> Status {
    // SAFETY: the contract of `BackendTable::close`: an instance that `open` made, a live call.
    let (instance, call) = unsafe { (instance.cast::<Instance<B>>().as_ref(), Call::from_abi(call)) };
    let (Some(instance), Some(call)) = (instance, call) else {
        return abi::STATUS_INVALID_ARGUMENT;
    };
    guard(&call, || {
        if instance.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        instance.backend.close(&call)
    })
}

unsafe extern "C" fn free<B: Backend>(instance: *mut abi::Instance) -> Status {
    if instance.is_null() {
        return abi::STATUS_INVALID_ARGUMENT;
    }
    let dropped = contain(|| {
        // SAFETY: the contract of `BackendTable::free`: an instance that `open` made, with no other call on it.
        drop(unsafe { Box::from_raw(instance.cast::<Instance<B>>()) });
    });
    if dropped.is_ok() { abi::STATUS_OK } else { abi::STATUS_PANIC }
}

/// Runs the body of an exported function that answers by a number, and a text for the user.
///
/// # Safety
/// `instance` as in [`backend`], `call` as in [`Call::from_abi`]; `answer` is null or takes one number.
pub(crate) unsafe fn answer<B: Backend>(
    instance: *const abi::Instance,
    call: *const abi::Call,
    answer: *mut u32,
    body: impl FnOnce(&B, &Call<'_>) -> (u32, String),
) -> Status {
    // SAFETY: the caller guarantees it.
    let (backend, call) = unsafe { (backend::<B>(instance), Call::from_abi(call)) };
    let (Some(backend), Some(call), false) = (backend, call, answer.is_null()) else {
        return abi::STATUS_INVALID_ARGUMENT;
    };
    guard(&call, || {
        let (number, text) = body(backend?, &call);
        call.explain("", &text);
        // SAFETY: the caller guarantees that `answer` takes one number; it was checked not to be null.
        unsafe { answer.write(number) };
        Ok(())
    })
}

/// Runs the body of one exported function: a panic and an error become a status, and `explain` says why.
pub(crate) fn guard(call: &Call<'_>, body: impl FnOnce() -> Result<(), Error>) -> Status {
    match contain(body) {
        Ok(Ok(())) => abi::STATUS_OK,
        Ok(Err(error)) => {
            call.explain(&error.subject, &error.message);
            error.status
        }
        Err(panic) => {
            call.explain(&panic.position, &panic.message);
            abi::STATUS_PANIC
        }
    }
}

/// A panic that was caught.
struct Panic {
    message: String,
    position: String,
}

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
    static LAST_POSITION: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `body` and catches its panic. The host discards the instance, so its inconsistent state is not used again.
fn contain<R>(body: impl FnOnce() -> R) -> Result<R, Panic> {
    CONTAINED.set(true);
    let result = catch_unwind(AssertUnwindSafe(body));
    CONTAINED.set(false);
    result.map_err(|payload| {
        let text = payload.downcast::<String>().map(|text| *text);
        let text = text.or_else(|other| other.downcast::<&str>().map(|text| (*text).to_owned()));
        let message = text.unwrap_or_else(|other| {
            // A payload that is no text may panic when it is dropped, and nothing would catch that panic.
            std::mem::forget(other);
            "(a panic without a message)".to_owned()
        });
        Panic { message, position: LAST_POSITION.take() }
    })
}

/// Installs a panic hook that prints nothing for a caught panic, and stores where it happened. Panics of other threads
/// go to the hook that was there before.
fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if CONTAINED.get() {
                LAST_POSITION.set(info.location().map(ToString::to_string).unwrap_or_default());
            } else {
                before(info);
            }
        }));
    });
}

/// Exports a [`Backend`] as this library's plugin: its descriptor, tables and metadata section.
///
/// Its arguments are those of [`plugin!`](crate::plugin!), or the path of what that macro has made in another crate:
/// `export!(jackfield_http::PLUGIN)`. The symbol is defined by this macro alone, so a crate that programs are to be linked
/// with calls `plugin!`.
#[macro_export]
macro_rules! export {
    ($key:ident: $($rest:tt)*) => {
        const _: () = {
            $crate::plugin! { $key: $($rest)* }
            $crate::export!(PLUGIN);
        };
    };
    ($plugin:path) => {
        const _: () = {
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__jackfield"))]
            #[cfg_attr(windows, unsafe(link_section = ".jackfld"))]
            #[cfg_attr(
                not(any(target_vendor = "apple", windows)),
                unsafe(link_section = ".jackfield")
            )]
            #[used]
            static METADATA: [u8; $plugin.metadata().len()] = $plugin.copy_metadata();

            #[unsafe(export_name = "jackfield_plugin")]
            static DESCRIPTOR: $crate::export::Shared<$crate::export::Descriptor> =
                $crate::export::Shared($plugin.library_descriptor(&METADATA));
        };
    };
}
