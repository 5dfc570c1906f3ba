//! Tools of one file, with plugins that are linked into them: no library is on the machine, unless ops put one there.

use std::{
    collections::HashSet,
    fs,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use jackfield_test_support::wait_for;
use jackfield_tests::{
    Build,
    peers::http::{HttpServer, Reply},
    plugin,
};
use serde_json::Value;

/// A machine whose only file of the tool is its executable.
pub(crate) struct Machine {
    home: tempfile::TempDir,
    tool: &'static str,
}

impl Machine {
    pub(crate) fn new(tool: &'static str) -> Self {
        Self::with(&Build::package("fixture-embedded"), tool)
    }

    /// One whose tool is built with `panic = "abort"`.
    pub(crate) fn panic_abort() -> Self {
        Self::with(&Build::package("fixture-embedded").panic_abort(), "embedded")
    }

    fn with(build: &Build, tool: &'static str) -> Self {
        let machine = Self { home: tempfile::tempdir().expect("a folder"), tool };
        // Beside what cargo has built there are libraries, and a tool finds those beside itself.
        fs::create_dir(machine.path("bin")).expect("room");
        let built = build.binary(tool);
        // Not by this process: until another thread's child executes its program, the child holds a copy's descriptor, and
        // the copy can't be executed.
        let copied = Command::new("cp").arg(built).arg(machine.path("bin").join(tool)).status();
        assert!(copied.is_ok_and(|status| status.success()), "copied");
        fs::create_dir_all(machine.path(".local/lib/jackfield")).expect("room");
        machine
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The file of ops: a backend `http` for this server, and further lines.
    pub(crate) fn ops(&self, server: &HttpServer, more: &str) {
        let url = server.url("/in");
        self.write_ops(&format!("[[backend]]\nplugin = \"http\"\nconfig = {{ url = \"{url}\" }}\n{more}"));
    }

    pub(crate) fn write_ops(&self, text: &str) {
        fs::write(self.path("ops.toml"), text).expect("writable");
    }

    /// Puts a library on the search path.
    fn install(&self, library: &Path, name: &str) {
        fs::copy(library, self.path(".local/lib/jackfield").join(name)).expect("copied");
    }

    pub(crate) fn run(&self, words: &str) -> Output {
        let output = self.end(words);
        assert!(output.status.success(), "{output:?}");
        output
    }

    /// Runs the tool, however it ends.
    pub(crate) fn end(&self, words: &str) -> Output {
        self.command(words).output().expect("starts")
    }

    pub(crate) fn command(&self, words: &str) -> Command {
        let prefix = self.tool.to_uppercase();
        let mut command = Command::new(self.path("bin").join(self.tool));
        command.args(words.split_whitespace()).env_clear().env("HOME", self.home.path());
        command.env(format!("{prefix}_TELEMETRY_ENABLED"), "true");
        if self.path("ops.toml").exists() {
            command.env(format!("{prefix}_TELEMETRY_CONFIG"), self.path("ops.toml"));
        }
        command
    }

    pub(crate) fn status(&self) -> Value {
        let output = self.run("status-json");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    fn journal(&self) -> String {
        fs::read_to_string(self.path("journal")).unwrap_or_default()
    }

    /// Waits until the tool says that everything is delivered and no child delivers.
    fn wait_until_delivered(&self) -> Value {
        let is_done = |status: &Value| status["events"] == 0 && status["delivering"] == false;
        wait_for("all is delivered", || self.status(), is_done)
    }
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn log(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn names(server: &HttpServer) -> Vec<String> {
    let arrays = server.received().into_iter().map(|request| request.json());
    let events = arrays.flat_map(|array| array.as_array().expect("an array").clone());
    events.map(|event| event["name"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn the_first_example_of_the_guide_delivers_with_one_binary() {
    let (machine, server) = (Machine::new("mytool"), HttpServer::start(Reply::status(200)));
    machine.ops(&server, "");
    machine.run("");
    wait_for("the event has arrived", || names(&server), |names| names == &["export"]);
}

#[test]
fn a_built_in_plugin_delivers_in_a_detached_child() {
    let (machine, server) = (Machine::new("embedded"), HttpServer::start(Reply::status(200)));
    machine.ops(&server, "");
    machine.run("one");
    let status = machine.wait_until_delivered();
    assert_eq!(names(&server), ["one"]);
    assert_eq!(
        (&status["backends"][0]["delivered"], &status["backends"][0]["built_in"]),
        (&1.into(), &true.into())
    );
    assert!(out(&machine.run("status")).contains("  http: 0 waiting, 1 delivered"), "{status}");
    assert!(out(&machine.run("status")).contains(", built in\n"), "{status}");
    let doctor = out(&machine.run("doctor"));
    assert!(doctor.contains("ok    backend http: built in; "), "{doctor}");
}

#[test]
fn a_built_in_plugin_delivers_at_the_end_of_the_tool() {
    let (machine, server) = (Machine::new("embedded"), HttpServer::start(Reply::status(200)));
    machine.ops(&server, "");
    machine.run("at-exit one");
    assert_eq!(names(&server), ["one"]);
}

#[test]
fn a_built_in_plugin_delivers_in_a_process_of_its_own() {
    for words in ["at-exit one", "one"] {
        let (machine, server) = (Machine::new("embedded"), HttpServer::start(Reply::status(200)));
        machine.ops(&server, "isolation = \"process\"\nlimits = { memory = \"1GiB\" }\n");
        machine.run(words);
        machine.wait_until_delivered();
        assert_eq!(names(&server), ["one"], "{words}");
    }
}

#[test]
fn a_built_in_plugin_delivers_from_a_sandbox() {
    let (machine, server) = (Machine::new("embedded"), HttpServer::start(Reply::status(200)));
    machine.ops(&server, "isolation = \"process\"\nsandbox = { network = \"any\" }\n");
    let ended = machine.run("at-exit one");
    assert_eq!(names(&server), ["one"], "{}", log(&ended));
    // The plugin `file` may not write where the sandbox gives it nothing.
    let file = machine.path("events.jsonl");
    machine.write_ops(&format!(
        "[[backend]]\nplugin = \"file\"\nisolation = \"process\"\nsandbox = {{ network = \"none\" }}\nconfig = {{ path = {file:?} }}\n"
    ));
    let refused = log(&machine.run("at-exit two"));
    assert!(refused.contains("built-in plugin file: ") && refused.contains("sandbox"), "{refused}");
    assert!(!file.exists());
}

#[test]
fn two_built_in_plugins_are_in_one_program_and_both_deliver() {
    let (machine, server) = (Machine::new("embedded"), HttpServer::start(Reply::status(200)));
    let file = machine.path("events.jsonl");
    machine.ops(&server, &format!("[[backend]]\nplugin = \"file\"\nconfig = {{ path = {file:?} }}\n"));
    machine.run("one");
    machine.wait_until_delivered();
    assert_eq!(names(&server), ["one"]);
    let lines = fs::read_to_string(file).expect("written");
    assert!(lines.contains(r#""name":"one""#) && lines.lines().count() == 1, "{lines}");
}

#[test]
fn a_program_with_built_in_plugins_exports_no_descriptor() {
    use object::{Object as _, ObjectSymbol as _};
    let bytes = fs::read(Build::package("fixture-embedded").binary("embedded")).expect("built");
    let program = object::File::parse(&*bytes).expect("a program");
    assert!(program.symbols().all(|symbol| symbol.name() != Ok("jackfield_plugin")));
    assert!(program.section_by_name(".jackfield").is_none());
    let bytes = fs::read(plugin("http")).expect("built");
    let library = object::File::parse(&*bytes).expect("a library");
    assert!(library.dynamic_symbols().any(|symbol| symbol.name() == Ok("jackfield_plugin")));
}

#[test]
fn a_library_on_the_search_path_comes_before_the_built_in_plugin() {
    let (machine, server) = (Machine::new("embedded"), HttpServer::start(Reply::status(200)));
    machine.ops(&server, "");
    assert_eq!(machine.status()["backends"][0]["built_in"], true);
    machine.install(&plugin("http"), "libhttp.so");
    assert_eq!(machine.status()["backends"][0]["built_in"], false);
    machine.run("at-exit one");
    assert_eq!(names(&server), ["one"]);

    // A library that is refused is not passed over: ops have put it there.
    fs::remove_file(machine.path(".local/lib/jackfield/libhttp.so")).expect("there");
    fs::write(machine.path(".local/lib/jackfield/libhttp.so"), "no library\n").expect("room");
    let refused = log(&machine.run("at-exit two"));
    assert!(refused.contains("libhttp.so: not a library but a text file"), "{refused}");
    assert_eq!(names(&server), ["one"]);
}

#[test]
fn no_trust_policy_refuses_what_is_built_in() {
    let (machine, server) = (Machine::new("embedded"), HttpServer::start(Reply::status(200)));
    let url = server.url("/in");
    let backend = format!("[[backend]]\nplugin = \"http\"\nconfig = {{ url = \"{url}\" }}\n");
    for (name, policy) in [
        ("pinned", "trust = \"pinned\""),
        (
            "signed",
            "trust = \"signed\"\nkeys = [\"RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3\"]",
        ),
    ] {
        machine.write_ops(&format!("[plugins]\n{policy}\n{backend}"));
        let ended = machine.run(&format!("at-exit {name}"));
        assert!(names(&server).contains(&name.to_owned()), "{}", log(&ended));
    }
    // A library in front of it is judged.
    machine.install(&plugin("http"), "libhttp.so");
    let refused = log(&machine.run("at-exit refused"));
    assert!(refused.contains("verify: ") && refused.contains("libhttp.so"), "{refused}");
    assert!(!names(&server).contains(&"refused".to_owned()));
}

#[test]
fn a_wrong_option_of_a_built_in_plugin_is_refused_by_its_schema() {
    let machine = Machine::new("embedded");
    machine.write_ops("[[backend]]\nplugin = \"http\"\nconfig = { urll = \"http://127.0.0.1:9/\" }\n");
    let refused = log(&machine.run("at-exit one"));
    assert!(refused.contains("ops.toml:3") && refused.contains("did you mean"), "{refused}");
    assert_eq!(machine.status()["events"], 1);
}

#[test]
fn a_missing_plugin_is_told_once_to_the_log_and_always_by_the_status() {
    for words in ["one", "at-exit one"] {
        let machine = Machine::new("embedded");
        machine.write_ops("[[backend]]\nplugin = \"otlp\"\nconfig = { endpoint = \"http://127.0.0.1:9\" }\n");
        // Before the first event, too.
        let missing = "find: no plugin \"otlp\": searched ";
        let says = |status: &str| status.contains(missing) && status.contains("; built in: http, file");
        let before = out(&machine.run("status"));
        assert!(says(&before) && before.contains("; its events wait"), "{before}");
        let first = log(&machine.run(words));
        assert!(says(&first) && first.contains("backend otlp is down, its events wait"), "{first}");
        for _ in 0..2 {
            let log = log(&machine.run(words));
            assert!(!log.contains("is down, its events wait"), "{words}: it is told once: {log}");
        }
        assert!(says(machine.status()["backends"][0]["missing"].as_str().expect("text")));
        assert_eq!(machine.status()["events"], 3);
        // What was recorded arrives when the configuration has a plugin that is there.
        let server = HttpServer::start(Reply::status(200));
        machine.ops(&server, "name = \"otlp\"\n");
        machine.run("at-exit last");
        assert_eq!(names(&server), ["one", "one", "one", "last"]);
    }
}

#[test]
fn a_backend_in_code_that_init_names_delivers_in_a_detached_child() {
    let machine = Machine::new("embedded");
    let tool = out(&machine.run("in-code one"));
    let line =
        wait_for("the event is in the journal", || machine.journal(), |journal| journal.ends_with('\n'));
    let (name, process) = line.trim().split_once(' ').expect("two words");
    assert_eq!(name, "one");
    assert_ne!(process, tool.trim(), "another process delivers");
    // In the tool's own process, when its author wants that.
    let tool = out(&machine.run("at-exit in-code two"));
    let last = machine.journal().lines().last().expect("a line").to_owned();
    assert_eq!(last, format!("two {}", tool.trim()));
    let processes: HashSet<_> = machine.journal().lines().map(|line| line.to_owned()).collect();
    assert_eq!(processes.len(), 2);
}

const FRAGILE: &str = "[[backend]]\nplugin = \"fragile\"\n";
const ISOLATED: &str = "[[backend]]\nplugin = \"fragile\"\nisolation = \"process\"\n";

#[test]
fn a_plugin_built_into_a_tool_whose_panics_abort_delivers_everywhere() {
    let (machine, server) = (Machine::panic_abort(), HttpServer::start(Reply::status(200)));
    machine.ops(&server, "");
    machine.run("at-exit thread");
    machine.run("child");
    machine.wait_until_delivered();
    assert_eq!(names(&server), ["thread", "child"]);
    machine.ops(&server, "isolation = \"process\"\n");
    machine.run("at-exit isolated");
    assert_eq!(names(&server), ["thread", "child", "isolated"]);
}

#[test]
fn a_panic_that_aborts_ends_only_its_process_and_loses_no_event() {
    // Where the plugin runs, and whether its end is the tool's.
    for (words, ops, ends_the_tool) in
        [("one", FRAGILE, false), ("at-exit one", ISOLATED, false), ("at-exit one", FRAGILE, true)]
    {
        let machine = Machine::panic_abort();
        fs::write(machine.path("panic"), "").expect("room");
        machine.write_ops(ops);
        let ended = machine.end(words);
        let expected = if ends_the_tool { Some(rustix::process::Signal::ABORT.as_raw()) } else { None };
        assert_eq!(ended.status.signal(), expected, "{words}: {ended:?}");
        assert!(ends_the_tool || ended.status.success(), "{words}: {ended:?}");
        let status = wait_for("no child", || machine.status(), |status| status["delivering"] == false);
        assert_eq!((&status["events"], machine.journal()), (&1.into(), String::new()), "{words}: {status}");

        fs::remove_file(machine.path("panic")).expect("there");
        machine.write_ops(FRAGILE);
        machine.run("at-exit two");
        let delivered = machine.journal();
        let names: Vec<_> = delivered.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(names, ["one", "two"], "{words}");
    }
}
