//! Seeds for the fuzz target. `JACKFIELD_SEEDS=FOLDER` is their folder, by default a temporary one.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]
#![allow(clippy::unwrap_used, reason = "a test helper that fails fails the test")]
#![cfg(unix)]

mod common;

use std::{env, fs, path::PathBuf};

use common::{CPU_ARM64, CPU_X86_64, Foreign, Plugin, fat, folder};
use jackfield_loader::inspect;

#[test]
fn every_seed_is_a_small_plugin() {
    let scratch = folder();
    let seeds = env::var_os("JACKFIELD_SEEDS").map_or_else(|| scratch.path().join("seeds"), PathBuf::from);
    fs::create_dir_all(&seeds).unwrap();
    let plugin = Foreign::new("seed");
    let (intel, arm) = (plugin.mach_o("x86_64", scratch.path()), plugin.mach_o("arm64", scratch.path()));
    let slices = [(CPU_X86_64, &*fs::read(&intel).unwrap()), (CPU_ARM64, &*fs::read(&arm).unwrap())];
    let mut written = Vec::new();
    for (name, wide) in [("fat-32.dylib", false), ("fat-64.dylib", true)] {
        written.push(seeds.join(name));
        fs::write(seeds.join(name), fat(&slices, wide)).unwrap();
    }
    for library in [
        Plugin::new("seed").build(scratch.path(), "here.so"),
        plugin.elf("aarch64-linux-gnu", scratch.path()),
        plugin.elf("i686-linux-gnu", scratch.path()),
        plugin.elf("powerpc64-linux-gnu", scratch.path()),
        plugin.elf("powerpc-linux-gnu", scratch.path()),
        plugin.mingw(scratch.path()),
        plugin.msvc("i686", scratch.path()),
        intel,
        arm,
    ] {
        let seed = seeds.join(library.file_name().unwrap());
        fs::copy(&library, &seed).unwrap();
        written.push(seed);
    }
    // The folder may contain files of earlier runs of the fuzzer.
    for seed in written {
        assert!(fs::metadata(&seed).unwrap().len() <= 1 << 17, "{}", seed.display());
        assert_eq!(inspect(&seed).unwrap().contract, Ok(()), "{}", seed.display());
    }
}
