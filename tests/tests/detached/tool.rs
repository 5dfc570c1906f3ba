//! A tool with a home of its own.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use jackfield::{Builder, Deliver, Status, Telemetry};
use jackfield_tests::{peers::http::HttpServer, plugin};

const HOME: &str = "JACKFIELD_TEST_HOME";
const EVENTS: &str = "JACKFIELD_TEST_EVENTS";
const LIFETIME: &str = "JACKFIELD_TEST_LIFETIME_MS";
const WAITS: &str = "JACKFIELD_TEST_WAITS";
const LINGERS: &str = "JACKFIELD_TEST_LINGERS";
const LACKS_INIT: &str = "JACKFIELD_TEST_LACKS_INIT";

/// A credential in the configuration of the backend.
pub(crate) const SECRET: &str = "tolstoy-tolstoy-1877";

/// Whether this process is a tool whose `main` does not begin as it should.
pub(crate) fn lacks_init() -> bool {
    env::var_os(LACKS_INIT).is_some()
}

fn builder(home: &Path) -> Builder {
    Telemetry::builder("leaver", "1.0.0")
        .environment(|_: &str| None::<OsString>)
        .consent_file(home.join("config.toml"))
        .ops_file(home.join("ops.toml"))
        .data_folder(home.join("data"))
}

/// In a process that [`Home::tool`] has made, is that tool.
pub(crate) fn is_tool() -> bool {
    let Some(home) = env::var_os(HOME) else { return false };
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let lifetime = Duration::from_millis(number(LIFETIME).expect("set with the home"));
    let within = Duration::from_secs(60);
    let telemetry = builder(Path::new(&home)).deliver(Deliver::Detached { lifetime, within }).build();
    let input_ends = || io::stdin().read_to_end(&mut Vec::new()).expect("a pipe");
    if env::var_os(WAITS).is_some() {
        input_ends();
    }
    for event in 0..number(EVENTS).expect("set with the home") {
        telemetry.track("test.event", &event.to_string(), &[]);
    }
    telemetry.close();
    if env::var_os(LINGERS).is_some() {
        input_ends();
    }
    true
}

/// The home of a user who has consented.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self(tempfile::tempdir().expect("a folder"));
        home.consent(true);
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn consent(&self, enabled: bool) {
        let text = format!("[telemetry]\nenabled = {enabled}\n");
        fs::write(self.path("config.toml"), text).expect("writable");
    }

    /// Has ops send events to this server.
    pub(crate) fn sends_to(&self, server: &HttpServer) {
        let (plugin, url) = (plugin("http"), server.url("/"));
        let text = format!(
            "[[backend]]\nplugin = {plugin:?}\nname = \"http\"\ntimeout = \"60s\"\n[backend.config]\nurl = {url:?}\n\
             bearer_token = \"{SECRET}\"\n"
        );
        fs::write(self.path("ops.toml"), text).expect("writable");
    }

    /// The tool, which tracks so many events and ends. Its child lives no longer than `lifetime`.
    pub(crate) fn tool_for(&self, events: usize, lifetime: Duration) -> Command {
        let mut command = Command::new(env::current_exe().expect("this binary"));
        self.make_tool(&mut command, events, lifetime);
        command
    }

    /// The same, started by another program whose arguments so far are in `command`.
    pub(crate) fn make_tool(&self, command: &mut Command, events: usize, lifetime: Duration) {
        command
            .env(HOME, self.0.path())
            .env(EVENTS, events.to_string())
            .env(LIFETIME, lifetime.as_millis().to_string());
    }

    /// The tool with a lifetime that no test comes to the end of.
    pub(crate) fn tool(&self, events: usize) -> Command {
        self.tool_for(events, Duration::from_secs(600))
    }

    /// The tool, which does nothing before its standard input ends.
    pub(crate) fn waiting_tool_for(&self, events: usize, lifetime: Duration) -> Command {
        let mut command = self.tool_for(events, lifetime);
        command.env(WAITS, "1");
        command
    }

    pub(crate) fn lingering_tool(&self, events: usize) -> Command {
        let mut command = self.tool(events);
        command.env(LINGERS, "1");
        command
    }

    pub(crate) fn tool_without_init(&self, events: usize) -> Command {
        let mut command = self.tool(events);
        command.env(LACKS_INIT, "1");
        command
    }

    /// What the user rules by.
    pub(crate) fn telemetry(&self) -> Telemetry {
        builder(self.0.path()).deliver(Deliver::ByHand).build()
    }

    pub(crate) fn status(&self) -> Status {
        self.telemetry().status()
    }
}

/// Runs it to its end, which has to be a good one.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

/// How many events have arrived, after a look that none did twice.
pub(crate) fn arrived(servers: &[&HttpServer]) -> usize {
    let requests = servers.iter().flat_map(|server| server.received());
    let events = requests.flat_map(|request| request.json().as_array().expect("an array").clone());
    let mut ids: Vec<String> = events.map(|event| event["id"].to_string()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "some arrived twice");
    all
}
