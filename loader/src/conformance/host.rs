//! The plugin's view: the terms of a call, and the hosts of several versions with their batches.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jackfield_plugin_api::abi;

use crate::boundary::batch::{Batch, strings_mut};

/// The version of the host that a plugin sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKind {
    /// This version.
    #[default]
    Today,
    /// The first version: ABI minor 0, no optional tables, no log records wanted, and empty names.
    Older,
    /// A later version: a larger ABI minor, unknown tables in each list of tables, unknown bits of events.
    Newer,
}

/// The terms of a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Terms {
    /// The time limit of the call.
    pub timeout: Duration,
    /// Cancels the call.
    pub cancel: Cancel,
    /// The host that calls.
    pub host: HostKind,
    /// The form of empty strings and lists.
    pub empty: Empty,
}

impl Terms {
    /// The terms of a call by this version's host that may take `timeout`.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self { timeout, cancel: Cancel::default(), host: HostKind::Today, empty: Empty::AsIs }
    }

    /// Sets the host.
    #[must_use]
    pub fn host(mut self, host: HostKind) -> Self {
        self.host = host;
        self
    }

    /// Sets how empty strings and lists are written.
    #[must_use]
    pub fn empty(mut self, empty: Empty) -> Self {
        self.empty = empty;
        self
    }
}

/// The form of empty strings and lists. Without a length, the contract gives the pointer no meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Empty {
    /// As this version of the host writes them.
    #[default]
    AsIs,
    /// As null.
    Null,
    /// As an invalid address.
    Dangling,
}

/// Cancels a call.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Cancels the call.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

struct Handle {
    host: abi::Host,
    _services: &'static abi::HostServices,
}

// SAFETY: what it points to is leaked and never written again.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// The pointer for `open`, valid as long as the process lives.
pub(super) fn of(kind: HostKind) -> *const abi::Host {
    static HOSTS: [OnceLock<Handle>; 3] = [const { OnceLock::new() }; 3];
    let (handle, minor, texts) = match kind {
        HostKind::Today => (
            &HOSTS[0],
            abi::ABI_MINOR,
            [abi::Str::new("jackfield-check"), abi::Str::new("1.0.0"), abi::Str::new("check")],
        ),
        HostKind::Older => (&HOSTS[1], 0, [abi::Str::EMPTY; 3]),
        HostKind::Newer => (
            &HOSTS[2],
            abi::ABI_MINOR + 99,
            [abi::Str::new("jackfield-check"), abi::Str::new("99.0.0"), abi::Str::new("check")],
        ),
    };
    let make = || {
        let services: &'static abi::HostServices = Box::leak(Box::new(abi::HostServices {
            size: size_of::<abi::HostServices>() as u32,
            reserved: 0,
            context: ptr::without_provenance(kind as usize),
            tool_name: texts[0],
            tool_version: texts[1],
            backend_name: texts[2],
            log_enabled,
            log,
            cancelled,
        }));
        let entry = |id, table| abi::TableEntry { id, reserved: 0, table };
        let own = entry(abi::HOST_TABLE_SERVICES, ptr::from_ref(services).cast());
        let tables: &'static [abi::TableEntry] = if kind == HostKind::Newer {
            let unknown: *const c_void = (&raw const UNKNOWN).cast();
            Box::leak(Box::new([
                entry(70_001, unknown),
                own,
                entry(70_002, ptr::null()),
                entry(70_003, unknown),
            ]))
        } else {
            Box::leak(Box::new([own]))
        };
        let tables = abi::Tables { ptr: tables.as_ptr(), len: tables.len() };
        let size = size_of::<abi::Host>() as u32;
        let host = abi::Host { size, abi_major: abi::ABI_MAJOR, abi_minor: minor, reserved: 0, tables };
        Handle { host, _services: services }
    };
    &raw const handle.get_or_init(make).host
}

/// The tables of a call or a batch: none, or tables with unknown ids.
pub(super) fn further_tables(kind: HostKind) -> abi::Tables {
    struct Entries([abi::TableEntry; 2]);
    // SAFETY: the entries point to a static that is never written.
    unsafe impl Sync for Entries {}
    static ENTRIES: Entries = Entries([
        abi::TableEntry { id: 70_004, reserved: 0, table: (&raw const UNKNOWN).cast() },
        abi::TableEntry { id: 70_005, reserved: 0, table: ptr::null() },
    ]);
    match kind {
        HostKind::Newer => abi::Tables { ptr: ENTRIES.0.as_ptr(), len: ENTRIES.0.len() },
        HostKind::Today | HostKind::Older => abi::Tables::EMPTY,
    }
}

/// The content of an unknown table: its size, then arbitrary bytes.
static UNKNOWN: [u64; 4] = [32, u64::MAX, u64::MAX, u64::MAX];

/// The first version wants no record.
unsafe extern "C" fn log_enabled(context: *const c_void, _level: u32, _target: abi::Str) -> u32 {
    u32::from(context.addr() != HostKind::Older as usize)
}

unsafe extern "C" fn log(_context: *const c_void, record: *const abi::LogRecord) {
    // SAFETY: the contract requires a readable record.
    let Some(record) = (unsafe { record.as_ref() }) else { return };
    for text in [record.target, record.file, record.message] {
        // SAFETY: as above, for the record's texts.
        let _ = std::hint::black_box(unsafe { text.to_str() });
    }
}

unsafe extern "C" fn cancelled(_context: *const c_void) -> u32 {
    0
}

/// The events of a batch, changed according to the terms.
pub(super) struct AlteredViews<'a> {
    events: Vec<abi::Event>,
    terms: &'a Terms,
    _batch: &'a Batch,
}

/// A bit of `Event::present` that no version uses.
const UNKNOWN_BIT: u32 = 1 << 30;

impl<'a> AlteredViews<'a> {
    pub(super) fn of(batch: &'a Batch, terms: &'a Terms) -> Self {
        let mut events = batch.events().to_vec();
        for event in &mut events {
            if terms.host == HostKind::Newer {
                event.present |= UNKNOWN_BIT;
            }
            if terms.empty == Empty::AsIs {
                continue;
            }
            for text in strings_mut(event) {
                empty(terms.empty, &mut text.ptr, text.len);
            }
            empty(terms.empty, &mut event.args.ptr, event.args.len);
            empty(terms.empty, &mut event.metadata.ptr, event.metadata.len);
        }
        Self { events, terms, _batch: batch }
    }

    /// The C form, valid as long as `self`.
    pub(super) fn to_abi(&self) -> abi::Batch {
        let mut events = self.events.as_ptr();
        empty(self.terms.empty, &mut events, self.events.len());
        let mut tables = further_tables(self.terms.host);
        empty(self.terms.empty, &mut tables.ptr, tables.len);
        abi::Batch {
            size: size_of::<abi::Batch>() as u32,
            event_size: size_of::<abi::Event>() as u32,
            events,
            len: self.events.len(),
            tables,
        }
    }
}

fn empty<T>(how: Empty, pointer: &mut *const T, len: usize) {
    if len == 0 {
        match how {
            Empty::AsIs => {}
            Empty::Null => *pointer = ptr::null(),
            Empty::Dangling => *pointer = ptr::dangling(),
        }
    }
}
