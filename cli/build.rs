//! Packs the templates of `jackfield new` and the source of the crates that a plugin in Rust is built on: an installed command
//! has to bring both along.

#![allow(clippy::disallowed_methods, reason = "a build script reads and writes what cargo asks for")]

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};

/// The folders of crates in a project, and their files.
const CRATES: &[(&str, &[(&str, &str)])] =
    &[("contract", jackfield_plugin_api::SOURCE), ("plugin-tokio", jackfield_plugin_tokio::SOURCE)];

const TEMPLATES: &str = "src/new/templates";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={TEMPLATES}");
    let mut files = Vec::new();
    files_below(Path::new(TEMPLATES), &mut files);
    files.sort();
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    let mut pack = |name: &str, text: &str| {
        assert!(!text.contains('\0'), "{name}: a NUL ends a text here");
        write!(packed, "{name}\0{text}\0").expect("memory");
    };
    for file in &files {
        let name =
            file.strip_prefix(TEMPLATES).expect("below it").to_str().expect("UTF-8").replace('\\', "/");
        pack(&name, &fs::read_to_string(file).expect("readable"));
    }
    for (folder, source) in CRATES {
        for (name, text) in *source {
            // The tests of a file, which stand at its end, need what a project does not have.
            let text = text.split_once("\n#[cfg(test)]\nmod tests {").map_or(*text, |(code, _)| code);
            pack(&format!("{folder}/{name}"), text);
        }
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    fs::write(out.join("templates.gz"), packed.finish().expect("memory")).expect("writable");
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() { files_below(&path, files) } else { files.push(path) }
    }
}
