//! What a plugin's child may use up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::SandboxError;

/// The most that a plugin's child may use up. Each is a limit of the process, which includes the lane around the plugin; a
/// process that the plugin forks has limits of its own of the same size.
///
/// # Platform
/// Unix. Elsewhere a limit is an error of the kind `Unsupported`. macOS does not hold a process to `memory`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// Address space, in bytes. An allocation beyond it fails, which ends most programs by SIGABRT. More is mapped than
    /// is in use: each thread maps its stack, and some allocators an arena of 64 MiB.
    pub memory: Option<u64>,
    /// Processor time of the child's whole life, rounded up to seconds. SIGXCPU ends it then, and SIGKILL a second later
    /// one that handles that.
    pub cpu: Option<Duration>,
    /// Open descriptors at a time. One more can't be opened.
    pub files: Option<u64>,
    /// Whether a crash may leave a core dump, as the parent's limits have it. It may hold events and secrets.
    pub core_dumps: bool,
}

impl Limits {
    /// Holds this process and what it starts to the limits. One that is lower already stays.
    ///
    /// # Errors
    /// The system refuses a limit, or more than `memory` or `files` is in use already.
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

    /// The least limit of a core dump's size that keeps one from being made. Linux takes 0 for files only: a program that
    /// collects core dumps would get it all the same, which 1 forbids, too; and no file is as small.
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
            // Two limits: one that is soft and hard would end the process by SIGKILL, which does not tell the cause.
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

    /// Descriptors that are open, where the system tells.
    fn open_files() -> Option<u64> {
        // One of them is what lists them.
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
