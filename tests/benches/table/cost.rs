//! What a vendor pays for the contract: the crates and the clean build of the smallest plugin.

use std::{collections::BTreeSet, path::Path, process::Command};

use crate::rows::{Rows, show, time};

pub(crate) fn measure(rows: &mut Rows) {
    package(rows, "smallest Rust plugin", "minimal");
    package(rows, "the same without type layouts", "lean");
}

fn package(rows: &mut Rows, what: &str, name: &str) {
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is a folder of the workspace");
    let package = format!("fixture-{name}");
    let run = |args: &[&str]| {
        let (took, output) = time(|| {
            Command::new(env!("CARGO")).current_dir(workspace).args(args).output().expect("cargo starts")
        });
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (took, String::from_utf8(output.stdout).expect("UTF-8"))
    };
    let (_, tree) =
        run(&["tree", "-p", &package, "-e", "normal,build", "--prefix", "none", "--format", "{p}"]);
    let crates: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    rows.figure(
        &format!("{what}: crates, itself not counted"),
        (crates.len() - 1).to_string(),
        String::new(),
    );

    let target = tempfile::tempdir().expect("a folder");
    let target = target.path().to_str().expect("UTF-8");
    let (took, _) = run(&["build", "--quiet", "--release", "-p", &package, "--target-dir", target]);
    rows.figure(&format!("{what}: clean release build"), show(took), String::new());

    let library = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let library = Path::new(target).join("release").join(library);
    let size =
        std::fs::metadata(&library).unwrap_or_else(|error| panic!("{}: {error}", library.display())).len();
    rows.figure(&format!("{what}: library, stripped"), format!("{:.2} MB", size as f64 / 1e6), String::new());
}
