//! Windows: identifiers of accounts, this process's own, and the access lists of new files.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::path::Path;
use std::ptr;
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo,
    SDDL_REVISION_1, SE_FILE_OBJECT, SetSecurityInfo,
};
use windows_sys::Win32::Security::{
    ACCESS_ALLOWED_ACE, ACE_HEADER, ACL, CopySid, DACL_SECURITY_INFORMATION, GetAce, GetLengthSid,
    GetSecurityDescriptorControl, GetSecurityDescriptorDacl, GetTokenInformation, INHERIT_ONLY_ACE,
    IsValidSid, LookupAccountSidW, OWNER_SECURITY_INFORMATION, PROTECTED_DACL_SECURITY_INFORMATION,
    PSECURITY_DESCRIPTOR, PSID, SE_DACL_PROTECTED, SECURITY_ATTRIBUTES, TOKEN_OWNER, TOKEN_QUERY, TOKEN_USER,
    TokenOwner, TokenUser, UNPROTECTED_DACL_SECURITY_INFORMATION,
};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, CreateDirectoryW, CreateFileW, FILE_FLAG_BACKUP_SEMANTICS,
    FILE_READ_ATTRIBUTES, GetFileInformationByHandle, READ_CONTROL,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// A security identifier (SID) of an account or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sid(Box<[u32]>);

impl Sid {
    /// Copies an identifier.
    ///
    /// # Safety
    /// `sid` points to a SID, or is null.
    pub(crate) unsafe fn copy(sid: PSID) -> Option<Self> {
        // SAFETY: as the caller says; the length is that of the SID, and the copy is as long and aligned for its numbers.
        unsafe {
            if sid.is_null() || IsValidSid(sid) == 0 {
                return None;
            }
            let length = GetLengthSid(sid);
            let mut copy = vec![0_u32; (length as usize).div_ceil(4)].into_boxed_slice();
            (CopySid(length, copy.as_mut_ptr().cast(), sid) != 0).then_some(Self(copy))
        }
    }

    /// The identifier that `text` is.
    #[cfg(test)]
    pub(crate) fn of(text: &str) -> Self {
        use windows_sys::Win32::Security::Authorization::ConvertStringSidToSidW;
        let text: Vec<u16> = text.encode_utf16().chain([0]).collect();
        let mut sid = ptr::null_mut();
        // SAFETY: the text ends with 0, and the system writes a pointer to memory that it has allocated.
        unsafe {
            assert_ne!(ConvertStringSidToSidW(text.as_ptr(), &raw mut sid), 0);
            let sid = Local(sid);
            Self::copy(sid.0).unwrap()
        }
    }

    fn as_psid(&self) -> PSID {
        self.0.as_ptr().cast_mut().cast()
    }

    /// The text `S-1-…`.
    pub(crate) fn text(&self) -> String {
        let mut text = ptr::null_mut();
        // SAFETY: this is a SID; the system writes a pointer to a text that ends with 0, which `Local` frees.
        unsafe {
            if ConvertSidToStringSidW(self.as_psid(), &raw mut text) == 0 {
                return "an unknown account".to_owned();
            }
            let text = Local(text.cast::<c_void>());
            wide_text(text.0.cast())
        }
    }

    /// `DOMAIN\name`, where the system knows one.
    pub(crate) fn name(&self) -> Option<String> {
        let (mut name, mut domain) = ([0_u16; 256], [0_u16; 256]);
        let (mut name_len, mut domain_len, mut kind) = (256, 256, 0);
        // SAFETY: this is a SID, and the buffers have the lengths that are given.
        let found = unsafe {
            LookupAccountSidW(
                ptr::null(),
                self.as_psid(),
                name.as_mut_ptr(),
                &raw mut name_len,
                domain.as_mut_ptr(),
                &raw mut domain_len,
                &raw mut kind,
            )
        };
        let text = |wide: &[u16], len: u32| String::from_utf16_lossy(&wide[..(len as usize).min(wide.len())]);
        let (name, domain) = (text(&name, name_len), text(&domain, domain_len));
        match found {
            0 => None,
            _ if domain.is_empty() => Some(name),
            _ => Some(format!("{domain}\\{name}")),
        }
    }
}

/// Memory that the system has allocated for this process.
pub(crate) struct Local(*mut c_void);

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: the system says of each value that is put in here that it has to be freed so.
        unsafe { LocalFree(self.0) };
    }
}

/// The text at `wide`.
///
/// # Safety
/// It ends with 0.
unsafe fn wide_text(wide: *const u16) -> String {
    let mut len = 0;
    // SAFETY: nothing behind the 0 is read.
    unsafe {
        while *wide.add(len) != 0 {
            len += 1;
        }
        String::from_utf16_lossy(std::slice::from_raw_parts(wide, len))
    }
}

/// The accounts of this process.
#[derive(Debug)]
pub(crate) struct Own {
    /// Who runs it.
    pub(crate) user: Sid,
    /// To whom its new files belong: where it is elevated, to the Administrators.
    pub(crate) owner: Sid,
}

impl Own {
    /// The accounts, which are read once.
    pub(crate) fn get() -> io::Result<&'static Self> {
        static OWN: OnceLock<Own> = OnceLock::new();
        match OWN.get() {
            Some(own) => Ok(own),
            None => {
                let read = Self::read()?;
                Ok(OWN.get_or_init(|| read))
            }
        }
    }

    fn read() -> io::Result<Self> {
        let mut token: HANDLE = ptr::null_mut();
        // SAFETY: the system writes a handle, which is closed once; the buffers are as long as is said, and aligned for the
        // structures that the system writes into them, whose pointers lead into them.
        unsafe {
            if OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) == 0 {
                return Err(io::Error::last_os_error());
            }
            let token = OwnedHandle::from_raw_handle(token);
            let read = |what| {
                // In its place until it is dropped, because the structures have pointers into it.
                let mut buffer = Box::new([0_u64; 32]);
                let mut len = 0;
                let (start, size) = (buffer.as_mut_ptr().cast::<c_void>(), size_of_val(&*buffer) as u32);
                match GetTokenInformation(token.as_raw_handle(), what, start, size, &raw mut len) {
                    0 => Err(io::Error::last_os_error()),
                    _ => Ok(buffer),
                }
            };
            let user = read(TokenUser)?;
            let owner = read(TokenOwner)?;
            let user = Sid::copy((*user.as_ptr().cast::<TOKEN_USER>()).User.Sid);
            let owner = Sid::copy((*owner.as_ptr().cast::<TOKEN_OWNER>()).Owner);
            match (user, owner) {
                (Some(user), Some(owner)) => Ok(Self { user, owner }),
                _ => Err(io::Error::other("the process has no user")),
            }
        }
    }
}

/// Kinds of entries of an access list that let somebody do something (`winnt.h`): always, and under a condition.
const ALLOWED: [u8; 2] = [0, 9];
/// Those that have a type of object before the account.
const ALLOWED_OBJECT: [u8; 2] = [5, 11];

/// An entry of an access list that lets an account do something.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) account: Sid,
    pub(crate) mask: u32,
}

/// Owner and access list of an open file.
pub(crate) struct Descriptor {
    memory: Local,
    owner: PSID,
    /// Null if everybody may do everything.
    list: *mut ACL,
}

impl Descriptor {
    /// Reads them.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let (mut owner, mut list, mut memory) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        let what = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
        // SAFETY: the handle is open; the system writes pointers into memory that it has allocated.
        let error = unsafe {
            GetSecurityInfo(
                file.as_raw_handle(),
                SE_FILE_OBJECT,
                what,
                &raw mut owner,
                ptr::null_mut(),
                &raw mut list,
                ptr::null_mut(),
                &raw mut memory,
            )
        };
        match error {
            0 => Ok(Self { memory: Local(memory), owner, list }),
            error => Err(io::Error::from_raw_os_error(error.cast_signed())),
        }
    }

    pub(crate) fn owner(&self) -> Option<Sid> {
        // SAFETY: it points into the memory of this descriptor.
        unsafe { Sid::copy(self.owner) }
    }

    /// The entries of the access list that let an account do something with the file itself, and not only with what
    /// inherits them; `None` if there is no list, so that everybody may do everything. What an entry denies only narrows
    /// the others.
    pub(crate) fn entries(&self) -> io::Result<Option<Vec<Entry>>> {
        if self.list.is_null() {
            return Ok(None);
        }
        let mut found = Vec::new();
        // SAFETY: the list is whole, as the system has made it, and in the memory of this descriptor. An entry begins with
        // its header, and one of the kinds `ALLOWED` has an account where `ACCESS_ALLOWED_ACE` has the start of one.
        unsafe {
            for index in 0..u32::from((*self.list).AceCount) {
                let mut entry = ptr::null_mut();
                if GetAce(self.list, index, &raw mut entry) == 0 {
                    return Err(io::Error::last_os_error());
                }
                let header = entry.cast::<ACE_HEADER>().read();
                if u32::from(header.AceFlags) & INHERIT_ONLY_ACE != 0 {
                    continue;
                }
                if ALLOWED.contains(&header.AceType) {
                    let entry = entry.cast::<ACCESS_ALLOWED_ACE>();
                    let account = Sid::copy((&raw mut (*entry).SidStart).cast());
                    let account =
                        account.ok_or_else(|| io::Error::other("its access list names no account"))?;
                    found.push(Entry { account, mask: (*entry).Mask });
                } else if ALLOWED_OBJECT.contains(&header.AceType) {
                    return Err(io::Error::other(
                        "its access list has entries of a kind that files do not have",
                    ));
                }
            }
        }
        Ok(Some(found))
    }

    /// Gives an open file this access list. One that takes nothing from the folder stays so.
    pub(crate) fn give_list(&self, file: &File) -> io::Result<()> {
        let (mut control, mut revision) = (0, 0);
        // SAFETY: the descriptor is whole, as the system has made it, and the system writes two numbers.
        if unsafe { GetSecurityDescriptorControl(self.memory.0, &raw mut control, &raw mut revision) } == 0 {
            return Err(io::Error::last_os_error());
        }
        let protection = match control & SE_DACL_PROTECTED != 0 {
            true => PROTECTED_DACL_SECURITY_INFORMATION,
            false => UNPROTECTED_DACL_SECURITY_INFORMATION,
        };
        set_list(file, self.list, protection)
    }
}

fn set_list(file: &File, list: *const ACL, protection: u32) -> io::Result<()> {
    let what = DACL_SECURITY_INFORMATION | protection;
    // SAFETY: the handle is open, and the list outlives the call.
    let error = unsafe {
        SetSecurityInfo(
            file.as_raw_handle(),
            SE_FILE_OBJECT,
            what,
            ptr::null_mut(),
            ptr::null_mut(),
            list,
            ptr::null(),
        )
    };
    match error {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error.cast_signed())),
    }
}

/// Who can use a new file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// This user, SYSTEM and the Administrators, who could take every right anyway.
    Own,
    /// Those, and whoever can log on may read.
    Everybody,
}

/// An access list, which what is in a folder inherits.
struct List(Local);

impl List {
    fn new(who: For, is_folder: bool) -> io::Result<Self> {
        let inherited = if is_folder { "OICI" } else { "" };
        let own = Own::get()?.user.text();
        let mut text = format!("D:P(A;{inherited};FA;;;{own})(A;{inherited};FA;;;SY)(A;{inherited};FA;;;BA)");
        if who == For::Everybody {
            text += &format!("(A;{inherited};FRFX;;;WD)");
        }
        Self::from_text(&text)
    }

    /// From the system's language for access lists (SDDL).
    fn from_text(text: &str) -> io::Result<Self> {
        let text: Vec<u16> = text.encode_utf16().chain([0]).collect();
        let mut descriptor: PSECURITY_DESCRIPTOR = ptr::null_mut();
        // SAFETY: the text ends with 0, and the system writes a pointer to memory that it has allocated.
        let done = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                ptr::null_mut(),
            )
        };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(Self(Local(descriptor))) }
    }

    fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: self.0.0,
            bInheritHandle: 0,
        }
    }
}

/// Opens or creates a file that only the user can use if it is new.
pub(crate) fn open_private(
    path: &Path,
    access: u32,
    share: u32,
    disposition: u32,
    flags: u32,
) -> io::Result<File> {
    let (wide, list) = (wide(path)?, List::new(For::Own, false)?);
    let attributes = list.attributes();
    // SAFETY: the path ends with 0, and path and attributes outlive the call; the handle is this function's alone.
    unsafe {
        let none = ptr::null_mut();
        match CreateFileW(wide.as_ptr(), access, share, &raw const attributes, disposition, flags, none) {
            INVALID_HANDLE_VALUE => Err(io::Error::last_os_error()),
            handle => Ok(File::from_raw_handle(handle)),
        }
    }
}

/// Opens what is at a path, of any kind, to learn about it and nothing else.
pub(crate) fn open_to_examine(path: &Path, flags: u32) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.access_mode(READ_CONTROL | FILE_READ_ATTRIBUTES).custom_flags(FILE_FLAG_BACKUP_SEMANTICS | flags);
    options.open(path)
}

/// The numbers of an open file's volume and of the file in it.
pub(crate) fn identity(file: &File) -> io::Result<(u64, u64)> {
    let mut found = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open, and the system writes a structure of this type.
    match unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut found) } {
        0 => Err(io::Error::last_os_error()),
        _ => {
            let index = u64::from(found.nFileIndexHigh) << 32 | u64::from(found.nFileIndexLow);
            Ok((found.dwVolumeSerialNumber.into(), index))
        }
    }
}

/// Creates a folder that only the user can use.
pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    let (wide, list) = (wide(path)?, List::new(For::Own, true)?);
    let attributes = list.attributes();
    // SAFETY: as above.
    match unsafe { CreateDirectoryW(wide.as_ptr(), &raw const attributes) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Lets these use an open file.
pub(crate) fn set_access(file: &File, who: For) -> io::Result<()> {
    set_descriptor(file, &List::new(who, false)?)
}

fn set_descriptor(file: &File, descriptor: &List) -> io::Result<()> {
    let (mut list, mut is_there, mut is_default) = (ptr::null_mut(), 0, 0);
    // SAFETY: the system writes a pointer into the descriptor, which outlives its use.
    let done = unsafe {
        GetSecurityDescriptorDacl(descriptor.0.0, &raw mut is_there, &raw mut list, &raw mut is_default)
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    set_list(file, list, PROTECTED_DACL_SECURITY_INFORMATION)
}

/// A path for the system, which takes it as it is, however long.
fn wide(path: &Path) -> io::Result<Vec<u16>> {
    let path: Vec<u16> = std::path::absolute(path)?.as_os_str().encode_wide().collect();
    let is = |prefix: &str| path.starts_with(&prefix.encode_utf16().collect::<Vec<u16>>());
    let (prefix, rest) = match () {
        () if is(r"\\?\") || is(r"\\.\") => ("", &path[..]),
        () if is(r"\\") => (r"\\?\UNC", &path[1..]),
        () => (r"\\?\", &path[..]),
    };
    if path.contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a path with a NUL character"));
    }
    Ok(prefix.encode_utf16().chain(rest.iter().copied()).chain([0]).collect())
}

/// Gives the file or folder at `path` the access list that `text` describes.
#[cfg(test)]
pub(crate) fn set_list_of(path: &Path, text: &str) {
    use std::os::windows::fs::OpenOptionsExt as _;

    use windows_sys::Win32::Storage::FileSystem::WRITE_DAC;
    let mut options = std::fs::OpenOptions::new();
    options.access_mode(READ_CONTROL | WRITE_DAC).custom_flags(FILE_FLAG_BACKUP_SEMANTICS);
    set_descriptor(&options.open(path).unwrap(), &List::from_text(text).unwrap()).unwrap();
}
