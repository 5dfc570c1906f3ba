//! Inspects a file without running its code.
//!
//! The file may be hostile. No code here allocates by a count in it, or reads a part many times. Limits:
//!
//! | what | limit |
//! | --- | --- |
//! | bytes that are read of a file | 64 MiB |
//! | metadata section | 1 MiB |
//! | needed libraries | 256 names of 4,096 bytes |
//! | capabilities in a list | 64 |
//! | slices of a fat Mach-O file | 32 |

mod elf;
pub(crate) mod error;
pub(crate) mod facts;
pub(crate) mod inspection;
mod macho;
pub(crate) mod metadata;
mod pe;
mod source;
mod verdict;

use std::fs::File;

use object::FileKind;

use self::error::InspectError;
use self::inspection::{Inspection, conclude};
use self::source::{FileRanges, Source};

/// Inspects a plugin that is linked into this program, by its metadata.
///
/// # Errors
/// The metadata is invalid. Whether this host can use the plugin says [`Inspection::verdict`].
pub(crate) fn inspect_built_in(metadata: &[u8]) -> Result<Inspection, InspectError> {
    conclude(verdict::facts_of_host(metadata), metadata.len() as u64, Vec::new())
}

/// Inspects the bytes of a file.
///
/// # Errors
/// Why the bytes are no plugin of any platform. For this platform, see [`Inspection::verdict`].
pub fn inspect_bytes(bytes: &[u8]) -> Result<Inspection, InspectError> {
    inspect_source(Source::memory(bytes))
}

/// Inspects an open file of `size` bytes. Reads headers, tables of symbols and metadata, and nothing else.
pub(crate) fn inspect_file(file: &File, size: u64) -> Result<Inspection, InspectError> {
    let ranges = FileRanges::new(file)?;
    inspect_source(Source::file(&ranges, size)).map_err(|error| ranges.error().map_or(error, Into::into))
}

fn inspect_source(data: Source<'_>) -> Result<Inspection, InspectError> {
    let facts = match FileKind::parse(data) {
        Ok(FileKind::Elf32) => elf::facts::<object::elf::FileHeader32<object::Endianness>>(data)?,
        Ok(FileKind::Elf64) => elf::facts::<object::elf::FileHeader64<object::Endianness>>(data)?,
        Ok(FileKind::Pe32) => pe::facts::<object::pe::ImageNtHeaders32>(data)?,
        Ok(FileKind::Pe64) => pe::facts::<object::pe::ImageNtHeaders64>(data)?,
        Ok(FileKind::MachO32 | FileKind::MachO64) => macho::facts(data)?,
        Ok(FileKind::MachOFat32) => return macho::fat::<object::macho::FatArch32>(data),
        Ok(FileKind::MachOFat64) => return macho::fat::<object::macho::FatArch64>(data),
        _ => return Err(InspectError::foreign(data)),
    };
    conclude(facts, data.size(), Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_library_is_told_apart() {
        let error = |bytes: &[u8]| inspect_bytes(bytes).unwrap_err().to_string();
        assert!(error(b"").starts_with("is empty"), "{}", error(b""));
        assert!(error(b"#!/bin/sh\nexit 0\n").contains("a script, a text file"));
        assert!(!error(b"token=hunter2\n").contains("token"), "it may be a secret");
        assert!(error(b"\x1f\x8b\x08\x00zzzzzzzzzzzzzzzz").contains("starts with the bytes 1f 8b 08 00"));
        assert!(error(b"!<arch>\nlibx.o/         ").contains("a static library"));
        assert!(error(b"\x64\x86\x07\x00aaaaaaaaaaaaaaaaaaaa").contains("an object file"));
        assert!(error(b"\x7fELF\x02\x01\x01").contains("truncated or corrupt"));
        assert!(error(b"MZ\x90\0aaaaaaaaaaaaaaaaaaaaaa").contains("truncated or corrupt"));
    }
}
