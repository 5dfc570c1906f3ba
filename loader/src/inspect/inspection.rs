//! The facts of a plugin's file, its metadata, and whether a host can load it.

use jackfield_plugin_api::metadata::CAPABILITY_STDOUT;

use super::{
    error::{InspectError, Refusal, starts_with},
    facts::{Endian, Facts, Format},
    metadata::{self, Metadata},
    verdict,
};
use crate::boundary::text::ForeignText;

/// Largest metadata section, in bytes.
const METADATA_LIMIT: usize = 1 << 20;

/// Whether this platform has child processes for plugins.
const HAS_ISOLATION: bool = cfg!(target_os = "linux");

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
    pub needed: Vec<ForeignText>,
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
            Err(Refusal::PanicAborts) if HAS_ISOLATION => {}
            verdict => verdict?,
        }
        if self.metadata.requires.iter().any(|required| required == CAPABILITY_STDOUT) {
            return Err(Refusal::NeedsStdout);
        }
        Ok(())
    }
}

/// Reads the metadata and decides.
pub(super) fn conclude(
    facts: Facts<'_>,
    size: usize,
    slices: Vec<String>,
) -> Result<Inspection, InspectError> {
    let section = facts.metadata.ok_or(InspectError::NoMetadata { format: facts.format })?;
    if section.len() > METADATA_LIMIT {
        return Err(InspectError::MetadataTooLarge { size: section.len(), limit: METADATA_LIMIT });
    }
    let json = trim(section);
    let json = std::str::from_utf8(json).map_err(|error| InspectError::MetadataNotJson {
        detail: format!("byte {} is not UTF-8", error.valid_up_to()).into(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_nuls_and_white_space_are_no_part_of_the_metadata() {
        assert_eq!(trim(b"{}\0\0\n \0"), b"{}");
        assert_eq!(trim(b"\0\0"), b"");
        assert_eq!(trim(b""), b"");
    }
}
