//! Users by their numbers, and the permission bits.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::boundary::text;

/// Permission bits: the group may write, everybody may write.
const GROUP: u32 = 0o020;
const OTHERS: u32 = 0o002;
/// In a folder with this bit nobody can replace what is not theirs.
const STICKY: u32 = 0o1000;

/// A user, shown as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account(u32);

impl Account {
    /// The accounts that may own every trusted file, for messages.
    pub(crate) const ROOT: &'static str = "root";
    /// What a message of the trust policy says before a number.
    pub(crate) const KIND: &'static str = "uid ";
    /// What to do about a wrong owner.
    pub(crate) const REMEDY: &'static str = "chown it";

    /// Whether this account may change every file of the machine anyway.
    pub(crate) fn is_root(&self) -> bool {
        self.0 == 0
    }

    #[cfg(test)]
    pub(crate) fn of(number: u32) -> Self {
        Self(number)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The mode of a file to which others can write. Shown with those others, as in `group (mode 0775)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writers(u32);

impl Writers {
    fn of(mode: u32) -> Option<Self> {
        (mode & (GROUP | OTHERS) != 0).then_some(Self(mode))
    }

    #[cfg(test)]
    pub(crate) fn of_mode(mode: u32) -> Self {
        Self(mode)
    }

    /// Who must not write, and what is so.
    pub(crate) fn refusal(&self) -> String {
        format!("group or others, and has mode {:04o}", self.0)
    }

    /// What to do about it.
    pub(crate) fn remedy(&self, is_folder: bool, path: &Path) -> String {
        // A folder with the sticky bit, such as /tmp, is shared on purpose.
        if is_folder && self.0 & STICKY != 0 {
            "move it to a folder that only you can write to".to_owned()
        } else {
            format!("chmod go-w {}", text::show(path))
        }
    }
}

impl fmt::Display for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match (self.0 & GROUP != 0, self.0 & OTHERS != 0) {
            (true, false) => "group",
            (false, true) => "others",
            _ => "group and others",
        };
        write!(f, "{who} (mode {:04o})", self.0)
    }
}

/// Owner and mode of a file or folder.
#[derive(Debug)]
pub struct Facts {
    metadata: Metadata,
}

impl Facts {
    /// Of an open file or folder.
    pub fn of_file(file: &File) -> io::Result<Self> {
        Ok(Self { metadata: file.metadata()? })
    }

    /// Of what is at a path, behind links.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { metadata: fs::metadata(path)? })
    }

    /// Of what is at a path, also if that is a link.
    pub fn of_link(path: &Path) -> io::Result<Self> {
        Ok(Self { metadata: fs::symlink_metadata(path)? })
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.metadata.is_dir()
    }

    pub(crate) fn owner(&self) -> Account {
        Account(self.metadata.uid())
    }

    /// The effective user of this process.
    #[expect(clippy::unused_self, reason = "the other platforms' form")]
    pub(crate) fn user(&self) -> Account {
        Account(rustix::process::geteuid().as_raw())
    }

    fn mode(&self) -> u32 {
        self.metadata.mode() & 0o7777
    }

    /// Who else can write to it, also by an access list, whose mask is the group's bits.
    pub(crate) fn writers(&self) -> Option<Writers> {
        Writers::of(self.mode())
    }

    /// Who else can replace a folder in this one. With the sticky bit nobody can replace what is not theirs.
    pub(crate) fn replacers(&self) -> Option<Writers> {
        Writers::of(self.mode()).filter(|_| self.mode() & STICKY == 0)
    }

    /// Its permission bits and what to do, if another user may read or write it.
    #[must_use]
    pub fn openness(&self, path: &Path) -> Option<String> {
        let mode = self.mode();
        (mode & 0o077 != 0).then(|| format!("(mode {mode:04o}): chmod 600 {}", text::show(path)))
    }
}
