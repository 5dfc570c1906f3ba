//! Starts a child by `posix_spawn`, which copies nothing of the parent, however large it is.

use std::{
    ffi::{CString, OsString},
    fs::File,
    io,
    os::{
        fd::{AsRawFd as _, OwnedFd, RawFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    ptr,
};

use rustix::{io::fcntl_dupfd_cloexec, process::Pid};

use super::{
    child::Child,
    inherited::FIRST,
    program::{MARK, Program},
};

/// Above every number that a child is handed, so that no descriptor is overwritten while they are put in place.
const ABOVE: RawFd = 128;

/// A child to be started.
#[derive(Debug)]
pub struct Spawn {
    program: Program,
    job: &'static str,
    title: String,
    files: Vec<OwnedFd>,
    stderr: Option<File>,
}

impl Spawn {
    /// A child for the [`Job`](super::entry::Job) of this name.
    #[must_use]
    pub fn new(program: Program, job: &'static str) -> Self {
        Self { program, job, title: job.to_owned(), files: Vec::new(), stderr: None }
    }

    /// Sets what lists of processes show of it; the job's name unless set.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Hands descriptors over.
    #[must_use]
    pub fn files(mut self, files: Vec<OwnedFd>) -> Self {
        self.files = files;
        self
    }

    /// Where standard error goes; the null device unless set.
    #[must_use]
    pub fn stderr(mut self, file: File) -> Self {
        self.stderr = Some(file);
        self
    }

    /// Starts it. What was handed over is closed here.
    ///
    /// # Errors
    /// `Unsupported`, with the line to add, when the program can't be started again; otherwise what the system says.
    pub fn start(self) -> io::Result<Child> {
        let path = CString::new(self.program.path()?.into_os_string().into_vec())?;
        let own = std::env::args_os().next().unwrap_or_else(|| OsString::from("jackfield"));
        let name = match &self.program {
            Program::Own => own,
            Program::At(path) => path.clone().into_os_string(),
        };
        let arguments = [
            CString::new(name.into_vec())?,
            CString::new([MARK, self.job].concat())?,
            CString::new(self.files.len().to_string())?,
            CString::new(self.title.replace('\0', " "))?,
        ];
        let mut environment = Vec::new();
        for (key, value) in std::env::vars_os() {
            environment.push(CString::new([key.as_bytes(), b"=", value.as_bytes()].concat())?);
        }

        // First to high numbers: the number that one is to have may belong to another one now.
        let mut moved = Vec::new();
        for file in &self.files {
            moved.push(fcntl_dupfd_cloexec(file, ABOVE)?);
        }
        let stderr = self.stderr.as_ref().map(|file| fcntl_dupfd_cloexec(file, ABOVE)).transpose()?;

        let mut actions = Actions::new()?;
        actions.open_null(0, libc::O_RDONLY)?;
        actions.open_null(1, libc::O_WRONLY)?;
        match &stderr {
            Some(file) => actions.place(file, 2)?,
            None => actions.open_null(2, libc::O_WRONLY)?,
        }
        for (file, number) in moved.iter().zip(FIRST..) {
            actions.place(file, number)?;
        }
        let attributes = Attributes::new()?;
        let mut pid = 0;
        let pointers = |list: &[CString]| -> Vec<*mut libc::c_char> {
            list.iter().map(|text| text.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
        };
        // SAFETY: every pointer is valid for the call, both lists end with null, and nothing is written through them.
        check(unsafe {
            libc::posix_spawn(
                &raw mut pid,
                path.as_ptr(),
                &raw const actions.0,
                &raw const attributes.0,
                pointers(&arguments).as_ptr(),
                pointers(&environment).as_ptr(),
            )
        })?;
        let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("no process number"))?;
        Ok(Child::new(pid))
    }
}

/// `posix_spawn` and its like answer with the error's number.
fn check(code: i32) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// What is done to descriptors between the start of the child and that of the program.
struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> io::Result<Self> {
        // SAFETY: for the C library a value of zeros is as good as any before it is initialised.
        let mut actions = unsafe { std::mem::zeroed() };
        // SAFETY: initialises it.
        check(unsafe { libc::posix_spawn_file_actions_init(&raw mut actions) })?;
        Ok(Self(actions))
    }

    fn open_null(&mut self, number: RawFd, flags: i32) -> io::Result<()> {
        // SAFETY: initialised; the path is copied.
        check(unsafe {
            libc::posix_spawn_file_actions_addopen(&raw mut self.0, number, c"/dev/null".as_ptr(), flags, 0)
        })
    }

    fn place(&mut self, file: &OwnedFd, number: RawFd) -> io::Result<()> {
        // SAFETY: initialised; the file is open until the child has started.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, file.as_raw_fd(), number) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialised once, destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// A session of its own, and every signal as it is by default.
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> io::Result<Self> {
        // SAFETY: as for the actions.
        let mut attributes = unsafe { std::mem::zeroed() };
        // SAFETY: initialises it.
        check(unsafe { libc::posix_spawnattr_init(&raw mut attributes) })?;
        let mut new = Self(attributes);
        // SAFETY: sets of signals are plain data, filled in by the two calls.
        let (none, all) = unsafe {
            let (mut none, mut all) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigemptyset(&raw mut none);
            libc::sigfillset(&raw mut all);
            (none, all)
        };
        let flags = libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID;
        // SAFETY: initialised; the sets are copied.
        unsafe {
            check(libc::posix_spawnattr_setsigmask(&raw mut new.0, &raw const none))?;
            check(libc::posix_spawnattr_setsigdefault(&raw mut new.0, &raw const all))?;
            check(libc::posix_spawnattr_setflags(&raw mut new.0, flags as libc::c_short))?;
        }
        Ok(new)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised once, destroyed once.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}

#[cfg(target_os = "linux")]
const POSIX_SPAWN_SETSID: i32 = libc::POSIX_SPAWN_SETSID as i32;
/// `spawn.h` of macOS 10.15.
#[cfg(target_vendor = "apple")]
const POSIX_SPAWN_SETSID: i32 = 0x0400;
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
const POSIX_SPAWN_SETSID: i32 = 0;
