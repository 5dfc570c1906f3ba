//! What a vendor pays for the contract: the crates and the clean build of the smallest plugin. And what a tool's author
//! pays for telemetry: the same of a program that has it, over the program without it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::rows::{Rows, show, time};

pub(crate) fn measure(rows: &mut Rows) {
    package(rows, "smallest Rust plugin", "minimal");
    package(rows, "the same without type layouts", "lean");
    embedding(rows);
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is a folder of the workspace")
}

/// Runs cargo in a folder. Gives how long it takes, and what it says.
fn cargo(folder: &Path, args: &[&str]) -> (Duration, String) {
    let (took, output) =
        time(|| Command::new(env!("CARGO")).current_dir(folder).args(args).output().expect("cargo starts"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (took, String::from_utf8(output.stdout).expect("UTF-8"))
}

/// How many crates a package is made of, itself not counted.
fn crates(folder: &Path, package: &str) -> usize {
    let (_, tree) =
        cargo(folder, &["tree", "-p", package, "-e", "normal,build", "--prefix", "none", "--format", "{p}"]);
    let crates: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    crates.len() - 1
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).unwrap_or_else(|error| panic!("{}: {error}", file.display())).len()
}

fn package(rows: &mut Rows, what: &str, name: &str) {
    let workspace = workspace();
    let package = format!("fixture-{name}");
    rows.figure(
        &format!("{what}: crates, itself not counted"),
        crates(workspace, &package).to_string(),
        String::new(),
    );

    let target = tempfile::tempdir().expect("a folder");
    let target = target.path().to_str().expect("UTF-8");
    let (took, _) =
        cargo(workspace, &["build", "--quiet", "--release", "-p", &package, "--target-dir", target]);
    rows.figure(&format!("{what}: clean release build"), show(took), String::new());

    let library = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let size = size(&Path::new(target).join("release").join(library));
    rows.figure(&format!("{what}: library, stripped"), format!("{:.2} MB", size as f64 / 1e6), String::new());
}

/// A tool, and the same tool with telemetry.
const BARE: &str = r#"fn main() { println!("exported"); }"#;
const EMBEDDING: &str = r#"fn main() {
    let telemetry = jackfield::Telemetry::builder("tool", "1.4.0").endpoint("https://telemetry.example/").build();
    println!("exported");
    telemetry.track("feature.used", "export", &[("format", "pdf")]);
}"#;

/// What the crate costs a program, in the release profile that cargo has by default, stripped.
fn embedding(rows: &mut Rows) {
    let folder = tempfile::tempdir().expect("a folder");
    let jackfield = format!("jackfield = {{ path = {:?} }}\n", workspace().join("telemetry"));
    let (bare, with) =
        (tool(folder.path(), "bare", "", BARE), tool(folder.path(), "with", &jackfield, EMBEDDING));
    let what = "a program with the crate, over the same without it";
    rows.figure(&format!("{what}: crates"), crates(&with, "with").to_string(), String::new());
    const CLAP: &str = "clap = { version = \"4.6\", features = [\"derive\"] }\n";
    let added = |name, jackfield: &str| {
        let with = crates(&tool(folder.path(), name, &format!("{CLAP}{jackfield}"), BARE), name);
        with - crates(&tool(folder.path(), "clap-alone", CLAP, BARE), "clap-alone")
    };
    let what = "crates that the crate adds to a program with clap";
    rows.figure(what, added("with-clap", &jackfield).to_string(), String::new());
    let without_features = jackfield.replace(" }", ", default-features = false }");
    rows.figure(
        &format!("{what}, without default features"),
        added("without-features", &without_features).to_string(),
        String::new(),
    );
    let build = |folder: &Path, name: &str| {
        let (took, _) = cargo(folder, &["build", "--quiet", "--release"]);
        let file = format!("target/release/{name}{}", std::env::consts::EXE_SUFFIX);
        (took, size(&folder.join(file)) as f64 / 1e6)
    };
    let (bare, with) = (build(&bare, "bare"), build(&with, "with"));
    rows.figure(
        &format!("{what}: clean release build"),
        format!("{:.1} s", with.0.as_secs_f64() - bare.0.as_secs_f64()),
        String::new(),
    );
    rows.figure(&format!("{what}: stripped"), format!("{:.2} MB", with.1 - bare.1), String::new());
}

/// A package of one file, whose dependencies have the versions that they have here.
fn tool(folder: &Path, name: &str, dependencies: &str, main: &str) -> PathBuf {
    let folder = folder.join(name);
    fs::create_dir_all(folder.join("src")).expect("writable");
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[dependencies]\n{dependencies}\
         [workspace]\n[profile.release]\nstrip = \"symbols\"\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).expect("writable");
    fs::write(folder.join("src/main.rs"), main).expect("writable");
    fs::copy(workspace().join("Cargo.lock"), folder.join("Cargo.lock")).expect("writable");
    // Fetched and pruned before the clock starts.
    cargo(&folder, &["fetch", "--quiet"]);
    folder
}
