//! A host of a later minor version, made of raw tables: what it hands to a plugin has more in it than this release knows.
//!
//! It drives a plugin without the guard, so that nothing of this release's host stands between.
#![allow(unsafe_code, reason = "a host that the loader does not make")]

use std::{
    cell::{Cell, RefCell},
    ffi::c_void,
    path::Path,
    ptr,
};

use jackfield_loader::plugin_api::abi::{
    self, BackendTable, Batch, Call, Descriptor, EVENT_HAS_ARGS, Event, HOST_TABLE_SERVICES, HostServices,
    Instance, LogRecord, PairList, STATUS_OK, Status, Str, StrList, TABLE_BACKEND, TableEntry, Tables,
};
use libloading::Library;

/// In what the host differs from one of this release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skew {
    /// As a later minor version may: a higher minor number, and tables and views of unknown ids.
    Later,
    // What no host of this major version does.
    GrownHost,
    ShrunkHost,
    NextMajor,
    GrownServices,
    NoServices,
    GrownCall,
    GrownBatch,
    GrownEvent,
    ShrunkEvent,
}

/// A table that no release knows. Whoever reads it as one of those that are known finds neither size nor functions.
static UNKNOWN: [u64; 16] = [u64::MAX; 16];

fn unknown(id: u32) -> TableEntry {
    TableEntry { id, reserved: 0, table: (&raw const UNKNOWN).cast() }
}

/// Unknown ids on both sides of `known`, one of them without a table, and the highest that there is.
fn around(known: Option<TableEntry>) -> Vec<TableEntry> {
    let mut entries = vec![unknown(9001), TableEntry { id: 9002, reserved: 0, table: ptr::null() }];
    entries.extend(known);
    entries.extend([unknown(9003), unknown(u32::MAX)]);
    entries
}

fn tables(entries: &[TableEntry]) -> Tables {
    Tables { ptr: entries.as_ptr(), len: entries.len() }
}

/// What one call has said.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: Status,
    /// Outcome numbers, 0 for an event of which nothing was said.
    pub(super) outcomes: Vec<u32>,
    pub(super) subject: String,
    message: String,
}

impl Answer {
    pub(super) fn said(&self) -> &str {
        &self.message
    }
}

/// A plugin under such a host.
pub(super) struct LaterHost {
    backend: BackendTable,
    skew: Cell<Skew>,
}

/// One instance of the plugin.
pub(super) struct Opened<'a> {
    host: &'a LaterHost,
    instance: *mut Instance,
}

impl LaterHost {
    #[allow(clippy::disallowed_methods, reason = "a host that is not this release's loader")]
    pub(super) fn new(path: &Path, skew: Skew) -> Self {
        // SAFETY: one of the plugins of this repository, which the loader accepts; it stays mapped.
        let backend = unsafe {
            let library = Library::new(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let descriptor = library.get::<*const Descriptor>(b"jackfield_plugin").expect("a descriptor");
            let descriptor = descriptor.into_raw().into_raw().cast::<Descriptor>().read();
            std::mem::forget(library);
            assert_eq!((descriptor.magic, descriptor.abi_major), (abi::MAGIC, abi::ABI_MAJOR));
            descriptor.tables.find(TABLE_BACKEND).cast::<BackendTable>().read()
        };
        Self { backend, skew: Cell::new(skew) }
    }

    pub(super) fn skew(&self, skew: Skew) {
        self.skew.set(skew);
    }

    fn has(&self, skew: Skew) -> u32 {
        u32::from(self.skew.get() == skew)
    }

    /// The host's tables, which a plugin may keep.
    fn host(&self) -> &'static abi::Host {
        let services = Box::leak(Box::new(HostServices {
            size: size_of::<HostServices>() as u32 + 8 * self.has(Skew::GrownServices),
            reserved: 0,
            context: ptr::null(),
            tool_name: Str::new("later"),
            tool_version: Str::new("99.0.0"),
            backend_name: Str::new("under-test"),
            log_enabled,
            log,
            cancelled,
        }));
        let id = if self.has(Skew::NoServices) == 1 { 9004 } else { HOST_TABLE_SERVICES };
        let services = TableEntry { id, reserved: 0, table: (&raw const *services).cast() };
        let grown = 8 * self.has(Skew::GrownHost);
        Box::leak(Box::new(abi::Host {
            size: size_of::<abi::Host>() as u32 + grown - 8 * self.has(Skew::ShrunkHost),
            abi_major: abi::ABI_MAJOR + self.has(Skew::NextMajor),
            abi_minor: 99,
            reserved: 0,
            tables: tables(around(Some(services)).leak()),
        }))
    }

    /// Runs `body` with a call, and gives what was said.
    fn call(&self, events: usize, body: impl FnOnce(*const Call) -> Status) -> Answer {
        let said = RefCell::new(Answer { outcomes: vec![0; events], ..Answer::default() });
        let further = around(None);
        let call = Call {
            size: size_of::<Call>() as u32 + 8 * self.has(Skew::GrownCall),
            reserved: 0,
            timeout_ns: 10_000_000_000,
            context: (&raw const said).cast(),
            cancelled,
            report,
            explain,
            tables: tables(&further),
        };
        let status = body(&raw const call);
        Answer { status, ..said.into_inner() }
    }

    pub(super) fn open(&self, config: &str) -> Result<Opened<'_>, Answer> {
        let mut instance = ptr::null_mut();
        let answer = self.call(0, |call| {
            // SAFETY: the contract of `open`; the host is leaked, the rest lives until it returns.
            unsafe { (self.backend.open)(self.host(), Str::new(config), call, &raw mut instance) }
        });
        assert_eq!(answer.status == STATUS_OK, !instance.is_null(), "{answer:?}");
        if instance.is_null() { Err(answer) } else { Ok(Opened { host: self, instance }) }
    }
}

impl Opened<'_> {
    /// Sends events of these names, each with views of unknown ids beside it.
    pub(super) fn send(&self, names: &[&str]) -> Answer {
        let jsons: Vec<_> =
            names.iter().map(|name| format!(r#"{{"name":"{name}","of_a_later_version":[1]}}"#)).collect();
        let args = [Str::new("one"), Str::new("")];
        // Some platforms take no old events.
        let now = jiff::Timestamp::now();
        let timestamp = now.to_string();
        let event = |(name, json): (&&str, &String)| Event {
            json: Str::new(json),
            id: Str::new("01920000-0000-7000-8000-000000000001"),
            timestamp: Str::new(&timestamp),
            kind: Str::new("feature.used"),
            name: Str::new(name),
            machine_id: Str::new("m"),
            tool_name: Str::new("later"),
            tool_version: Str::new("99.0.0"),
            os: Str::new("linux"),
            arch: Str::new("x86_64"),
            os_version: Str::EMPTY,
            runtime_version: Str::EMPTY,
            error: Str::EMPTY,
            args: StrList { ptr: args.as_ptr(), len: args.len() },
            metadata: PairList { ptr: ptr::null(), len: 0 },
            time_unix_nanos: i64::try_from(now.as_nanosecond()).expect("a time of these centuries"),
            duration_ms: 0,
            exit_code: 0,
            // A bit that no release knows says nothing about the fields that are known.
            present: EVENT_HAS_ARGS | 1 << 31,
            reserved: 0,
        };
        let events: Vec<_> = names.iter().zip(&jsons).map(event).collect();
        let further = around(None);
        let host = self.host;
        let batch = Batch {
            size: size_of::<Batch>() as u32 + 8 * host.has(Skew::GrownBatch),
            event_size: size_of::<Event>() as u32 + 8 * host.has(Skew::GrownEvent)
                - 8 * host.has(Skew::ShrunkEvent),
            events: events.as_ptr(),
            len: events.len(),
            tables: tables(&further),
        };
        // SAFETY: the contract of `send`; all that it is given lives until it returns.
        host.call(names.len(), |call| unsafe { (host.backend.send)(self.instance, &raw const batch, call) })
    }

    pub(super) fn close(&self) -> Answer {
        // SAFETY: the contract of `close`.
        self.host.call(0, |call| unsafe { (self.host.backend.close)(self.instance, call) })
    }

    pub(super) fn free(self) -> Status {
        // SAFETY: the contract of `free`: nothing else calls, and the instance is not seen again.
        unsafe { (self.host.backend.free)(self.instance) }
    }
}

extern "C" fn log_enabled(_context: *const c_void, _level: u32, _target: Str) -> u32 {
    0
}

extern "C" fn log(_context: *const c_void, _record: *const LogRecord) {}

extern "C" fn cancelled(_context: *const c_void) -> u32 {
    0
}

extern "C" fn report(context: *const c_void, first: u64, count: u64, outcome: *const abi::Outcome) {
    // SAFETY: the context of `LaterHost::call`, whose plugins report from the thread of the call; a live outcome.
    let (said, outcome) = unsafe { (&*context.cast::<RefCell<Answer>>(), outcome.read()) };
    let first = usize::try_from(first).expect("in the batch");
    let count = usize::try_from(count).expect("in the batch");
    said.borrow_mut().outcomes[first..first + count].fill(outcome.code);
}

extern "C" fn explain(context: *const c_void, subject: Str, message: Str) {
    // SAFETY: as in `report`; both strings live until this returns.
    unsafe {
        let mut said = (*context.cast::<RefCell<Answer>>()).borrow_mut();
        said.subject = subject.to_str().expect("UTF-8").to_owned();
        said.message = message.to_str().expect("UTF-8").to_owned();
    }
}
