//! The same plugins beneath the example tool.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    process::{Command, Output},
    thread,
    time::Duration,
};

use jackfield_test_support::wait_for;
use jackfield_tests::{Build, faults, faults_mended, plugin};
use serde_json::Value;

use crate::site::{backend, ids};

/// A user of the tool, and the ops' configuration: a faulty backend beside a healthy one.
struct User {
    home: tempfile::TempDir,
}

impl User {
    fn new(fault: &str, rest: &str) -> Self {
        let user = Self { home: tempfile::tempdir().expect("a folder") };
        let library = user.path("libfaults.so");
        fs::copy(faults(), &library).expect("writable");
        let rest = format!(
            "isolation = \"process\"\n{rest}\n[backend.config]\nfault = {fault:?}\nat = \"send\"\npath = \"/\"\n\
             record = {:?}\n",
            user.path("record")
        );
        let healthy = format!("config = {{ path = {:?} }}", user.path("healthy.jsonl"));
        let ops = backend("faulty", &library, &rest) + &backend("healthy", &plugin("file"), &healthy);
        fs::write(user.path("ops.toml"), ops).expect("writable");
        user.greet(&["telemetry", "enable"]);
        user
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Fails unless the tool ends well.
    fn greet(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(Build::package("jackfield").example("greet", "clap"));
        command.args(arguments).current_dir(self.home.path()).env_clear().env("HOME", self.home.path());
        let output = command.env("GREET_TELEMETRY_CONFIG", self.path("ops.toml")).output().expect("starts");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        output
    }

    /// Greets until it holds: what is not delivered at once is delivered by a later run, once a backend's pause is over.
    fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let look = || {
            let holds = condition(self);
            if !holds {
                thread::sleep(Duration::from_millis(300));
                self.hello();
            }
            (holds, self.status())
        };
        wait_for(what, look, |(holds, _)| *holds);
    }

    fn hello(&self) {
        let output = self.greet(&["hello", "you"]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "Hello, you!\n");
    }

    fn status(&self) -> Value {
        let output = self.greet(&["telemetry", "status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// The ids that the healthy backend has; each once.
    fn healthy(&self) -> BTreeSet<String> {
        let all = ids(&self.read("healthy.jsonl"));
        let once: BTreeSet<String> = all.iter().cloned().collect();
        assert_eq!(all.len(), once.len(), "twice: {all:?}");
        once
    }

    /// The ids that the faulty one has delivered.
    fn recorded(&self) -> Vec<String> {
        self.read("record").lines().map(str::to_owned).collect()
    }
}

pub(super) fn goes_on_and_the_events_wait(fault: &str, rest: &str) {
    let user = User::new(fault, rest);
    user.hello();
    user.until("the healthy backend has an event", |user| !user.healthy().is_empty());
    assert!(user.recorded().is_empty(), "{fault}");
    assert!(user.status()["events"].as_u64() >= Some(1), "{}", user.status());

    // A mended version takes the place of the plugin.
    let new = user.path("new");
    fs::copy(faults_mended(), &new).expect("writable");
    fs::rename(new, user.path("libfaults.so")).expect("writable");
    let first = user.healthy();
    user.until("the mended plugin has what has waited", |user| {
        let recorded: BTreeSet<String> = user.recorded().into_iter().collect();
        first.is_subset(&recorded)
    });
    let recorded = user.recorded();
    assert_eq!(
        recorded.len(),
        recorded.iter().collect::<BTreeSet<_>>().len(),
        "{fault}: each once: {recorded:?}"
    );
    user.healthy();
}

pub(super) fn goes_on_and_the_events_arrive(fault: &str) {
    let user = User::new(fault, "");
    user.hello();
    user.until("both have an event", |user| !user.healthy().is_empty() && !user.recorded().is_empty());
}
