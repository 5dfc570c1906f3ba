//! Whether a host may load a plugin. Compiler and version of the plugin have no effect.

use jackfield_plugin_api::{DIGEST, abi::ABI_MAJOR, metadata::HOST_CAPABILITIES};

use super::error::Refusal;
use super::facts::{Endian, Facts, Format};
use super::metadata::{IsolationNeed, Metadata, PanicStrategy};
use crate::boundary::text::ForeignText;

/// Whether a host of this version can load the plugin.
pub(super) fn contract(metadata: &Metadata, exports_descriptor: bool) -> Result<(), Refusal> {
    if metadata.abi.major != ABI_MAJOR {
        return Err(Refusal::Abi { expected: ABI_MAJOR, found: metadata.abi.major });
    }
    let expected = format!("{DIGEST:016x}");
    if metadata.digest != expected {
        return Err(Refusal::Digest { expected, found: metadata.digest.clone() });
    }
    let missing: Vec<_> = metadata
        .requires
        .iter()
        .filter(|required| !HOST_CAPABILITIES.contains(&required.as_raw()))
        .map(|required| ForeignText::cut(required.as_raw(), 60))
        .collect();
    if !missing.is_empty() {
        return Err(Refusal::Capabilities { missing });
    }
    if !exports_descriptor {
        return Err(Refusal::NoDescriptor);
    }
    Ok(())
}

/// Whether this host can run the plugin's code in its own process.
pub(super) fn host(facts: &Facts<'_>, metadata: &Metadata) -> Result<(), Refusal> {
    let here = (HOST_FORMAT, std::env::consts::ARCH, usize::BITS as u8, HOST_ENDIAN);
    let foreign_unix = facts.format == Format::Elf && cfg!(target_os = "linux") && facts.os != HOST_OS;
    if here != (facts.format, facts.arch.as_str(), facts.bits, facts.endian) || foreign_unix {
        return Err(Refusal::Platform {
            expected: platform(std::env::consts::ARCH, HOST_OS, HOST_FORMAT, usize::BITS as u8, HOST_ENDIAN),
            found: platform(&facts.arch, facts.os, facts.format, facts.bits, facts.endian),
        });
    }
    let needed = facts.needed.iter().find_map(|name| c_library(name.as_raw()));
    if let (Some(expected), Some(found)) = (HOST_C_LIBRARY, needed)
        && expected != found
    {
        return Err(Refusal::CLibrary { expected, found });
    }
    if metadata.isolation == IsolationNeed::Process {
        return Err(Refusal::NeedsProcess);
    }
    // One program has one panic strategy, and whoever chose that any panic ends it chose so for the plugins in it, too.
    if metadata.panic == PanicStrategy::Abort && !facts.is_built_in {
        return Err(Refusal::PanicAborts);
    }
    Ok(())
}

/// The facts of a plugin with this metadata that is linked into this host.
pub(super) fn facts_of_host(metadata: &[u8]) -> Facts<'_> {
    Facts {
        format: HOST_FORMAT,
        os: HOST_OS,
        arch: std::env::consts::ARCH.to_owned(),
        bits: usize::BITS as u8,
        endian: HOST_ENDIAN,
        needed: Vec::new(),
        exports_descriptor: true,
        is_built_in: true,
        metadata: Some(metadata),
    }
}

const HOST_FORMAT: Format = if cfg!(windows) {
    Format::Pe
} else if cfg!(target_vendor = "apple") {
    Format::MachO
} else {
    Format::Elf
};

const HOST_OS: &str = if cfg!(windows) {
    "Windows"
} else if cfg!(target_vendor = "apple") {
    "macOS"
} else if cfg!(target_os = "freebsd") {
    "FreeBSD"
} else if cfg!(target_os = "netbsd") {
    "NetBSD"
} else if cfg!(target_os = "openbsd") {
    "OpenBSD"
} else {
    "Linux"
};

const MUSL: &str = "musl";
const GLIBC: &str = "glibc";

/// The C library of this host, where libraries for two of them have the same format.
const HOST_C_LIBRARY: Option<&str> = if cfg!(all(target_os = "linux", target_env = "gnu")) {
    Some(GLIBC)
} else if cfg!(all(target_os = "linux", target_env = "musl")) {
    Some(MUSL)
} else {
    None
};

/// The C library with this name of a file, if it is one.
fn c_library(name: &str) -> Option<&'static str> {
    match name {
        "libc.so.6" => Some(GLIBC),
        // What the compilers of musl's own project and of distributions link to.
        "libc.so" => Some(MUSL),
        name if name.starts_with("libc.musl-") || name.starts_with("ld-musl-") => Some(MUSL),
        _ => None,
    }
}

const HOST_ENDIAN: Endian = if cfg!(target_endian = "big") { Endian::Big } else { Endian::Little };

/// Describes a platform. Names byte order and width if the architecture's name leaves them open.
fn platform(arch: &str, os: &str, format: Format, bits: u8, endian: Endian) -> String {
    let usual_bits =
        if matches!(arch, "x86" | "arm" | "mips" | "powerpc" | "sparc" | "riscv32") { 32 } else { 64 };
    let usual_endian =
        if matches!(arch, "s390x" | "sparc" | "sparc64") { Endian::Big } else { Endian::Little };
    let mut detail = format.to_string();
    if bits != usual_bits {
        detail += &format!(", {bits}-bit");
    }
    if endian != usual_endian {
        detail += if endian == Endian::Big { ", big-endian" } else { ", little-endian" };
    }
    format!("{arch} {os} ({detail})")
}

pub(super) fn arch(known: Option<&str>, number: u64) -> String {
    known.map_or_else(|| format!("machine {number:#x}"), str::to_owned)
}

pub(super) fn is_host_arch(arch: &str) -> bool {
    arch == std::env::consts::ARCH
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::metadata::{self, tests::good};

    fn metadata(change: impl FnOnce(&mut serde_json::Value)) -> Metadata {
        let mut value = good();
        value["digest"] = format!("{DIGEST:016x}").into();
        change(&mut value);
        metadata::parse(&value.to_string()).unwrap()
    }

    fn facts(arch: &str) -> Facts<'static> {
        Facts { arch: arch.to_owned(), is_built_in: false, ..facts_of_host(b"") }
    }

    #[test]
    fn any_version_and_compiler_of_this_abi_is_accepted() {
        let metadata = metadata(|m| {
            m["version"] = "99.0.0".into();
            m["compiler"] = "rustc 9.99.9".into();
            m["abi"]["minor"] = 77.into();
        });
        assert_eq!(contract(&metadata, true), Ok(()));
        assert_eq!(host(&facts(std::env::consts::ARCH), &metadata), Ok(()));
    }

    #[test]
    fn each_breach_of_the_contract_is_refused_in_one_line() {
        let line = |metadata: &Metadata| contract(metadata, true).unwrap_err().to_string();
        assert_eq!(
            line(&metadata(|m| m["abi"]["major"] = 2.into())),
            "expected ABI 1, found ABI 2: update the tool, or use an older plugin"
        );
        assert_eq!(
            line(&metadata(|m| m["abi"]["major"] = 0.into())),
            "expected ABI 1, found ABI 0: use a newer plugin"
        );
        let digest = line(&metadata(|m| m["digest"] = "0000000000000000".into()));
        assert!(digest.contains(&format!("expected surface digest {DIGEST:016x}, found 0000000000000000")));
        assert_eq!(
            line(&metadata(|m| m["requires"] = serde_json::json!(["log", "teleport"]))),
            "requires teleport, this host has log, cancel, stdout: update the tool, or use an older plugin"
        );
        assert_eq!(contract(&metadata(|_| {}), false), Err(Refusal::NoDescriptor));
    }

    #[test]
    fn this_host_refuses_other_platforms_and_panics_that_abort() {
        assert_eq!(
            host(&facts(std::env::consts::ARCH), &metadata(|m| m["panic"] = "abort".into())),
            Err(Refusal::PanicAborts)
        );
        // A plugin of this program has this program's strategy.
        assert_eq!(host(&facts_of_host(b""), &metadata(|m| m["panic"] = "abort".into())), Ok(()));
        let other = if cfg!(target_arch = "aarch64") { "x86_64" } else { "aarch64" };
        let line = host(&facts(other), &metadata(|_| {})).unwrap_err().to_string();
        let expected = format!(
            "a library for {other} {HOST_OS} ({HOST_FORMAT}), expected {} {HOST_OS} ({HOST_FORMAT}): ",
            std::env::consts::ARCH
        );
        assert!(line.starts_with(&expected), "{line}");
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn a_library_for_another_c_library_is_refused_before_the_linker_sees_it() {
        let refusal = |needed: &str| {
            let mut facts = facts(std::env::consts::ARCH);
            facts.needed = vec!["libm.so.6".into(), needed.into()];
            host(&facts, &metadata(|_| {})).map_err(|refusal| refusal.to_string())
        };
        assert_eq!(refusal("libc.so.6"), Ok(()));
        let line = "built for the C library musl, this host uses glibc: get the plugin's build for glibc";
        for needed in ["libc.musl-x86_64.so.1", "libc.so", "ld-musl-aarch64.so.1"] {
            assert_eq!(refusal(needed), Err(line.to_owned()), "{needed}");
        }
    }

    #[test]
    fn width_and_byte_order_are_named_if_unusual() {
        for (arch, bits, endian, expected) in [
            ("x86_64", 64, Endian::Little, "x86_64 Linux (ELF)"),
            ("x86_64", 32, Endian::Little, "x86_64 Linux (ELF, 32-bit)"),
            ("powerpc64", 64, Endian::Big, "powerpc64 Linux (ELF, big-endian)"),
        ] {
            assert_eq!(platform(arch, "Linux", Format::Elf, bits, endian), expected);
        }
    }
}
