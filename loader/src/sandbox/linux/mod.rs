//! Linux: landlock for files, seccomp for system calls, and no capabilities. The first two set "no new
//! privileges", as the kernel requires.

mod seccomp;

use std::path::{Path, PathBuf};
use std::{fs, io};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd,
    PathFdError, RestrictionStatus, Ruleset, RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _,
    RulesetError, RulesetStatus, Scope,
};
use rustix::fs::Mode;
use rustix::process::umask;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use super::Sandbox;
use super::error::SandboxError;
use crate::files::open::{identity, identity_of};
use crate::files::way::way;

/// The newest version of landlock that is applied, as far as the kernel has it. Version 9 would also restrict
/// sockets of the file system, such as that of syslog.
const KNOWN: ABI = ABI::V7;

/// Grants what the sandbox does beside the paths that every program needs.
pub(super) fn apply(sandbox: &Sandbox, plugin: &Path) -> Result<(), SandboxError> {
    let tasks = fs::read_dir("/proc/self/task").map_err(failed("count the threads in /proc/self/task"))?;
    let threads = tasks.count();
    if threads != 1 {
        return Err(SandboxError::Threads(threads));
    }
    restrict(sandbox, plugin)?;
    let mask = umask(Mode::empty());
    umask(mask | Mode::WGRP | Mode::WOTH);
    drop_capabilities().map_err(failed("give up the capabilities"))?;
    seccomp::deny(sandbox.network.as_deref()).map_err(failed("install the seccomp filter"))
}

fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    step: &'static str,
) -> impl FnOnce(E) -> SandboxError {
    move |error| SandboxError::Step { step, error: error.into() }
}

/// Gives up every capability of root, also those that it could get again. The signal at the parent's end stays.
fn drop_capabilities() -> io::Result<()> {
    // Past the last one, and for who may not, it fails. Who may not has none to get.
    // SAFETY: a plain system call.
    let _ = (0..64).find(|number| unsafe { libc::prctl(libc::PR_CAPBSET_DROP, *number, 0, 0, 0) } != 0);
    let none = CapabilitySet::empty();
    Ok(set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?)
}

/// Files, ports, and what processes outside have: signals and abstract sockets.
fn restrict(sandbox: &Sandbox, plugin: &Path) -> Result<(), SandboxError> {
    let step = "make the landlock rules";
    // No path gets the right to execute. Loading a library does not need it.
    let mut handled = Ruleset::default().handle_access(AccessFs::from_all(KNOWN)).map_err(failed(step))?;
    if sandbox.network.is_some() {
        handled = handled.handle_access(AccessNet::from_all(KNOWN)).map_err(failed(step))?;
    }
    let mut rules = handled
        .scope(Scope::from_all(KNOWN))
        .and_then(Ruleset::create)
        .map_err(failed::<RulesetError>(step))?;
    let ports = sandbox.network.as_deref().unwrap_or_default();
    for port in ports {
        let rule = NetPort::new(*port, AccessNet::ConnectTcp);
        rules = rules.add_rule(rule).map_err(failed("allow a port by landlock"))?;
    }
    for path in system_paths() {
        rules = allow_if_there(rules, &path, reading())?;
    }
    for path in DEVICES {
        rules = allow_if_there(rules, Path::new(path), reading() | AccessFs::WriteFile | AccessFs::Truncate)?;
    }
    let writable = Writable::of(sandbox);
    if writable.leads_to(plugin).is_none() {
        rules = allow(rules, plugin, reading(), "read")?;
    }
    for (key, paths, access) in
        [("read", &sandbox.read, reading()), ("write", &sandbox.write, reading() | writing())]
    {
        for path in paths {
            if let Some(within) = writable.leads_to(path) {
                return Err(SandboxError::Nested { key, path: path.clone(), within: within.to_owned() });
            }
            rules = allow(rules, path, access, key)?;
        }
    }
    let status = rules.restrict_self().map_err(failed("apply the landlock rules"))?;
    enforced(&status)?;
    if ports.is_empty() || restricts_ports(status.landlock) { Ok(()) } else { Err(SandboxError::NoPorts) }
}

/// The folders that the plugin may write. It could put a link in the place of a path in one of them. In its next process, a
/// rule for that path would hold for what the link leads to.
struct Writable<'a>(Vec<(&'a Path, (u64, u64))>);

impl<'a> Writable<'a> {
    fn of(sandbox: &'a Sandbox) -> Self {
        let folder = |path: &'a PathBuf| {
            let found = fs::metadata(path).ok().filter(fs::Metadata::is_dir)?;
            Some((&**path, identity_of(&found)))
        };
        Self(sandbox.write.iter().filter_map(folder).collect())
    }

    /// The first of them on the way to `path`.
    fn leads_to(&self, path: &Path) -> Option<&'a Path> {
        let folders = way(path).map(|way| way.folders).unwrap_or_default();
        folders.iter().find_map(|folder| {
            let passed = identity(&folder.handle).ok()?;
            self.0.iter().find(|(_, writable)| *writable == passed).map(|(path, _)| *path)
        })
    }
}

fn reading() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::ReadDir
}

/// All rights to write, except to create a device.
fn writing() -> BitFlags<AccessFs> {
    AccessFs::from_write(ABI::V3) & !(AccessFs::MakeChar | AccessFs::MakeBlock)
}

fn enforced(status: &RestrictionStatus) -> Result<(), SandboxError> {
    if status.ruleset != RulesetStatus::NotEnforced {
        return Ok(());
    }
    Err(SandboxError::NoLandlock { reason: missing(status.landlock) })
}

fn restricts_ports(landlock: LandlockStatus) -> bool {
    matches!(landlock, LandlockStatus::Available { effective_abi, .. } if effective_abi >= ABI::V4)
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
    // Programs manage without a path that does not exist.
    match PathFd::new(path) {
        Ok(opened) => add(rules, opened, path, access),
        Err(_) => Ok(rules),
    }
}

fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
    key: &'static str,
) -> Result<RulesetCreated, SandboxError> {
    let refused = |error| SandboxError::Grant { key, path: path.to_owned(), error };
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
    // Only a folder can have all of the rights.
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(KNOWN) };
    rules.add_rule(PathBeneath::new(opened, access)).map_err(failed("allow a path by landlock"))
}

/// Devices that store nothing, and may be written to.
const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];

/// Files and folders that programs need, as far as a system has them. None is private to a user.
const READ: [&str; 36] = [
    // Libraries, locales, time zones, certificates.
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
    // The dynamic linker.
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    // Names of hosts and services.
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    // Authorities and rules of TLS.
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    // Time.
    "/etc/localtime",
    "/etc/timezone",
    // Randomness, the process itself, the size of the machine.
    "/dev/random",
    "/dev/urandom",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
];

fn system_paths() -> impl Iterator<Item = PathBuf> {
    READ.iter().map(PathBuf::from).chain(resolver())
}

/// The folder of the resolver's file in `/run`. A rule for the file would end when the file is replaced.
fn resolver() -> Option<PathBuf> {
    let real = fs::canonicalize("/etc/resolv.conf").ok()?;
    let folder = real.parent().filter(|folder| folder.starts_with("/run") && *folder != Path::new("/run"))?;
    Some(folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_more_than_one_thread_is_refused() {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let other = std::thread::Builder::new().spawn(move || stopped.recv()).expect("a thread");
        let error = apply(&Sandbox::default(), Path::new("/")).unwrap_err();
        assert!(matches!(error, SandboxError::Threads(2..)), "{error}");
        drop(stop);
        assert!(other.join().expect("no panic").is_err());
    }

    #[test]
    fn a_kernel_that_restricts_no_ports_is_told_by_its_version() {
        let version = |effective_abi| LandlockStatus::Available { effective_abi, kernel_abi: None };
        assert!(restricts_ports(version(ABI::V4)) && restricts_ports(version(ABI::V10)));
        assert!(!restricts_ports(version(ABI::V3)) && !restricts_ports(LandlockStatus::NotEnabled));
        let says = SandboxError::NoPorts.to_string();
        assert!(says.starts_with("sandbox: `sandbox.network`: ") && says.contains("Linux 6.7"), "{says}");
    }

    #[test]
    fn a_kernel_without_landlock_is_an_error_with_advice() {
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
