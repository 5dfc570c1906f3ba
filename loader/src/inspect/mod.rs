//! What a file is and says of itself, read without running a byte of it.
//!
//! The file is hostile until proven otherwise. Nothing here allocates by a count that the file claims, nothing is read
//! more than a few times, and every list is capped:
//!
//! | what | limit |
//! | --- | --- |
//! | metadata section | 1 MiB |
//! | needed libraries | 256 names of 4,096 bytes |
//! | capabilities in a list | 64 |
//! | slices of a fat Mach-O file | 32 |

mod elf;
mod error;
mod macho;
pub(crate) mod metadata;
mod pe;
mod verdict;

use jackfield_plugin_api::metadata::CAPABILITY_STDOUT;
use object::FileKind;

pub(crate) use self::error::starts_like_a_library;
use self::error::starts_with;
pub use self::{
    error::InspectError,
    metadata::{Abi, Metadata, PanicStrategy},
    verdict::Refusal,
};

/// The exported symbol that leads to a plugin's descriptor.
pub(crate) const SYMBOL: &str = "jackfield_plugin";

/// Largest metadata section, in bytes.
const METADATA_LIMIT: usize = 1 << 20;

/// Most needed libraries that are kept.
const NEEDED_LIMIT: usize = 256;

/// Longest name of a needed library, in bytes.
const NAME_LIMIT: usize = 4096;

/// A file format of dynamic libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub enum Format {
    /// Linux, the BSDs and most other Unix systems.
    #[serde(rename = "ELF")]
    Elf,
    /// Windows.
    #[serde(rename = "PE")]
    Pe,
    /// macOS.
    #[serde(rename = "Mach-O")]
    MachO,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Elf => "ELF",
            Self::Pe => "PE",
            Self::MachO => "Mach-O",
        })
    }
}

/// Byte order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Endian {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

/// The facts of a plugin's file, and what follows from them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Inspection {
    /// File format.
    pub format: Format,
    /// Operating system, as far as the format tells: `Linux`, `FreeBSD`, `NetBSD`, `OpenBSD`, `Windows` or `macOS`.
    pub os: &'static str,
    /// Processor architecture by Rust's names (`x86_64`, `aarch64` ...), or `machine 0x1234` when it is none of them.
    pub arch: String,
    /// Width of an address in bits: 32 or 64.
    pub bits: u8,
    /// Byte order.
    pub endian: Endian,
    /// Size of the file in bytes.
    pub size: u64,
    /// Architectures in a fat Mach-O file, of which this inspection describes one; empty for every other file.
    pub slices: Vec<String>,
    /// Libraries that the plugin needs, by the names it asks for; at most 256.
    pub needed: Vec<String>,
    /// Whether the symbol `jackfield_plugin` is exported.
    pub exports_descriptor: bool,
    /// What the plugin says of itself.
    pub metadata: Metadata,
    /// The metadata section as it stands in the file, without the NULs and white space at its end.
    pub metadata_json: String,
    /// Whether a host of this version, on the platform that the file is for, can load it: ABI, digest, capabilities.
    pub contract: Result<(), Refusal>,
    /// Whether this very host can: platform and panic strategy.
    pub host: Result<(), Refusal>,
}

impl Inspection {
    /// Whether this host would load the plugin into its own process, its trust policy aside.
    ///
    /// # Errors
    /// The first refusal: of the platform, then of the contract, then of the panic strategy.
    pub fn verdict(&self) -> Result<(), Refusal> {
        match &self.host {
            Err(refusal @ Refusal::Platform { .. }) => Err(refusal.clone()),
            host => self.contract.clone().and_then(|()| host.clone()),
        }
    }

    /// Whether this host would load the plugin into a process of its own, its trust policy aside. There a panic may abort.
    ///
    /// # Errors
    /// The first refusal: of the platform, then of the contract.
    pub fn verdict_in_process(&self) -> Result<(), Refusal> {
        match self.verdict() {
            Err(Refusal::PanicAborts) if crate::isolated::IS_SUPPORTED => {}
            verdict => verdict?,
        }
        if self.metadata.requires.iter().any(|required| required == CAPABILITY_STDOUT) {
            return Err(Refusal::NeedsStdout);
        }
        Ok(())
    }
}

/// What a parser found in one image; `metadata` is the section as it stands.
struct Facts<'data> {
    format: Format,
    os: &'static str,
    arch: String,
    bits: u8,
    endian: Endian,
    needed: Vec<String>,
    exports_descriptor: bool,
    metadata: Option<&'data [u8]>,
}

/// Inspects a file's bytes.
///
/// # Errors
/// Why the bytes are no plugin of any platform. A plugin for another one is no error: see [`Inspection::verdict`].
pub fn inspect_bytes(bytes: &[u8]) -> Result<Inspection, InspectError> {
    let facts = match FileKind::parse(bytes) {
        Ok(FileKind::Elf32) => elf::facts::<object::elf::FileHeader32<object::Endianness>>(bytes)?,
        Ok(FileKind::Elf64) => elf::facts::<object::elf::FileHeader64<object::Endianness>>(bytes)?,
        Ok(FileKind::Pe32) => pe::facts::<object::pe::ImageNtHeaders32>(bytes)?,
        Ok(FileKind::Pe64) => pe::facts::<object::pe::ImageNtHeaders64>(bytes)?,
        Ok(FileKind::MachO32 | FileKind::MachO64) => macho::facts(bytes)?,
        Ok(FileKind::MachOFat32) => return macho::fat::<object::macho::FatArch32>(bytes),
        Ok(FileKind::MachOFat64) => return macho::fat::<object::macho::FatArch64>(bytes),
        _ => return Err(InspectError::foreign(bytes)),
    };
    conclude(facts, bytes.len(), Vec::new())
}

/// Reads the metadata and decides.
fn conclude(facts: Facts<'_>, size: usize, slices: Vec<String>) -> Result<Inspection, InspectError> {
    let section = facts.metadata.ok_or(InspectError::NoMetadata { format: facts.format })?;
    if section.len() > METADATA_LIMIT {
        return Err(InspectError::MetadataTooLarge { size: section.len(), limit: METADATA_LIMIT });
    }
    let json = trim(section);
    let json = std::str::from_utf8(json).map_err(|error| InspectError::MetadataNotJson {
        detail: format!("byte {} is not UTF-8", error.valid_up_to()),
        start: starts_with(json),
    })?;
    let metadata = metadata::parse(json)?;
    let contract = verdict::contract(&metadata, facts.exports_descriptor);
    let host = verdict::host(&facts, &metadata);
    Ok(Inspection {
        format: facts.format,
        os: facts.os,
        arch: facts.arch,
        bits: facts.bits,
        endian: facts.endian,
        size: size as u64,
        slices,
        needed: facts.needed,
        exports_descriptor: facts.exports_descriptor,
        metadata,
        metadata_json: json.to_owned(),
        contract,
        host,
    })
}

/// `section` without the NULs and white space at its end, which linkers and C strings leave there.
pub(crate) fn trim(section: &[u8]) -> &[u8] {
    let end =
        section.iter().rposition(|byte| *byte != 0 && !byte.is_ascii_whitespace()).map_or(0, |last| last + 1);
    &section[..end]
}

/// The text at the start of `data`, up to its NUL, or nothing when that is not within the limit.
fn c_string(data: &[u8]) -> Option<String> {
    let data = &data[..data.len().min(NAME_LIMIT + 1)];
    let end = data.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&data[..end]).into_owned())
}

/// Whether the NUL-terminated text at `offset` is `name`. Looks at no more bytes than `name` has.
fn is_named(strings: &[u8], offset: u64, name: &str) -> bool {
    usize::try_from(offset)
        .ok()
        .and_then(|offset| strings.get(offset..)?.split_at_checked(name.len()))
        .is_some_and(|(text, rest)| text == name.as_bytes() && rest.first() == Some(&0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_nuls_and_white_space_are_no_part_of_the_metadata() {
        assert_eq!(trim(b"{}\0\0\n \0"), b"{}");
        assert_eq!(trim(b"\0\0"), b"");
        assert_eq!(trim(b""), b"");
    }

    #[test]
    fn a_name_is_compared_within_bounds() {
        let strings = b"\0abc\0ab";
        assert!(is_named(strings, 1, "abc"));
        assert!(!is_named(strings, 1, "ab"));
        assert!(!is_named(strings, 5, "ab"), "not terminated");
        assert!(!is_named(strings, u64::MAX, "ab"));
        assert_eq!(c_string(b"abc\0d"), Some("abc".to_owned()));
        assert_eq!(c_string(b"abc"), None);
        assert_eq!(c_string(&[b'x'; NAME_LIMIT + 1]), None);
    }

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
