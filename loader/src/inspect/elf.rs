//! ELF: the facts are found by the section headers. A library without them is refused.

use jackfield_plugin_api::metadata::SECTION_ELF;
use object::elf;
use object::read::elf::{Dyn as _, FileHeader, SectionHeader as _, Sym as _};

use super::error::InspectError;
use super::facts::{Endian, Facts, Format, NEEDED_LIMIT, SYMBOL, c_string, is_named};
use super::source::Source;
use super::verdict;
use crate::boundary::text::ForeignText;

pub(super) fn facts<Elf: FileHeader>(data: Source<'_>) -> Result<Facts<'_>, InspectError> {
    let header = Elf::parse(data).map_err(InspectError::corrupt("header"))?;
    let endian = header.endian().map_err(InspectError::corrupt("header"))?;
    let not_dynamic = match header.e_type(endian) {
        elf::ET_DYN => None,
        elf::ET_EXEC => Some("an executable (ELF)"),
        elf::ET_REL => Some("an object file (ELF, relocatable)"),
        elf::ET_CORE => Some("a core dump (ELF)"),
        _ => Some("an ELF file of unknown type"),
    };
    if let Some(what) = not_dynamic {
        return Err(InspectError::NotDynamic { what });
    }

    let sections = header.section_headers(endian, data).map_err(InspectError::corrupt("section table"))?;
    if sections.is_empty() {
        return Err(InspectError::NoSections);
    }
    let names = header.section_strings_index(endian, data).ok().and_then(|index| sections.get(index.0));
    let names = names.map_or(Ok(&[][..]), |section| section.data(endian, data));
    let names = names.map_err(InspectError::corrupt("section names"))?;
    // The strings of a section that links to them.
    let linked = |section: &Elf::SectionHeader, what| match sections.get(section.sh_link(endian) as usize) {
        Some(strings) => strings.data(endian, data).map_err(InspectError::corrupt(what)),
        None => Err(InspectError::Corrupt { detail: format!("{what}: no such section") }),
    };

    let mut metadata = None;
    let mut needed = Vec::new();
    let mut exports_descriptor = false;
    let (mut dynamic_seen, mut symbols_seen) = (false, false);
    for section in sections {
        if metadata.is_none() && is_named(names, section.sh_name(endian).into(), SECTION_ELF) {
            metadata = Some(section.data(endian, data).map_err(InspectError::corrupt("metadata section"))?);
        }
        // A library has one of each. Only the first is read, so that the time is linear in the file's size.
        if section.sh_type(endian) == elf::SHT_DYNAMIC && !dynamic_seen {
            dynamic_seen = true;
            let entries: &[Elf::Dyn] =
                section.data_as_array(endian, data).map_err(InspectError::corrupt("dynamic section"))?;
            let strings = linked(section, "dynamic strings")?;
            needed = dynamic::<Elf>(endian, entries, strings)?;
        }
        if section.sh_type(endian) == elf::SHT_DYNSYM && !symbols_seen {
            symbols_seen = true;
            let symbols: &[Elf::Sym] =
                section.data_as_array(endian, data).map_err(InspectError::corrupt("dynamic symbols"))?;
            let strings = linked(section, "names of dynamic symbols")?;
            exports_descriptor = symbols.iter().any(|symbol| {
                symbol.st_shndx(endian) != elf::SHN_UNDEF
                    && symbol.st_bind() != elf::STB_LOCAL
                    && !matches!(symbol.st_visibility(), elf::STV_HIDDEN | elf::STV_INTERNAL)
                    && is_named(strings, symbol.st_name(endian).into(), SYMBOL)
            });
        }
    }

    let ident = header.e_ident();
    Ok(Facts {
        format: Format::Elf,
        os: match ident.os_abi {
            elf::ELFOSABI_NETBSD => "NetBSD",
            elf::ELFOSABI_FREEBSD => "FreeBSD",
            elf::ELFOSABI_OPENBSD => "OpenBSD",
            _ => "Linux",
        },
        arch: arch(header.e_machine(endian), header.is_type_64()),
        bits: if header.is_type_64() { 64 } else { 32 },
        endian: if header.is_big_endian() { Endian::Big } else { Endian::Little },
        needed,
        exports_descriptor,
        is_built_in: false,
        metadata,
    })
}

/// The needed libraries. Only a flag in this section tells a position-independent executable from a library.
fn dynamic<Elf: FileHeader>(
    endian: Elf::Endian,
    entries: &[Elf::Dyn],
    strings: &[u8],
) -> Result<Vec<ForeignText>, InspectError> {
    let mut needed = Vec::new();
    for entry in entries {
        let value: u64 = entry.d_val(endian).into();
        match entry.tag(endian) {
            elf::DT_NULL => break,
            elf::DT_FLAGS_1 if value & elf::DF_1_PIE.0 != 0 => {
                return Err(InspectError::NotDynamic { what: "an executable (ELF)" });
            }
            elf::DT_NEEDED if needed.len() < NEEDED_LIMIT => {
                let name = usize::try_from(value).ok().and_then(|at| strings.get(at..)).and_then(c_string);
                needed.push(name.ok_or_else(InspectError::bad_name)?);
            }
            _ => {}
        }
    }
    Ok(needed)
}

fn arch(machine: elf::Machine, is_64: bool) -> String {
    let known = match machine {
        elf::EM_X86_64 => Some("x86_64"),
        elf::EM_AARCH64 => Some("aarch64"),
        elf::EM_386 => Some("x86"),
        elf::EM_ARM => Some("arm"),
        elf::EM_RISCV => Some(if is_64 { "riscv64" } else { "riscv32" }),
        elf::EM_PPC64 => Some("powerpc64"),
        elf::EM_PPC => Some("powerpc"),
        elf::EM_S390 => Some("s390x"),
        elf::EM_LOONGARCH => Some(if is_64 { "loongarch64" } else { "loongarch32" }),
        elf::EM_MIPS => Some(if is_64 { "mips64" } else { "mips" }),
        elf::EM_SPARCV9 => Some("sparc64"),
        elf::EM_SPARC => Some("sparc"),
        _ => None,
    };
    verdict::arch(known, machine.0.into())
}
