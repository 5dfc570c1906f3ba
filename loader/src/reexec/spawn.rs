//! Starts a child by `posix_spawn`, which copies nothing of the parent, however large it is.

use std::{
    ffi::{CString, OsString},
    fs::File,
    io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    ptr,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::{Errno, fcntl_dupfd_cloexec},
    process::{Pid, Signal, WaitOptions, kill_process_group, waitpid},
};

use super::{FIRST, MARK, Program};

/// Above every number that a child is handed, so that no descriptor is overwritten while they are put in place.
const ABOVE: RawFd = 128;

/// Between two looks at whether a child has ended.
const TICK: Duration = Duration::from_millis(1);

/// What a parent hands to a child.
#[derive(Debug)]
pub struct Inherited {
    /// The files of [`Spawn::files`], in their order.
    pub files: Vec<OwnedFd>,
    /// The process that started this one.
    pub parent: u32,
}

impl Inherited {
    /// Takes over the first `files` descriptors and closes all that follow.
    pub(super) fn take(files: usize) -> io::Result<Self> {
        let end = FIRST + files as RawFd;
        for number in FIRST..end {
            // SAFETY: asks whether the descriptor is open.
            if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        close_from(end);
        // SAFETY: they are open, as was just found, and `init` promises that nobody else in this process has them.
        let files = (FIRST..end).map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect();
        Ok(Self { files, parent: std::os::unix::process::parent_id() })
    }

    /// What is right for every job: the name that `ps` and `top` show.
    pub(super) fn prepare(&self, job: &str) {
        #[cfg(target_os = "linux")]
        if let Ok(name) = CString::new(format!("jackfield-{job}")) {
            let _ = rustix::thread::set_name(&name);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = job;
    }

    /// Sees to it that this process is gone after `lifetime`, whatever code in it does meanwhile: a thread ends it then, and
    /// where that has no turn, the system's alarm does a second or two later.
    ///
    /// # Errors
    /// When there is no thread to be had. The alarm is set all the same.
    pub fn end_within(&self, lifetime: Duration) -> io::Result<()> {
        let late = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).saturating_add(2);
        // SAFETY: sets a timer, whose signal ends a process that has not said otherwise.
        unsafe { libc::alarm(late) };
        let end = move || {
            thread::sleep(lifetime);
            crate::exit(OUT_OF_TIME)
        };
        thread::Builder::new().name("lifetime".to_owned()).stack_size(SMALL_STACK).spawn(end).map(drop)
    }
}

/// The exit code of a child whose lifetime was over: 75, `EX_TEMPFAIL` of `sysexits.h`.
const OUT_OF_TIME: i32 = 75;

/// Enough for a thread that waits.
const SMALL_STACK: usize = 64 << 10;

/// Closes every descriptor from `first` on.
fn close_from(first: RawFd) {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: closes what nobody in this process has, as `init` promises. By number: an older C library lacks it.
        if unsafe { libc::syscall(libc::SYS_close_range, first as libc::c_uint, libc::c_uint::MAX, 0) } == 0 {
            return;
        }
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(65_536);
    for number in first..RawFd::try_from(limit).unwrap_or(65_536).min(65_536) {
        // SAFETY: as above; what is not open stays so.
        unsafe { libc::close(number) };
    }
}

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
    /// A child for the [`Job`](super::Job) of this name.
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

        // Put out of the way first: a number that one is to have may be another's now.
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
        Ok(Child { pid, ended: Mutex::new(None) })
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

/// A child that was started. Dropping it leaves it alone.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    /// Once its end is known, its number may be another process's.
    ended: Mutex<Option<Ended>>,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Somebody else in this process has asked the system first.
    Unknown,
}

impl Child {
    /// Its process number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Ends it at once, with all of its session that has not left it.
    pub fn kill(&self) {
        let ended = self.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // As long as nobody has asked for its end, the number is its own.
        if ended.is_none() {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }

    /// Waits for its end for at most so long.
    #[must_use]
    pub fn wait(&self, within: Duration) -> Option<Ended> {
        let start = Instant::now();
        loop {
            if let Some(ended) = self.has_ended() {
                return Some(ended);
            }
            let left = within.saturating_sub(start.elapsed());
            if left.is_zero() {
                return None;
            }
            thread::sleep(left.min(TICK));
        }
    }

    /// Has a thread wait for its end, so that it leaves no zombie however long this process goes on. The end of this process
    /// does not wait for the thread.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn reap(self) -> io::Result<()> {
        let wait = move || while matches!(waitpid(Some(self.pid), WaitOptions::empty()), Err(Errno::INTR)) {};
        thread::Builder::new().name("reaper".to_owned()).stack_size(SMALL_STACK).spawn(wait).map(drop)
    }

    fn has_ended(&self) -> Option<Ended> {
        let mut ended = self.ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if ended.is_none() {
            *ended = match waitpid(Some(self.pid), WaitOptions::NOHANG) {
                Ok(None) | Err(Errno::INTR) => None,
                Ok(Some((_, status))) => Some(match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Ended::Code(code),
                    (_, Some(signal)) => Ended::Signal(signal),
                    _ => Ended::Unknown,
                }),
                Err(_) => Some(Ended::Unknown),
            };
        }
        *ended
    }
}
