//! The state folder of a run: its lock, and the status that others read.
//!
//! | file | holds |
//! | --- | --- |
//! | `run.lock` | the process id, for people; its lock is held by the run that lives |
//! | `status.v1.json` | the [`Snapshot`], replaced as a whole every 500 ms |
//! | `spool/` and the rest | what a tool's telemetry keeps, too |

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use jackfield_loader::{open_regular, read_regular};

use super::Snapshot;

const LOCK: &str = "run.lock";
const STATUS: &str = "status.v1.json";
/// What is read of a status that ought to have some kilobytes.
const LONGEST: u64 = 16 << 20;

/// The folder, for one run.
pub(super) struct State {
    folder: PathBuf,
    /// Released when the process ends, however it does.
    _lock: File,
}

impl State {
    /// Makes the folder when it is missing, and takes it for this run.
    ///
    /// # Errors
    /// One line with the folder.
    pub(super) fn claim(folder: PathBuf) -> Result<Self, String> {
        let shown = folder.display().to_string();
        let failed = |error: io::Error| format!("state {shown}: {error}");
        make(&folder).map_err(failed)?;
        let path = folder.join(LOCK);
        let mut lock = private().read(true).open(&path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut id = String::new();
                let _ = io::Read::by_ref(&mut lock).take(32).read_to_string(&mut id);
                let who = if id.is_empty() { String::new() } else { format!(", process {}", id.trim()) };
                return Err(format!(
                    "state {shown}: another `jackfield run` has it{who}: end that one, or name another folder with --state"
                ));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // What it says is of an earlier run.
        let _ = fs::remove_file(folder.join(STATUS));
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(failed)?;
        Ok(Self { folder, _lock: lock })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts the status in place.
    pub(super) fn write(&self, snapshot: &Snapshot) -> io::Result<()> {
        let (half, whole) = (self.folder.join("status.v1.tmp"), self.folder.join(STATUS));
        // A FIFO of that name would be waited for.
        let _ = fs::remove_file(&half);
        let mut file = private().create_new(true).open(&half)?;
        file.write_all(&serde_json::to_vec(snapshot)?)?;
        fs::rename(half, whole)
    }
}

/// Whether a run that has the folder lives.
pub(crate) fn is_alive(folder: &Path) -> bool {
    open_regular(&folder.join(LOCK))
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// What the last run has said of itself; `None` when there was none.
///
/// # Errors
/// The file can't be read, or is not of this version.
pub(crate) fn read(folder: &Path) -> io::Result<Option<Snapshot>> {
    match read_regular(&folder.join(STATUS), LONGEST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        text => Ok(Some(serde_json::from_str(&text?)?)),
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
}

/// A folder for this user alone; one that is there stays as it is.
fn make(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn fifos_in_the_places_of_status_and_lock_are_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [STATUS, LOCK] {
            let made = std::process::Command::new("mkfifo").arg(folder.path().join(name)).status();
            assert!(made.expect("mkfifo").success());
        }
        let error = read(folder.path()).err().expect("no status");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        assert!(!is_alive(folder.path()));
    }
}
