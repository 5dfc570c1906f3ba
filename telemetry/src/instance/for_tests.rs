//! What a telemetry for a test of a tool has instead of a spool: a backend in memory, and a temporary folder.

use std::{env, fs, io, path::PathBuf, process};

use jackfield_loader::{files::create_folder, hex};

use crate::delivery::memory_backend::MemoryBackend;
use crate::random;

/// Takes the events of a test. The folder goes with it.
#[derive(Debug)]
pub(crate) struct ForTests {
    pub(crate) memory: MemoryBackend,
    folder: TestFolder,
}

impl ForTests {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { memory: MemoryBackend::new(), folder: TestFolder::create()? })
    }

    /// The path of a file in the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path.join(name)
    }
}

/// A folder that only the user can enter, and that is removed at the drop.
#[derive(Debug)]
struct TestFolder {
    path: PathBuf,
    /// A forked child does not remove the folder of its parent.
    process: u32,
}

impl TestFolder {
    fn create() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("jackfield-test-{}", hex(&random::bytes::<16>())));
        create_folder(&path)?;
        Ok(Self { path, process: process::id() })
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        if self.process == process::id() {
            // Nobody is left to be told.
            _ = fs::remove_dir_all(&self.path);
        }
    }
}
