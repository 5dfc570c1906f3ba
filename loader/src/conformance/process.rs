//! The process of a check: its settings, which belong to the tool and which a plugin must not change, and its memory.

use std::collections::{BTreeMap, BTreeSet};

/// The settings of the process at one time, by their names.
///
/// # Platform
/// Environment, working folder, and the settings of the floating-point unit of the calling thread. On Unix also actions of
/// signals, the signal mask and the priority of the calling thread, timers, locale, umask, limits of resources, group and
/// session, and the files of the standard streams. On Linux also the scheduling and the processors of the calling thread, the
/// name of the process, locked memory, and what `prctl` sets. On Windows priorities, error mode and standard streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessState(BTreeMap<String, String>);

impl ProcessState {
    /// Reads the settings.
    #[must_use]
    pub fn now() -> Self {
        let mut found = BTreeMap::new();
        for (name, value) in std::env::vars_os() {
            found.insert(
                format!("environment variable {}", name.to_string_lossy()),
                value.to_string_lossy().into_owned(),
            );
        }
        let folder =
            std::env::current_dir().map_or_else(|e| e.to_string(), |at| at.to_string_lossy().into_owned());
        found.insert("working folder".to_owned(), folder);
        #[cfg(unix)]
        unix::look(&mut found);
        #[cfg(windows)]
        windows::look(&mut found);
        if let Some(control) = floating_point() {
            found.insert("rounding and exceptions of floating-point numbers".to_owned(), control.to_string());
        }
        #[cfg(target_os = "linux")]
        linux::look(&mut found);
        Self(found)
    }

    /// The number of settings.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The names of the settings that differ. A value may be a secret.
    #[must_use]
    pub fn changed(&self, later: &Self) -> Vec<String> {
        let names: BTreeSet<_> = self.0.keys().chain(later.0.keys()).collect();
        names.into_iter().filter(|name| self.0.get(*name) != later.0.get(*name)).cloned().collect()
    }
}

/// Makes this process, in which nothing but a check will run, one that shows what a plugin does. `SIGPIPE` has its default
/// action, as in a tool that is not written in Rust. On Linux it leads no session and no group, and adopts no orphans, so that
/// a plugin which changes these is noticed: this returns in a child, and this process, which adopts what a plugin leaves behind,
/// ends as the child does. On Windows an exception ends the process with its number, and without a report of the system. Call it
/// while there is one thread.
pub fn begin() {
    #[cfg(target_os = "linux")]
    linux::continue_in_a_child();
    #[cfg(unix)]
    // SAFETY: no code runs for the default action.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
    #[cfg(windows)]
    let _ = crate::sandbox::limits::Limits::default().apply();
}

/// The bytes of memory that the process has taken from the allocator of the C library and not given back.
///
/// # Platform
/// Linux with glibc; elsewhere `None`.
#[must_use]
pub fn allocated() -> Option<usize> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: the call only reads the allocator's counts.
        let counts = unsafe { libc::mallinfo2() };
        Some(counts.uordblks + counts.hblkhd)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    None
}

/// Gives back to the system what the allocator keeps of freed memory, where it can be asked to: each thread has its share, so
/// that a plugin that starts threads seems to grow.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call only changes memory that nobody uses.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Writes what the C library keeps in the buffers of its streams, such as a text that was printed without a line feed.
pub fn flush_output() {
    #[cfg(unix)]
    // SAFETY: null stands for all streams.
    unsafe {
        libc::fflush(std::ptr::null_mut());
    }
}

/// The control bits of the calling thread's floating-point unit: rounding, exceptions and flush-to-zero. The bits that say
/// what has happened are left out.
fn floating_point() -> Option<u64> {
    #[cfg(target_arch = "x86_64")]
    {
        const EVENTS: u32 = 0x3f;
        let mut control: u32 = 0;
        // SAFETY: the instruction stores 32 bits.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut control, options(nostack)) };
        Some(u64::from(control & !EVENTS))
    }
    #[cfg(target_arch = "aarch64")]
    {
        let control: u64;
        // SAFETY: the instruction reads a register.
        unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) control, options(nomem, nostack)) };
        Some(control)
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    None
}

#[cfg(windows)]
mod windows {
    use std::collections::BTreeMap;

    use windows_sys::Win32::System::Console::{
        GetStdHandle, STD_ERROR_HANDLE, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE,
    };
    use windows_sys::Win32::System::Diagnostics::Debug::GetErrorMode;
    use windows_sys::Win32::System::Threading::{
        GetCurrentProcess, GetCurrentThread, GetPriorityClass, GetThreadPriority,
    };

    pub(super) fn look(found: &mut BTreeMap<String, String>) {
        // SAFETY: these calls only read.
        let (mode, priority, thread) = unsafe {
            (GetErrorMode(), GetPriorityClass(GetCurrentProcess()), GetThreadPriority(GetCurrentThread()))
        };
        found.insert("error mode".to_owned(), mode.to_string());
        found.insert("priority".to_owned(), format!("{priority} {thread}"));
        for (name, stream) in [
            ("standard input", STD_INPUT_HANDLE),
            ("standard output", STD_OUTPUT_HANDLE),
            ("standard error", STD_ERROR_HANDLE),
        ] {
            // SAFETY: the call only reads.
            let handle = unsafe { GetStdHandle(stream) };
            found.insert(name.to_owned(), handle.addr().to_string());
        }
    }
}

#[cfg(unix)]
mod unix {
    use std::{collections::BTreeMap, ffi::CStr, mem::zeroed, ptr};

    /// The highest signal. The system refuses a number above its own limit.
    const LAST_SIGNAL: i32 = 64;

    pub(super) fn look(found: &mut BTreeMap<String, String>) {
        for signal in 1..=LAST_SIGNAL {
            // SAFETY: zeros are a valid action.
            let mut action: libc::sigaction = unsafe { zeroed() };
            // SAFETY: without a new action, the call only reads.
            if unsafe { libc::sigaction(signal, ptr::null(), &raw mut action) } == 0 {
                let value = format!("{:#x} {:#x}", action.sa_sigaction, action.sa_flags);
                found.insert(format!("handler of signal {signal}"), value);
            }
        }
        // SAFETY: a set of signals is plain data.
        let mut mask: libc::sigset_t = unsafe { zeroed() };
        // SAFETY: without a new set, the call only reads.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &raw mut mask) };
        let blocked: Vec<String> = (1..=LAST_SIGNAL)
            // SAFETY: the system has filled in the set, and refuses an unknown number.
            .filter(|signal| unsafe { libc::sigismember(&raw const mask, *signal) } == 1)
            .map(|signal| signal.to_string())
            .collect();
        found.insert("signal mask".to_owned(), blocked.join(","));
        // SAFETY: the call only reads. The text is valid until the next call.
        let locale = unsafe { libc::setlocale(libc::LC_ALL, ptr::null()) };
        if !locale.is_null() {
            // SAFETY: as above.
            let locale = unsafe { CStr::from_ptr(locale) }.to_string_lossy().into_owned();
            found.insert("locale".to_owned(), locale);
        }
        // SAFETY: the mask can only be read by setting it, and is restored at once.
        let umask = unsafe { libc::umask(0o077) };
        // SAFETY: as above.
        unsafe { libc::umask(umask) };
        found.insert("umask".to_owned(), format!("{umask:o}"));
        for (name, limit) in [
            ("limit of descriptors", libc::RLIMIT_NOFILE),
            ("limit of core dumps", libc::RLIMIT_CORE),
            ("limit of memory", libc::RLIMIT_AS),
            ("limit of processor time", libc::RLIMIT_CPU),
            ("limit of a file's size", libc::RLIMIT_FSIZE),
            ("limit of data", libc::RLIMIT_DATA),
            ("limit of the stack", libc::RLIMIT_STACK),
            ("limit of processes", libc::RLIMIT_NPROC),
            ("limit of locked memory", libc::RLIMIT_MEMLOCK),
        ] {
            // SAFETY: plain data.
            let mut value: libc::rlimit = unsafe { zeroed() };
            // SAFETY: the call only reads.
            unsafe { libc::getrlimit(limit, &raw mut value) };
            found.insert(name.to_owned(), format!("{} {}", value.rlim_cur, value.rlim_max));
        }
        // `alarm` is the first of them.
        for (name, timer) in [
            ("timer of time", libc::ITIMER_REAL),
            ("timer of processor time", libc::ITIMER_VIRTUAL),
            ("timer of profiling", libc::ITIMER_PROF),
        ] {
            // SAFETY: plain data.
            let mut value: libc::itimerval = unsafe { zeroed() };
            // SAFETY: the call only reads.
            unsafe { libc::getitimer(timer, &raw mut value) };
            let runs = value.it_value.tv_sec != 0 || value.it_value.tv_usec != 0;
            found.insert(name.to_owned(), runs.to_string());
        }
        // SAFETY: these calls only read.
        let (priority, group, session) =
            unsafe { (libc::getpriority(libc::PRIO_PROCESS, 0), libc::getpgrp(), libc::getsid(0)) };
        found.insert("priority".to_owned(), priority.to_string());
        found.insert("process group".to_owned(), group.to_string());
        found.insert("session".to_owned(), session.to_string());
        for (name, descriptor) in [
            ("standard input", libc::STDIN_FILENO),
            ("standard output", libc::STDOUT_FILENO),
            ("standard error", libc::STDERR_FILENO),
        ] {
            // SAFETY: plain data.
            let mut file: libc::stat = unsafe { zeroed() };
            // SAFETY: the system refuses a number that is no descriptor.
            let is_open = unsafe { libc::fstat(descriptor, &raw mut file) } == 0;
            // SAFETY: these calls only read.
            let (modes, flags) =
                unsafe { (libc::fcntl(descriptor, libc::F_GETFL), libc::fcntl(descriptor, libc::F_GETFD)) };
            let identity = is_open.then(|| {
                let kind = file.st_mode & libc::S_IFMT;
                format!("{} {} {kind:o} {modes:#o} {flags}", file.st_dev, file.st_ino)
            });
            found.insert(name.to_owned(), identity.unwrap_or_else(|| "closed".to_owned()));
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{collections::BTreeMap, mem::zeroed};

    use rustix::process::{Pid, WaitOptions, wait};

    use crate::boundary::process::exit;
    use crate::files::open::{Access, read};

    /// Without a child, the check runs in this process.
    pub(super) fn continue_in_a_child() {
        crate::reexec::adopt_orphans();
        // SAFETY: there is one thread, so the child has what any process has.
        let Some(child) = Pid::from_raw(unsafe { libc::fork() }.max(0)) else { return };
        let status = loop {
            match wait(WaitOptions::empty()) {
                Ok(Some((ended, status))) if ended == child => break status,
                // An orphan, or nothing.
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => exit(libc::EXIT_FAILURE),
            }
        };
        if let Some(signal) = status.terminating_signal() {
            // SAFETY: no code runs for the default action. The signal ends this process, if it is one that does.
            unsafe {
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal);
            }
        }
        exit(status.exit_status().unwrap_or(libc::EXIT_FAILURE))
    }

    /// Whether `mlockall` has locked what is mapped from now on, which no call tells: such a mapping has no page outside of
    /// memory.
    fn is_new_memory_locked() -> bool {
        const LEN: usize = 1 << 12;
        // SAFETY: the kernel chooses an address that is not in use, and this mapping alone ends.
        unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let page = libc::mmap(std::ptr::null_mut(), LEN, access, flags, -1, 0);
            if page == libc::MAP_FAILED {
                return false;
            }
            let mut is_there = 0_u8;
            let asked = libc::mincore(page, LEN, &raw mut is_there);
            libc::munmap(page, LEN);
            asked == 0 && is_there & 1 == 1
        }
    }

    pub(super) fn look(found: &mut BTreeMap<String, String>) {
        // SAFETY: the call only reads.
        let policy = unsafe { libc::sched_getscheduler(0) };
        // SAFETY: a set of processors is plain data.
        let mut processors: libc::cpu_set_t = unsafe { zeroed() };
        // SAFETY: the set has this size.
        unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut processors) };
        let processors: Vec<usize> = (0..libc::CPU_SETSIZE as usize)
            // SAFETY: the number is less than that of processors in a set.
            .filter(|processor| unsafe { libc::CPU_ISSET(*processor, &processors) })
            .collect();
        found.insert("scheduling".to_owned(), policy.to_string());
        found.insert("processors".to_owned(), format!("{processors:?}"));
        for (name, option) in [
            ("whether a core is dumped (PR_SET_DUMPABLE)", libc::PR_GET_DUMPABLE),
            ("whether a program gains rights (PR_SET_NO_NEW_PRIVS)", libc::PR_GET_NO_NEW_PRIVS),
            ("timer slack", libc::PR_GET_TIMERSLACK),
            ("rules for root's rights (PR_SET_SECUREBITS)", libc::PR_GET_SECUREBITS),
            ("whether pages are never huge (PR_SET_THP_DISABLE)", libc::PR_GET_THP_DISABLE),
        ] {
            // SAFETY: these options only return a number.
            found.insert(name.to_owned(), unsafe { libc::prctl(option, 0, 0, 0, 0) }.to_string());
        }
        for (name, option) in [
            ("whether orphans are adopted (PR_SET_CHILD_SUBREAPER)", libc::PR_GET_CHILD_SUBREAPER),
            ("signal of the parent's death", libc::PR_GET_PDEATHSIG),
        ] {
            let mut number: libc::c_int = 0;
            // SAFETY: these options write one number.
            unsafe { libc::prctl(option, &raw mut number, 0, 0, 0) };
            found.insert(name.to_owned(), number.to_string());
        }
        let read = |file: &str| read(file.as_ref(), Access::Read, 1 << 16).unwrap_or_default();
        found.insert("name of the process".to_owned(), read("/proc/self/comm"));
        let status = read("/proc/self/status");
        let locked = status.lines().find(|line| line.starts_with("VmLck:")).unwrap_or_default();
        found.insert("locked memory".to_owned(), locked.to_owned());
        for name in ["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            let line = status.lines().find(|line| line.split(':').next() == Some(name));
            found.insert(format!("rights of the process ({name})"), line.unwrap_or_default().to_owned());
        }
        for name in ["oom_score_adj", "coredump_filter"] {
            found.insert(name.to_owned(), read(&format!("/proc/self/{name}")));
        }
        found.insert("locking of new memory".to_owned(), is_new_memory_locked().to_string());
        // Each timer of POSIX has a line of its own.
        let timers = read("/proc/self/timers").matches("ID: ").count();
        found.insert("timers of POSIX".to_owned(), timers.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_named_without_its_value() {
        let before = ProcessState(
            [("umask", "22"), ("locale", "C"), ("gone", "s3cret")].map(|(a, b)| (a.into(), b.into())).into(),
        );
        let later = ProcessState(
            [("umask", "22"), ("locale", "de"), ("new", "s3cret")].map(|(a, b)| (a.into(), b.into())).into(),
        );
        assert_eq!(before.changed(&later), ["gone", "locale", "new"]);
        assert_eq!(before.changed(&before), [""; 0]);
    }

    #[test]
    fn nothing_changes_by_looking() {
        let before = ProcessState::now();
        assert!(before.changed(&ProcessState::now()).is_empty());
    }
}
