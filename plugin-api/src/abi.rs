//! The frozen C surface: every type, table and number that crosses between a host and a plugin.
//!
//! After the first release no type in this file changes, and no type is added. A new ability is a new table in a
//! module of its own, found by its id in a [`Tables`] list. Each side ignores an unknown id, and takes an absent table
//! for null. A number may be added to the lists here; a number is never changed and never reused. `abi/1.txt` records
//! the types, [`crate::DIGEST`] is the digest of that record, and `include/jackfield.h` is generated; a test compares
//! both with this file. ARCHITECTURE.md lists the files that a new table needs.
//!
//! Ownership: nothing that crosses is owned by the receiver. A pointer that a function receives is borrowed for that
//! call and may not be kept, unless its documentation says otherwise. Strings are UTF-8, not NUL-terminated.

use core::ffi::c_void;

#[cfg(feature = "layouts")]
use abi_stable::StableAbi;

/// First eight bytes of a [`Descriptor`]: `JACKFLD` and a zero byte, read as a little-endian integer.
pub const MAGIC: u64 = 0x0044_4C46_4B43_414A;

/// Major version of the ABI. A host loads plugins of its own major version only.
pub const ABI_MAJOR: u32 = 1;

/// Minor version of the ABI: which optional tables the headers knew. It never decides whether a plugin loads.
pub const ABI_MINOR: u32 = 0;

// Status: what every exported function returns. Numbers are never reused. Last added: STATUS_UNAVAILABLE = 5.

/// What every exported function returns: one of the `STATUS_` numbers. A host treats an unknown number as `STATUS_FAILED`.
pub type Status = i32;

/// The call did what it is for.
pub const STATUS_OK: Status = 0;
/// The plugin panicked (or threw) and caught it. The host discards the instance and opens a new one.
pub const STATUS_PANIC: Status = 1;
/// A null pointer, a table of the wrong size, text that is not UTF-8: the caller broke the contract.
pub const STATUS_INVALID_ARGUMENT: Status = 2;
/// The configuration was refused; `explain` names the key and the reason.
pub const STATUS_INVALID_CONFIG: Status = 3;
/// The call failed for good; `explain` says why.
pub const STATUS_FAILED: Status = 4;
/// The call failed for now, a later one may succeed; `explain` says why.
pub const STATUS_UNAVAILABLE: Status = 5;

// Outcome codes. Numbers are never reused; 0 is never valid. Last added: OUTCOME_TOO_LARGE = 4.

/// The event has arrived where this backend sends it.
pub const OUTCOME_DELIVERED: u32 = 1;
/// The event has not arrived and may be sent again, not before `retry_after_ms`.
pub const OUTCOME_RETRY: u32 = 2;
/// The event will never be accepted as it is.
pub const OUTCOME_REJECTED: u32 = 3;
/// The batch is too large for the platform: the host splits it and sends the parts.
pub const OUTCOME_TOO_LARGE: u32 = 4;

// Log levels. Numbers are never reused. Last added: LEVEL_TRACE = 5.

/// Log level: an error.
pub const LEVEL_ERROR: u32 = 1;
/// Log level: a warning.
pub const LEVEL_WARN: u32 = 2;
/// Log level: information.
pub const LEVEL_INFO: u32 = 3;
/// Log level: debugging.
pub const LEVEL_DEBUG: u32 = 4;
/// Log level: tracing.
pub const LEVEL_TRACE: u32 = 5;

// Bits of `Event::present`. Last added: EVENT_HAS_METADATA = 16.

/// `Event::duration_ms` is set.
pub const EVENT_HAS_DURATION: u32 = 1;
/// `Event::exit_code` is set.
pub const EVENT_HAS_EXIT_CODE: u32 = 2;
/// `Event::args` is set (possibly to an empty list).
pub const EVENT_HAS_ARGS: u32 = 4;
/// `Event::error` is set.
pub const EVENT_HAS_ERROR: u32 = 8;
/// `Event::metadata` is set (possibly to an empty list).
pub const EVENT_HAS_METADATA: u32 = 16;

// Bits of `BackendTable::flags`. A host refuses a bit it does not know. Last added: BACKEND_SERIAL = 1.

/// `send` must not be called while another call on the same instance is running.
pub const BACKEND_SERIAL: u32 = 1;

// Ids of tables that a plugin offers. Last added: TABLE_BACKEND = 1.

/// A plugin's [`BackendTable`]. Every plugin has it.
pub const TABLE_BACKEND: u32 = 1;

// Ids of tables that a host offers. Last added: HOST_TABLE_SERVICES = 1.

/// A host's [`HostServices`]. Every host has it.
pub const HOST_TABLE_SERVICES: u32 = 1;

/// A view of UTF-8 text: `len` bytes at `ptr`, no terminator. `ptr` may be null only when `len` is 0.
#[repr(C)]
#[derive(Clone, Copy)]
#[cfg_attr(feature = "layouts", derive(StableAbi))]
pub struct Str {
    /// First byte.
    pub ptr: *const u8,
    /// Length in bytes.
    pub len: usize,
}

/// A key and its value.
#[repr(C)]
#[derive(Clone, Copy)]
#[cfg_attr(feature = "layouts", derive(StableAbi))]
pub struct Pair {
    /// The key.
    pub key: Str,
    /// The value.
    pub value: Str,
}

/// A view of `len` strings at `ptr`. `ptr` may be null only when `len` is 0.
#[repr(C)]
#[derive(Clone, Copy)]
#[cfg_attr(feature = "layouts", derive(StableAbi))]
pub struct StrList {
    /// First string.
    pub ptr: *const Str,
    /// Number of strings.
    pub len: usize,
}

/// A view of `len` pairs at `ptr`. `ptr` may be null only when `len` is 0.
#[repr(C)]
#[derive(Clone, Copy)]
#[cfg_attr(feature = "layouts", derive(StableAbi))]
pub struct PairList {
    /// First pair.
    pub ptr: *const Pair,
    /// Number of pairs.
    pub len: usize,
}

/// One table, by id.
#[repr(C)]
#[derive(Clone, Copy)]
#[cfg_attr(feature = "layouts", derive(StableAbi))]
pub struct TableEntry {
    /// What the table is: a `TABLE_` number (plugin's) or a `HOST_TABLE_` number (host's). Unknown ids are ignored.
    pub id: u32,
    /// Zero.
    pub reserved: u32,
    /// The table, whose type the id determines.
    pub table: *const c_void,
}

/// Tables by id. There is at most one table for each id; of several, the first counts.
#[repr(C)]
#[derive(Clone, Copy)]
#[cfg_attr(feature = "layouts", derive(StableAbi))]
pub struct Tables {
    /// First entry; null only when `len` is 0.
    pub ptr: *const TableEntry,
    /// Number of entries.
    pub len: usize,
}

/// The only exported symbol of a plugin: a static of this type under the name `jackfield_plugin`.
#[repr(C)]
#[derive(Clone, Copy)]
#[cfg_attr(feature = "layouts", derive(StableAbi))]
pub struct Descriptor {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`ABI_MAJOR`] that the plugin was built against.
    pub abi_major: u32,
    /// [`ABI_MINOR`] that the plugin was built against.
    pub abi_minor: u32,
    /// `sizeof` this struct, in bytes.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// Digest of the frozen surface that the plugin was built against.
    pub digest: u64,
    /// The metadata section's JSON. The host checks that it is what it read from the file.
    pub metadata: Str,
    /// The plugin's tables.
    pub tables: Tables,
    /// From Rust: a pointer to the type layouts of this surface. From any other language: null.
    pub layouts: *const c_void,
}

/// A backend instance: the plugin's own data behind a pointer that the host does not look into.
#[repr(C)]
#[cfg_attr(feature = "layouts", derive(StableAbi))]
pub struct Instance {
    _private: [u8; 0],
}

/// The table `TABLE_BACKEND`: what every plugin implements.
///
/// No function may unwind, exit the process, or print to standard output unless that is the backend's purpose.
#[repr(C)]
#[derive(Clone, Copy)]
#[cfg_attr(feature = "layouts", derive(StableAbi))]
pub struct BackendTable {
    /// `sizeof` this struct, in bytes.
    pub size: u32,
    /// `BACKEND_` bits.
    pub flags: u32,
    /// Opens an instance and stores it in `out`; on any status but `STATUS_OK`, `out` is not changed.
    ///
    /// `config` is the backend's configuration as a JSON object.
    /// OWNERSHIP: `host` and everything it points to lives as long as the process and may be kept. `config` and `call`
    /// may not be kept. The plugin owns the instance until `free`.
    pub open: unsafe extern "C" fn(
        host: *const Host,
        config: Str,
        call: *const Call,
        out: *mut *mut Instance,
    ) -> Status,
    /// Sends a batch and blocks until it knows the outcomes, at most for the call's timeout.
    ///
    /// It reports the outcome of each event through `call->report`, before it returns. Silence about an event counts as
    /// `OUTCOME_RETRY`, however the call ends. A call that returns `STATUS_OK` before its deadline, and was not cancelled, is
    /// silent about all events of its batch or about none: the host sends again what may have arrived.
    /// May be called from several threads at once unless `BACKEND_SERIAL` is set.
    /// OWNERSHIP: `batch`, `call` and all they point to are borrowed until this function returns.
    pub send:
        unsafe extern "C" fn(instance: *const Instance, batch: *const Batch, call: *const Call) -> Status,
    /// Flushes buffered data and releases connections, files and threads. The instance stays valid: a second `close`
    /// and a `send` after `close` return a status.
    pub close: unsafe extern "C" fn(instance: *const Instance, call: *const Call) -> Status,
    /// Destroys the instance. No other call on it is running or follows.
    /// OWNERSHIP: takes the instance.
    pub free: unsafe extern "C" fn(instance: *mut Instance) -> Status,
}

/// One call: its deadline, and the functions by which the plugin reports. Valid until the called function returns.
#[repr(C)]
#[derive(Clone, Copy)]
#[cfg_attr(feature = "layouts", derive(StableAbi))]
pub struct Call {
    /// `sizeof` this struct, in bytes.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// How long the call may take, in nanoseconds from its start. The host answers its caller when it has passed.
    pub timeout_ns: u64,
    /// To be handed back as the first argument of the functions below.
    pub context: *const c_void,
    /// Whether the host has stopped waiting for this call (1) or still waits (0). Callable from any thread.
    pub cancelled: unsafe extern "C" fn(context: *const c_void) -> u32,
    /// Reports the outcome of the events `first .. first + count` of the batch. Callable from any thread, as often as
    /// wanted; of several reports about an event, the last counts. Out-of-range parts are ignored.
    /// OWNERSHIP: `outcome` is copied before this function returns.
    pub report: unsafe extern "C" fn(context: *const c_void, first: u64, count: u64, outcome: *const Outcome),
    /// Says why the call is about to return a status other than `STATUS_OK`. `subject` is the path of the configuration
    /// key, the source position of a panic, or empty.
    /// OWNERSHIP: both are copied before this function returns.
    pub explain: unsafe extern "C" fn(context: *const c_void, subject: Str, message: Str),
    /// Further tables of this call, none in ABI 1.0.
    pub tables: Tables,
}

/// The outcome of events.
#[repr(C)]
#[derive(Clone, Copy)]
#[cfg_attr(feature = "layouts", derive(StableAbi))]
pub struct Outcome {
    /// One of the `OUTCOME_` numbers. The host treats an unknown number as `OUTCOME_RETRY`.
    pub code: u32,
    /// Zero.
    pub reserved: u32,
    /// For `OUTCOME_RETRY`: milliseconds to wait at least; 0 leaves it to the host.
    pub retry_after_ms: u64,
    /// Why, in one line without secrets; empty for `OUTCOME_DELIVERED`.
    pub reason: Str,
}

/// A batch of events: a view into the host's memory.
#[repr(C)]
#[derive(Clone, Copy)]
#[cfg_attr(feature = "layouts", derive(StableAbi))]
pub struct Batch {
    /// `sizeof` this struct, in bytes.
    pub size: u32,
    /// `sizeof(Event)`, in bytes.
    pub event_size: u32,
    /// First event.
    pub events: *const Event,
    /// Number of events.
    pub len: usize,
    /// Further views of the same events, none in ABI 1.0.
    pub tables: Tables,
}

/// One event: its fields and its finished JSON.
#[repr(C)]
#[derive(Clone, Copy)]
#[cfg_attr(feature = "layouts", derive(StableAbi))]
pub struct Event {
    /// The whole event as one JSON object on one line, without a line feed. It may have members that have no field here.
    pub json: Str,
    /// Identifies the event; the same on every retry. A UUIDv7 unless the tool brought its own.
    pub id: Str,
    /// When it happened, RFC 3339.
    pub timestamp: Str,
    /// What kind of event, such as `command.invocation` (JSON: `type`).
    pub kind: Str,
    /// Its name, such as the command's.
    pub name: Str,
    /// Pseudonymous id of the machine.
    pub machine_id: Str,
    /// The tool's name.
    pub tool_name: Str,
    /// The tool's version (JSON: `version`).
    pub tool_version: Str,
    /// Operating system.
    pub os: Str,
    /// Processor architecture.
    pub arch: Str,
    /// Version of the operating system; may be empty.
    pub os_version: Str,
    /// Version of the language runtime or compiler; may be empty.
    pub runtime_version: Str,
    /// Error message, with `EVENT_HAS_ERROR`.
    pub error: Str,
    /// Arguments, with `EVENT_HAS_ARGS`.
    pub args: StrList,
    /// Metadata, with `EVENT_HAS_METADATA`, in the order of the JSON.
    pub metadata: PairList,
    /// `timestamp` in nanoseconds since 1970-01-01T00:00:00Z.
    pub time_unix_nanos: i64,
    /// Duration in milliseconds, with `EVENT_HAS_DURATION`.
    pub duration_ms: u64,
    /// Exit code, with `EVENT_HAS_EXIT_CODE`.
    pub exit_code: i64,
    /// `EVENT_HAS_` bits.
    pub present: u32,
    /// Zero.
    pub reserved: u32,
}

/// The host, as a plugin sees it. Lives as long as the process.
#[repr(C)]
#[derive(Clone, Copy)]
#[cfg_attr(feature = "layouts", derive(StableAbi))]
pub struct Host {
    /// `sizeof` this struct, in bytes.
    pub size: u32,
    /// Major version of the host's ABI.
    pub abi_major: u32,
    /// Minor version of the host's ABI.
    pub abi_minor: u32,
    /// Zero.
    pub reserved: u32,
    /// The host's tables.
    pub tables: Tables,
}

/// The table `HOST_TABLE_SERVICES`: what every host offers. Lives as long as the process; callable from any thread.
#[repr(C)]
#[derive(Clone, Copy)]
#[cfg_attr(feature = "layouts", derive(StableAbi))]
pub struct HostServices {
    /// `sizeof` this struct, in bytes.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// To be handed back as the first argument of the functions below.
    pub context: *const c_void,
    /// Name of the tool whose telemetry this is.
    pub tool_name: Str,
    /// Version of that tool.
    pub tool_version: Str,
    /// What the configuration calls this backend.
    pub backend_name: Str,
    /// Whether the host wants a log record of `level` from `target` (1) or not (0).
    pub log_enabled: unsafe extern "C" fn(context: *const c_void, level: u32, target: Str) -> u32,
    /// Takes a log record.
    /// OWNERSHIP: `record` is copied before this function returns.
    pub log: unsafe extern "C" fn(context: *const c_void, record: *const LogRecord),
    /// Whether the host no longer uses this backend, so that its own threads should end (1), or still uses it (0).
    ///
    /// The threads end in `close`. A later backend of the same name may get this host some time after `free`, and the
    /// answer is 0 again from then on.
    pub cancelled: unsafe extern "C" fn(context: *const c_void) -> u32,
}

/// One log record.
#[repr(C)]
#[derive(Clone, Copy)]
#[cfg_attr(feature = "layouts", derive(StableAbi))]
pub struct LogRecord {
    /// One of the `LEVEL_` numbers.
    pub level: u32,
    /// Line in `file`, or 0.
    pub line: u32,
    /// Where it comes from, such as a module path.
    pub target: Str,
    /// Source file, or empty.
    pub file: Str,
    /// What it says, fields included.
    pub message: Str,
}

/// Every frozen type behind one layout, for the check at load time. Never instantiated.
#[cfg(feature = "layouts")]
#[repr(C)]
#[derive(StableAbi)]
pub(crate) struct Surface {
    descriptor: *const Descriptor,
    backend: *const BackendTable,
    call: *const Call,
    outcome: *const Outcome,
    batch: *const Batch,
    event: *const Event,
    host: *const Host,
    services: *const HostServices,
    record: *const LogRecord,
}
