//! Why a file is no plugin.

use jackfield_plugin_api::{abi::ABI_MAJOR, metadata::HOST_CAPABILITIES};

use super::facts::{Format, SYMBOL};
use super::source::Source;
use crate::boundary::text::{ForeignText, in_prose};
use crate::library::error::ImageError;

/// Why a file is no plugin, or not one for this host.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// The file can't be read as a library.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The file does not have the format of a library.
    #[error("not a library but {what}: `plugin` takes an ELF, PE or Mach-O library")]
    NotALibrary {
        /// The kind of the file, according to its first bytes.
        what: String,
    },
    /// The file is truncated or damaged.
    #[error("truncated or corrupt: {detail}: get the file again")]
    Corrupt {
        /// The damage.
        detail: String,
    },
    /// The copy that would be loaded is another library than the file that was inspected.
    #[error("was replaced or written to while it was read: try again when it is whole")]
    Changed,
    /// The format is right, but the file is not a dynamic library.
    #[error(
        "{what}, expected a dynamic library: link the plugin as one (Rust: crate-type = [\"cdylib\"], C: -shared)"
    )]
    NotDynamic {
        /// The kind of the file.
        what: &'static str,
    },
    /// The library has no metadata, so it is no plugin.
    #[error("not a Jackfield plugin: a dynamic library without the metadata section {}", section(*.format))]
    NoMetadata {
        /// The format of the library.
        format: Format,
    },
    /// The section headers, by which the metadata is found, were removed.
    #[error(
        "its section headers are stripped, so it can't be told whether it is a plugin: strip it less (`strip` keeps them, `strip --strip-section-headers` and `sstrip` do not)"
    )]
    NoSections,
    /// The metadata exceeds the limit.
    #[error(
        "metadata too large: {size} bytes, limit {limit}: shorten the description or the configuration's schema"
    )]
    MetadataTooLarge {
        /// The size in bytes.
        size: usize,
        /// Limit in bytes.
        limit: usize,
    },
    /// The metadata is no JSON object.
    #[error(
        "metadata is not a JSON object: {detail}, it starts with {start}: the plugin's vendor must correct it"
    )]
    MetadataNotJson {
        /// The message of the parser.
        detail: ForeignText,
        /// The first bytes.
        start: String,
    },
    /// A member of the metadata is missing or wrong.
    #[error("metadata, {member}: {detail}: the plugin's vendor must correct it")]
    MetadataMember {
        /// The member, such as `abi.major` or `requires[0]`.
        member: ForeignText,
        /// The error.
        detail: ForeignText,
    },
    /// This host does not load the plugin.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Why a host does not load a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is for another platform.
    #[error("a library for {found}, expected {expected}: get the plugin's build for this platform")]
    Platform {
        /// This host's platform.
        expected: String,
        /// The plugin's.
        found: String,
    },
    /// It needs another C library than this host has.
    #[error(
        "built for the C library {found}, this host uses {expected}: get the plugin's build for {expected}"
    )]
    CLibrary {
        /// This host's.
        expected: &'static str,
        /// The plugin's.
        found: &'static str,
    },
    /// It was built against another major version of the ABI.
    #[error("expected ABI {expected}, found ABI {found}: {}", abi_advice(*.expected, *.found))]
    Abi {
        /// This host's.
        expected: u32,
        /// The plugin's.
        found: u32,
    },
    /// It was built against another surface of the same version, such as one before the release.
    #[error(
        "expected surface digest {expected}, found {found}: rebuild the plugin with a released plugin API of ABI {ABI_MAJOR}"
    )]
    Digest {
        /// This host's, 16 hexadecimal digits.
        expected: String,
        /// The plugin's.
        found: String,
    },
    /// It requires capabilities that this host does not have.
    #[error("requires {}, this host has {}: update the tool, or use an older plugin", in_prose(.missing), in_prose(HOST_CAPABILITIES))]
    Capabilities {
        /// The missing capabilities.
        missing: Vec<ForeignText>,
    },
    /// The library does not export its descriptor.
    #[error(
        "no exported symbol `{SYMBOL}`: the plugin was linked without its descriptor; its vendor must export it"
    )]
    NoDescriptor,
    /// A library whose panic would end the host's process.
    #[error(
        "built with panic = \"abort\", so process isolation only: set isolation = \"process\" for it, or get a build with panic = \"unwind\""
    )]
    PanicAborts,
    /// It can run only in a process of its own, by its metadata.
    #[error("can run only in a process of its own, as its metadata says: {}", process_advice())]
    NeedsProcess,
    /// It prints to the tool's standard output, which a child process does not have.
    #[error(
        "prints to the tool's standard output, which a process of its own does not have: set isolation = \"thread\" for it"
    )]
    NeedsStdout,
}

/// Number of bytes by which a file that is no library is described.
const HEAD: u64 = 512;

fn abi_advice(expected: u32, found: u32) -> &'static str {
    if found > expected { "update the tool, or use an older plugin" } else { "use a newer plugin" }
}

/// Whether this program has child processes for plugins.
pub(super) const HAS_ISOLATION: bool = cfg!(all(target_os = "linux", feature = "isolation"));

fn process_advice() -> &'static str {
    if HAS_ISOLATION {
        "remove isolation = \"thread\" for it"
    } else {
        "this program has no process isolation"
    }
}

impl InspectError {
    pub(super) fn corrupt(what: &'static str) -> impl Fn(object::read::Error) -> Self + Copy {
        move |error| Self::Corrupt { detail: format!("{what}: {error}") }
    }

    pub(super) fn bad_name() -> Self {
        Self::Corrupt { detail: "name of a needed library".to_owned() }
    }

    /// The error for a file that is no library.
    pub(super) fn foreign(data: Source<'_>) -> Self {
        let Ok(bytes) = data.head(HEAD) else {
            return Self::Corrupt { detail: "its beginning can't be read".to_owned() };
        };
        if bytes.is_empty() {
            return ImageError::Empty.into();
        }
        if starts_like_a_library(bytes) {
            return Self::Corrupt {
                detail: format!("starts like a library, {} bytes, and ends there", data.size()),
            };
        }
        if bytes.starts_with(b"!<arch>\n") || bytes.starts_with(b"!<thin>\n") {
            return Self::NotDynamic { what: "a static library (archive)" };
        }
        match object::FileKind::parse(bytes) {
            Ok(object::FileKind::Coff | object::FileKind::CoffBig) => {
                Self::NotDynamic { what: "an object file (COFF)" }
            }
            _ => Self::NotALibrary { what: describe(bytes) },
        }
    }
}

fn starts_like_a_library(head: &[u8]) -> bool {
    let mach_o = head.first_chunk().is_some_and(|magic| {
        matches!(
            u32::from_be_bytes(*magic),
            0xfeed_face | 0xfeed_facf | 0xcefa_edfe | 0xcffa_edfe | 0xcafe_babe | 0xcafe_babf
        )
    });
    mach_o || head.starts_with(b"\x7fELF") || head.starts_with(b"MZ")
}

fn describe(bytes: &[u8]) -> String {
    let printable = bytes.iter().all(|byte| *byte >= 0x20 || byte.is_ascii_whitespace() || *byte == 0x1b);
    if !printable || text_of(bytes).is_none() {
        return format!("a file that starts with {}", starts_with(bytes));
    }
    // The text may be a secret, if the file was named by mistake.
    let kind = if bytes.starts_with(b"#!") {
        "a script, a text file"
    } else if bytes.starts_with(b"/* GNU ld script") {
        "a linker script, a text file"
    } else {
        "a text file"
    };
    kind.to_owned()
}

/// The first bytes of a file as text, if they are text. They may end within a character.
fn text_of(head: &[u8]) -> Option<&str> {
    match std::str::from_utf8(head) {
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).ok(),
        text => text.ok(),
    }
}

/// Shows the first bytes, as text if they are text.
pub(super) fn starts_with(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(15)];
    match text_of(head) {
        Some(text) if !text.contains('\0') => format!("\"{}\"", ForeignText::cut(text, 15)),
        _ => {
            let hex: Vec<_> = head.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("the bytes {}", hex.join(" "))
        }
    }
}

fn section(format: Format) -> String {
    use jackfield_plugin_api::metadata::{SECTION_ELF, SECTION_MACHO, SECTION_PE};
    match format {
        Format::Elf => SECTION_ELF.to_owned(),
        Format::Pe => SECTION_PE.to_owned(),
        Format::MachO => format!("{},{}", SECTION_MACHO.0, SECTION_MACHO.1),
    }
}
