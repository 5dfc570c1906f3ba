//! The parent's side on Unix: starts a child by `posix_spawn`, and waits for its end.

#[cfg(target_os = "linux")]
use std::collections::HashSet;
use std::ffi::{CString, OsString};
use std::fs::File;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{io, ptr};

#[cfg(target_os = "linux")]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpid};
#[cfg(target_os = "linux")]
use rustix::process::{PidfdFlags, kill_process, pidfd_open};

use super::program::Program;
use super::spawn::{Ended, MARK, MOST_FILES, Spawn};
use crate::boundary::process::{SMALL_STACK, lock, thread};
use crate::boundary::signals;
#[cfg(target_os = "linux")]
use crate::files::open::{Access, read};

/// The number of the first descriptor that a child gets.
const FIRST: RawFd = 3;

/// In a child, takes the first `word` descriptors, closes all others, and sets the name of the process. Returns the
/// descriptors, and the number of the parent.
pub(super) fn take(word: &str, job: &str) -> Option<(Vec<OwnedFd>, u32)> {
    let files: usize = word.parse().ok().filter(|files| *files <= MOST_FILES)?;
    #[cfg(target_os = "linux")]
    if let Ok(name) = CString::new(format!("jackfield-{job}")) {
        let _ = rustix::thread::set_name(&name);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = job;
    let end = FIRST + files as RawFd;
    for number in FIRST..end {
        // SAFETY: the call fails if the descriptor is not open.
        if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            return None;
        }
    }
    close_from(end);
    // SAFETY: they are open, and `init` requires that no other code of this process has them.
    let files = (FIRST..end).map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect();
    Some((files, std::os::unix::process::parent_id()))
}

fn close_from(first: RawFd) {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: `init` requires that no code of this process has these descriptors.
        if unsafe { libc::syscall(libc::SYS_close_range, first as libc::c_uint, libc::c_uint::MAX, 0) } == 0 {
            return;
        }
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(65_536);
    for number in first..RawFd::try_from(limit).unwrap_or(65_536).min(65_536) {
        // SAFETY: as above.
        unsafe { libc::close(number) };
    }
}

/// Higher than the number of any descriptor of a child, so that placing one overwrites no other.
const ABOVE: RawFd = 128;

impl Spawn {
    /// Starts the child, and closes its files here. `posix_spawn` copies no page tables.
    ///
    /// # Errors
    /// `Unsupported`, with the line to add, if the program can't be started again; `PermissionDenied` if others than root
    /// and the user could have written a named program.
    pub fn start(self) -> io::Result<Child> {
        self.judge_program()?;
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
        let environment = self.environment.unwrap_or_else(|| std::env::vars_os().collect());
        let environment: Vec<_> = environment
            .iter()
            .map(|(key, value)| CString::new([key.as_bytes(), b"=", value.as_bytes()].concat()))
            .collect::<Result<_, _>>()?;

        // Higher numbers first: the number of one descriptor may be the destination of another.
        let moved: Vec<_> =
            self.files.iter().map(|file| fcntl_dupfd_cloexec(file, ABOVE)).collect::<Result<_, _>>()?;
        let above =
            |file: &Option<File>| file.as_ref().map(|file| fcntl_dupfd_cloexec(file, ABOVE)).transpose();
        let (stdout, stderr) = (above(&self.stdout)?, above(&self.stderr)?);

        let mut actions = Actions::new()?;
        actions.open_null(0, libc::O_RDONLY)?;
        for (file, number) in [(&stdout, 1), (&stderr, 2)] {
            match file {
                Some(file) => actions.place(file, number)?,
                None => actions.open_null(number, libc::O_WRONLY)?,
            }
        }
        for (file, number) in moved.iter().zip(FIRST..) {
            actions.place(file, number)?;
        }
        let attributes = Attributes::new()?;
        let mut pid = 0;
        let pointers = |list: &[CString]| -> Vec<*mut libc::c_char> {
            list.iter().map(|text| text.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
        };
        // SAFETY: the pointers are valid, both lists end with null, and the call does not change the texts.
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
        Ok(Child {
            pid,
            #[cfg(target_os = "linux")]
            pidfd: pidfd_open(pid, PidfdFlags::empty()).ok(),
            ended: Mutex::new(None),
        })
    }
}

/// The most rounds in which the processes below a child are looked for: one that forks faster escapes.
#[cfg(target_os = "linux")]
const MOST_ROUNDS: usize = 100;

/// The processes below `pid`, as far as the kernel lists them.
#[cfg(target_os = "linux")]
fn descendants(pid: Pid) -> HashSet<Pid> {
    let mut found = HashSet::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{}/task", parent.as_raw_nonzero())) else {
            continue;
        };
        for thread in threads.flatten() {
            let Ok(children) = read(&thread.path().join("children"), Access::Read, 1 << 20) else { continue };
            let children =
                children.split_whitespace().filter_map(|number| Pid::from_raw(number.parse().ok()?));
            parents.extend(children.filter(|child| found.insert(*child)));
        }
    }
    found
}

/// The numbers of the processes below the parent of this one, without this one, as far as the kernel lists them: the children,
/// and what they have started. The parent has to [adopt orphans](adopt_orphans) and to have started nothing else.
#[must_use]
pub fn processes_beside() -> Vec<u32> {
    #[cfg(target_os = "linux")]
    if let Some(parent) = rustix::process::getppid() {
        return below(parent).filter(|number| *number != std::process::id()).collect();
    }
    Vec::new()
}

/// The numbers of the processes below this one, as far as the kernel lists them.
#[must_use]
pub fn processes_below() -> Vec<u32> {
    #[cfg(target_os = "linux")]
    if let Some(own) = Pid::from_raw(std::process::id().cast_signed()) {
        return below(own).collect();
    }
    Vec::new()
}

#[cfg(target_os = "linux")]
fn below(pid: Pid) -> impl Iterator<Item = u32> {
    descendants(pid).into_iter().map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
}

/// Kills the processes below this one.
pub fn kill_descendants() {
    #[cfg(target_os = "linux")]
    if let Some(own) = Pid::from_raw(std::process::id().cast_signed()) {
        kill_below(own);
    }
}

/// Makes this process the parent of those whose parent ends, if they are below this one.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    // SAFETY: the call has no memory effects.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    }
}

/// Kills every process below `pid`. One that is to be killed can't fork, so each round finds what was forked before it.
#[cfg(target_os = "linux")]
fn kill_below(pid: Pid) {
    let mut killed = HashSet::new();
    for _ in 0..MOST_ROUNDS {
        let found = descendants(pid);
        let mut new = found.into_iter().filter(|pid| killed.insert(*pid)).peekable();
        if new.peek().is_none() {
            break;
        }
        for pid in new {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// The interval of the checks whether a child has ended, on a system without descriptors of processes.
const TICK: Duration = Duration::from_millis(1);

/// A child that was started. Dropping the value does not end the process.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    /// Readable once the child has ended; `None` before Linux 5.3.
    #[cfg(target_os = "linux")]
    pidfd: Option<OwnedFd>,
    /// Once this is set, the process number may belong to another process.
    ended: Mutex<Option<Ended>>,
}

impl Child {
    #[cfg(target_os = "linux")]
    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(OwnedFd::as_fd)
    }

    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Kills the child and every process of its group.
    pub fn kill(&self) {
        let ended = lock(&self.ended);
        // The number belongs to the child until its exit status has been taken.
        if ended.is_none() {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }

    /// As [`kill`](Self::kill), with the processes below the child that have left its group. The child must be
    /// the one that inherits those whose parent has ended (`PR_SET_CHILD_SUBREAPER`).
    #[cfg(target_os = "linux")]
    pub(crate) fn kill_tree(&self) {
        let ended = lock(&self.ended);
        if ended.is_some() {
            return;
        }
        // It starts no further process then, and stays the parent of those that are found.
        let _ = kill_process(self.pid, Signal::STOP);
        kill_below(self.pid);
        let _ = kill_process_group(self.pid, Signal::KILL);
    }

    /// Waits for the end of the child, at most for `within`.
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
            self.sleep(left);
        }
    }

    /// Sleeps until the child ends, at most for `left`. May return early.
    fn sleep(&self, left: Duration) {
        #[cfg(target_os = "linux")]
        if let Some(pidfd) = &self.pidfd {
            // A time that no `Timespec` can express is no limit.
            let _ = poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Timespec::try_from(left).ok().as_ref());
            return;
        }
        std::thread::sleep(left.min(TICK));
    }

    /// Starts a thread that waits for the end of the child, so that no zombie is left.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn reap(self) -> io::Result<()> {
        let wait = move || while matches!(waitpid(Some(self.pid), WaitOptions::empty()), Err(Errno::INTR)) {};
        thread("reap").stack_size(SMALL_STACK).spawn(wait).map(drop)
    }

    fn has_ended(&self) -> Option<Ended> {
        let mut ended = lock(&self.ended);
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

/// `posix_spawn` and its helpers return the number of an error.
fn check(code: i32) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// Changes of descriptors before the child executes the program.
struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> io::Result<Self> {
        // SAFETY: zeros are valid until the value is initialized.
        let mut actions = unsafe { std::mem::zeroed() };
        // SAFETY: initializes the value.
        check(unsafe { libc::posix_spawn_file_actions_init(&raw mut actions) })?;
        Ok(Self(actions))
    }

    fn open_null(&mut self, number: RawFd, flags: i32) -> io::Result<()> {
        // SAFETY: initialized. The call copies the path.
        check(unsafe {
            libc::posix_spawn_file_actions_addopen(&raw mut self.0, number, c"/dev/null".as_ptr(), flags, 0)
        })
    }

    fn place(&mut self, file: &OwnedFd, number: RawFd) -> io::Result<()> {
        // SAFETY: initialized. The file is open until the child has started.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, file.as_raw_fd(), number) })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: initialized once, destroyed once.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// A new session, the default action of every signal, and no blocked signal but [`signals::WAITING`].
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> io::Result<Self> {
        // SAFETY: as for `Actions`.
        let mut attributes = unsafe { std::mem::zeroed() };
        // SAFETY: initializes the value.
        check(unsafe { libc::posix_spawnattr_init(&raw mut attributes) })?;
        let mut new = Self(attributes);
        let waiting = signals::set_of(signals::WAITING);
        // SAFETY: a set of signals is plain data, which the call fills in.
        let all = unsafe {
            let mut all = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            all
        };
        let flags = libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID;
        // SAFETY: initialized. The calls copy the sets.
        unsafe {
            check(libc::posix_spawnattr_setsigmask(&raw mut new.0, &raw const waiting))?;
            check(libc::posix_spawnattr_setsigdefault(&raw mut new.0, &raw const all))?;
            check(libc::posix_spawnattr_setflags(&raw mut new.0, flags as libc::c_short))?;
        }
        Ok(new)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialized once, destroyed once.
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
