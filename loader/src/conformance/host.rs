//! Hosts of three versions, as a plugin sees them.

use std::{ffi::c_void, ptr, sync::OnceLock};

use jackfield_plugin_api::abi;

use super::terms::HostKind;

/// A host and what it points to, for the life of the process.
struct Handle {
    host: abi::Host,
    _services: &'static abi::HostServices,
}

// SAFETY: what it points to is leaked and never written again.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// The pointer that `open` gets.
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

/// The tables of a call or a batch of such a host: none, or tables with unknown ids.
pub(super) fn further_tables(kind: HostKind) -> abi::Tables {
    struct Entries([abi::TableEntry; 2]);
    // SAFETY: they point to a static that is never written.
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

/// The content of an unknown table: its size, and bytes without a meaning.
static UNKNOWN: [u64; 4] = [32, u64::MAX, u64::MAX, u64::MAX];

/// The host of today and that of tomorrow want every record, so that the plugin writes them.
unsafe extern "C" fn log_enabled(context: *const c_void, _level: u32, _target: abi::Str) -> u32 {
    u32::from(context.addr() != HostKind::Older as usize)
}

/// Reads all of a record, as a host that shows it does.
unsafe extern "C" fn log(_context: *const c_void, record: *const abi::LogRecord) {
    // SAFETY: the contract: a readable record.
    let Some(record) = (unsafe { record.as_ref() }) else { return };
    for text in [record.target, record.file, record.message] {
        // SAFETY: as above, for its texts.
        let _ = std::hint::black_box(unsafe { text.to_str() });
    }
}

unsafe extern "C" fn cancelled(_context: *const c_void) -> u32 {
    0
}
