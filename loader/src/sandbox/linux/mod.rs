//! Linux: landlock for files, a seccomp filter for system calls. Each sets "no new privileges" first, which the kernel
//! demands of a process that is not root's.

mod paths;
mod seccomp;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, LandlockStatus, PathBeneath, PathFd, PathFdError,
    RestrictionStatus, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, Scope,
};

use super::error::SandboxError;

/// The newest version of landlock whose restrictions are known here; an older kernel has fewer, and those are applied.
/// Version 9 would close the sockets of the file system, such as that of syslog.
const KNOWN: ABI = ABI::V7;

/// `read` and `write` are granted beside what every program needs.
pub(super) fn apply(read: &[PathBuf], write: &[PathBuf], plugin: &Path) -> Result<(), SandboxError> {
    let tasks = fs::read_dir("/proc/self/task").map_err(failed("count the threads in /proc/self/task"))?;
    match tasks.count() {
        1 => {}
        more => return Err(SandboxError::Threads(more)),
    }
    restrict_files(read, write, plugin)?;
    seccomp::deny().map_err(failed("install the seccomp filter"))
}

fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    step: &'static str,
) -> impl FnOnce(E) -> SandboxError {
    move |error| SandboxError::Step { step, error: error.into() }
}

fn restrict_files(read: &[PathBuf], write: &[PathBuf], plugin: &Path) -> Result<(), SandboxError> {
    let step = "make the landlock rules";
    // All are handled, execution too, and it is granted nowhere. That does not concern libraries.
    let handled = Ruleset::default().handle_access(AccessFs::from_all(KNOWN)).map_err(failed(step))?;
    let mut rules =
        handled.scope(Scope::Signal).and_then(Ruleset::create).map_err(failed::<RulesetError>(step))?;
    for path in paths::read() {
        rules = allow_if_there(rules, &path, reading())?;
    }
    for path in paths::DEVICES {
        rules = allow_if_there(rules, Path::new(path), reading() | AccessFs::WriteFile | AccessFs::Truncate)?;
    }
    let own = [plugin.to_owned()];
    for (key, paths, access) in [
        ("read", own.as_slice(), reading()),
        ("read", read, reading()),
        ("write", write, reading() | writing()),
    ] {
        for path in paths {
            rules = allow(rules, path, access, key)?;
        }
    }
    let status = rules.restrict_self().map_err(failed("apply the landlock rules"))?;
    enforced(&status)
}

fn reading() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::ReadDir
}

/// Not included: to make a device.
fn writing() -> BitFlags<AccessFs> {
    AccessFs::from_write(ABI::V3) & !(AccessFs::MakeChar | AccessFs::MakeBlock)
}

fn enforced(status: &RestrictionStatus) -> Result<(), SandboxError> {
    if status.ruleset != RulesetStatus::NotEnforced {
        return Ok(());
    }
    Err(SandboxError::NoLandlock { reason: missing(status.landlock) })
}

fn missing(landlock: LandlockStatus) -> &'static str {
    match landlock {
        LandlockStatus::NotEnabled => {
            "landlock is disabled in this kernel: boot it with `landlock` in its parameter `lsm=`"
        }
        LandlockStatus::NotImplemented => {
            "this kernel has no landlock: boot Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK"
        }
        LandlockStatus::Available { .. } => "landlock restricts nothing here: allow its system calls",
    }
}

fn allow_if_there(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, SandboxError> {
    // What is not there now can't be allowed, and programs go without.
    match PathFd::new(path) {
        Ok(opened) => add(rules, opened, path, access),
        Err(_) => Ok(rules),
    }
}

fn allow(
    rules: RulesetCreated,
    path: &PathBuf,
    access: BitFlags<AccessFs>,
    key: &'static str,
) -> Result<RulesetCreated, SandboxError> {
    let refused = |error| SandboxError::Grant { key, path: path.clone(), error };
    match PathFd::new(path) {
        Ok(opened) => add(rules, opened, path, access),
        Err(PathFdError::OpenCall { source, .. }) => Err(refused(source)),
        Err(other) => Err(refused(io::Error::other(other))),
    }
}

fn add(
    rules: RulesetCreated,
    opened: PathFd,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, SandboxError> {
    // A right that only a folder can have is an error for anything else.
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(KNOWN) };
    rules.add_rule(PathBeneath::new(opened, access)).map_err(failed("allow a path by landlock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_more_threads_is_refused_because_the_others_would_stay_free() {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let other = std::thread::Builder::new().spawn(move || stopped.recv()).expect("a thread");
        let error = apply(&[], &[], Path::new("/")).unwrap_err();
        assert!(matches!(error, SandboxError::Threads(2..)), "{error}");
        drop(stop);
        assert!(other.join().expect("no panic").is_err());
    }

    #[test]
    fn a_kernel_without_landlock_is_named_with_what_to_do() {
        for (status, expected) in [
            (
                LandlockStatus::NotEnabled,
                "sandbox: `sandbox`: landlock is disabled in this kernel: boot it with `landlock` in its parameter `lsm=`, or remove [backend.sandbox]",
            ),
            (
                LandlockStatus::NotImplemented,
                "sandbox: `sandbox`: this kernel has no landlock: boot Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK, or remove [backend.sandbox]",
            ),
        ] {
            let error = SandboxError::NoLandlock { reason: missing(status) };
            assert_eq!(error.to_string(), expected);
        }
    }
}
