//! The real file system.
//!
//! # Platform
//! Unix: every file is opened relative to the handle of the checked folder, so that nobody can put another folder in its
//! place. Windows: files are opened by path, in a folder that nobody else can write to.

#[cfg(not(target_os = "linux"))]
use std::time::SystemTime;
use std::{path::Path, sync::Arc, time::Duration};

use crate::random;
use crate::spool::fs::{Folder, FolderError, Fs};

#[cfg(not(unix))]
mod portable;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
use crate::spool::disk::portable::open_folder;
#[cfg(unix)]
use crate::spool::disk::unix::open_folder;

/// The file system of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Fs for Disk {
    fn folder(&self, path: &Path, create: bool) -> Result<Arc<dyn Folder>, FolderError> {
        Ok(Arc::new(open_folder(path, create)?))
    }

    #[cfg(target_os = "linux")]
    fn now_ms(&self) -> u64 {
        // Exact to some milliseconds, at a quarter of the cost of the exact time.
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        u64::try_from(now.tv_sec).map_or(0, |seconds| seconds * 1000 + now.tv_nsec as u64 / 1_000_000)
    }

    #[cfg(not(target_os = "linux"))]
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn process(&self) -> u32 {
        jackfield_loader::process_id()
    }

    fn random(&self) -> u32 {
        u32::from_ne_bytes(random::bytes())
    }

    fn pause(&self) {
        std::thread::sleep(Duration::from_millis(1));
    }
}
