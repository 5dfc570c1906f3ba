//! How long a tool takes to end when the server that it has three events for accepts and never answers.

use std::{ffi::OsString, path::Path, process::Command, time::Duration};

use jackfield::{Config, EventKind, Telemetry};
use jackfield_tests::{
    Build,
    peers::http::{HttpServer, Reply},
};

use crate::rows::{Rows, median, time};

const ROUNDS: usize = 9;
const MOST: Duration = Duration::from_millis(300);

/// What the child is given: the configuration of its backends, and its folder.
const CONFIG: &str = "JACKFIELD_BENCH_TOOL";
const FOLDER: &str = "JACKFIELD_BENCH_FOLDER";

/// In a child of [`measure`], is a tool that tracks three events and ends.
pub(crate) fn is_child() -> bool {
    let Ok(config) = std::env::var(CONFIG) else { return false };
    let folder = std::env::var_os(FOLDER).expect("set by the parent");
    let folder = Path::new(&folder);
    let config = Config::parse(&config, &folder.join("tool.toml")).unwrap_or_else(|error| panic!("{error}"));
    let telemetry = Telemetry::builder("tool", "1.4.0")
        .environment(|_: &str| None::<OsString>)
        .force_enabled(true)
        .data_folder(folder.join("data"))
        .ops_file(folder.join("ops.toml"))
        .config(config)
        .build();
    for _ in 0..3 {
        telemetry.track(EventKind::FEATURE_USED, "export", &[("format", "pdf")]);
    }
    true
}

/// From the start of the process to its end.
fn run(command: &mut Command) -> Duration {
    let (took, output) = time(|| command.output().expect("starts"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    took
}

pub(crate) fn measure(rows: &mut Rows, peers: &Path) {
    let server = HttpServer::start(Reply::silence());
    let plugin = Build::package("jackfield-http").release().library();
    let config = format!("[[backend]]\nplugin = {plugin:?}\n[backend.config]\nurl = {:?}\n", server.url("/"));
    let executable = std::env::current_exe().expect("known");
    let ours = (0..ROUNDS)
        .map(|_| {
            // A backend that has failed is left alone for a while, so each run is a tool's first one.
            let folder = tempfile::tempdir().expect("a folder");
            let took = run(Command::new(&executable).env(CONFIG, &config).env(FOLDER, folder.path()));
            let spool = std::fs::read_dir(folder.path().join("data/spool")).expect("there");
            let waits = spool.flatten().any(|file| {
                file.path().extension().is_some_and(|extension| extension == "jsonl")
                    && std::fs::read_to_string(file.path()).is_ok_and(|text| text.lines().count() == 3)
            });
            assert!(waits, "what was not delivered waits for the next run");
            took
        })
        .collect();
    let ours = median(ours);
    let theirs = |name: &str, path: &str| run(Command::new(peers).args([name, "exit", &server.url(path)]));
    let what = "a tool with three events for a server that never answers, start to end";
    let met = if ours <= MOST { "met" } else { "missed" };
    rows.figure(what, crate::rows::show(ours), format!("at most {MOST:?}: {met}"));
    rows.ratio(what, ours, ("opentelemetry-otlp over HTTP", theirs("otel", "/v1/logs")), None);
    rows.ratio(what, ours, ("posthog-rs", theirs("posthog", "/")), None);
}
