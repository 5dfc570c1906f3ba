//! A text for a child, in memory alone.

use std::io;

use super::handle::OwnedHandle;

/// A file for [`Spawn::files`](super::Spawn::files), from which the child [takes](handed_over) the text.
///
/// # Errors
/// There is no such memory, or the text is too long for a pipe.
///
/// # Platform
/// On Linux and Windows the length has no limit. Elsewhere it is 16 KiB.
pub fn hand_over(text: &[u8]) -> io::Result<OwnedHandle> {
    system::hand_over(text)
}

/// The text of a file that a child has got.
///
/// # Errors
/// It can't be read.
pub fn handed_over(file: OwnedHandle) -> io::Result<Vec<u8>> {
    system::handed_over(file)
}

#[cfg(unix)]
mod system {
    use std::fs::File;
    use std::io::{self, Read as _};
    use std::os::fd::OwnedFd;

    #[cfg(target_os = "linux")]
    pub(super) fn hand_over(text: &[u8]) -> io::Result<OwnedFd> {
        use std::io::Seek as _;

        use rustix::fs::{MemfdFlags, memfd_create};
        let mut file = File::from(memfd_create("jackfield-text", MemfdFlags::CLOEXEC)?);
        crate::files::write::write_all(&file, text)?;
        file.rewind()?;
        Ok(file.into())
    }

    /// Nobody reads before the whole text is written, so a text that is longer than the pipe's buffer is refused.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn hand_over(text: &[u8]) -> io::Result<OwnedFd> {
        use std::io::Write as _;
        const LONGEST: usize = 16 << 10;
        if text.len() > LONGEST {
            return Err(io::Error::other(format!("{} bytes to hand over, limit {LONGEST}", text.len())));
        }
        let (reader, mut writer) = io::pipe()?;
        writer.write_all(text)?;
        Ok(reader.into())
    }

    pub(super) fn handed_over(file: OwnedFd) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        File::from(file).read_to_end(&mut text)?;
        Ok(text)
    }
}

#[cfg(windows)]
mod system {
    use std::io;

    use crate::boundary::mapping::{read_only, with_bytes};
    use crate::reexec::handle::OwnedHandle;

    pub(super) fn hand_over(text: &[u8]) -> io::Result<OwnedHandle> {
        with_bytes(text)
    }

    #[expect(clippy::needless_pass_by_value, reason = "what is taken is closed")]
    pub(super) fn handed_over(file: OwnedHandle) -> io::Result<Vec<u8>> {
        read_only(&file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no memfd")]
    fn a_text_arrives_whole() {
        for text in [&b""[..], b"text", &[b'x'; 16 << 10]] {
            assert!(handed_over(hand_over(text).unwrap()).unwrap() == text);
        }
    }
}
