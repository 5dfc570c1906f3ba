//! Records the compiler and the target: both go into a plugin's metadata, and rustc tells them to build scripts alone.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_else(|_| "unknown".into());
    println!("cargo::rustc-env=JACKFIELD_TARGET={target}");

    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|out| String::from_utf8(out.stdout).ok())
        .map_or_else(|| "unknown".into(), |line| line.trim().to_owned());
    println!("cargo::rustc-env=JACKFIELD_COMPILER={version}");
}
