use super::*;
use crate::inspect::facts::{Endian, Format};
use crate::inspect::metadata;

#[test]
fn a_layout_report_becomes_its_first_difference() {
    assert_eq!(
        condense(include_str!("../../../tests/fixtures/layout_grown.txt")),
        "type BackendTable: incompatible type size: expected 24, found 40"
    );
    assert_eq!(
        condense(include_str!("../../../tests/fixtures/layout_renamed.txt")),
        "type Str: unexpected field: expected len: usize, found length: usize"
    );
    let report = include_str!("../../../tests/fixtures/layout_grown.txt");
    let (start, end) = (report.find("2 error(s)").unwrap(), report.find("1 error(s)").unwrap());
    assert_eq!(
        condense(&[&report[..start], &report[end..]].concat()),
        "type BackendTable, field flags: mismatched type: expected u32, found u64"
    );
    assert_eq!(condense("something else"), "the type layouts: not the same as the host's");
    assert_eq!(condense(""), "the type layouts: not the same as the host's");
}

/// A plugin in this process's own memory, for one change each.
struct Mock {
    descriptor: Descriptor,
    table: RawTable,
    optional: RawOptional,
    entries: [TableEntry; 4],
    json: String,
}

#[repr(C)]
struct RawTable {
    size: u32,
    flags: u32,
    functions: [usize; 4],
}

/// The deletion table, or the diagnostics table with one function more.
#[repr(C, align(8))]
struct RawOptional {
    size: u32,
    reserved: u32,
    functions: [usize; 2],
}

impl Mock {
    fn new() -> Box<Self> {
        let json = serde_json::json!({
            "format": 1, "name": "mock", "version": "1", "vendor": "", "description": "",
            "abi": {"major": ABI_MAJOR, "minor": 0}, "digest": format!("{DIGEST:016x}"), "requires": [],
            "offers": [], "serial": false, "target": "t", "panic": "none", "language": "c", "compiler": "c",
            "config_schema": null,
        });
        let none = TableEntry { id: 0x7777, reserved: 0, table: std::ptr::dangling() };
        let mut mock = Box::new(Self {
            descriptor: Descriptor {
                magic: MAGIC,
                abi_major: ABI_MAJOR,
                abi_minor: 9,
                size: size_of::<Descriptor>() as u32,
                reserved: 0,
                digest: DIGEST,
                metadata: Str::EMPTY,
                tables: Tables::EMPTY,
                layouts: std::ptr::null(),
            },
            table: RawTable {
                size: size_of::<BackendTable>() as u32,
                flags: BACKEND_SERIAL,
                functions: [condense as fn(&str) -> ForeignText as usize; 4],
            },
            optional: RawOptional {
                size: size_of::<DiagnosticsTable>() as u32,
                reserved: 0,
                functions: [condense as fn(&str) -> ForeignText as usize; 2],
            },
            entries: [none; 4],
            json: json.to_string(),
        });
        mock.entries[1].id = TABLE_BACKEND;
        mock.entries[1].table = (&raw const mock.table).cast();
        mock.descriptor.tables = Tables { ptr: mock.entries.as_ptr(), len: 4 };
        mock.descriptor.metadata = Str { ptr: mock.json.as_ptr(), len: mock.json.len() };
        mock
    }

    /// Lists the optional table, by this id and with this size.
    fn list(&mut self, id: u32, size: usize) {
        self.optional.size = size as u32;
        self.entries[3].id = id;
        self.entries[3].table = (&raw const self.optional).cast();
    }

    fn check(&self) -> Result<Layout, String> {
        let inspection = Inspection {
            format: Format::Elf,
            os: "Linux",
            arch: String::new(),
            bits: 64,
            endian: Endian::Little,
            size: 0,
            slices: Vec::new(),
            needed: Vec::new(),
            exports_descriptor: true,
            metadata: metadata::parse(&self.json).unwrap(),
            metadata_json: self.json.clone(),
            contract: Ok(()),
            host: Ok(()),
        };
        // SAFETY: a descriptor whose pointers lead to what the test put there.
        unsafe { check_descriptor(&raw const self.descriptor, &inspection) }
            .map(|checked| checked.layout)
            .map_err(|error| error.to_string())
    }
}

/// What the check says of a good plugin after one change.
fn after(change: impl FnOnce(&mut Mock)) -> String {
    let mut mock = Mock::new();
    change(&mut mock);
    mock.check().unwrap_err()
}

#[test]
fn the_digest_is_enough_and_unknown_tables_are_ignored() {
    assert_eq!(Mock::new().check(), Ok(Layout::ByDigest));
}

#[test]
fn a_plugin_with_the_own_layouts_passes_by_them() {
    let mut mock = Mock::new();
    mock.descriptor.layouts = layout::pointer();
    assert_eq!(mock.check(), Ok(Layout::Compared));
}

#[test]
fn padding_after_the_metadata_is_no_difference() {
    let mut mock = Mock::new();
    let padded = format!("{}\0", mock.json);
    mock.descriptor.metadata = Str::new(&padded);
    assert_eq!(mock.check(), Ok(Layout::ByDigest));
}

#[test]
fn each_wrong_field_is_named_with_what_was_expected() {
    let size = size_of::<Descriptor>();
    for (line, said) in [
        (
            after(|m| m.descriptor.magic = 7),
            "descriptor, magic: expected 0x00444c464b43414a, found 0x0000000000000007: ".to_owned(),
        ),
        (after(|m| m.descriptor.abi_major = 2), "descriptor, abi_major: expected 1, found 2: ".into()),
        (
            after(|m| m.descriptor.size -= 8),
            format!("descriptor, size: expected {size}, found {}: ", size - 8),
        ),
        (
            after(|m| m.descriptor.digest ^= 1),
            "its metadata section and its descriptor disagree on the digest (".into(),
        ),
        (
            after(|m| m.descriptor.metadata = Str::EMPTY),
            "descriptor, metadata: expected the metadata section, found null".into(),
        ),
        (
            after(|m| m.descriptor.metadata.len -= 1),
            "its metadata section and its descriptor disagree on the metadata's length".into(),
        ),
        (
            after(|m| m.descriptor.metadata.len = usize::MAX),
            "its metadata section and its descriptor disagree on the metadata's length".into(),
        ),
        (
            after(|m| m.descriptor.tables.ptr = std::ptr::null()),
            "descriptor, tables: expected an address, found null".into(),
        ),
        (
            after(|m| m.descriptor.tables.len = usize::MAX),
            "descriptor, tables: expected at most 1024, found ".into(),
        ),
        (
            after(|m| m.descriptor.tables = Tables::EMPTY),
            "table 1 (backend): expected an address, found none".into(),
        ),
        (
            after(|m| m.entries[1].table = std::ptr::null()),
            "table 1 (backend): expected an address, found none".into(),
        ),
        (
            after(|m| m.entries[1].table = m.entries[1].table.wrapping_byte_add(1)),
            "table 1 (backend): expected an address that 8 divides".into(),
        ),
        (after(|m| m.table.size = 48), "backend table, size: expected 40, found 48".into()),
        (after(|m| m.table.flags = 3), "backend table, flags: expected no bits but 0x1, found 0x3".into()),
        (after(|m| m.table.functions[1] = 0), "backend table, send: expected a function, found null".into()),
        (
            after(|m| m.descriptor.layouts = std::ptr::without_provenance(3)),
            "descriptor, layouts: expected an address that ".into(),
        ),
    ] {
        assert!(line.starts_with(&said), "{line}\n{said}");
    }
}

#[test]
fn other_metadata_than_the_inspected_is_a_contradiction() {
    let mut mock = Mock::new();
    let other = mock.json.replace("mock", "mask");
    mock.descriptor.metadata = Str::new(&other);
    let line = mock.check().unwrap_err();
    assert!(
        line.starts_with("its metadata section and its descriptor disagree on the metadata's text"),
        "{line}"
    );
}

#[test]
fn each_field_of_an_optional_table_is_checked() {
    let (deletion, diagnostics) = (size_of::<DeletionTable>(), size_of::<DiagnosticsTable>());
    for (id, size) in [(TABLE_DELETION, deletion), (TABLE_DIAGNOSTICS, diagnostics), (9, 1)] {
        let mut mock = Mock::new();
        mock.list(id, size);
        assert_eq!(mock.check(), Ok(Layout::ByDigest), "{id}");
    }
    for (id, name, size, found) in [
        (TABLE_DELETION, "deletion", deletion, deletion + 8),
        (TABLE_DIAGNOSTICS, "diagnostics", diagnostics, diagnostics - 8),
    ] {
        let said = after(|m| m.list(id, found));
        assert!(said.starts_with(&format!("{name} table, size: expected {size}, found {found}: ")), "{said}");
        let said = after(|m| {
            m.list(id, size);
            m.entries[3].table = m.entries[3].table.wrapping_byte_add(1);
        });
        assert!(
            said.starts_with(&format!("table {id} ({name}): expected an address that 8 divides")),
            "{said}"
        );
    }
    for (id, size, function, name) in [
        (TABLE_DELETION, deletion, 0, "deletion table, request"),
        (TABLE_DIAGNOSTICS, diagnostics, 0, "diagnostics table, preview"),
        (TABLE_DIAGNOSTICS, diagnostics, 1, "diagnostics table, probe"),
    ] {
        let said = after(|m| {
            m.list(id, size);
            m.optional.functions[function] = 0;
        });
        assert!(said.starts_with(&format!("{name}: expected a function, found null")), "{said}");
    }
}
