//! Inspection of real libraries of every format, on any platform.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]
#![allow(clippy::unwrap_used, reason = "a test helper that fails fails the test")]
#![cfg(unix)]

mod common;

use std::{fs, path::Path, process::Command};

use common::{CPU_ARM64, CPU_X86_64, Foreign, Plugin, cc, fat, folder, run};
use jackfield_loader::{Endian, Format, Inspection, Refusal, inspect, inspect_bytes};

fn check(
    path: &Path,
    format: Format,
    os: &str,
    arch: &str,
    bits: u8,
    endian: Endian,
    needed: &[&str],
) -> Inspection {
    let found = inspect(path).unwrap();
    assert_eq!(
        (found.format, found.os, found.arch.as_str(), found.bits, found.endian),
        (format, os, arch, bits, endian)
    );
    assert_eq!(found.needed, needed, "{arch}");
    assert_eq!(found.size, fs::metadata(path).unwrap().len());
    assert!(found.exports_descriptor, "{arch}");
    assert_eq!(found.metadata.name, "everywhere");
    assert_eq!(found.metadata.version, "1.2.3");
    assert_eq!(found.metadata.config_schema.as_ref().unwrap().get(), r#"{"properties":{},"type":"object"}"#);
    assert_eq!(found.contract, Ok(()), "{arch}");
    found
}

#[test]
fn an_elf_library_of_this_host_is_read_and_accepted() {
    let folder = folder();
    let path = Plugin::new("everywhere").build(folder.path(), "libhere.so");
    let needed = inspect(&path).unwrap().needed;
    let needed: Vec<_> = needed.iter().map(jackfield_loader::ForeignText::as_raw).collect();
    let endian = if cfg!(target_endian = "big") { Endian::Big } else { Endian::Little };
    let found =
        check(&path, Format::Elf, "Linux", std::env::consts::ARCH, usize::BITS as u8, endian, &needed);
    assert_eq!(found.verdict(), Ok(()));
}

#[test]
fn elf_libraries_of_other_architectures_are_read() {
    let folder = folder();
    let plugin = Foreign::new("everywhere");
    for (target, arch, bits, endian) in [
        ("x86_64-linux-gnu", "x86_64", 64, Endian::Little),
        ("aarch64-linux-gnu", "aarch64", 64, Endian::Little),
        ("i686-linux-gnu", "x86", 32, Endian::Little),
        ("riscv64-linux-gnu", "riscv64", 64, Endian::Little),
        ("powerpc64-linux-gnu", "powerpc64", 64, Endian::Big),
        ("powerpc64le-linux-gnu", "powerpc64", 64, Endian::Little),
        ("powerpc-linux-gnu", "powerpc", 32, Endian::Big),
        ("mips-linux-gnu", "mips", 32, Endian::Big),
    ] {
        let path = plugin.elf(target, folder.path());
        let found = check(&path, Format::Elf, "Linux", arch, bits, endian, &["libdep.so.1"]);
        let here = arch == std::env::consts::ARCH && cfg!(target_os = "linux");
        assert_eq!(found.verdict().is_ok(), here, "{arch}");
        if !here {
            assert!(matches!(found.verdict(), Err(Refusal::Platform { .. })));
        }
    }
}

#[test]
fn windows_libraries_of_mingw_and_microsoft_are_read() {
    let folder = folder();
    let plugin = Foreign::new("everywhere");
    let path = plugin.mingw(folder.path());
    let found = check(&path, Format::Pe, "Windows", "x86_64", 64, Endian::Little, &["KERNEL32.dll"]);
    if cfg!(target_os = "linux") {
        let line = found.verdict().unwrap_err().to_string();
        assert!(line.starts_with("a library for x86_64 Windows (PE), expected "), "{line}");
    }
    for (target, arch, bits) in [("x86_64", "x86_64", 64), ("aarch64", "aarch64", 64), ("i686", "x86", 32)] {
        check(&plugin.msvc(target, folder.path()), Format::Pe, "Windows", arch, bits, Endian::Little, &[]);
    }
}

#[test]
fn mac_libraries_thin_and_fat_are_read() {
    let folder = folder();
    let plugin = Foreign::new("everywhere");
    let intel = plugin.mach_o("x86_64", folder.path());
    let arm = plugin.mach_o("arm64", folder.path());
    let needed = ["@rpath/libdep.dylib"];
    check(&intel, Format::MachO, "macOS", "x86_64", 64, Endian::Little, &needed);
    let found = check(&arm, Format::MachO, "macOS", "aarch64", 64, Endian::Little, &needed);
    assert_eq!(found.slices, [""; 0]);

    let (intel, arm) = (fs::read(intel).unwrap(), fs::read(arm).unwrap());
    for wide in [false, true] {
        let path = folder.path().join("fat.dylib");
        fs::write(&path, fat(&[(CPU_ARM64, &arm), (CPU_X86_64, &intel)], wide)).unwrap();
        let arch = if cfg!(target_arch = "x86_64") { "x86_64" } else { "aarch64" };
        let found = check(&path, Format::MachO, "macOS", arch, 64, Endian::Little, &needed);
        assert_eq!(found.slices, ["aarch64", "x86_64"]);
    }
}

#[test]
fn a_fat_file_without_this_hosts_slice_uses_the_first_plugin() {
    let folder = folder();
    let arm = fs::read(Foreign::new("everywhere").mach_o("arm64", folder.path())).unwrap();
    // Two slices that claim to be for PowerPC. The first is no image.
    let found = inspect_bytes(&fat(&[(18, b"nothing to see here, move on"), (18, &arm)], false)).unwrap();
    assert_eq!(found.slices, ["powerpc", "powerpc"]);
    assert_eq!(found.metadata.name, "everywhere");
    let error = inspect_bytes(&fat(&[(18, b"nothing to see here, move on")], false)).unwrap_err().to_string();
    assert!(error.contains("a slice is no Mach-O image"), "{error}");
    let error = inspect_bytes(&fat(&[], false)[..8].repeat(4)).unwrap_err().to_string();
    assert!(error.contains("a fat Mach-O file without slices"), "{error}");
    let java = [&[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 61][..], &[7; 100]].concat();
    let error = inspect_bytes(&java).unwrap_err().to_string();
    assert!(error.contains("or a Java class"), "{error}");
}

#[test]
fn what_is_no_dynamic_library_is_told_apart() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let main = "int main(void) { return 0; }";
    cc(main, &at("exe"), &[]);
    cc(main, &at("static-exe"), &["-static-pie"]);
    cc(main, &at("fixed-exe"), &["-no-pie"]);
    cc(main, &at("object.o"), &["-c"]);
    run(Command::new("ar").arg("rcs").args([at("archive.a"), at("object.o")]));
    run(Command::new("x86_64-w64-mingw32-gcc").arg("-o").args([at("program.exe"), at("exe.c")]));
    run(Command::new("clang")
        .args(["-target", "arm64-apple-macos11", "-c", "-o"])
        .args([at("mac.o"), at("exe.c")]));
    run(Command::new("clang")
        .args(["-target", "x86_64-pc-windows-msvc", "-c", "-o"])
        .args([at("win.obj"), at("exe.c")]));
    fs::write(at("text.so"), "/* GNU ld script */\nINPUT(libx.so.1)\n").unwrap();
    fs::write(at("bytes.so"), [0, 1, 2, 3, 0xff, 0xfe]).unwrap();
    for (file, said) in [
        ("exe", "an executable (ELF), expected a dynamic library"),
        ("static-exe", "an executable (ELF)"),
        ("fixed-exe", "an executable (ELF)"),
        ("object.o", "an object file (ELF, relocatable)"),
        ("archive.a", "a static library (archive)"),
        ("program.exe", "an executable (PE)"),
        ("mac.o", "an object file (Mach-O)"),
        ("win.obj", "an object file (COFF)"),
        ("text.so", "not a library but a linker script, a text file"),
        ("bytes.so", "not a library but a file that starts with the bytes 00 01 02 03 ff fe"),
    ] {
        let line = inspect(at(file)).unwrap_err().to_string();
        assert!(line.starts_with(&format!("inspect: {}: ", at(file).display())), "{line}");
        assert!(line.contains(said), "{file}: {line}");
        assert!(!line.contains('\n'));
    }
}

#[test]
fn a_library_without_or_with_bad_metadata_is_explained() {
    let folder = folder();
    let build = |plugin: Plugin| inspect(plugin.build(folder.path(), "libx.so")).unwrap_err().to_string();
    let line = build(Plugin::new("x").define("NO_METADATA", 1));
    assert!(
        line.ends_with("not a Jackfield plugin: a dynamic library without the metadata section .jackfield"),
        "{line}"
    );
    let line = build(Plugin::new("x").section("name = \"x\""));
    assert!(
        line.contains("metadata is not a JSON object: ") && line.contains("it starts with \"name = "),
        "{line}"
    );
    let line = build(Plugin::new("x").metadata(|m| drop(m.as_object_mut().unwrap().remove("vendor"))));
    assert!(line.contains("missing field `vendor`"), "{line}");
    let line = build(
        Plugin::new("x").metadata(|m| m["description"] = "x".repeat(1 << 20).into()).in_file(folder.path()),
    );
    assert!(line.contains("metadata too large: ") && line.contains("limit 1048576"), "{line}");
}

#[test]
fn a_library_truncated_anywhere_is_damaged() {
    let folder = folder();
    let bytes = fs::read(Plugin::new("x").build(folder.path(), "libx.so")).unwrap();
    for length in (0..bytes.len()).step_by(97) {
        let error = inspect_bytes(&bytes[..length]).unwrap_err().to_string();
        if length >= 64 {
            assert!(error.starts_with("truncated or corrupt: "), "{length}: {error}");
        }
    }
}

#[test]
fn a_plugin_of_another_version_is_inspected_all_the_same() {
    let folder = folder();
    let verdict =
        |plugin: Plugin| inspect(plugin.build(folder.path(), "libx.so")).unwrap().verdict().unwrap_err();
    let tomorrow = verdict(Plugin::new("x").metadata(|m| m["abi"]["major"] = 2.into()));
    assert_eq!(tomorrow, Refusal::Abi { expected: 1, found: 2 });
    assert_eq!(verdict(Plugin::new("x").define("NO_SYMBOL", 1)), Refusal::NoDescriptor);
    assert_eq!(verdict(Plugin::new("x").metadata(|m| m["panic"] = "abort".into())), Refusal::PanicAborts);
    let refusal =
        verdict(Plugin::new("x").metadata(|m| m["requires"] = serde_json::json!(["log", "teleport"])));
    assert_eq!(refusal, Refusal::Capabilities { missing: vec!["teleport".into()] });
}
