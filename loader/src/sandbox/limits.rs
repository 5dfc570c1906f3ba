//! The resources that a plugin's child may use.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::SandboxError;

/// The resources that a plugin's child process may use. The process itself needs a small part of them. A
/// process that the plugin forks has the same limits for itself.
///
/// # Platform
/// macOS does not enforce `memory`. On Windows `memory` is what the process has committed, `files` is an error of the kind
/// `Unsupported`, and `core_dumps` are the reports of Windows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// Address space in bytes. An allocation beyond it fails, which ends most programs by an abort. Stacks of
    /// threads and arenas of allocators (some 64 MiB) count.
    pub memory: Option<u64>,
    /// Processor time of the child, rounded up to seconds. Then the system ends it; on Unix SIGXCPU does, or SIGKILL a second
    /// later.
    pub cpu: Option<Duration>,
    /// Number of open descriptors.
    pub files: Option<u64>,
    /// Whether a crash may leave a core dump, within the parent's limits. It may contain events and secrets.
    pub core_dumps: bool,
}

impl Limits {
    /// Limits this process and those that it starts. A lower limit stays.
    ///
    /// # Errors
    /// The system refuses a limit, or the process uses more than `memory` or `files` already.
    pub fn apply(&self) -> Result<(), SandboxError> {
        system::apply(self)
    }
}

#[cfg(unix)]
mod system {
    use std::path::Path;

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    use super::{Limits, SandboxError};
    use crate::files::open::{Access, read};

    /// The largest core dump. On Linux 0 only prevents a file, and a program that collects core dumps gets
    /// one.
    const NO_CORE_DUMP: u64 = if cfg!(target_os = "linux") { 1 } else { 0 };

    pub(super) fn apply(limits: &Limits) -> Result<(), SandboxError> {
        if !limits.core_dumps {
            lower("core_dumps", Resource::Core, NO_CORE_DUMP, NO_CORE_DUMP)?;
        }
        if let Some(files) = limits.files {
            has_room("files", "open files", files, open_files())?;
            lower("files", Resource::Nofile, files, files)?;
        }
        if let Some(cpu) = limits.cpu {
            let seconds = cpu.as_secs() + u64::from(cpu.subsec_nanos() > 0);
            // With equal limits SIGKILL would end the process, which hides the cause.
            lower("cpu", Resource::Cpu, seconds, seconds.saturating_add(1))?;
        }
        if let Some(limit) = limits.memory {
            has_room("memory", "bytes of address space", limit, mapped())?;
            lower("memory", Resource::As, limit, limit)?;
        }
        Ok(())
    }

    fn has_room(
        key: &'static str,
        unit: &'static str,
        limit: u64,
        used: Option<u64>,
    ) -> Result<(), SandboxError> {
        match used {
            Some(used) if used >= limit => Err(SandboxError::NoRoom { key, unit, limit, used }),
            _ => Ok(()),
        }
    }

    fn lower(key: &'static str, resource: Resource, soft: u64, hard: u64) -> Result<(), SandboxError> {
        let is = getrlimit(resource);
        let least = |wanted: u64, is: Option<u64>| Some(is.map_or(wanted, |is| is.min(wanted)));
        let limit = Rlimit { current: least(soft, is.current), maximum: least(hard, is.maximum) };
        setrlimit(resource, limit).map_err(|error| SandboxError::Limit {
            key,
            value: soft,
            error: error.into(),
        })
    }

    /// Number of open descriptors, where the system tells.
    fn open_files() -> Option<u64> {
        // The listing itself has one open.
        u64::try_from(std::fs::read_dir("/proc/self/fd").ok()?.count()).ok()?.checked_sub(1)
    }

    /// Address space in use, in bytes, where the system tells.
    fn mapped() -> Option<u64> {
        let text = read(Path::new("/proc/self/statm"), Access::Read, 4096).ok()?;
        let pages: u64 = text.split(' ').next()?.parse().ok()?;
        pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
    }
}

#[cfg(windows)]
mod system {
    use std::io;
    use std::os::windows::io::BorrowedHandle;

    use windows_sys::Win32::System::Diagnostics::Debug::{EXCEPTION_POINTERS, SetUnhandledExceptionFilter};
    use windows_sys::Win32::System::JobObjects::{
        JOB_OBJECT_LIMIT_PROCESS_MEMORY, JOB_OBJECT_LIMIT_PROCESS_TIME, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    };
    use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
    use windows_sys::Win32::System::Threading::GetCurrentProcess;

    use super::{Limits, SandboxError};
    use crate::boundary::job::Job;

    pub(super) fn apply(limits: &Limits) -> Result<(), SandboxError> {
        if !limits.core_dumps {
            // SAFETY: the function is never unmapped.
            unsafe { SetUnhandledExceptionFilter(Some(end)) };
        }
        let refused = |key, value, error| SandboxError::Limit { key, value, error };
        if let Some(files) = limits.files {
            return Err(refused("files", files, io::ErrorKind::Unsupported.into()));
        }
        let mut job = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        let (mut key, mut value) = ("memory", 0);
        if let Some(cpu) = limits.cpu {
            (key, value) = ("cpu", cpu.as_secs() + u64::from(cpu.subsec_nanos() > 0));
            job.BasicLimitInformation.LimitFlags |= JOB_OBJECT_LIMIT_PROCESS_TIME;
            // In parts of 100 nanoseconds.
            job.BasicLimitInformation.PerProcessUserTimeLimit =
                i64::try_from(value.saturating_mul(10_000_000)).unwrap_or(i64::MAX);
        }
        if let Some(limit) = limits.memory {
            (key, value) = ("memory", limit);
            match committed() {
                Some(used) if used >= limit => {
                    let unit = "bytes of committed memory";
                    return Err(SandboxError::NoRoom { key, unit, limit, used });
                }
                _ => {}
            }
            job.BasicLimitInformation.LimitFlags |= JOB_OBJECT_LIMIT_PROCESS_MEMORY;
            job.ProcessMemoryLimit = usize::try_from(limit).unwrap_or(usize::MAX);
        }
        if job.BasicLimitInformation.LimitFlags == 0 {
            return Ok(());
        }
        // SAFETY: the handle of this process is always valid.
        let own = unsafe { BorrowedHandle::borrow_raw(GetCurrentProcess()) };
        // The job lasts as long as this process, and without its handle nobody changes the limits.
        Job::new(&job).and_then(|job| job.add(own)).map_err(|error| refused(key, value, error))
    }

    /// Has an exception that nobody handles end the process with its number. The system would report it before, with a dump.
    unsafe extern "system" fn end(_: *const EXCEPTION_POINTERS) -> i32 {
        const EXECUTE_HANDLER: i32 = 1;
        EXECUTE_HANDLER
    }

    /// Memory of this process that the system has set aside, in bytes.
    fn committed() -> Option<u64> {
        let mut counters = PROCESS_MEMORY_COUNTERS::default();
        let size = size_of::<PROCESS_MEMORY_COUNTERS>() as u32;
        // SAFETY: the handle of this process is always valid, and the counters can be written.
        let told = unsafe { K32GetProcessMemoryInfo(GetCurrentProcess(), &raw mut counters, size) };
        (told != 0).then_some(counters.PagefileUsage as u64)
    }
}
