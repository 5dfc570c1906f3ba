//! The plugin's view: the terms of a call, and the hosts of several versions with their batches.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jackfield_plugin_api::abi;

use super::log::{self, log};
use crate::boundary::batch::{Batch, strings_mut};
#[cfg(any(target_os = "linux", windows))]
use crate::boundary::mapping::{Mapping, memory, page_size};

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
    /// The memory that holds what the plugin gets.
    pub memory: Memory,
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
            memory: Memory::Ordinary,
        }
    }

    /// Sets the host.
    #[must_use]
    pub fn host(mut self, host: HostKind) -> Self {
        self.host = host;
        self
    }

    /// Sets the memory that holds what the plugin gets.
    #[must_use]
    pub fn memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }

    /// Sets how empty strings and lists are written.
    #[must_use]
    pub fn empty(mut self, empty: Empty) -> Self {
        self.empty = empty;
        self
    }
}

/// The memory that holds what a plugin gets.
///
/// # Platform
/// Linux and Windows. Elsewhere it is ordinary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Memory {
    /// That of this process.
    #[default]
    Ordinary,
    /// The host with its services, the configuration, the batch with its events, and the call can't be written: a plugin that
    /// writes there crashes.
    ReadOnly,
    /// Memory ends behind the configuration, and behind each text and list of a batch: a plugin that reads there crashes.
    Guarded,
    /// When a call has returned, nobody may use what it was given, but for the host: a plugin that does crashes.
    Lent,
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
pub(super) fn of(kind: HostKind, memory: Memory) -> *const abi::Host {
    static HOSTS: [OnceLock<Handle>; 3] = [const { OnceLock::new() }; 3];
    #[cfg(any(target_os = "linux", windows))]
    if memory == Memory::ReadOnly
        && let Some(host) = in_pages(kind, memory)
    {
        return host;
    }
    #[cfg(not(any(target_os = "linux", windows)))]
    let _ = memory;
    let make = || {
        let services: &'static abi::HostServices = Box::leak(Box::new(services(kind)));
        let tables: &'static [abi::TableEntry] = Box::leak(tables(kind, services).into_boxed_slice());
        Handle { host: host(kind, tables.as_ptr(), tables.len()), _services: services }
    };
    &raw const HOSTS[kind as usize].get_or_init(make).host
}

/// The same in memory of another kind, which is never given back.
#[cfg(any(target_os = "linux", windows))]
fn in_pages(kind: HostKind, memory: Memory) -> Option<*const abi::Host> {
    let services = services(kind);
    let len = tables(kind, &raw const services).len();
    let sizes = [size_of_val(&services), len * size_of::<abi::TableEntry>(), size_of::<abi::Host>()];
    let mut pages = Pages::with_room(memory, sizes.map(|size| Pages::room(memory, size)).iter().sum())?;
    let services = pages.copy(&[services]);
    let tables = pages.copy(&tables(kind, services));
    let host = pages.copy(&[host(kind, tables, len)]);
    std::mem::forget(pages.finish()?);
    Some(host)
}

fn services(kind: HostKind) -> abi::HostServices {
    let [tool_name, tool_version, backend_name] = match kind {
        HostKind::Older => [""; 3],
        HostKind::Today => ["jackfield-check", "1.0.0", "check"],
        HostKind::Newer => ["jackfield-check", "99.0.0", "check"],
    }
    .map(|text| if text.is_empty() { abi::Str::EMPTY } else { abi::Str::new(text) });
    abi::HostServices {
        size: size_of::<abi::HostServices>() as u32,
        reserved: 0,
        context: ptr::without_provenance(kind as usize),
        tool_name,
        tool_version,
        backend_name,
        log_enabled,
        log,
        cancelled,
    }
}

fn tables(kind: HostKind, services: *const abi::HostServices) -> Vec<abi::TableEntry> {
    let entry = |id, table| abi::TableEntry { id, reserved: 0, table };
    let own = entry(abi::HOST_TABLE_SERVICES, services.cast());
    if kind != HostKind::Newer {
        return vec![own];
    }
    let unknown: *const c_void = (&raw const UNKNOWN).cast();
    vec![entry(70_001, unknown), own, entry(70_002, ptr::null()), entry(70_003, unknown)]
}

fn host(kind: HostKind, tables: *const abi::TableEntry, len: usize) -> abi::Host {
    let abi_minor = match kind {
        HostKind::Today => abi::ABI_MINOR,
        HostKind::Older => 0,
        HostKind::Newer => abi::ABI_MINOR + 99,
    };
    abi::Host {
        size: size_of::<abi::Host>() as u32,
        abi_major: abi::ABI_MAJOR,
        abi_minor,
        reserved: 0,
        tables: abi::Tables { ptr: tables, len },
    }
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
unsafe extern "C" fn log_enabled(context: *const c_void, level: u32, target: abi::Str) -> u32 {
    // SAFETY: the contract requires readable text.
    unsafe { log::judge(level, target) };
    u32::from(context.addr() != HostKind::Older as usize)
}

unsafe extern "C" fn cancelled(_context: *const c_void) -> u32 {
    0
}

/// The events of a batch, changed according to the terms.
pub(super) struct AlteredViews<'a> {
    events: Vec<abi::Event>,
    terms: &'a Terms,
    _batch: &'a Batch,
    #[cfg(any(target_os = "linux", windows))]
    pages: Option<Pages>,
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
        #[cfg(any(target_os = "linux", windows))]
        let pages = Pages::of(terms.memory, &mut events);
        Self {
            events,
            terms,
            _batch: batch,
            #[cfg(any(target_os = "linux", windows))]
            pages,
        }
    }

    /// The C form, valid as long as `self`.
    pub(super) fn to_abi(&self) -> abi::Batch {
        let mut events = self.events.as_ptr();
        #[cfg(any(target_os = "linux", windows))]
        if let Some(pages) = &self.pages {
            events = pages.events();
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

/// Memory of a [`Memory`] that is not ordinary, with copies of what a plugin gets.
#[cfg(any(target_os = "linux", windows))]
pub(super) struct Pages {
    memory: Mapping,
    kind: Memory,
    used: usize,
    /// The places of the pages that nobody may read.
    guards: Vec<usize>,
    /// Where the events begin.
    events: usize,
}

#[cfg(any(target_os = "linux", windows))]
impl Pages {
    /// The room that something of this length needs.
    fn room(kind: Memory, bytes: usize) -> usize {
        match kind {
            Memory::Guarded => bytes.next_multiple_of(page_size()) + page_size(),
            Memory::Ordinary | Memory::ReadOnly | Memory::Lent => bytes + ALIGNMENT,
        }
    }

    /// `None` for ordinary memory, and when the system gives none of another kind.
    fn with_room(kind: Memory, bytes: usize) -> Option<Self> {
        if kind == Memory::Ordinary {
            return None;
        }
        let memory = Mapping::shared(&memory(bytes).ok()?).ok()?;
        Some(Self { memory, kind, used: 0, guards: Vec::new(), events: 0 })
    }

    /// The events, whose views lead to copies of the text. `events` have the same views afterwards.
    fn of(kind: Memory, events: &mut [abi::Event]) -> Option<Self> {
        let text = |text: &abi::Str| Self::room(kind, text.len);
        let mut room = Self::room(kind, size_of_val(events));
        for event in &mut *events {
            room += strings_mut(event).map(|it| text(it)).into_iter().sum::<usize>();
            // SAFETY: the views of a batch are valid.
            let (args, pairs) = unsafe {
                (list(event.args.ptr, event.args.len), list(event.metadata.ptr, event.metadata.len))
            };
            room += Self::room(kind, size_of_val(args)) + args.iter().map(text).sum::<usize>();
            room += Self::room(kind, size_of_val(pairs));
            room += pairs.iter().map(|pair| text(&pair.key) + text(&pair.value)).sum::<usize>();
        }
        let mut pages = Self::with_room(kind, room)?;
        for event in &mut *events {
            for text in strings_mut(event) {
                pages.text(text);
            }
            // SAFETY: as above.
            let mut args = unsafe { list(event.args.ptr, event.args.len) }.to_vec();
            args.iter_mut().for_each(|text| pages.text(text));
            // SAFETY: as above.
            let mut pairs = unsafe { list(event.metadata.ptr, event.metadata.len) }.to_vec();
            for pair in &mut pairs {
                pages.text(&mut pair.key);
                pages.text(&mut pair.value);
            }
            if !args.is_empty() {
                event.args.ptr = pages.copy(&args);
            }
            if !pairs.is_empty() {
                event.metadata.ptr = pages.copy(&pairs);
            }
        }
        let at = pages.copy(events);
        pages.events = at as usize - pages.memory.base() as usize;
        pages.finish()
    }

    /// A text alone.
    pub(super) fn of_text(kind: Memory, text: &str) -> Option<(Self, abi::Str)> {
        let mut view = abi::Str::new(text);
        let mut pages = Self::with_room(kind, Self::room(kind, text.len()))?;
        pages.text(&mut view);
        Some((pages.finish()?, view))
    }

    /// One value alone, which has no destructor.
    pub(super) fn of_value<T>(kind: Memory, value: &T) -> Option<(Self, *const T)> {
        let mut pages = Self::with_room(kind, Self::room(kind, size_of::<T>()))?;
        let at = pages.copy(std::slice::from_ref(value));
        Some((pages.finish()?, at))
    }

    /// Takes the rights to use the memory, as its kind wants it.
    fn finish(self) -> Option<Self> {
        if self.kind == Memory::ReadOnly {
            self.memory.protect().ok()?;
        }
        for guard in &self.guards {
            self.memory.close(*guard, page_size()).ok()?;
        }
        Some(self)
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

    /// Copies the items behind the last ones, and in guarded memory to the end of a page.
    fn copy<T>(&mut self, items: &[T]) -> *const T {
        assert!(align_of::<T>() <= ALIGNMENT, "the room is aligned");
        let len = size_of_val(items);
        let at = if self.kind == Memory::Guarded {
            let end = self.used + len.next_multiple_of(page_size());
            self.guards.push(end);
            self.used = end + page_size();
            end - len
        } else {
            let at = self.used.next_multiple_of(ALIGNMENT);
            self.used = at + len;
            at
        };
        assert!(self.used <= self.memory.len(), "the room was counted");
        // SAFETY: the room lies within the mapping, is aligned, as the length of a list is a multiple of the alignment of its
        // items, and nothing else is there.
        unsafe {
            let to = self.memory.base().add(at).cast::<T>();
            ptr::copy_nonoverlapping(items.as_ptr(), to, items.len());
            to
        }
    }
}

#[cfg(any(target_os = "linux", windows))]
impl Drop for Pages {
    fn drop(&mut self) {
        if self.kind == Memory::Lent && self.memory.close(0, self.memory.len()).is_ok() {
            // Nothing else gets the addresses.
            self.memory.keep();
        }
    }
}

/// The alignment of everything that is copied.
#[cfg(any(target_os = "linux", windows))]
const ALIGNMENT: usize = 16;

/// The items of a view; none of null.
///
/// # Safety
/// The view is valid for as long as the result is used.
#[cfg(any(target_os = "linux", windows))]
unsafe fn list<'a, T>(items: *const T, len: usize) -> &'a [T] {
    if items.is_null() || len == 0 {
        return &[];
    }
    // SAFETY: the caller vouches for it.
    unsafe { std::slice::from_raw_parts(items, len) }
}
