//! Accounts by their identifiers, and the access list.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

use windows_sys::Win32::Foundation::{GENERIC_ALL, GENERIC_READ, GENERIC_WRITE};
use windows_sys::Win32::Storage::FileSystem::{
    DELETE, FILE_ADD_FILE, FILE_ADD_SUBDIRECTORY, FILE_DELETE_CHILD, FILE_FLAG_OPEN_REPARSE_POINT,
    FILE_READ_DATA, WRITE_DAC, WRITE_OWNER,
};

use crate::boundary::text;
use crate::files::security::{Descriptor, Entry, Own, Sid, open_to_examine};

/// Who changes what leads to a file: replaces it, or gives themselves the right to.
const REPLACE: u32 = DELETE | FILE_DELETE_CHILD | WRITE_DAC | WRITE_OWNER | GENERIC_WRITE | GENERIC_ALL;
/// Who changes a file or adds to a folder. The bits are those of `FILE_WRITE_DATA` and `FILE_APPEND_DATA`, too.
const WRITE: u32 = REPLACE | FILE_ADD_FILE | FILE_ADD_SUBDIRECTORY;
const READ: u32 = FILE_READ_DATA | GENERIC_READ | GENERIC_ALL;

/// SYSTEM, the group of the Administrators, and TrustedInstaller, to whom the files of Windows belong.
const ROOT: [&str; 3] =
    ["S-1-5-18", "S-1-5-32-544", "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"];
/// In an access list: whoever is the owner, and whoever creates something in the folder.
const OWNER_RIGHTS: &str = "S-1-3-4";
const CREATOR_OWNER: &str = "S-1-3-0";
const EVERYONE: &str = "S-1-1-0";

/// A user or a group. Shown as `DOMAIN\name`, or as `S-1-…` where it has no name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    sid: String,
    name: Option<String>,
}

impl Account {
    /// The accounts that may own every trusted file, for messages.
    pub(crate) const ROOT: &'static str = "SYSTEM, the Administrators, TrustedInstaller";
    /// What a message of the trust policy says before the name.
    pub(crate) const KIND: &'static str = "";
    /// What to do about a wrong owner.
    pub(crate) const REMEDY: &'static str = "take it over (takeown /f), or move it";

    fn of(sid: &Sid) -> Self {
        Self { sid: sid.text(), name: sid.name() }
    }

    /// Whether this account may change every file of the machine anyway.
    pub(crate) fn is_root(&self) -> bool {
        ROOT.contains(&self.sid.as_str())
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::ForeignText::cut(self.name.as_ref().unwrap_or(&self.sid), 200).fmt(f)
    }
}

/// The first account of an access list that lets others write. Shown with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writers(Account);

impl Writers {
    /// Who must not write, and what is so.
    pub(crate) fn refusal(&self) -> String {
        format!("others, and {} can write to it", self.0)
    }

    /// What to do about it.
    #[expect(clippy::unused_self, reason = "the other platforms' form")]
    pub(crate) fn remedy(&self, _is_folder: bool, path: &Path) -> String {
        format!("icacls \"{}\" /inheritance:d /remove:g *{}", text::show(path), self.0.sid)
    }
}

impl fmt::Display for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Owner and access list of a file or folder.
#[derive(Debug)]
pub struct Facts {
    owner: Account,
    /// The user of this process; the owner of its new files, if that is the file's.
    user: Account,
    /// Who may do something; `None` if everybody may do everything.
    entries: Option<Vec<Entry>>,
    is_folder: bool,
}

impl Facts {
    /// Of an open file or folder.
    pub fn of_file(file: &File) -> io::Result<Self> {
        let (descriptor, own) = (Descriptor::of(file)?, Own::get()?);
        let owner = descriptor.owner().ok_or_else(|| io::Error::other("it has no owner"))?;
        let user = if owner == own.owner { &own.owner } else { &own.user };
        let is_folder = file.metadata()?.is_dir();
        let entries = descriptor.entries()?;
        Ok(Self { owner: Account::of(&owner), user: Account::of(user), entries, is_folder })
    }

    /// Of what is at a path, behind links.
    pub fn at(path: &Path) -> io::Result<Self> {
        Self::of_file(&open_to_examine(path, 0)?)
    }

    /// Of what is at a path, also if that is a link.
    pub fn of_link(path: &Path) -> io::Result<Self> {
        Self::of_file(&open_to_examine(path, FILE_FLAG_OPEN_REPARSE_POINT)?)
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.is_folder
    }

    pub(crate) fn owner(&self) -> Account {
        self.owner.clone()
    }

    /// The user of this process. Where it is elevated, its new files belong to the Administrators, who are this user then.
    pub(crate) fn user(&self) -> Account {
        self.user.clone()
    }

    /// Who else can write to it.
    pub(crate) fn writers(&self) -> Option<Writers> {
        self.others(WRITE)
    }

    /// Who else can replace a folder in this one. Whoever can only add to it can't.
    pub(crate) fn replacers(&self) -> Option<Writers> {
        self.others(REPLACE)
    }

    /// Who else can read it, and what to do.
    #[must_use]
    pub fn openness(&self, path: &Path) -> Option<String> {
        let Writers(reader) = self.others(READ | WRITE)?;
        let user = &self.user.sid;
        Some(format!("({reader}): icacls \"{}\" /inheritance:r /grant:r *{user}:F", text::show(path)))
    }

    /// The first other account that has one of these rights.
    fn others(&self, rights: u32) -> Option<Writers> {
        let Some(entries) = &self.entries else {
            let name = Some("Everyone".to_owned());
            return Some(Writers(Account { sid: EVERYONE.to_owned(), name }));
        };
        let able = entries.iter().filter(|entry| entry.mask & rights != 0);
        able.map(|entry| Account::of(&entry.account)).find(|account| !self.is_own(account)).map(Writers)
    }

    fn is_own(&self, account: &Account) -> bool {
        account.is_root()
            || [self.user.sid.as_str(), OWNER_RIGHTS, CREATOR_OWNER].contains(&account.sid.as_str())
            || Own::get().is_ok_and(|own| account.sid == own.user.text())
    }
}

#[cfg(test)]
mod tests {
    use windows_sys::Win32::Storage::FileSystem::{FILE_GENERIC_READ, FILE_GENERIC_WRITE};

    use super::*;
    use crate::files::judge::{Owner, Untrusted, judge, judge_ancestor};
    use crate::files::security::{For, create_private_folder, set_access, set_list_of};
    use crate::files::{Access, Mode, Survives, create_folder, judge_with_folders, open, replace};

    const USERS: &str = "S-1-5-32-545";

    fn account(sid: &str) -> Account {
        Account { sid: sid.to_owned(), name: None }
    }

    /// What is judged of a folder of `owner` in which `able` has the rights `mask`.
    fn facts(owner: &str, able: &str, mask: u32) -> Facts {
        let entries = Some(vec![Entry { account: Sid::of(able), mask }]);
        Facts {
            owner: account(owner),
            user: account(&Own::get().unwrap().user.text()),
            entries,
            is_folder: true,
        }
    }

    #[test]
    fn the_user_and_the_accounts_of_the_system_are_trusted_and_nobody_else() {
        let user = Own::get().unwrap().user.text();
        for owner in ROOT.into_iter().chain([user.as_str()]) {
            for able in ROOT.into_iter().chain([user.as_str(), OWNER_RIGHTS, CREATOR_OWNER]) {
                let facts = facts(owner, able, GENERIC_ALL);
                assert_eq!(judge(&facts, Owner::UserOrRoot, Path::new("x")), Ok(()), "{owner} {able}");
            }
        }
        assert!(judge(&facts(ROOT[0], &user, 0), Owner::User, Path::new("x")).is_err());
        let refusal = judge(&facts(USERS, &user, 0), Owner::UserOrRoot, Path::new("x")).unwrap_err();
        assert!(refusal.to_string().ends_with(&format!("belongs to user {USERS}")), "{refusal}");
    }

    #[test]
    fn others_may_read_and_may_add_to_a_folder_above() {
        let user = Own::get().unwrap().user.text();
        let judged = |mask, judge: fn(&Facts, Owner, &Path) -> Result<(), Untrusted>| {
            judge(&facts(&user, USERS, mask), Owner::UserOrRoot, Path::new("x")).is_ok()
        };
        // The root of a drive lets everybody who has logged on make folders in it.
        for (mask, itself, above) in [
            (FILE_GENERIC_READ, true, true),
            (FILE_ADD_SUBDIRECTORY, false, true),
            (FILE_ADD_FILE, false, true),
            (FILE_DELETE_CHILD, false, false),
            (DELETE, false, false),
            (WRITE_DAC, false, false),
            (WRITE_OWNER, false, false),
            (FILE_GENERIC_WRITE, false, true),
            (GENERIC_WRITE, false, false),
            (GENERIC_ALL, false, false),
        ] {
            assert_eq!((judged(mask, judge), judged(mask, judge_ancestor)), (itself, above), "{mask:#x}");
        }
    }

    #[test]
    fn a_new_file_or_folder_is_the_users_alone_and_everybody_can_be_let_in() {
        let base = tempfile::tempdir().unwrap();
        let (folder, file) = (base.path().join("a b/ä"), base.path().join("a b/ä/file"));
        create_folder(&folder).unwrap();
        replace(&file, b"", Mode::Private, Survives::Crash).unwrap();
        for path in [&folder, &file] {
            let facts = Facts::at(path).unwrap();
            assert_eq!(judge(&facts, Owner::User, path), Ok(()));
            assert_eq!(facts.openness(path), None);
        }
        let opened = || open(&file, Access::Read).unwrap();
        assert_eq!(judge_with_folders(&opened(), &file).map_err(|error| error.to_string()), Ok(()));
        let like = std::fs::metadata(&file).unwrap();
        replace(&file, b"", Mode::Like(&like), Survives::Crash).unwrap();
        assert_eq!(
            Facts::at(&file).unwrap().openness(&file),
            None,
            "what replaces a private file is private"
        );
        replace(&file, b"", Mode::Public, Survives::Crash).unwrap();
        let facts = Facts::at(&file).unwrap();
        assert_eq!(judge(&facts, Owner::User, &file), Ok(()), "others only read it");
        assert!(facts.openness(&file).is_some_and(|it| it.contains("icacls")));

        for (path, what) in [(&file, "the file"), (&folder, "its folder")] {
            let path = std::fs::canonicalize(path).unwrap();
            set_list_of(&path, &format!("D:P(A;;FA;;;{})(A;;FRFW;;;WD)", Own::get().unwrap().user.text()));
            let refusal = judge_with_folders(&opened(), &file).unwrap_err().to_string();
            assert!(
                refusal.starts_with(&format!("{what} must not be writable by others, and ")),
                "{refusal}"
            );
            assert!(refusal.ends_with("/inheritance:d /remove:g *S-1-1-0"), "{refusal}");
            set_list_of(&path, &format!("D:P(A;;FA;;;{})", Own::get().unwrap().user.text()));
        }
        assert!(create_private_folder(&folder).is_err(), "it is there");
        let written = open(&base.path().join("new"), Access::New).unwrap();
        set_access(&written, For::Everybody).unwrap();
        assert!(Facts::of_file(&written).unwrap().openness(&folder).is_some());
    }
}
