//! What a vendor pays for the contract: the crates and the clean build of the smallest plugin.

use std::{collections::BTreeSet, path::Path, process::Command};

use crate::rows::{Rows, show, time};

pub(crate) fn measure(rows: &mut Rows) {
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is a folder of the workspace");
    let cargo = || {
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(workspace);
        command
    };
    let tree = cargo()
        .args(["tree", "-p", "fixture-minimal", "-e", "normal,build", "--prefix", "none", "--format", "{p}"])
        .output()
        .expect("cargo starts");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("UTF-8");
    let crates: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();

    let target = tempfile::tempdir().expect("a folder");
    let build = |package: &str| {
        let target = target.path().join(package);
        let (took, output) = time(|| {
            cargo()
                .args(["build", "--quiet", "--release", "-p", package, "--target-dir"])
                .arg(&target)
                .output()
                .expect("cargo starts")
        });
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (took, target.join("release"))
    };
    let (took, built) = build("fixture-minimal");
    let library =
        built.join(format!("{}minimal{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX));
    let size =
        std::fs::metadata(&library).unwrap_or_else(|error| panic!("{}: {error}", library.display())).len();
    rows.figure(
        "smallest Rust plugin: crates, itself not counted",
        (crates.len() - 1).to_string(),
        String::new(),
    );
    rows.figure("smallest Rust plugin: clean release build", show(took), String::new());
    rows.figure(
        "smallest Rust plugin: library, stripped",
        format!("{:.2} MB", size as f64 / 1e6),
        String::new(),
    );
}
