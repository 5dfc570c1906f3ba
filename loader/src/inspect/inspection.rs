//! The facts of a plugin's file, its metadata, and whether a host can load it.

use jackfield_plugin_api::metadata::CAPABILITY_STDOUT;

use super::error::{HAS_ISOLATION, InspectError, Refusal, starts_with};
use super::facts::{Endian, Facts, Format};
use super::metadata::{self, Metadata};
use super::verdict;
use crate::boundary::text::ForeignText;

/// Largest metadata section, in bytes.
const METADATA_LIMIT: usize = 1 << 20;

/// The facts of a plugin's file, and the verdict.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Inspection {
    /// File format.
    pub format: Format,
    /// Operating system, as far as the format tells, such as `Linux`, `FreeBSD`, `Windows` or `macOS`.
    pub os: &'static str,
    /// Processor architecture with Rust's name (`x86_64`, `aarch64` ...), or `machine 0x1234`.
    pub arch: String,
    /// Width of an address in bits: 32 or 64.
    pub bits: u8,
    /// Byte order.
    pub endian: Endian,
    /// Size of the file in bytes.
    pub size: u64,
    /// Architectures of a fat Mach-O file. This inspection describes one of them. Empty for any other file.
    pub slices: Vec<String>,
    /// Names of the libraries that the plugin needs, at most 256.
    pub needed: Vec<ForeignText>,
    /// Whether the symbol `jackfield_plugin` is exported.
    pub exports_descriptor: bool,
    /// The metadata.
    pub metadata: Metadata,
    /// The metadata section, without NULs and white space at its end.
    pub metadata_json: String,
    /// Whether a host of this version can load it on the file's platform: ABI, digest, capabilities.
    pub contract: Result<(), Refusal>,
    /// Whether this host can run it in its own process: platform, isolation and panic strategy.
    pub host: Result<(), Refusal>,
}

impl Inspection {
    /// Whether this host can load the plugin into its own process.
    ///
    /// # Errors
    /// The first refusal: platform, contract, isolation, panic strategy.
    pub fn verdict(&self) -> Result<(), Refusal> {
        match &self.host {
            Err(refusal @ (Refusal::Platform { .. } | Refusal::CLibrary { .. })) => Err(refusal.clone()),
            host => self.contract.clone().and_then(|()| host.clone()),
        }
    }

    /// Whether this host can load the plugin into a child process, where a panic may abort.
    ///
    /// # Errors
    /// The first refusal: platform, contract.
    pub fn verdict_in_process(&self) -> Result<(), Refusal> {
        match self.verdict() {
            Err(Refusal::PanicAborts | Refusal::NeedsProcess) if HAS_ISOLATION => {}
            verdict => verdict?,
        }
        if self.metadata.requires.iter().any(|required| required == CAPABILITY_STDOUT) {
            return Err(Refusal::NeedsStdout);
        }
        Ok(())
    }

    /// Whether the other one has the same metadata, needed libraries and verdicts, which are all that later stages use.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        self.metadata_json == other.metadata_json
            && self.needed == other.needed
            && self.contract == other.contract
            && self.host == other.host
    }
}

pub(super) fn conclude(facts: Facts<'_>, size: u64, slices: Vec<String>) -> Result<Inspection, InspectError> {
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
        size,
        slices,
        needed: facts.needed,
        exports_descriptor: facts.exports_descriptor,
        metadata,
        metadata_json: json.to_owned(),
        contract,
        host,
    })
}

/// Trims NULs and white space at the end of `section`, which linkers and C strings leave there.
pub(crate) fn trim(section: &[u8]) -> &[u8] {
    let end =
        section.iter().rposition(|byte| *byte != 0 && !byte.is_ascii_whitespace()).map_or(0, |last| last + 1);
    &section[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nuls_and_white_space_after_the_metadata_are_trimmed() {
        assert_eq!(trim(b"{}\0\0\n \0"), b"{}");
        assert_eq!(trim(b"\0\0"), b"");
        assert_eq!(trim(b""), b"");
    }
}
