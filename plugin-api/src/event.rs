//! Safe views of a batch and its events, and the functions that make and read the views of the C surface.

use core::{ffi::c_void, iter::Map, ptr, slice, str};
use std::time::Duration;

use crate::abi;

/// A batch of events in the host's memory. Iterate it by reference.
#[derive(Clone, Copy)]
pub struct Batch<'a> {
    events: &'a [abi::Event],
}

/// One event in the host's memory.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    raw: &'a abi::Event,
}

// SAFETY: a batch and all that its pointers lead to are immutable for 'a.
unsafe impl Send for Batch<'_> {}
// SAFETY: as above.
unsafe impl Sync for Batch<'_> {}
// SAFETY: an event is a part of a batch.
unsafe impl Send for Event<'_> {}
// SAFETY: as above.
unsafe impl Sync for Event<'_> {}

impl<'a> Batch<'a> {
    /// A batch without events.
    #[must_use]
    pub const fn empty() -> Self {
        Self { events: &[] }
    }

    /// Views events.
    ///
    /// # Safety
    /// Every string and list in `events` is valid, unchanged and UTF-8 for `'a`, and null only where it is empty.
    #[must_use]
    pub const unsafe fn from_events(events: &'a [abi::Event]) -> Self {
        Self { events }
    }

    /// Views a batch from the host; `None` when its sizes or pointers are not those of this ABI.
    ///
    /// # Safety
    /// `batch` is null, or points to a batch that is valid for `'a` as [`abi::Batch`] says.
    #[must_use]
    pub unsafe fn from_abi(batch: *const abi::Batch) -> Option<Self> {
        // SAFETY: the caller guarantees a valid batch unless it is null.
        let batch = unsafe { batch.as_ref() }?;
        if batch.size as usize != size_of::<abi::Batch>()
            || batch.event_size as usize != size_of::<abi::Event>()
        {
            return None;
        }
        if batch.len == 0 {
            return Some(Self { events: &[] });
        }
        if batch.events.is_null() {
            return None;
        }
        // SAFETY: the caller guarantees `len` events for 'a.
        Some(Self { events: unsafe { slice::from_raw_parts(batch.events, batch.len) } })
    }

    /// Number of events.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are no events.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The event at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Event<'a>> {
        self.events.get(index).map(|raw| Event { raw })
    }

    /// The events in order.
    pub fn iter(&self) -> Events<'a> {
        self.events.iter().map(|raw| Event { raw })
    }
}

impl<'a> IntoIterator for &Batch<'a> {
    type Item = Event<'a>;
    type IntoIter = Events<'a>;

    fn into_iter(self) -> Events<'a> {
        self.iter()
    }
}

/// The events of a [`Batch`], in order.
pub type Events<'a> = Map<slice::Iter<'a, abi::Event>, fn(&'a abi::Event) -> Event<'a>>;

/// The arguments of an [`Event`], in order.
pub type Strings<'a> = Map<slice::Iter<'a, abi::Str>, fn(&'a abi::Str) -> &'a str>;

/// The metadata of an [`Event`], in order.
pub type Pairs<'a> = Map<slice::Iter<'a, abi::Pair>, fn(&'a abi::Pair) -> (&'a str, &'a str)>;

/// Reads one string of an event.
fn text(view: &abi::Str) -> &str {
    if view.len == 0 {
        return "";
    }
    // SAFETY: the maker of the batch guarantees valid UTF-8 for its lifetime, which is that of the returned text.
    unsafe { str::from_utf8_unchecked(slice::from_raw_parts(view.ptr, view.len)) }
}

macro_rules! text_fields {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        impl<'a> Event<'a> {
            $($(#[$doc])* #[must_use] pub fn $name(&self) -> &'a str { text(&self.raw.$name) })*
        }
    };
}

text_fields! {
    /// The whole event as one JSON object on one line, without a line feed.
    json,
    /// Identifies the event; the same on every retry. A UUIDv7 unless the tool brought its own.
    id,
    /// When it happened, RFC 3339.
    timestamp,
    /// What kind of event, such as `command.invocation` (JSON: `type`).
    kind,
    /// Its name.
    name,
    /// Pseudonymous id of the machine.
    machine_id,
    /// The tool's name.
    tool_name,
    /// The tool's version (JSON: `version`).
    tool_version,
    /// Operating system.
    os,
    /// Processor architecture.
    arch,
    /// Version of the operating system; may be empty.
    os_version,
    /// Version of the language runtime or compiler; may be empty.
    runtime_version,
}

impl<'a> Event<'a> {
    const fn has(&self, bit: u32) -> bool {
        self.raw.present & bit != 0
    }

    /// `timestamp` in nanoseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn time_unix_nanos(&self) -> i64 {
        self.raw.time_unix_nanos
    }

    /// How long it took, to the millisecond.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.has(abi::EVENT_HAS_DURATION).then(|| Duration::from_millis(self.raw.duration_ms))
    }

    /// Exit code.
    #[must_use]
    pub fn exit_code(&self) -> Option<i64> {
        self.has(abi::EVENT_HAS_EXIT_CODE).then_some(self.raw.exit_code)
    }

    /// Error message.
    #[must_use]
    pub fn error(&self) -> Option<&'a str> {
        self.has(abi::EVENT_HAS_ERROR).then(|| text(&self.raw.error))
    }

    /// Arguments.
    #[must_use]
    pub fn args(&self) -> Option<Strings<'a>> {
        self.has(abi::EVENT_HAS_ARGS).then(|| {
            // SAFETY: the maker of the batch guarantees valid lists.
            let args: &'a [abi::Str] = unsafe { list(self.raw.args.ptr, self.raw.args.len) };
            args.iter().map(text as fn(&'a abi::Str) -> &'a str)
        })
    }

    /// Metadata, in the order of the JSON; nothing when there is none. A number or a boolean is its text here; the JSON has
    /// its type.
    pub fn metadata(&self) -> Pairs<'a> {
        let raw = self.raw.metadata;
        let len = if self.has(abi::EVENT_HAS_METADATA) { raw.len } else { 0 };
        // SAFETY: the maker of the batch guarantees valid lists.
        let pairs: &'a [abi::Pair] = unsafe { list(raw.ptr, len) };
        pairs.iter().map(|pair| (text(&pair.key), text(&pair.value)))
    }
}

/// The fields of one event, for who makes batches: hosts, and the tests of a backend.
///
/// `json` is the whole event as one JSON object. It must not contain a line feed, as plugins write one line
/// for each event. A compact encoding of JSON has none.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "the fields of `Event`, where they are documented")]
pub struct EventFields<'list, 'a> {
    pub json: &'a str,
    pub id: &'a str,
    pub timestamp: &'a str,
    pub kind: &'a str,
    pub name: &'a str,
    pub machine_id: &'a str,
    pub tool_name: &'a str,
    pub tool_version: &'a str,
    pub os: &'a str,
    pub arch: &'a str,
    pub os_version: &'a str,
    pub runtime_version: &'a str,
    pub error: Option<&'a str>,
    pub args: Option<&'list [&'a str]>,
    pub metadata: Option<&'list [(&'a str, &'a str)]>,
    pub time_unix_nanos: i64,
    pub duration_ms: Option<u64>,
    pub exit_code: Option<i64>,
}

impl EventFields<'_, '_> {
    /// The C form. `args` and `metadata` are views of the lists here, in memory that lives as long as the batch.
    #[inline]
    #[must_use]
    pub fn to_abi(&self, args: abi::StrList, metadata: abi::PairList) -> abi::Event {
        let mut present = 0;
        let mut flag = |set: bool, bit: u32| {
            if set {
                present |= bit;
            }
        };
        flag(self.duration_ms.is_some(), abi::EVENT_HAS_DURATION);
        flag(self.exit_code.is_some(), abi::EVENT_HAS_EXIT_CODE);
        flag(self.args.is_some(), abi::EVENT_HAS_ARGS);
        flag(self.error.is_some(), abi::EVENT_HAS_ERROR);
        flag(self.metadata.is_some(), abi::EVENT_HAS_METADATA);
        abi::Event {
            json: abi::Str::new(self.json),
            id: abi::Str::new(self.id),
            timestamp: abi::Str::new(self.timestamp),
            kind: abi::Str::new(self.kind),
            name: abi::Str::new(self.name),
            machine_id: abi::Str::new(self.machine_id),
            tool_name: abi::Str::new(self.tool_name),
            tool_version: abi::Str::new(self.tool_version),
            os: abi::Str::new(self.os),
            arch: abi::Str::new(self.arch),
            os_version: abi::Str::new(self.os_version),
            runtime_version: abi::Str::new(self.runtime_version),
            error: self.error.map_or(abi::Str::EMPTY, abi::Str::new),
            args,
            metadata,
            time_unix_nanos: self.time_unix_nanos,
            duration_ms: self.duration_ms.unwrap_or_default(),
            exit_code: self.exit_code.unwrap_or_default(),
            present,
            reserved: 0,
        }
    }
}

/// # Safety
/// `ptr` points to `len` values that live for `'a`, or `len` is 0.
unsafe fn list<'a, T>(ptr: *const T, len: usize) -> &'a [T] {
    if len == 0 {
        return &[];
    }
    // SAFETY: the caller guarantees it.
    unsafe { slice::from_raw_parts(ptr, len) }
}

impl abi::Tables {
    /// No tables.
    pub const EMPTY: Self = Self { ptr: ptr::null(), len: 0 };

    /// The table with this id, or null.
    ///
    /// # Safety
    /// `ptr` is null with `len` 0, or points to `len` readable entries.
    #[must_use]
    pub unsafe fn find(&self, id: u32) -> *const c_void {
        if self.ptr.is_null() {
            return ptr::null();
        }
        // SAFETY: not null, and the caller guarantees `len` readable entries.
        let entries = unsafe { slice::from_raw_parts(self.ptr, self.len) };
        entries.iter().find(|entry| entry.id == id).map_or(ptr::null(), |entry| entry.table)
    }
}

impl abi::Str {
    /// A view of `text`, as long-lived as `text` is.
    #[must_use]
    pub const fn new(text: &str) -> Self {
        Self { ptr: text.as_ptr(), len: text.len() }
    }

    /// The empty string.
    pub const EMPTY: Self = Self { ptr: ptr::null(), len: 0 };

    /// The bytes as text. Null is the empty text; bytes that are not UTF-8 are an error.
    ///
    /// # Safety
    /// `ptr` is null with `len` 0, or points to `len` bytes that stay readable and unchanged for `'a`.
    pub unsafe fn to_str<'a>(self) -> Result<&'a str, str::Utf8Error> {
        if self.len == 0 || self.ptr.is_null() {
            return Ok("");
        }
        // SAFETY: not null, and the caller guarantees `len` readable bytes for 'a.
        str::from_utf8(unsafe { slice::from_raw_parts(self.ptr, self.len) })
    }
}
