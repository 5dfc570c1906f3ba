//! PE: the metadata is found by a section's name, the other facts by the directories of exports and imports.

use jackfield_plugin_api::metadata::SECTION_PE;
use object::read::pe::{ExportTable, ImageNtHeaders, SectionTable};
use object::{LittleEndian as LE, ReadRef as _, pe};

use super::error::InspectError;
use super::facts::{Endian, Facts, Format, NAME_LIMIT, NEEDED_LIMIT, SYMBOL, c_string, is_named};
use super::source::Source;
use super::verdict;
use crate::boundary::text::ForeignText;

pub(super) fn facts<Pe: ImageNtHeaders>(data: Source<'_>) -> Result<Facts<'_>, InspectError> {
    let dos = pe::ImageDosHeader::parse(data).map_err(InspectError::corrupt("DOS header"))?;
    let mut offset = dos.nt_headers_offset().into();
    let (headers, directories) = Pe::parse(data, &mut offset).map_err(InspectError::corrupt("headers"))?;
    let file = headers.file_header();
    if file.characteristics.get(LE).0 & pe::IMAGE_FILE_DLL.0 == 0 {
        return Err(InspectError::NotDynamic { what: "an executable (PE)" });
    }
    let sections = headers.sections(data, offset).map_err(InspectError::corrupt("section table"))?;

    let mut metadata = None;
    if let Some(section) = sections.iter().find(|section| section.raw_name() == SECTION_PE.as_bytes()) {
        metadata = Some(section.pe_data(data).map_err(InspectError::corrupt("metadata section"))?);
    }

    let exports =
        directories.export_table(data, &sections).map_err(InspectError::corrupt("export directory"))?;
    let exports_descriptor = match (&exports, directories.get(pe::IMAGE_DIRECTORY_ENTRY_EXPORT)) {
        (Some(exports), Some(directory)) => {
            let strings =
                directory.data(data, &sections).map_err(InspectError::corrupt("export directory"))?;
            exports_name(exports, strings, directory.virtual_address.get(LE))
        }
        _ => false,
    };

    Ok(Facts {
        format: Format::Pe,
        os: "Windows",
        arch: arch(file.machine.get(LE)),
        bits: if headers.is_type_64() { 64 } else { 32 },
        endian: Endian::Little,
        needed: match directories.get(pe::IMAGE_DIRECTORY_ENTRY_IMPORT) {
            Some(directory) => needed(data, &sections, directory.virtual_address.get(LE))?,
            None => Vec::new(),
        },
        exports_descriptor,
        is_built_in: false,
        metadata,
    })
}

/// Whether the descriptor is exported by name. A forwarder to another library does not count.
fn exports_name(exports: &ExportTable<'_>, strings: &[u8], base: u32) -> bool {
    exports.name_iter().any(|(pointer, index)| {
        is_named(strings, pointer.wrapping_sub(base).into(), SYMBOL)
            && exports
                .address_by_index(index)
                .is_ok_and(|address| address != 0 && !exports.is_forward(address))
    })
}

fn needed(
    data: Source<'_>,
    sections: &SectionTable<'_>,
    address: u32,
) -> Result<Vec<ForeignText>, InspectError> {
    let corrupt = || InspectError::Corrupt { detail: "import directory".to_owned() };
    // Up to `limit` bytes at an address, within its section.
    let read = |address, limit: usize| {
        let (offset, size) = sections.pe_file_range_at(address)?;
        data.read_bytes_at(offset.into(), u64::from(size).min(limit as u64)).ok()
    };
    let all = NEEDED_LIMIT * size_of::<pe::ImageImportDescriptor>();
    let mut descriptors = read(address, all).ok_or_else(corrupt)?;
    let mut needed = Vec::new();
    while needed.len() < NEEDED_LIMIT {
        let (descriptor, rest) =
            object::pod::from_bytes::<pe::ImageImportDescriptor>(descriptors).map_err(|()| corrupt())?;
        if descriptor.is_null() {
            break;
        }
        descriptors = rest;
        let name = read(descriptor.name.get(LE), NAME_LIMIT + 1).and_then(c_string);
        needed.push(name.ok_or_else(corrupt)?);
    }
    Ok(needed)
}

fn arch(machine: pe::Machine) -> String {
    let known = match machine {
        pe::IMAGE_FILE_MACHINE_AMD64 => Some("x86_64"),
        pe::IMAGE_FILE_MACHINE_ARM64 => Some("aarch64"),
        pe::IMAGE_FILE_MACHINE_I386 => Some("x86"),
        pe::IMAGE_FILE_MACHINE_ARMNT => Some("arm"),
        pe::IMAGE_FILE_MACHINE_RISCV64 => Some("riscv64"),
        _ => None,
    };
    verdict::arch(known, machine.0.into())
}
