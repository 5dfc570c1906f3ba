//! Records the compiler and the target: both go into a plugin's metadata, and rustc tells them to build scripts alone. With
//! the feature `source`, lists the files of this crate.

#![allow(clippy::disallowed_methods, reason = "a build script reads and writes what cargo asks for")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

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

    if env::var_os("CARGO_FEATURE_SOURCE").is_some() {
        list_source();
    }
}

/// Writes `source.rs`, an expression with the path and the text of each file.
fn list_source() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let mut files = vec![root.join("build.rs")];
    for folder in ["src", "abi", "include"] {
        println!("cargo::rerun-if-changed={folder}");
        files_below(&root.join(folder), &mut files);
    }
    files.sort();
    let entry = |file: &PathBuf| {
        let name = file.strip_prefix(&root).expect("below it").to_str().expect("UTF-8").replace('\\', "/");
        format!("({name:?}, include_str!({:?})),\n", file.to_str().expect("UTF-8"))
    };
    let entries: String = files.iter().map(entry).collect();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    fs::write(out.join("source.rs"), format!("&[\n{entries}]")).expect("writable");
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() { files_below(&path, files) } else { files.push(path) }
    }
}
