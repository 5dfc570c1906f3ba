//! The pseudonymous id of this machine.
//!
//! The id is the first 128 bits of a SHA-256 over the tool's name and the operating system's id of the machine. The same
//! tool on the same machine always gets the same id. Two tools get two ids that can't be linked, and the system's id, which
//! other programs know, can't be computed from them. The id is *pseudonymous*, not anonymous: it shows that events come from
//! the same machine. [`MachineIdFile`] stores it.
//!
//! # Platform
//! Linux: `/etc/machine-id`, then `/var/lib/dbus/machine-id`. Elsewhere: what the crate `machine-uid` finds. A machine
//! without such an id (a container, often) gets a random one that lasts as long as the process.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use jackfield_loader::{
    Digest,
    files::{self, Access, Facts, FileError, Mode, Owner, ReplaceLock, Survives, judge},
    show_path,
};

use crate::error::Error;
use crate::random;

/// The derived id for `tool`: 32 hexadecimal digits.
pub(crate) fn id(tool: &str) -> String {
    derive(tool, &system().id)
}

/// The id of the machine, and whether the next process finds the same.
struct System {
    id: String,
    lasts: bool,
}

fn system() -> &'static System {
    static SYSTEM: OnceLock<System> = OnceLock::new();
    SYSTEM.get_or_init(|| match system_id() {
        Some(id) => System { id, lasts: true },
        None => System { id: random_text(), lasts: false },
    })
}

/// The place of a system's id where there is none, or where nothing may lead from the old one to the new one.
fn random_text() -> String {
    jackfield_loader::hex(&random::bytes::<16>())
}

fn derive(tool: &str, system: &str) -> String {
    let digest = Digest::of(["jackfield machine id", tool, system].join("\0").as_bytes());
    jackfield_loader::hex(&digest.as_bytes()[..16])
}

#[cfg(target_os = "linux")]
fn system_id() -> Option<String> {
    let read = |path: &str| plausible(&files::read(path.as_ref(), Access::ReadLinked, LARGEST).ok()?);
    ["/etc/machine-id", "/var/lib/dbus/machine-id"].into_iter().find_map(read)
}

#[cfg(not(target_os = "linux"))]
fn system_id() -> Option<String> {
    machine_uid::get().ok().and_then(|text| plausible(&text))
}

/// The id in the text of a file. An image that was never booted has an empty id, or the word "uninitialized"; all its
/// clones would share it.
fn plausible(text: &str) -> Option<String> {
    let id = text.trim();
    let known = id.len() >= 8 && id != "uninitialized" && id.bytes().any(|byte| !matches!(byte, b'0' | b'-'));
    known.then(|| id.to_owned())
}

/// The pseudonymous id of this machine for one tool, stored in the tool's state folder.
///
/// The file `machine-id` holds 32 hexadecimal digits and a line feed, and only the user can read it (0600). The first id
/// is derived from the tool's name and the operating system's id of the machine. So two processes on a first run agree, and a
/// lost file comes back with the same id, by which a deletion finds the events that were sent. From then on the file counts:
/// a new network adapter or a newly installed system does not change the id.
///
/// [`rotate`](Self::rotate) replaces the id by a random one, which nothing links to the old id. Call it after a deletion has
/// been acknowledged, because the request names the old id. When the file of a rotated id is lost, the derived id comes
/// back.
///
/// # What it is not
/// Pseudonymous is not anonymous: all events with one id come from one user's tool on one machine.
#[derive(Debug, Clone)]
pub struct MachineIdFile {
    tool: String,
    file: Option<PathBuf>,
}

/// An id, and whether it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MachineId {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Why the id is not stored. It is then derived, and stays the same as long as the system's id.
    pub not_kept: Option<String>,
}

const NAME: &str = "machine-id";

/// The most bytes that are read. The file of an id has 33.
const LARGEST: u64 = 4096;

impl MachineId {
    /// The id of a tool that stores none: the first id of a [`MachineIdFile`].
    #[must_use]
    pub fn derived(tool: &str) -> Self {
        Self { id: id(tool), not_kept: Some("no folder for it is known".to_owned()) }
    }
}

impl MachineIdFile {
    /// The file for `tool`; `folder` is its state folder, if there is one.
    #[must_use]
    pub fn new(tool: &str, folder: Option<&Path>) -> Self {
        Self { tool: tool.to_owned(), file: folder.map(|folder| folder.join(NAME)) }
    }

    /// The id. Writes nothing.
    #[must_use]
    pub fn peek(&self) -> MachineId {
        match self.file.as_deref().map(look) {
            Some(Ok(Some(id))) => MachineId { id, not_kept: None },
            _ => MachineId::derived(&self.tool),
        }
    }

    /// The id. A file of this user without a valid id gets the derived id. A file that another user could have written is
    /// left as it is, and ignored. Never fails.
    #[must_use]
    pub fn read(&self) -> MachineId {
        let derived = MachineId::derived(&self.tool);
        let Some(file) = &self.file else { return derived };
        match look(file).and_then(|known| known.map_or_else(|| self.create(file), Ok)) {
            Ok(id) => MachineId { id, not_kept: None },
            Err(error) => MachineId { not_kept: Some(format!("{}: {error}", show_path(file))), ..derived },
        }
    }

    /// Replaces the id by a random one, and returns the new id.
    ///
    /// # Errors
    /// [`Error::Write`]. The old id then stays.
    pub fn rotate(&self) -> Result<MachineId, Error> {
        let id = derive(&self.tool, &random_text());
        let rotate = || {
            let no_folder = "no folder for it is known (is HOME set?)";
            let file = self.file.as_ref().ok_or_else(|| io::Error::new(ErrorKind::NotFound, no_folder))?;
            files::create_folder(file.parent().unwrap_or(Path::new(".")))?;
            let _lock = ReplaceLock::of(file)?;
            // A file of another user is not replaced.
            look(file)?;
            keep(file, &id, Survives::PowerFailure)
        };
        rotate().map_err(|error| {
            let file = self.file.clone().unwrap_or_else(|| PathBuf::from(NAME));
            Error::Write { what: "machine id", file, error }
        })?;
        Ok(MachineId { id, not_kept: None })
    }

    /// Writes the first id, unless another process has written it.
    fn create(&self, file: &Path) -> io::Result<String> {
        files::create_folder(file.parent().unwrap_or(Path::new(".")))?;
        let _lock = ReplaceLock::of(file)?;
        if let Some(id) = look(file)? {
            return Ok(id);
        }
        let id = id(&self.tool);
        // A file that a power failure takes comes back with the same id, so the first run need not wait for the disk.
        keep(file, &id, if system().lasts { Survives::Crash } else { Survives::PowerFailure })?;
        Ok(id)
    }
}

fn keep(file: &Path, id: &str, survives: Survives) -> io::Result<()> {
    files::replace(file, format!("{id}\n").as_bytes(), Mode::Private, survives)
}

/// The id in the file; `None` when the file is missing, or is this user's and has no valid id.
fn look(file: &Path) -> io::Result<Option<String>> {
    let read = || {
        let open = files::open(file, Access::Read)?;
        judge(&Facts::of_file(&open)?, Owner::UserOrRoot, file)
            .map_err(|reason| FileError::Untrusted { what: "the file".to_owned(), reason })?;
        files::read_open(&open, LARGEST)
    };
    let text = match read().map_err(io::Error::from) {
        Ok(text) => text,
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::InvalidData | ErrorKind::FileTooLarge => return Ok(None),
            _ => return Err(error),
        },
    };
    let id = text.trim_end();
    let known = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    Ok(known.then(|| id.to_owned()))
}

#[cfg(test)]
#[path = "machine_id_tests.rs"]
mod tests;
