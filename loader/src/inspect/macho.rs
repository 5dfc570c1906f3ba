//! Mach-O: the facts are found by the load commands. A fat file has an image in each slice.

use jackfield_plugin_api::metadata::SECTION_MACHO;
use object::read::macho::{FatArch, MachHeader, MachOFatFile, Nlist as _, Section as _, Segment as _};
use object::{BigEndian, Endian as _, Endianness, FileKind, ReadRef as _, macho};

use super::error::InspectError;
use super::facts::{Endian, Facts, Format, NEEDED_LIMIT, SYMBOL, c_string, is_named};
use super::inspection::{Inspection, conclude};
use super::source::Source;
use super::verdict;

/// Most slices of a fat file. A Java class file begins with the same four bytes, and has a version of at
/// least 45 in the place of the number of slices.
const SLICE_LIMIT: u32 = 32;

pub(super) fn facts(data: Source<'_>) -> Result<Facts<'_>, InspectError> {
    match FileKind::parse(data) {
        Ok(FileKind::MachO32) => image::<macho::MachHeader32<Endianness>>(data),
        Ok(FileKind::MachO64) => image::<macho::MachHeader64<Endianness>>(data),
        _ => Err(InspectError::Corrupt { detail: "a slice is no Mach-O image".to_owned() }),
    }
}

/// Inspects the slice for this host's architecture, or else the first one with metadata.
pub(super) fn fat<Fat: FatArch>(data: Source<'_>) -> Result<Inspection, InspectError> {
    let Ok(header) = data.read_at::<macho::FatHeader>(0) else { return Err(InspectError::foreign(data)) };
    if header.nfat_arch.get(BigEndian) > SLICE_LIMIT {
        let what =
            format!("a file that claims {} Mach-O slices, or a Java class", header.nfat_arch.get(BigEndian));
        return Err(InspectError::NotALibrary { what });
    }
    let file = MachOFatFile::<Fat>::parse(data).map_err(InspectError::corrupt("fat header"))?;
    let slices: Vec<_> = file.arches().iter().map(|slice| arch(slice.cputype())).collect();

    let mut first_error = None;
    let mut first_good = None;
    for (slice, arch) in file.arches().iter().zip(&slices) {
        let here = verdict::is_host_arch(arch);
        if !here && first_good.is_some() {
            continue;
        }
        let inspection = data
            .part(slice.offset().into(), slice.size().into())
            .ok_or_else(|| InspectError::Corrupt {
                detail: "fat header: a slice outside the file".to_owned(),
            })
            .and_then(facts)
            .and_then(|facts| conclude(facts, data.size(), slices.clone()));
        match inspection {
            _ if here => return inspection,
            Ok(inspection) => first_good = Some(inspection),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    first_good.ok_or_else(|| {
        first_error.unwrap_or(InspectError::Corrupt { detail: "a fat Mach-O file without slices".to_owned() })
    })
}

fn image<Mach: MachHeader<Endian = Endianness>>(data: Source<'_>) -> Result<Facts<'_>, InspectError> {
    let corrupt = InspectError::corrupt("load commands");
    let header = Mach::parse(data, 0).map_err(InspectError::corrupt("header"))?;
    let endian = header.endian().map_err(InspectError::corrupt("header"))?;
    let not_dynamic = match header.filetype(endian) {
        macho::MH_DYLIB | macho::MH_BUNDLE => None,
        macho::MH_EXECUTE => Some("an executable (Mach-O)"),
        macho::MH_OBJECT => Some("an object file (Mach-O)"),
        macho::MH_CORE => Some("a core dump (Mach-O)"),
        _ => Some("a Mach-O file that is no dynamic library"),
    };
    if let Some(what) = not_dynamic {
        return Err(InspectError::NotDynamic { what });
    }

    let mut metadata = None;
    let mut needed = Vec::new();
    let mut exports_descriptor = false;
    let mut symbols_seen = false;
    let mut commands = header.load_commands(endian, data, 0).map_err(corrupt)?;
    while let Some(command) = commands.next().map_err(corrupt)? {
        if let Some((segment, sections)) = Mach::Segment::from_command(command).map_err(corrupt)? {
            for section in segment.sections(endian, sections).map_err(corrupt)? {
                if metadata.is_none() && (section.segment_name(), section.name()) == SECTION {
                    let found = section.data(endian, data, section.offset(endian).into());
                    metadata = Some(found.map_err(InspectError::corrupt("metadata section"))?);
                }
            }
        } else if let Some(dylib) = command.dylib().map_err(corrupt)? {
            if needed.len() < NEEDED_LIMIT {
                let at = dylib.dylib.name.offset.get(endian) as usize;
                let name = command.raw_data().get(at..).and_then(c_string);
                needed.push(name.ok_or_else(InspectError::bad_name)?);
            }
        } else if let Some(symtab) = command.symtab().map_err(corrupt)?
            && !symbols_seen
        {
            // An image has one. Only the first is read, so that the time is linear in the file's size.
            symbols_seen = true;
            let table =
                symtab.symbols::<Mach, _>(endian, data).map_err(InspectError::corrupt("symbol table"))?;
            let (start, size) = (symtab.stroff.get(endian), symtab.strsize.get(endian));
            let strings = data
                .read_bytes_at(start.into(), size.into())
                .map_err(|()| InspectError::Corrupt { detail: "names of symbols".to_owned() })?;
            exports_descriptor = table.iter().any(|symbol| {
                let kind = symbol.n_type();
                symbol.is_definition()
                    && kind.0 & macho::N_EXT.0 != 0
                    && kind.0 & macho::N_PEXT.0 == 0
                    && strings.get(symbol.n_strx(endian) as usize) == Some(&b'_')
                    && is_named(strings, u64::from(symbol.n_strx(endian)) + 1, SYMBOL)
            });
        }
    }

    Ok(Facts {
        format: Format::MachO,
        os: "macOS",
        arch: arch(header.cputype(endian)),
        bits: if header.is_type_64() { 64 } else { 32 },
        endian: if endian.is_big_endian() { Endian::Big } else { Endian::Little },
        needed,
        exports_descriptor,
        is_built_in: false,
        metadata,
    })
}

const SECTION: (&[u8], &[u8]) = (SECTION_MACHO.0.as_bytes(), SECTION_MACHO.1.as_bytes());

fn arch(cpu: macho::CpuType) -> String {
    let known = match cpu {
        macho::CPU_TYPE_X86_64 => Some("x86_64"),
        macho::CPU_TYPE_ARM64 => Some("aarch64"),
        macho::CPU_TYPE_X86 => Some("x86"),
        macho::CPU_TYPE_ARM => Some("arm"),
        macho::CPU_TYPE_POWERPC => Some("powerpc"),
        macho::CPU_TYPE_POWERPC64 => Some("powerpc64"),
        _ => None,
    };
    verdict::arch(known, u64::from(cpu.0))
}
