//! What every program needs of the system. None of it is private to a user, and none of it is for writing.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Devices that keep nothing, which may be written to.
pub(super) const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];

/// Files and folders, of which a system has some.
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
    // Randomness, the process itself, and how large the machine is.
    "/dev/random",
    "/dev/urandom",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
];

pub(super) fn read() -> impl Iterator<Item = PathBuf> {
    READ.iter().map(PathBuf::from).chain(resolver())
}

/// The folder of the resolver's file, where the file is outside of `/etc`. The folder, because a rule holds for one file, and
/// each update replaces the file by another one.
fn resolver() -> Option<PathBuf> {
    let real = fs::canonicalize("/etc/resolv.conf").ok()?;
    let folder = real.parent().filter(|folder| folder.starts_with("/run") && *folder != Path::new("/run"))?;
    Some(folder.to_owned())
}
