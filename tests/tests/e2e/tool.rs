//! The example tool, as its user and the ops of the machine have it: real plugins, chosen by a file, and a real server.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use jackfield_test_support::{wait_for, wait_until};
use jackfield_tests::{
    Build,
    peers::http::{HttpServer, Reply},
    plugin,
};
use serde_json::Value;

/// A user of the tool.
struct User {
    home: tempfile::TempDir,
}

impl User {
    /// Who has consented.
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let user = Self { home };
        let enabled = user.run(&["telemetry", "enable"]);
        assert!(text(&enabled).starts_with("Telemetry enabled"), "{enabled:?}");
        user
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.home.path().join(name)
    }

    /// Has the ops send events to this server.
    fn ops(&self, url: &str) {
        self.write_ops(&format!(
            "[plugins]\npath = [{:?}]\n[[backend]]\nplugin = \"http\"\n[backend.config]\nurl = \"{url}\"\n\
             bearer_token = \"${{GREET_TOKEN}}\"\n",
            plugin("http").parent().expect("a folder")
        ));
    }

    fn write_ops(&self, text: &str) {
        fs::write(self.path("ops.toml"), text).expect("writable");
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(Build::package("jackfield").example("greet", "clap"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home.path())
            .env("GREET_TELEMETRY_CONFIG", self.path("ops.toml"))
            .env("GREET_TOKEN", "hunter2hunter2");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("starts")
    }

    /// Runs the tool, and waits until what it has left is delivered, as far as that can be now.
    fn run_and_wait(&self, args: &[&str]) -> Output {
        let output = self.run(args);
        self.wait_for_the_child();
        output
    }

    /// Runs the tool, and waits until all is delivered.
    fn run_until_all_is_delivered(&self, args: &[&str]) {
        self.run(args);
        wait_for("all is delivered", || self.status(), |status| status["events"] == 0);
    }

    /// Waits until no child of a tool that has ended delivers.
    fn wait_for_the_child(&self) {
        self.wait_for_the_child_of(|status| status);
    }

    /// The same for what stays on the machine.
    fn wait_for_the_local_child(&self) {
        self.wait_for_the_child_of(|status| {
            status.env("TELEMETRY_LOCAL", "true").env_remove("GREET_TELEMETRY_CONFIG")
        });
    }

    fn wait_for_the_child_of(&self, run: impl Fn(&mut Command) -> &mut Command) {
        let status = || -> Value {
            let output = run(&mut self.command(&["telemetry", "status", "--json"])).output().expect("starts");
            serde_json::from_slice(&output.stdout).expect("JSON")
        };
        wait_for("no child delivers", status, |status| status["delivering"] == false);
    }

    fn status(&self) -> Value {
        let output = self.run(&["telemetry", "status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn names(server: &HttpServer) -> Vec<String> {
    let arrays = server.received().into_iter().map(|request| request.json());
    let events = arrays.flat_map(|array| array.as_array().expect("an array").clone());
    events.map(|event| event["name"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn events_of_a_tool_arrive_at_the_server_of_ops() {
    let (user, server) = (User::new(), HttpServer::start(Reply::status(200)));
    user.ops(&server.url("/in"));
    assert_eq!(text(&user.run_and_wait(&["hello", "--shout", "World"])), "HELLO, WORLD!\n");
    let failed = user.run_and_wait(&["add", "1", "x=https://me:pw@host/"]);
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(names(&server), ["shout", "hello", "add"]);
    let last = server.received().pop().expect("a request").json()[0].clone();
    assert_eq!(
        (&last["type"], &last["exit_code"], &last["tool_name"]),
        (&"command.error".into(), &1.into(), &"greet".into())
    );
    assert_eq!(last["metadata"], serde_json::json!({"channel": "stable", "count": "2"}));
    let error = last["error"].as_str().expect("collected");
    assert!(error.contains("[redacted]@host") && !error.contains("pw"), "{error}");
    let status = user.status();
    assert_eq!((&status["events"], &status["backends"][0]["delivered"]), (&0.into(), &3.into()));
    assert!(status["backend"].as_str().expect("text").ends_with("ops.toml)"), "{status}");
}

#[test]
fn a_silent_server_does_not_delay_the_tool() {
    let (user, server) = (User::new(), HttpServer::script([], Reply::silence()));
    user.ops(&server.url("/"));
    let started = Instant::now();
    assert_eq!(text(&user.run(&["hello", "a"])), "Hello, a!\n");
    let took = started.elapsed();
    // A call may take 5 s; the time is for a busy machine.
    assert!(took < Duration::from_secs(4), "{took:?}");
    let failed = |status: &Value| !status["backends"][0]["last_error"].is_null();
    let status = wait_for("the call has failed", || user.status(), failed);
    assert_eq!((&status["events"], &status["delivering"]), (&1.into(), &true.into()), "{status}");
    user.run(&["hello", "b"]);
    drop(server);

    let server = HttpServer::start(Reply::status(200));
    user.ops(&server.url("/"));
    user.run_until_all_is_delivered(&["hello", "c"]);
    assert_eq!(names(&server), ["hello", "hello", "hello"]);
    let ids: std::collections::HashSet<_> = server
        .received()
        .iter()
        .flat_map(|request| request.json().as_array().expect("an array").clone())
        .map(|event| event["id"].to_string())
        .collect();
    assert_eq!(ids.len(), names(&server).len(), "each once");
}

#[test]
fn show_prints_the_exact_requests_and_sends_nothing() {
    let (user, server) = (User::new(), HttpServer::start(Reply::status(200)));
    let hung = HttpServer::script([], Reply::silence());
    user.ops(&hung.url("/"));
    user.run(&["hello", "a"]);
    user.ops(&server.url("/in"));
    let shown = text(&user.run(&["telemetry", "show"]));
    let json: Value =
        serde_json::from_slice(&user.run(&["telemetry", "show", "--json"]).stdout).expect("JSON");
    assert!(server.received().is_empty());
    let body = json["outgoing"][0]["messages"][0]["text"].as_str().expect("text").to_owned();
    assert!(shown.contains(&body) && !shown.contains("hunter2"), "{shown}");
    user.run_until_all_is_delivered(&["hello", "b"]);
    let sent = String::from_utf8(server.received()[0].body.clone()).expect("text");
    assert!(sent.starts_with(body.trim_end_matches(']')), "{sent}\n{body}");
}

#[test]
fn doctor_lets_no_500_pass_and_asks_nobody_without_consent() {
    let (user, server) = (User::new(), HttpServer::start(Reply::status(500)));
    user.ops(&server.url("/"));
    let doctor = user.run(&["telemetry", "doctor"]);
    assert_eq!(doctor.status.code(), Some(1));
    assert!(
        text(&doctor).contains("WRONG backend http: ") && text(&doctor).contains("500"),
        "{}",
        text(&doctor)
    );
    let asked = server.connections();
    assert!(asked > 0);
    assert_eq!(
        text(&user.run(&["telemetry", "disable"])),
        "Telemetry disabled.\nAll pending events have been discarded.\n"
    );
    let doctor = user.run(&["telemetry", "doctor"]);
    assert!(text(&doctor).contains("note  consent: disabled: "), "{}", text(&doctor));
    user.run(&["hello", "a"]);
    assert_eq!(server.connections(), asked, "without consent nobody is asked");
}

#[test]
fn reset_sends_the_request_and_says_so() {
    let (user, server) = (User::new(), HttpServer::start(Reply::status(200)));
    user.ops(&server.url("/in"));
    let id = user.status()["machine_id"].as_str().expect("text").to_owned();
    let text_of = text(&user.run(&["telemetry", "reset"]));
    assert!(text_of.contains("http: unsupported: no deletion_url is configured"), "{text_of}");
    assert!(text_of.ends_with("Local telemetry data cleared. Telemetry disabled.\n"), "{text_of}");
    let path = plugin("http").parent().expect("a folder").to_owned();
    user.write_ops(&format!(
        "[plugins]\npath = [{path:?}]\n[[backend]]\nplugin = \"http\"\n[backend.config]\nurl = {:?}\ndeletion_url = {:?}\n",
        server.url("/in"),
        server.url("/delete"),
    ));
    let text_of = text(&user.run(&["telemetry", "reset"]));
    assert!(text_of.contains("http: sent: "), "{text_of}");
    let last = server.received().pop().expect("a request");
    assert_eq!(last.path, "/delete");
    // Nobody had acknowledged the first request, so the second one is about the same id.
    assert_eq!(last.json()["machine_id"], id);
    assert_ne!(user.status()["machine_id"], id);
}

#[test]
fn local_only_writes_events_to_a_file() {
    let user = User::new();
    let path = plugin("file").parent().expect("a folder").to_owned();
    let run = |args: &[&str]| {
        let mut command = user.command(args);
        command.env("TELEMETRY_LOCAL", "true").env("JACKFIELD_PLUGIN_PATH", &path);
        // Where ops choose backends, these outrank it.
        let output = command.env_remove("GREET_TELEMETRY_CONFIG").output().expect("starts");
        user.wait_for_the_local_child();
        output
    };
    let status = text(&run(&["telemetry", "status"]));
    assert!(
        status.starts_with("Telemetry: enabled (local-only)\n") && status.contains("local only"),
        "{status}"
    );
    run(&["hello", "a"]);
    let log = Path::new(".local/state/greet/telemetry/events.jsonl");
    let line =
        fs::read_to_string(user.home.path().join(log)).unwrap_or_else(|error| panic!("{error}: {status}"));
    let event: Value = serde_json::from_str(line.lines().next().expect("a line")).expect("JSON");
    assert_eq!(event["name"], "hello");
}

#[test]
fn events_recorded_under_local_only_wait_for_the_plugin_file() {
    let (user, server) = (User::new(), HttpServer::start(Reply::status(200)));
    let local = |plugins: &Path, name: &str| {
        let mut command = user.command(&["hello", name]);
        command.env("TELEMETRY_LOCAL", "true").env("JACKFIELD_PLUGIN_PATH", plugins);
        command.env_remove("GREET_TELEMETRY_CONFIG").output().expect("starts");
        user.wait_for_the_local_child();
    };
    local(Path::new("/nowhere"), "a");
    user.ops(&server.url("/"));
    user.run_and_wait(&["add", "1"]);
    assert_eq!(names(&server), ["add"]);
    assert_eq!((&user.status()["events"], &user.status()["set_apart"]), (&0.into(), &1.into()));
    local(plugin("file").parent().expect("a folder"), "b");
    let log = user.path(".local/state/greet/telemetry/events.jsonl");
    let log = fs::read_to_string(&log).unwrap_or_else(|error| panic!("{error}: {}", user.status()));
    assert_eq!(log.lines().count(), 2, "{log}");
    assert_eq!((names(&server).len(), &user.status()["set_apart"]), (1, &0.into()));
}

#[test]
fn events_for_a_missing_plugin_wait_and_doctor_reports() {
    let (user, server) = (User::new(), HttpServer::start(Reply::status(200)));
    user.write_ops("[plugins]\npath = [\"/nowhere\"]\n[[backend]]\nplugin = \"http\"\n[backend.config]\nurl = \"http://h/\"\n");
    user.run_and_wait(&["hello", "a"]);
    let doctor = user.run(&["telemetry", "doctor"]);
    assert!(
        doctor.status.code() == Some(1) && text(&doctor).contains("WRONG backend http: "),
        "{}",
        text(&doctor)
    );
    assert_eq!(user.status()["events"], 1);
    user.ops(&server.url("/"));
    user.run_until_all_is_delivered(&["add", "1"]);
    assert_eq!(names(&server), ["hello", "add"]);
}

#[test]
fn the_commands_own_events_are_delivered_when_it_has_ended() {
    let (home, server) = (tempfile::tempdir().expect("a folder"), HttpServer::start(Reply::status(200)));
    let ops = home.path().join("ops.toml");
    let (plugin, url) = (plugin("http"), server.url("/"));
    fs::write(&ops, format!("[[backend]]\nplugin = {plugin:?}\n[backend.config]\nurl = {url:?}\n"))
        .expect("writable");
    let jackfield = |args: &[&str]| {
        let mut command = Command::new(jackfield_tests::cli());
        command.args(args).env_clear().env("HOME", home.path()).current_dir(home.path());
        command.env("JACKFIELD_TELEMETRY_ENABLED", "true").env("JACKFIELD_TELEMETRY_CONFIG", &ops);
        command.output().expect("starts")
    };
    let ran = jackfield(&["completions", "bash"]);
    assert!(ran.status.success(), "{ran:?}");
    let status = text(&jackfield(&["telemetry", "status"]));
    assert!(
        status.contains("Delivery: when the tool has ended, by a child process of at most 60s"),
        "{status}"
    );
    wait_until("the event arrives", || server.served() > 0);
    assert_eq!(names(&server), ["completions"]);
}

/// How the user says no while a child delivers. What is under way then ends.
const WAYS_TO_SAY_NO: [fn(&User); 2] = [
    |user| {
        let file = user.path(".config/greet/config.toml");
        let before = fs::read_to_string(&file).expect("consent");
        let after = before.replace("enabled = true", "enabled = false");
        assert_ne!(before, after);
        fs::write(file, after).expect("writable");
        // The child looks at the file now and then.
        user.wait_for_the_child();
    },
    |user| {
        let said = text(&user.run(&["telemetry", "disable"]));
        assert!(said.starts_with("Telemetry disabled") && !said.contains("can't be stopped"), "{said}");
    },
];

#[test]
fn withdrawn_consent_ends_a_running_call() {
    const EVENTS: usize = 30;
    for say_no in WAYS_TO_SAY_NO {
        let (user, nobody) = (User::new(), jackfield_tests::peers::free_port());
        user.ops(&format!("http://127.0.0.1:{nobody}/"));
        for _ in 1..EVENTS {
            user.run(&["hello", "a"]);
        }
        // One call is a request an event, one after the other.
        let server = HttpServer::start(Reply::status(200).delay(Duration::from_millis(300)));
        user.write_ops(&format!(
            "[plugins]\npath = [{:?}]\n[[backend]]\nplugin = \"http\"\ntimeout = \"20s\"\n[backend.config]\nurl = {:?}\n\
             [backend.config.limits]\nmax_events = 1\n",
            plugin("http").parent().expect("a folder"),
            server.url("/"),
        ));
        user.run(&["hello", "a"]);
        wait_until("the call is under way", || server.received().len() >= 3);
        say_no(&user);
        let by_then = server.received().len();
        user.wait_for_the_child();
        assert_eq!(server.received().len(), by_then, "nothing more leaves");
        assert!(by_then < EVENTS, "{by_then}: the call was over before");
    }
}

#[test]
fn withdrawn_consent_ends_a_child_inside_a_plugin() {
    for (number, say_no) in WAYS_TO_SAY_NO.into_iter().enumerate() {
        let user = User::new();
        let record = user.path("record");
        user.write_ops(&format!(
            "[[backend]]\nplugin = {:?}\ntimeout = \"10m\"\n[backend.config]\nhang = \"send\"\nrecord = {record:?}\n",
            jackfield_tests::fixture("hostile"),
        ));
        user.run(&["hello", "a"]);
        wait_until("the call is under way", || !fs::read_to_string(&record).unwrap_or_default().is_empty());
        assert_eq!(user.status()["delivering"], true);
        let started = Instant::now();
        say_no(&user);
        user.wait_for_the_child();
        // Its call has ten minutes, and the child one.
        assert!(started.elapsed() < Duration::from_secs(20), "{number}: {:?}", started.elapsed());
    }
}

#[cfg(unix)]
#[test]
fn a_limit_on_the_size_of_files_costs_events_and_no_tool() {
    let user = User::new();
    // So many blocks of 512 bytes; an event takes about as much as one. What the tool prints goes to pipes, which have no
    // such limit.
    let limited = |blocks: u32, arguments: &str| {
        let tool = user.command(&[]);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -f {blocks}; exec \"$0\" {arguments}")]).arg(tool.get_program());
        command.env_clear().envs(tool.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.output().expect("starts")
    };
    for blocks in [0, 1, 2, 20] {
        for _ in 0..5 {
            let output = limited(blocks, "hello --shout --politely World");
            assert_eq!((output.status.code(), text(&output)), (Some(0), "HELLO, DEAR WORLD!\n".to_owned()));
        }
    }
    user.run(&["hello", "World"]);
    let status = user.status();
    assert!(status["dropped"]["disk full"].as_u64() > Some(0), "{status}");
    assert!(status["events"].as_u64() > Some(0), "{status}");
    let disable = limited(0, "telemetry disable");
    let line = String::from_utf8_lossy(&disable.stderr).into_owned();
    assert_eq!(disable.status.code(), Some(1), "{disable:?}");
    assert!(line.contains("File too large") && line.lines().count() == 1, "{line}");
}
