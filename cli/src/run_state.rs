//! The state folder of a run: its lock, and the status that other processes read.
//!
//! | file | content |
//! | --- | --- |
//! | `run.lock` | the process id, for people; the run that is alive locks this file |
//! | `status.v1.json` | the [`Snapshot`], replaced as a whole every 500 ms; blank before the first one |
//! | `status.v1.tmp` | the previous snapshot, which the next one overwrites |
//! | `input.v1` | how far an input that is a regular file was stored (`cli/src/run/followed.rs`) |
//! | `spool/` and the rest | the same files as in the data folder of a tool |
//!
//! Both files of the status are made at the start, larger than they need to be, and change places. So the
//! status can be written while the disk is full, unless the file system writes an overwritten block to a new
//! place, as btrfs and ZFS do.
//!
//! # Platform
//! Files change places on Linux. Elsewhere a status is a new file, and is old while the disk is full.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use jackfield_loader::{
    ForeignText,
    files::{self, Access, Facts, Owner, Untrusted},
    show_path,
};
use serde::{Deserialize, Serialize};

use crate::{exit::CommandError, settings};

const LOCK: &str = "run.lock";
const STATUS: &str = "status.v1.json";
const HALF: &str = "status.v1.tmp";
/// How far a followed input was stored.
pub(crate) const POSITION: &str = "input.v1";
const SPOOL: &str = "spool";
/// Length of a new status file, in bytes: enough for a dozen backends.
const ROOM: usize = 16 << 10;
/// Length to which a process id is padded.
const ID: usize = 10;
/// A run that is alive and has written no status for this time, in milliseconds, is reported as silent.
pub(crate) const LATE_MS: i64 = 5000;
/// Longest status that is read, in bytes.
const LONGEST: u64 = 16 << 20;

/// The folder of `--state`, or the default one. It may be missing.
pub(crate) fn folder(named: Option<&Path>) -> Result<PathBuf, CommandError> {
    let folder = named.map(Path::to_owned).or_else(settings::state_folder);
    let folder = folder.ok_or_else(|| {
        CommandError::Usage(
            "there is no folder for the state (is HOME set?): name one with --state".to_owned(),
        )
    })?;
    let folder = std::path::absolute(&folder).map_err(CommandError::system(show_path(&folder)))?;
    let found = match fs::metadata(&folder) {
        Ok(found) if !found.is_dir() => kind(found.file_type()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => "a path through a file",
        Err(_) if folder.is_symlink() => "a symbolic link that leads nowhere",
        _ => return Ok(folder),
    };
    let refusal = format!("state {}: expected a folder, found {found}", show_path(&folder));
    Err(CommandError::Unusable(format!("{refusal}: name a folder with --state")))
}

fn kind(found: fs::FileType) -> &'static str {
    if found.is_file() { "a file" } else { files::kind(found) }
}

/// The folder of `--state`, of a run or of a tool, which has to have a spool. A run may have stored nothing yet.
pub(crate) fn folder_with_spool(named: Option<&Path>) -> Result<PathBuf, CommandError> {
    let folder = folder(named)?;
    if folder.join(SPOOL).is_dir() || has_own_spool(&folder) {
        return Ok(folder);
    }
    Err(CommandError::Unusable(format!(
        "state {}: there is no spool: name the folder of `jackfield run --state`, or the data folder of a tool, such as \
         ~/.local/state/TOOL/telemetry",
        show_path(&folder)
    )))
}

/// The folder, held by one run.
pub(crate) struct State {
    pub(crate) folder: PathBuf,
    /// The system releases it when the process ends.
    _lock: File,
}

impl State {
    /// Makes the folder if it is missing, and locks it for this run.
    ///
    /// # Errors
    /// The folder can't be made or written, another user can write to it, something else has the place of a file
    /// in it, or another run has locked it.
    pub(crate) fn claim(folder: PathBuf) -> Result<Self, CommandError> {
        let shown = show_path(&folder).to_string();
        let failed = || CommandError::system(format!("state {shown}"));
        judge(&folder)?;
        files::create_folder(&folder).map_err(failed())?;
        let lock = files::open(&folder.join(LOCK), Access::Write).map_err(io::Error::from);
        let mut lock = lock.map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied if cfg!(unix) => {
                CommandError::Unusable(format!("state {shown}: {error}: chmod u+rwx {shown}"))
            }
            _ => failed()(error),
        })?;
        if !files::try_lock(&lock).map_err(failed())? {
            let id = files::read_open(&lock, 32).unwrap_or_default();
            let who = if id.is_empty() { String::new() } else { format!(", process {}", id.trim()) };
            return Err(CommandError::Unusable(format!(
                "state {shown}: another `jackfield run` has it{who}: end that one, or name another folder with --state"
            )));
        }
        // From here on an error does not end the run, because on a full disk there may be events of an
        // earlier run to deliver. The status is still that of the earlier run, so it is blanked.
        let id = format!("{:<ID$}\n", std::process::id());
        let written = lock.rewind().and_then(|()| lock.write_all(id.as_bytes()));
        let blank = [STATUS, HALF]
            .map(|name| write_over(&files::open(&folder.join(name), Access::Write)?, Vec::new()));
        if let Some(error) = [written].into_iter().chain(blank).find_map(Result::err) {
            tracing::warn!("state {shown}: {error}; `jackfield status` may have nothing to show");
        }
        Ok(Self { folder, _lock: lock })
    }

    /// Replaces the status.
    pub(crate) fn write(&self, snapshot: &Snapshot) -> io::Result<()> {
        let (half, whole) = (self.folder.join(HALF), self.folder.join(STATUS));
        write_over(&files::open(&half, Access::Write)?, serde_json::to_vec(snapshot)?)?;
        files::exchange(&half, &whole)
    }
}

/// Refuses a state folder with something else, such as a symbolic link, in the place of the spool or of a file
/// of the run. Refuses a folder, or a spool in it, to which another user can write. Missing ones are made for the
/// user alone.
fn judge(folder: &Path) -> Result<(), CommandError> {
    for name in [SPOOL, LOCK, STATUS, HALF, POSITION] {
        let path = folder.join(name);
        let Ok(found) = fs::symlink_metadata(&path).map(|found| found.file_type()) else { continue };
        let (fits, expected) = match name {
            SPOOL => (found.is_dir(), "a folder"),
            _ => (found.is_file(), "a regular file"),
        };
        if !fits {
            return Err(CommandError::Unusable(format!(
                "state {}: expected {expected}, found {}: move it away, or name another folder with --state",
                show_path(&path),
                kind(found)
            )));
        }
    }
    for path in [folder.to_owned(), folder.join(SPOOL)] {
        let Ok(found) = Facts::at(&path) else { continue };
        files::judge(&found, Owner::User, &path).map_err(|reason| {
            let shown = show_path(&path);
            CommandError::Unusable(match reason {
                Untrusted::Owner { .. } => {
                    format!("state {shown}: {reason}: name another folder with --state")
                }
                _ => format!("state {shown}: {reason}"),
            })
        })?;
    }
    Ok(())
}

/// Whether the folder is that of a run, alive or not.
pub(crate) fn is_of_run(folder: &Path) -> bool {
    folder.join(LOCK).exists()
}

/// Whether the folder is that of a run with a spool of its own. A run with `--spools` has none.
fn has_own_spool(folder: &Path) -> bool {
    is_of_run(folder) && !matches!(read(folder), Ok(Some(last)) if last.of_tools)
}

/// Whether the run that has locked the folder is alive.
pub(crate) fn is_alive(folder: &Path) -> bool {
    files::is_held(&folder.join(LOCK))
}

/// Makes the run that is alive in the folder read its configuration again and try every backend.
///
/// # Errors
/// No run is alive, or the signal can't be sent.
#[cfg(unix)]
pub(crate) fn reload(folder: &Path) -> io::Result<()> {
    use rustix::process::{Pid, Signal, kill_process};

    let text = files::read(&folder.join(LOCK), Access::Read, 32)?;
    let id = text.trim().parse().ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
    Ok(kill_process(id, Signal::HUP)?)
}

/// # Errors
/// There is no such signal.
#[cfg(not(unix))]
pub(crate) fn reload(_: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The status of the last run; `None` when there is none.
///
/// # Errors
/// The file can't be read, or is not of this version.
pub(crate) fn read(folder: &Path) -> io::Result<Option<Snapshot>> {
    match files::read(&folder.join(STATUS), Access::Read, LONGEST).map_err(io::Error::from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(text) if text.trim_ascii().is_empty() => Ok(None),
        text => Ok(Some(serde_json::from_str(&text?)?)),
    }
}

/// Overwrites a file with `text`. The file keeps its length; line feeds fill the rest.
fn write_over(mut file: &File, mut text: Vec<u8>) -> io::Result<()> {
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    text.resize(text.len().max(len.clamp(ROOM, 4 * ROOM)), b'\n');
    file.write_all(&text)?;
    file.set_len(text.len() as u64)
}

/// The state of a run at one moment, with the members that `status --json` prints. Who reads it does not know who has
/// written the file, so each text is foreign.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    /// `running`, `stopping` or `ended`.
    pub(crate) state: ForeignText,
    pub(crate) version: ForeignText,
    pub(crate) pid: u32,
    /// Milliseconds since 1970.
    pub(crate) started_ms: i64,
    pub(crate) at_ms: i64,
    pub(crate) config: ForeignText,
    pub(crate) input: ForeignText,
    /// Whether the spools are those of tools, so that there is no input.
    #[serde(default)]
    pub(crate) of_tools: bool,
    pub(crate) lines: u64,
    pub(crate) events: u64,
    pub(crate) bad_lines: u64,
    pub(crate) not_stored: u64,
    /// Set while the input is not read because the spool takes no events.
    #[serde(default)]
    pub(crate) holding: Option<Holding>,
    pub(crate) mapped_images: usize,
    pub(crate) image_limit: usize,
    #[serde(default)]
    pub(crate) kept: Kept,
    pub(crate) last_reload: Option<ForeignText>,
    pub(crate) spools: Vec<SpoolNow>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Holding {
    pub(crate) reason: ForeignText,
    /// Milliseconds since 1970.
    pub(crate) since_ms: i64,
}

/// What stays until the run ends, because a plugin of this process may still use it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) library_bytes: usize,
    /// What plugins got at `open`.
    pub(crate) host_handles: usize,
    pub(crate) host_handle_bytes: usize,
    pub(crate) log_targets: usize,
    /// Calls that never came back, each with its thread, its batch and its instance.
    pub(crate) stuck_calls: usize,
}

impl Kept {
    pub(crate) fn now() -> Self {
        let (host_handles, host_handle_bytes) = jackfield_loader::host_handles();
        Self {
            library_bytes: jackfield_loader::loaded_bytes(),
            host_handles,
            host_handle_bytes,
            log_targets: jackfield_loader::log_targets(),
            stuck_calls: jackfield_loader::stuck_calls(),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SpoolNow {
    pub(crate) tool: ForeignText,
    pub(crate) folder: Option<ForeignText>,
    /// Events that at least one backend still has to deliver.
    pub(crate) waiting: u64,
    pub(crate) bytes: u64,
    pub(crate) oldest_s: Option<u64>,
    pub(crate) dropped: BTreeMap<ForeignText, u64>,
    pub(crate) dead_letters: u64,
    pub(crate) problems: Vec<ForeignText>,
    pub(crate) backends: Vec<BackendNow>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BackendNow {
    pub(crate) name: ForeignText,
    pub(crate) plugin: Option<PluginNow>,
    pub(crate) isolation: ForeignText,
    pub(crate) open: bool,
    pub(crate) events_per_s: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) calls: u64,
    #[serde(default)]
    pub(crate) call_times: CallTimes,
    /// Processes of an isolated plugin that were started after its first one.
    #[serde(default)]
    pub(crate) restarts: u64,
    pub(crate) waiting: u64,
    pub(crate) delivered: u64,
    pub(crate) rejected: u64,
    /// `open` while the backend gets no calls because it has failed, else `closed`.
    pub(crate) circuit: ForeignText,
    pub(crate) paused_s: Option<u64>,
    pub(crate) last_error: Option<ForeignText>,
    pub(crate) last_error_s: Option<u64>,
    pub(crate) last_delivery_s: Option<u64>,
    pub(crate) swaps: u64,
    pub(crate) not_swapped: Option<ForeignText>,
}

/// The durations of the calls of a backend since it was opened.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct CallTimes {
    pub(crate) sum_s: f64,
    /// Seconds, and the number of calls that took no longer.
    pub(crate) at_most: Vec<(f64, u64)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PluginNow {
    pub(crate) name: ForeignText,
    pub(crate) version: ForeignText,
    pub(crate) file: ForeignText,
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn snapshot(input: &str) -> Snapshot {
        let text = format!(
            r#"{{"state":"running","version":"1","pid":1,"started_ms":0,"at_ms":0,"config":"c","input":"{input}","lines":0,
            "events":0,"bad_lines":0,"not_stored":0,"mapped_images":0,"image_limit":0,"last_reload":null,"spools":[]}}"#
        );
        serde_json::from_str(&text).expect("a snapshot of a run without `holding`")
    }

    #[test]
    fn a_status_overwrites_an_earlier_one_and_needs_no_room() {
        let home = tempfile::tempdir().expect("a folder");
        let folder = home.path().join("state");
        let state = State::claim(folder.clone()).expect("nobody has it");
        assert!(read(&folder).expect("readable").is_none(), "there is no status yet");
        let blocks = || {
            let of = |name| fs::metadata(folder.join(name)).expect("there");
            let mut all = [STATUS, HALF].map(|name| (of(name).ino(), of(name).len(), of(name).blocks()));
            all.sort_unstable();
            all
        };
        let before = blocks();
        assert!(before.iter().all(|(_, len, _)| *len == ROOM as u64), "{before:?}");
        for input in ["long long long long long long long long", "short", "stdin"] {
            state.write(&snapshot(input)).expect("writable");
            assert_eq!(read(&folder).expect("readable").expect("a status").input, input);
            assert_eq!(blocks(), before);
        }
        drop(state);
        // The next run begins with a blank status.
        let _state = State::claim(folder.clone()).expect("nobody has it");
        assert!(read(&folder).expect("readable").is_none());
        assert_eq!(blocks(), before);
    }

    #[test]
    fn fifos_named_like_status_and_lock_are_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [STATUS, LOCK] {
            // No child: until it executes its program it would hold the locks of the other tests, too.
            let (path, mode) = (folder.path().join(name), rustix::fs::Mode::RUSR);
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).expect("a FIFO");
        }
        let Err(error) = read(folder.path()) else { panic!("no status is there") };
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
        assert!(!is_alive(folder.path()));
    }
}
