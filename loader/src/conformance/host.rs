//! The plugin's view: the terms of a call, and the hosts of several versions with their batches.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jackfield_plugin_api::abi;

use crate::boundary::batch::{Batch, strings_mut};
#[cfg(target_os = "linux")]
use crate::boundary::mapping::Mapping;

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
    /// Whether the configuration and the batch are in memory that can't be written (Linux).
    pub read_only: bool,
}

impl Terms {
    /// The terms of a call by this version's host that may take `timeout`.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            cancel: Cancel::default(),
            host: HostKind::Today,
            empty: Empty::AsIs,
            read_only: false,
        }
    }

    /// Sets the host.
    #[must_use]
    pub fn host(mut self, host: HostKind) -> Self {
        self.host = host;
        self
    }

    /// Puts the configuration and the batch into memory that can't be written: a plugin that writes there crashes.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
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
    #[cfg(target_os = "linux")]
    sealed: Option<Sealed>,
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
        #[cfg(target_os = "linux")]
        let sealed = terms.read_only.then(|| Sealed::of(&mut events)).flatten();
        Self {
            events,
            terms,
            _batch: batch,
            #[cfg(target_os = "linux")]
            sealed,
        }
    }

    /// The C form, valid as long as `self`.
    pub(super) fn to_abi(&self) -> abi::Batch {
        let mut events = self.events.as_ptr();
        #[cfg(target_os = "linux")]
        if let Some(sealed) = &self.sealed {
            events = sealed.events();
        }
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

/// Memory that can't be written, with copies of what a plugin gets.
#[cfg(target_os = "linux")]
pub(super) struct Sealed {
    memory: Mapping,
    used: usize,
    /// Where the events begin.
    events: usize,
}

#[cfg(target_os = "linux")]
impl Sealed {
    fn with_room(bytes: usize) -> Option<Self> {
        let memfd = rustix::fs::memfd_create("jackfield-check", rustix::fs::MemfdFlags::CLOEXEC).ok()?;
        rustix::fs::ftruncate(&memfd, bytes as u64).ok()?;
        Some(Self { memory: Mapping::shared(&memfd, bytes).ok()?, used: 0, events: 0 })
    }

    /// The events, whose views lead to copies of the text. `events` have the same views afterwards.
    fn of(events: &mut [abi::Event]) -> Option<Self> {
        let mut room = size_of_val(events) + ALIGNMENT;
        for event in &mut *events {
            let texts = strings_mut(event).map(|text| text.len + ALIGNMENT);
            room += texts.into_iter().sum::<usize>();
            // SAFETY: the views of a batch are valid.
            let (args, pairs) = unsafe {
                (list(event.args.ptr, event.args.len), list(event.metadata.ptr, event.metadata.len))
            };
            room +=
                args.iter().map(|text| size_of_val(text) + text.len + ALIGNMENT).sum::<usize>() + ALIGNMENT;
            room += pairs
                .iter()
                .map(|pair| size_of_val(pair) + pair.key.len + pair.value.len + 2 * ALIGNMENT)
                .sum::<usize>()
                + ALIGNMENT;
        }
        let mut sealed = Self::with_room(room)?;
        for event in &mut *events {
            for text in strings_mut(event) {
                sealed.text(text);
            }
            // SAFETY: as above.
            let mut args = unsafe { list(event.args.ptr, event.args.len) }.to_vec();
            args.iter_mut().for_each(|text| sealed.text(text));
            // SAFETY: as above.
            let mut pairs = unsafe { list(event.metadata.ptr, event.metadata.len) }.to_vec();
            for pair in &mut pairs {
                sealed.text(&mut pair.key);
                sealed.text(&mut pair.value);
            }
            if !args.is_empty() {
                event.args.ptr = sealed.copy(&args);
            }
            if !pairs.is_empty() {
                event.metadata.ptr = sealed.copy(&pairs);
            }
        }
        let at = sealed.copy(events);
        sealed.events = at as usize - sealed.memory.base() as usize;
        sealed.memory.protect().ok()?;
        Some(sealed)
    }

    /// A text alone.
    pub(super) fn of_text(text: &str) -> Option<(Self, abi::Str)> {
        let mut view = abi::Str::new(text);
        let mut sealed = Self::with_room(text.len() + ALIGNMENT)?;
        sealed.text(&mut view);
        sealed.memory.protect().ok()?;
        Some((sealed, view))
    }

    fn events(&self) -> *const abi::Event {
        // SAFETY: the events lie within the mapping.
        unsafe { self.memory.base().add(self.events) }.cast_const().cast()
    }

    fn text(&mut self, view: &mut abi::Str) {
        // SAFETY: the views of a batch are valid.
        let bytes = unsafe { list(view.ptr, view.len) };
        if !bytes.is_empty() {
            view.ptr = self.copy(bytes);
        }
    }

    /// Copies the items behind the last ones.
    fn copy<T>(&mut self, items: &[T]) -> *const T {
        let at = self.used.next_multiple_of(ALIGNMENT);
        self.used = at + size_of_val(items);
        assert!(self.used <= self.memory.len(), "the room was counted");
        // SAFETY: the room lies within the mapping, is aligned, and nothing else is there.
        unsafe {
            let to = self.memory.base().add(at).cast::<T>();
            ptr::copy_nonoverlapping(items.as_ptr(), to, items.len());
            to
        }
    }
}

/// The alignment of everything that is copied.
#[cfg(target_os = "linux")]
const ALIGNMENT: usize = 16;

/// The items of a view; none of null.
///
/// # Safety
/// The view is valid for as long as the result is used.
#[cfg(target_os = "linux")]
unsafe fn list<'a, T>(items: *const T, len: usize) -> &'a [T] {
    if items.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the caller vouches for it.
    unsafe { std::slice::from_raw_parts(items, len) }
}
