//! How long a tool takes to end: by leaving at once, and by delivering itself to a server that never answers.

use std::{ffi::OsString, fs, path::Path, process::Command, thread, time::Duration};

use jackfield::{Config, Deliver, EventKind, Telemetry};
use jackfield_test_support::Load;
use jackfield_tests::{
    Build,
    peers::http::{HttpServer, Reply},
};

use crate::rows::{Rows, goal, median, show, time};

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
        .deliver(Deliver::at_exit())
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
    at_exit(rows, peers);
    under_load(rows);
    if cfg!(unix) {
        leaving(rows);
    }
}

/// How often each way of ending is measured; they take turns.
const TURNS: usize = 41;
const MOST_LEAVING: Duration = Duration::from_millis(5);
/// Of a bare fork and exec.
const MOST_RATIO: f64 = 3.0;
const MOST_RATIO_EVER: f64 = 2.0;

/// A user of the example tool, who has consented.
struct User<'a> {
    home: tempfile::TempDir,
    greet: &'a Path,
    plugin: &'a Path,
}

impl<'a> User<'a> {
    fn new(greet: &'a Path, plugin: &'a Path) -> Self {
        let user = Self { home: tempfile::tempdir().expect("a folder"), greet, plugin };
        let folder = user.home.path().join(".config/greet");
        fs::create_dir_all(&folder).expect("writable");
        fs::write(folder.join("config.toml"), "[telemetry]\nenabled = true\n").expect("writable");
        user
    }

    fn sends_to(&self, server: &HttpServer) {
        let (plugin, url) = (self.plugin, server.url("/"));
        let config = format!("[[backend]]\nplugin = {plugin:?}\n[backend.config]\nurl = {url:?}\n");
        fs::write(self.home.path().join("ops.toml"), config).expect("writable");
    }

    /// The tool, which has three events.
    fn command(&self) -> Command {
        self.tool(&["hello", "--shout", "--politely", "World"])
    }

    fn tool(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.greet);
        command.args(args).env_clear().env("HOME", self.home.path());
        command.env("GREET_TELEMETRY_CONFIG", self.home.path().join("ops.toml"));
        command
    }

    /// Whether a child delivers.
    fn is_served(&self) -> bool {
        let output = self.tool(&["telemetry", "status", "--json"]).output().expect("starts");
        String::from_utf8_lossy(&output.stdout).contains("\"delivering\": true")
    }
}

/// Waits, and a little longer: what was waited for has still something to do, which is not to be measured.
fn wait_until(what: &str, is_so: impl FnMut() -> bool) {
    jackfield_test_support::wait_until(what, is_so);
    thread::sleep(Duration::from_millis(20));
}

/// The example tool with three events, beside itself with telemetry off, which is a fork and an exec.
pub(crate) fn leaving(rows: &mut Rows) {
    let greet = Build::package("jackfield").release().example("greet", "clap");
    let plugin = Build::plugin("http").release().library();
    let (answers, hangs) = (HttpServer::start(Reply::status(200)), HttpServer::script([], Reply::silence()));
    let [mut off, mut ever, mut answering, mut hung, mut further] = [(); 5].map(|()| Vec::new());
    for _ in 0..TURNS {
        // With its end consent ends, and with that what the child of this turn still has to do.
        let user = User::new(&greet, &plugin);
        user.sends_to(&answers);
        off.push(run(user.command().env("DO_NOT_TRACK", "1")));
        for times in [&mut ever, &mut answering] {
            let before = answers.served();
            times.push(run(&mut user.command()));
            wait_until("the events", || answers.served() > before);
            wait_until("the end of the child", || !user.is_served());
        }
        user.sends_to(&hangs);
        let before = hangs.connections();
        hung.push(run(&mut user.command()));
        wait_until("a call", || hangs.connections() > before);
        further.push(run(&mut user.command()));
    }
    let off = median(off);
    for (times, what, most) in [
        (answering, "a tool that leaves three events to a child, start to end", MOST_RATIO),
        (hung, "the same for a server that never answers", MOST_RATIO),
        (further, "a further run while that child waits", MOST_RATIO),
        (ever, "the first run ever, which makes folders and writes an id", MOST_RATIO_EVER),
    ] {
        let took = median(times);
        rows.ratio(what, took, ("the same with telemetry off", off), Some(most));
        rows.figure(what, show(took), goal(&format!("at most {MOST_LEAVING:?}"), took <= MOST_LEAVING));
    }
}

fn at_exit(rows: &mut Rows, peers: &Path) {
    let server = HttpServer::start(Reply::silence());
    let plugin = Build::plugin("http").release().library();
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
    let what = "a tool that delivers three events at its end, a server that never answers, start to end";
    rows.figure(what, show(ours), goal(&format!("at most {MOST:?}"), ours <= MOST));
    rows.ratio(what, ours, ("opentelemetry-otlp over HTTP", theirs("otel", "/v1/logs")), None);
    rows.ratio(what, ours, ("posthog-rs", theirs("posthog", "/")), None);
}

/// Busy processes beside a tool that delivers at its end, and how often it does.
const LOAD: usize = 10;
const UNDER_LOAD: usize = 20;

/// A debug build with `http` built in, as its author runs it, on a busy machine: how often all three events have arrived at
/// a local server when the tool has ended, within the default bound.
fn under_load(rows: &mut Rows) {
    let server = HttpServer::start(Reply::status(200));
    let home = tempfile::tempdir().expect("a folder");
    // Beside what cargo has built there are libraries, and a tool finds those beside itself.
    let tool = home.path().join("embedded");
    fs::copy(Build::package("fixture-embedded").binary("embedded"), &tool).expect("room");
    let ops = home.path().join("ops.toml");
    let url = server.url("/");
    fs::write(&ops, format!("[[backend]]\nplugin = \"http\"\nconfig = {{ url = {url:?} }}\n"))
        .expect("writable");
    let events = || -> usize {
        server.received().iter().map(|request| request.json().as_array().map_or(0, Vec::len)).sum()
    };
    let load = Load::start(LOAD);
    let mut times = Vec::new();
    let arrived = (0..UNDER_LOAD)
        .filter(|_| {
            let before = events();
            let home = tempfile::tempdir().expect("a folder");
            let mut command = Command::new(&tool);
            command.args(["bounded", "one+two+three"]).env_clear().env("HOME", home.path());
            command.env("EMBEDDED_TELEMETRY_ENABLED", "true").env("EMBEDDED_TELEMETRY_CONFIG", &ops);
            times.push(run(&mut command));
            events() == before + 3
        })
        .count();
    drop(load);
    let took = show(median(times));
    rows.figure(
        &format!("at_exit with three events in a debug build, beside {LOAD} busy processes: all arrived"),
        format!("{arrived} of {UNDER_LOAD}, in {took}"),
        goal(&format!("{UNDER_LOAD} of {UNDER_LOAD}"), arrived == UNDER_LOAD),
    );
}
