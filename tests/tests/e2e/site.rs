//! A folder with a configuration, and runs of the command in it.

use std::{
    fs,
    io::{Read, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use jackfield_test_support::{LONG, wait_for, wait_until};
pub(crate) use jackfield_tests::events::{event, events, id, ids};
use jackfield_tests::{cli, isolated_command};
use serde_json::Value;

/// A folder that is the user's alone, which is working folder and home of the runs.
pub(crate) struct Site(tempfile::TempDir);

impl Site {
    /// With a configuration of these backends, each the text of a table; see [`backend`].
    pub(crate) fn new(backends: &[String]) -> Self {
        Self::within(tempfile::tempdir().expect("a folder"), backends)
    }

    /// The same, in this folder.
    pub(crate) fn within(folder: tempfile::TempDir, backends: &[String]) -> Self {
        let site = Self(folder);
        site.write("config.toml", backends.concat());
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).expect("writable");
        self.path(name)
    }

    /// The text of a file, empty when it is not there.
    pub(crate) fn read(&self, name: impl AsRef<Path>) -> String {
        let bytes = fs::read(self.0.path().join(name)).unwrap_or_default();
        String::from_utf8(bytes).expect("UTF-8")
    }

    /// The names of the files that end like this.
    pub(crate) fn files(&self, ending: &str) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("readable");
        let names = entries.map(|entry| entry.expect("readable").file_name().into_string().expect("UTF-8"));
        names.filter(|name| name.ends_with(ending)).collect()
    }

    /// The text of the one file that ends like this.
    pub(crate) fn kept(&self, ending: &str) -> String {
        let files = self.files(ending);
        assert_eq!(files.len(), 1, "{ending}: {files:?}");
        self.read(&files[0])
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(&cli(), arguments)
    }

    /// Of another program than the command as this toolchain builds it.
    pub(crate) fn command_of(&self, program: &Path, arguments: &[&str]) -> Command {
        isolated_command(program, self.0.path(), arguments)
    }

    /// A line for a shell on a terminal of its own, which ends as the line does. What the terminal shows is standard output,
    /// what is typed is standard input; `script` makes it.
    #[cfg(target_os = "linux")]
    pub(crate) fn on_a_terminal(&self, line: &str) -> Command {
        let arguments = ["--quiet", "--return", "--command", line, "/dev/null"];
        let mut command = self.command_of(Path::new("script"), &arguments);
        command.env("SHELL", "/bin/sh").env("TERM", "dumb").stdin(Stdio::null());
        command
    }

    /// Runs the command to its end, without input.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        start(self.command(arguments).stdin(Stdio::null())).end()
    }

    /// Starts `jackfield run` with the state folder `state` and an open standard input.
    pub(crate) fn runs(&self, arguments: &[&str]) -> Running {
        let arguments = [&["run", "--state", "state"], arguments].concat();
        start(self.command(&arguments).stdin(Stdio::piped()))
    }

    /// What the run says of itself; null when it has not said anything yet.
    pub(crate) fn status(&self) -> Value {
        self.status_in("state".as_ref())
    }

    /// The same, of another state folder.
    pub(crate) fn status_in(&self, state: &Path) -> Value {
        let ended = self.run(&["status", "--state", state.to_str().expect("UTF-8"), "--json"]);
        let value = (!ended.stdout.is_empty()).then(|| serde_json::from_str(&ended.stdout));
        value.unwrap_or(Ok(Value::Null)).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
    }

    /// How many lines a file has.
    pub(crate) fn lines(&self, name: &str) -> usize {
        self.read(name).lines().count()
    }

    #[cfg(target_os = "linux")]
    /// A shell's script in which `folder` is a disk of its own, of this size, and `$0` is the command. The disk goes with the
    /// shell. It needs the right to mount, root's or that of user namespaces.
    pub(crate) fn with_a_small_disk(&self, folder: &str, size: &str, script: &str) -> Command {
        fs::create_dir(self.path(folder)).expect("room");
        let is_root = rustix::process::geteuid().is_root();
        let script = format!("mount -t tmpfs -o size={size},mode=700 tmpfs {folder} || exit 77\n{script}");
        let cli = cli();
        let arguments =
            [if is_root { "-m" } else { "-rm" }, "sh", "-c", &script, cli.to_str().expect("UTF-8")];
        self.command_of("unshare".as_ref(), &arguments)
    }

    /// Sends `input` through standard input, with a summary in JSON.
    pub(crate) fn send(&self, input: impl Into<Vec<u8>>, arguments: &[&str]) -> Ended {
        let arguments = [&["send", "--json"], arguments].concat();
        let mut running = start(self.command(&arguments).stdin(Stdio::piped()));
        running.feed(input.into());
        running.end()
    }
}

/// The table of a backend: `rest` are further lines of it.
pub(crate) fn backend(name: &str, plugin: &Path, rest: &str) -> String {
    format!("[[backend]]\nname = {name:?}\nplugin = {plugin:?}\n{rest}\n")
}

/// The shipped plugin `file`, into a file of the site.
pub(crate) fn to_file(name: &str, path: &str) -> String {
    backend(name, &jackfield_tests::plugin("file"), &format!("config = {{ path = {path:?} }}"))
}

/// The fixture `hostile`, with the name `hostile`; `config` are the lines of its configuration.
pub(crate) fn hostile(timeout: &str, config: &str) -> String {
    let rest = format!("timeout = {timeout:?}\n[backend.config]\n{config}");
    backend("hostile", &jackfield_tests::fixture("hostile"), &rest)
}

/// A run that has not ended. One that a failing test leaves behind is killed.
pub(crate) struct Running {
    child: Child,
    started: Instant,
    stdout: Option<Collected>,
    stderr: Option<Collected>,
}

/// What a stream of a run says.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

/// Starts a run. Standard output is collected unless it is redirected after `command` was made; standard error is.
pub(crate) fn start(command: &mut Command) -> Running {
    start_with_output(command.stdout(Stdio::piped()))
}

/// Starts a run whose standard output is what `command` says.
pub(crate) fn start_with_output(command: &mut Command) -> Running {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("starts");
    let stdout = child.stdout.take().map(Collected::of);
    let stderr = child.stderr.take().map(Collected::of);
    Running { child, started: Instant::now(), stdout, stderr }
}

impl Collected {
    fn of(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&bytes);
        let read = move || {
            let mut some = [0; 8192];
            loop {
                match stream.read(&mut some).expect("readable") {
                    0 => break,
                    length => all.lock().expect("no panic").extend_from_slice(&some[..length]),
                }
            }
        };
        Self { bytes, reader: thread::Builder::new().spawn(read).expect("a thread") }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no panic")).into_owned()
    }

    /// All of it, once the stream has ended.
    fn whole(self) -> String {
        self.reader.join().expect("no panic");
        String::from_utf8(std::mem::take(&mut *self.bytes.lock().expect("no panic"))).expect("UTF-8")
    }
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes all of `input` to standard input from a thread, and closes it.
    pub(crate) fn feed(&mut self, input: Vec<u8>) {
        let mut stdin = self.child.stdin.take().expect("piped");
        // A run that ends before it has read everything is what some tests are about.
        thread::Builder::new().spawn(move || drop(stdin.write_all(&input))).expect("a thread");
    }

    pub(crate) fn stdin(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().expect("piped")
    }

    /// Sends a signal by its name, such as `INT`. The process is there: nobody has waited for its end.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Whether it still runs a moment from now.
    pub(crate) fn goes_on(&mut self) -> bool {
        assert!(self.started.elapsed() < LONG, "does not end");
        thread::sleep(Duration::from_millis(20));
        self.child.try_wait().expect("a child").is_none()
    }

    /// Waits until `condition` holds.
    pub(crate) fn until(&mut self, what: &str, mut condition: impl FnMut() -> bool) {
        wait_until(what, || {
            let ended = self.child.try_wait().expect("a child");
            let holds = condition();
            assert!(holds || ended.is_none(), "ended before {what}");
            holds
        });
    }

    /// Waits until it has said this on standard error. Gives all complete lines so far.
    pub(crate) fn until_said(&mut self, text: &str) -> String {
        self.until_said_times(text, 1)
    }

    /// Waits until it has said this so many times on standard error. Gives all complete lines so far.
    pub(crate) fn until_said_times(&mut self, text: &str, times: usize) -> String {
        let stderr = self.stderr.take().expect("collected");
        let mut said = String::new();
        self.until(text, || {
            said = stderr.so_far();
            said.truncate(said.rfind('\n').map_or(0, |end| end + 1));
            said.matches(text).count() >= times
        });
        self.stderr = Some(stderr);
        said
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        let ended = wait_for("the run ends", || self.child.try_wait().expect("a child"), Option::is_some);
        let status = ended.expect("it has ended");
        let took = self.started.elapsed();
        let text = |stream: Option<Collected>| stream.map(Collected::whole).unwrap_or_default();
        Ended {
            code: status.code(),
            stdout: text(self.stdout.take()),
            stderr: text(self.stderr.take()),
            took,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, but for a test that fails.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Ended {
    /// Fails unless the run ended with this code.
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Standard output, which is one value in JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// The summary: the last line of standard output, a JSON object that agrees about the code.
    pub(crate) fn summary(&self) -> Value {
        let last = self.stdout.lines().next_back().unwrap_or_default();
        let summary: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {self:#?}"));
        assert_eq!(summary["exit_code"].as_i64(), self.code.map(i64::from), "{self:#?}");
        summary
    }

    /// Delivered, retried, rejected, undelivered and lost events of the backend of this name.
    pub(crate) fn counts(&self, name: &str) -> [u64; 5] {
        let summary = self.summary();
        let backends = summary["backends"].as_array().expect("a list");
        let backend = backends.iter().find(|backend| backend["name"] == name).expect("in the summary");
        ["delivered", "retried", "rejected", "undelivered", "lost"]
            .map(|key| backend[key].as_u64().unwrap_or_else(|| panic!("{key}: {backend}")))
    }
}
