//! The peers that Jackfield is compared with, in a package that nothing but the benchmark builds.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Builds `tests/peers-bench`, and gives the path of its command.
pub(crate) fn build() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = folder.parent().expect("tests/ is a folder of the workspace").join("target/peers-bench");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--locked", "--manifest-path"])
        .arg(folder.join("peers-bench/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("release").join(format!("peers{}", std::env::consts::EXE_SUFFIX))
}
