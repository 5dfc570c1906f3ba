//! What a vendor pays for the contract: the crates and the clean build of the smallest plugin. And what a tool's author
//! pays for telemetry: the same of a program that has it, over the program without it. And the size of the command.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use jackfield_tests::{Build, workspace};
#[cfg(unix)]
use jackfield_tests::{cargo_in, guide, succeeds};

use crate::rows::{Rows, goal, show, time};

pub(crate) fn measure(rows: &mut Rows) {
    plugin(rows);
    embedding(rows);
    command(rows);
}

/// What a vendor pays.
pub(crate) fn plugin(rows: &mut Rows) {
    smallest(rows, "smallest Rust plugin", "minimal", "", None, Duration::from_secs(15));
    let lean = ", default-features = false";
    smallest(rows, "the same without type layouts", "lean", lean, Some(12), Duration::from_secs(6));
    asynchronous(rows);
    #[cfg(unix)]
    guide(rows);
}

/// Runs cargo in a folder. Gives what it says.
fn cargo(folder: &Path, args: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).current_dir(folder).args(args).output().expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// How long work takes that child processes do, and how long the processors have worked on it, which other work beside it
/// changes less.
fn with_processor<T>(work: impl FnOnce() -> T) -> (Duration, Duration) {
    let before = children_seconds();
    let (took, _) = time(work);
    (took, Duration::from_secs_f64(children_seconds() - before))
}

/// How many crates a package is made of, itself not counted.
fn crates(folder: &Path, package: &str) -> usize {
    let tree =
        cargo(folder, &["tree", "-p", package, "-e", "normal,build", "--prefix", "none", "--format", "{p}"]);
    let crates: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    crates.len() - 1
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).unwrap_or_else(|error| panic!("{}: {error}", file.display())).len()
}

/// The plugin of this fixture as a project of its own, with the profile that `jackfield new` writes.
fn smallest(
    rows: &mut Rows,
    what: &str,
    name: &str,
    features: &str,
    most_crates: Option<usize>,
    most_time: Duration,
) {
    let folder = tempfile::tempdir().expect("a folder");
    let fixture = workspace().join("tests/fixtures").join(name).join("src/lib.rs");
    let contract = workspace().join("plugin-api");
    let folder = Project {
        name,
        dependencies: &format!("jackfield-plugin-api = {{ path = {contract:?}{features} }}\n"),
        rest: &format!("[lib]\ncrate-type = [\"cdylib\"]\n{}", vendors_profile()),
        file: "src/lib.rs",
        text: &fs::read_to_string(fixture).expect("readable"),
    }
    .create(folder.path());
    let crates = crates(&folder, name);
    rows.figure(
        &format!("{what}: crates, itself not counted"),
        crates.to_string(),
        most_crates.map(|most| goal(&format!("at most {most}"), crates <= most)).unwrap_or_default(),
    );

    let (took, processor) = with_processor(|| cargo(&folder, &["build", "--quiet", "--release"]));
    let in_time = goal(&format!("at most {} s", most_time.as_secs()), took <= most_time);
    rows.figure(&format!("{what}: clean release build"), show(took), in_time);
    rows.figure(&format!("{what}: processor time of that build"), show(processor), String::new());

    let library = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let size = size(&folder.join("target/release").join(library));
    rows.figure(&format!("{what}: library, stripped"), format!("{:.2} MB", size as f64 / 1e6), String::new());
}

/// How `jackfield new` has a plugin built.
fn vendors_profile() -> &'static str {
    let manifest = include_str!("../../../cli/src/new/templates/rust/Cargo.toml.in");
    manifest.find("[profile.release]").map(|at| &manifest[at..]).expect("the template has a profile")
}

/// What an async backend adds to the smallest plugin: the crate that makes one of it, and tokio.
fn asynchronous(rows: &mut Rows) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |crate_folder: &str| workspace().join(crate_folder);
    let contract =
        format!("jackfield-plugin-api = {{ path = {:?}, default-features = false }}\n", path("plugin-api"));
    let ours = format!("jackfield-plugin-tokio = {{ path = {:?} }}\n", path("plugin-tokio"));
    let tokio = "tokio = { version = \"1\", features = [\"rt-multi-thread\", \"sync\", \"time\"] }\n";
    let with = |name, dependency: &str| {
        let folder = tool(folder.path(), name, &format!("{contract}{dependency}"), BARE);
        (crates(&folder, name), Cost::of(&folder, name).processor)
    };
    let (blocking, blocking_time) = with("blocking", "");
    let (ours, our_time) = with("async", &ours);
    let (tokio, tokio_time) = with("tokio-alone", tokio);
    let (added, tokio) = (ours - blocking, tokio - blocking);
    rows.compared(
        "crates that an async backend adds to the smallest plugin",
        added.to_string(),
        ("tokio", &tokio.to_string()),
        added as f64 / tokio as f64,
        goal("one more", added <= tokio + 1),
    );
    let (added, tokio) = (our_time - blocking_time, tokio_time - blocking_time);
    rows.compared(
        "processor time that an async backend adds to a clean release build of it",
        format!("{added:.1} s"),
        ("tokio", &format!("{tokio:.1} s")),
        added / tokio,
        String::new(),
    );
}

/// From the first command of the guide for Rust to the end of the kit, with all crates on the disk and none of them built.
#[cfg(unix)]
fn guide(rows: &mut Rows) {
    let jackfield = Build::package("jackfield-cli").release().binary("jackfield");
    let folder = tempfile::tempdir().expect("a folder");
    let (folder, library) = (folder.path(), format!("lib{}{}", guide::NAME, std::env::consts::DLL_SUFFIX));
    let target = folder.join("target");
    let mut project = PathBuf::new();
    let (built, processor) = with_processor(|| {
        project = guide::make(folder, &jackfield);
        let mut cargo = cargo_in(&project);
        succeeds(cargo.args(["build", "--release", "--quiet"]).env("CARGO_TARGET_DIR", &target));
    });
    let (checked, _) = with_processor(|| {
        let options = fs::read_to_string(project.join("check.json")).expect("the guide has it");
        let library = target.join("release").join(library);
        // lapin has one thread for the whole process.
        let options = ["--config-json", &options, "--kept-threads", "1"];
        succeeds(Command::new(&jackfield).arg("check").arg(library).args(options));
    });
    let what = "the plugin of the guide for Rust";
    rows.figure(&format!("{what}: `jackfield new` and a clean release build"), show(built), String::new());
    rows.figure(&format!("{what}: processor time of that"), show(processor), String::new());
    rows.figure(&format!("{what}: the conformance kit"), show(checked), String::new());
    let all = built + checked;
    let in_time = goal("at most 180 s", all <= Duration::from_secs(180));
    rows.figure(&format!("{what}: from `jackfield new` to the end of the kit"), show(all), in_time);
}

/// A tool, and the same tool with telemetry.
const BARE: &str = r#"fn main() { println!("exported"); }"#;
const EMBEDDING: &str = r#"fn main() {
    let telemetry = jackfield::Telemetry::builder("tool", "1.4.0").endpoint("https://telemetry.example/").build();
    println!("exported");
    telemetry.track("feature.used", "export", &[("format", "pdf")]);
}"#;
const POSTHOG: &str = r#"fn main() {
    let client = posthog_rs::client("key");
    println!("exported");
    let mut event = posthog_rs::Event::new("feature.used", "0123456789abcdef0123456789abcdef");
    let _ = event.insert_prop("format", "pdf");
    let _ = client.capture(event);
}"#;

/// What the crate costs a program, in the release profile that cargo has by default, stripped, beside what a peer costs.
fn embedding(rows: &mut Rows) {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let ours = format!("jackfield = {{ path = {:?} }}\n", workspace().join("telemetry"));
    let without_features = ours.replace(" }", ", default-features = false }");
    let theirs = "posthog-rs = { version = \"0.30\", default-features = false }\n";
    const CLAP: &str = "clap = { version = \"4.6\", features = [\"derive\"] }\n";
    let with_clap =
        |name, dependency: &str| crates(&tool(folder, name, &format!("{CLAP}{dependency}"), BARE), name);
    let clap = with_clap("clap-alone", "");
    let peer = with_clap("clap-posthog", theirs) - clap;
    for (name, dependency, which, most) in [
        ("clap-with", &ours, "", 45),
        ("clap-without-features", &without_features, ", without default features", 25),
    ] {
        let added = with_clap(name, dependency) - clap;
        rows.compared(
            &format!("crates that the crate adds to a program with clap{which}"),
            added.to_string(),
            ("posthog-rs", &peer.to_string()),
            added as f64 / peer as f64,
            goal(&format!("at most {most}"), added <= most),
        );
    }

    let cost =
        |name: &str, dependency: &str, main: &str| Cost::of(&tool(folder, name, dependency, main), name);
    let bare = cost("bare", "", BARE);
    let (ours, theirs) =
        (cost("with", &ours, EMBEDDING).over(&bare), cost("peer", theirs, POSTHOG).over(&bare));
    let what = "a program with the crate, over the same without it";
    let ratio = ours.processor / theirs.processor;
    let seconds = |cost: &Cost| format!("{:.1} s", cost.processor);
    rows.compared(
        &format!("{what}: processor time of a clean release build"),
        seconds(&ours),
        ("posthog-rs", &seconds(&theirs)),
        ratio,
        goal("at most 0.40", ratio <= 0.4),
    );
    let bytes = |cost: &Cost| format!("{:.2} MB", cost.bytes / 1e6);
    rows.compared(
        &format!("{what}: stripped"),
        bytes(&ours),
        ("posthog-rs", &bytes(&theirs)),
        ours.bytes / theirs.bytes,
        goal("at most 1.5 MB", ours.bytes <= 1.5e6),
    );
}

/// What a program costs.
struct Cost {
    /// Seconds that the processors have worked on a clean release build.
    processor: f64,
    /// Size of the stripped program.
    bytes: f64,
}

impl Cost {
    fn of(folder: &Path, name: &str) -> Self {
        let (_, processor) = with_processor(|| cargo(folder, &["build", "--quiet", "--release"]));
        let file = format!("target/release/{name}{}", std::env::consts::EXE_SUFFIX);
        Self { processor: processor.as_secs_f64(), bytes: size(&folder.join(file)) as f64 }
    }

    fn over(self, bare: &Self) -> Self {
        Self { processor: self.processor - bare.processor, bytes: self.bytes - bare.bytes }
    }
}

/// Processor time of this process's children that have ended, and of theirs, in seconds.
#[cfg(target_os = "linux")]
fn children_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    // After the name in parentheses, which may have spaces: `cutime` and `cstime` of proc_pid_stat(5).
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
    let ticks: u64 = fields.skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// Other systems have only the clock.
#[cfg(not(target_os = "linux"))]
fn children_seconds() -> f64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed().as_secs_f64()
}

/// A program of one file, with the profile that cargo has by default.
fn tool(folder: &Path, name: &str, dependencies: &str, main: &str) -> PathBuf {
    let rest = "[profile.release]\nstrip = \"symbols\"\n";
    Project { name, dependencies, rest, file: "src/main.rs", text: main }.create(folder)
}

/// A package of one file, whose dependencies have the versions that they have here, or those of the peers.
struct Project<'a> {
    name: &'a str,
    dependencies: &'a str,
    /// What else the manifest has.
    rest: &'a str,
    file: &'a str,
    text: &'a str,
}

impl Project<'_> {
    /// Creates it in this folder. Gives its own.
    fn create(self, folder: &Path) -> PathBuf {
        let Self { name, dependencies, rest, file, text } = self;
        let folder = folder.join(name);
        fs::create_dir_all(folder.join("src")).expect("writable");
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[dependencies]\n{dependencies}\
             [workspace]\n{rest}"
        );
        fs::write(folder.join("Cargo.toml"), manifest).expect("writable");
        fs::write(folder.join(file), text).expect("writable");
        let lock =
            if dependencies.contains("posthog") { "tests/peers-bench/Cargo.lock" } else { "Cargo.lock" };
        fs::copy(workspace().join(lock), folder.join("Cargo.lock")).expect("writable");
        // Fetched and pruned before the clock starts.
        cargo(&folder, &["fetch", "--quiet"]);
        folder
    }
}

/// What ops and vendors install.
fn command(rows: &mut Rows) {
    let size = size(&Build::package("jackfield-cli").release().binary("jackfield"));
    let what = "the command `jackfield`: release build, stripped";
    rows.figure(what, format!("{:.2} MB", size as f64 / 1e6), goal("at most 6 MB", size <= 6_000_000));
}
