//! The facts that a parser finds in a file of any format.

use crate::boundary::text::ForeignText;

/// The symbol of a plugin's descriptor.
pub(crate) const SYMBOL: &str = "jackfield_plugin";

/// Most needed libraries of which the names are kept.
pub(super) const NEEDED_LIMIT: usize = 256;

/// Longest name of a needed library, in bytes.
pub(super) const NAME_LIMIT: usize = 4096;

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

/// The facts of one image. `metadata` is the whole section.
pub(super) struct Facts<'data> {
    pub(super) format: Format,
    pub(super) os: &'static str,
    pub(super) arch: String,
    pub(super) bits: u8,
    pub(super) endian: Endian,
    pub(super) needed: Vec<ForeignText>,
    pub(super) exports_descriptor: bool,
    /// The plugin is a part of this program.
    pub(super) is_built_in: bool,
    pub(super) metadata: Option<&'data [u8]>,
}

/// The text up to the first NUL, if that is within the limit.
pub(super) fn c_string(data: &[u8]) -> Option<ForeignText> {
    let data = &data[..data.len().min(NAME_LIMIT + 1)];
    let end = data.iter().position(|byte| *byte == 0)?;
    Some((&*String::from_utf8_lossy(&data[..end])).into())
}

/// Whether the NUL-terminated text at `offset` is `name`.
pub(super) fn is_named(strings: &[u8], offset: u64, name: &str) -> bool {
    usize::try_from(offset)
        .ok()
        .and_then(|offset| strings.get(offset..)?.split_at_checked(name.len()))
        .is_some_and(|(text, rest)| text == name.as_bytes() && rest.first() == Some(&0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_compared_within_bounds() {
        let strings = b"\0abc\0ab";
        assert!(is_named(strings, 1, "abc"));
        assert!(!is_named(strings, 1, "ab"));
        assert!(!is_named(strings, 5, "ab"), "not terminated");
        assert!(!is_named(strings, u64::MAX, "ab"));
        assert_eq!(c_string(b"abc\0d"), Some("abc".into()));
        assert_eq!(c_string(b"abc"), None);
        assert_eq!(c_string(&[b'x'; NAME_LIMIT + 1]), None);
    }
}
