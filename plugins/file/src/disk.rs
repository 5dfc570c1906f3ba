//! The system calls of a write in one table, so that tests can count them and make them fail.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

/// Calls into the system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disk {
    /// Writes the beginning of the bytes, and returns how many.
    pub(crate) write: fn(&mut File, &[u8]) -> io::Result<usize>,
    /// Waits until the file's content is on the disk.
    pub(crate) sync: fn(&File) -> io::Result<()>,
    /// Waits until the names in a folder are on the disk.
    pub(crate) sync_folder: fn(&Path) -> io::Result<()>,
}

/// The real system calls.
pub(crate) const SYSTEM: Disk = Disk {
    write: |file, bytes| file.write(bytes),
    sync: File::sync_data,
    sync_folder: |folder| File::open(folder)?.sync_all(),
};

impl Disk {
    /// Writes `bytes`. The error says how many of them have arrived.
    pub(crate) fn write_all(self, file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
        let mut written = 0;
        while written < bytes.len() {
            match (self.write)(file, &bytes[written..]) {
                Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_really_asked() {
        // The system refuses, because these files have nothing to synchronise.
        let null = File::options().write(true).open("/dev/null").expect("opens");
        assert_eq!((SYSTEM.sync)(&null).expect_err("no disk").kind(), io::ErrorKind::InvalidInput);
        let error = (SYSTEM.sync_folder)(Path::new("/proc")).expect_err("no disk");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
