//! The resources that a plugin's child may use.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::SandboxError;

/// The resources that a plugin's child process may use. The process itself needs a small part of them. A
/// process that the plugin forks has the same limits for itself.
///
/// # Platform
/// Unix. Elsewhere a limit is an error of the kind `Unsupported`. macOS does not enforce `memory`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// Address space in bytes. An allocation beyond it fails, which ends most programs by SIGABRT. Stacks of
    /// threads and arenas of allocators (some 64 MiB) count.
    pub memory: Option<u64>,
    /// Processor time of the child, rounded up to seconds. Then SIGXCPU ends it, or SIGKILL a second later.
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

#[cfg(not(unix))]
mod system {
    use std::io;

    use super::{Limits, SandboxError};

    pub(super) fn apply(limits: &Limits) -> Result<(), SandboxError> {
        let wanted = [
            ("memory", limits.memory),
            ("cpu", limits.cpu.map(|cpu| cpu.as_secs())),
            ("files", limits.files),
        ];
        match wanted.into_iter().find_map(|(key, value)| Some((key, value?))) {
            Some((key, value)) => {
                Err(SandboxError::Limit { key, value, error: io::ErrorKind::Unsupported.into() })
            }
            None => Ok(()),
        }
    }
}
