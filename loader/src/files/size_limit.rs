//! The limit on the size of a file (`RLIMIT_FSIZE`, `ulimit -f`).
//!
//! A write that begins at the limit or after it fails with `EFBIG`, and the kernel sends `SIGXFSZ`, which ends the process
//! by default. What a signal does is a property of the whole process, and not a library's to change. So the limit is
//! compared before each write. The kernel shortens a write that crosses the limit, and sends no signal then.
//!
//! # Platform
//! Unix. Elsewhere there is no such limit.

use std::fs::File;
use std::io::{self, Write as _};

/// The limit in bytes; `None` if there is none.
#[cfg(unix)]
pub(crate) fn size_limit() -> Option<u64> {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Fsize).current
}

#[cfg(not(unix))]
pub(crate) const fn size_limit() -> Option<u64> {
    None
}

/// Compares the place of the next write with the limit. Returns whether there is a limit.
#[cfg(unix)]
fn compare(mut file: &File) -> io::Result<bool> {
    use std::io::Seek as _;

    use rustix::fs::{OFlags, fcntl_getfl};
    use rustix::io::Errno;
    let Some(limit) = size_limit() else { return Ok(false) };
    let appends = fcntl_getfl(file)?.contains(OFlags::APPEND);
    let place = if appends { file.metadata()?.len() } else { file.stream_position()? };
    if place < limit { Ok(true) } else { Err(Errno::FBIG.into()) }
}

#[cfg(not(unix))]
fn compare(_file: &File) -> io::Result<bool> {
    Ok(false)
}

/// Writes the beginning of `bytes`, and returns how many bytes.
///
/// # Errors
/// `FileTooLarge` if the limit is reached.
pub(crate) fn write(mut file: &File, bytes: &[u8]) -> io::Result<usize> {
    compare(file)?;
    file.write(bytes)
}

/// A file that is appended to so often that the system call for the limit would cost too much.
#[derive(Debug)]
pub struct Appended {
    file: File,
    #[cfg(target_os = "linux")]
    looks: looks::Looks,
}

impl Appended {
    /// For a file that was opened for appending.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self {
            file,
            #[cfg(target_os = "linux")]
            looks: looks::Looks::default(),
        }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Writes the beginning of `bytes`, and returns how many bytes.
    ///
    /// # Errors
    /// `FileTooLarge` if the limit is reached, and the errors of the system.
    ///
    /// # Platform
    /// Linux: after 16 writes within one tick of the system's clock, which are 1 to 10 ms, the further writes of that tick
    /// take the limit for unchanged.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(target_os = "linux")]
        self.looks.look(|| compare(&self.file))?;
        #[cfg(not(target_os = "linux"))]
        compare(&self.file)?;
        (&self.file).write(bytes)
    }
}

#[cfg(target_os = "linux")]
mod looks {
    use std::io;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::time::{ClockId, clock_gettime};

    /// How often the limit is looked at within a tick of the clock.
    pub(super) const MOST: u64 = 16;

    /// The tick of the last look that found no limit, and how many looks there were in that tick.
    #[derive(Debug, Default)]
    pub(super) struct Looks(AtomicU64);

    impl Looks {
        /// Looks by `compare`, unless that has been done often enough within this tick.
        #[inline]
        pub(super) fn look(&self, compare: impl FnOnce() -> io::Result<bool>) -> io::Result<()> {
            // The time of the last tick costs no system call.
            let now = clock_gettime(ClockId::MonotonicCoarse);
            let tick = (now.tv_sec.cast_unsigned() * 1000 + now.tv_nsec.cast_unsigned() / 1_000_000) << 8;
            let last = self.0.load(Ordering::Relaxed);
            let looks = if last & !0xff == tick { last & 0xff } else { 0 };
            if looks < MOST {
                let is_limited = compare()?;
                self.0.store(if is_limited { 0 } else { tick | (looks + 1) }, Ordering::Relaxed);
            }
            Ok(())
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::cell::Cell;
    use std::io;

    use rustix::time::{ClockId, clock_gettime};

    use super::looks::{Looks, MOST};

    #[test]
    fn a_limit_is_looked_at_before_each_write_and_its_absence_some_times_a_tick() {
        let looked = Cell::new(0_u64);
        let finds = |is_limited| {
            looked.set(looked.get() + 1);
            Ok(is_limited)
        };
        let limited = Looks::default();
        for _ in 0..100 {
            limited.look(|| finds(true)).unwrap();
        }
        assert_eq!(looked.replace(0), 100);
        let (unlimited, mut writes) = (Looks::default(), 0);
        let start = clock_gettime(ClockId::MonotonicCoarse);
        while clock_gettime(ClockId::MonotonicCoarse) == start || writes < 100 * MOST {
            unlimited.look(|| finds(false)).unwrap();
            writes += 1;
        }
        assert!((MOST..writes / 2).contains(&looked.get()), "{} of {writes}", looked.get());
        let error = Looks::default().look(|| Err(io::ErrorKind::FileTooLarge.into())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
