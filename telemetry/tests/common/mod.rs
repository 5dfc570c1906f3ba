//! What the fault tests share: a tool in a folder of its own, backends that do as they are told, other processes.
#![allow(clippy::disallowed_methods, reason = "a test makes the files that it needs")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    env,
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jackfield::{
    Builder, Deliver, Telemetry,
    spool::{Disk, DropReason, Folder, FolderError, Fs, Limits, Spool, SpoolStats},
};
use jackfield_loader::plugin_api::{Backend, Batch, Call, Error, Host, Outcome, Outcomes, export::NoConfig};
use jackfield_test_support::{LONG, rerun, rerun_by};

/// The kind of all events here.
pub(crate) const KIND: &str = "test.event";

/// A tool with nothing outside of this folder and no environment, with the consent that is there.
pub(crate) fn builder(home: &Path) -> Builder {
    Telemetry::builder("tool", "1.2.3")
        .environment(|_: &str| None::<OsString>)
        .consent_file(home.join("config.toml"))
        .ops_file(home.join("ops.toml"))
        .data_folder(home.join("data"))
}

/// A tool that its user has consented to, whose end has more time than a tool's usually has.
pub(crate) fn tool(home: &Path) -> Builder {
    consent(home);
    tool_as_is(home)
}

/// The user's consent.
pub(crate) fn consent(home: &Path) {
    fs::write(home.join("config.toml"), "[telemetry]\nenabled = true\n").expect("writable");
}

/// The same, with the consent that is there.
pub(crate) fn tool_as_is(home: &Path) -> Builder {
    builder(home).deliver(Deliver::AtExit { within: LONG })
}

/// Its spool.
pub(crate) fn spool(home: &Path) -> Spool {
    Spool::on_disk(home.join("data/spool"), Limits::default())
}

/// How many events it lost for this reason.
pub(crate) fn dropped(stats: &SpoolStats, reason: DropReason) -> u64 {
    stats.drops.get(&reason).copied().unwrap_or(0)
}

/// Tracks events with these numbers as names.
pub(crate) fn track(telemetry: &Telemetry, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        telemetry.track(KIND, &number.to_string(), &[]);
    }
}

/// The names of these numbers.
pub(crate) fn names(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
    numbers.into_iter().map(|number| number.to_string()).collect()
}

/// A backend that does what a closure says.
#[derive(Clone)]
pub(crate) struct Scripted<F>(Arc<F>);

/// What `Builder::backend` takes.
pub(crate) fn scripted<F>(send: F) -> impl Fn() -> Scripted<F> + Send + Sync + 'static
where
    F: Fn(&Batch<'_>, &Call<'_>) -> Outcomes + Send + Sync + 'static,
{
    let send = Arc::new(send);
    move || Scripted(Arc::clone(&send))
}

impl<F: Fn(&Batch<'_>, &Call<'_>) -> Outcomes + Send + Sync + 'static> Backend for Scripted<F> {
    type Config = NoConfig;

    fn open(_: NoConfig, _: Host, _: &Call<'_>) -> Result<Self, Error> {
        Err(Error::failed("made by the test"))
    }

    fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
        (self.0)(batch, call)
    }
}

/// A backend that appends to a file: a line a send, of `id=name` for each event.
pub(crate) fn to_file(path: &Path) -> impl Fn() -> Scripted<Send0> + Send + Sync + 'static + use<> {
    let log = Log::at(path);
    let send: Send0 = Box::new(move |batch, _| {
        log.line(&ids(batch));
        Outcome::Delivered.into()
    });
    scripted(send)
}

/// A closure for [`Scripted`] that has a name.
pub(crate) type Send0 = Box<dyn Fn(&Batch<'_>, &Call<'_>) -> Outcomes + Send + Sync>;

/// A backend that never answers.
pub(crate) fn hangs() -> impl Fn() -> Scripted<Send0> + Send + Sync + 'static {
    let hang: Send0 = Box::new(|_, _| -> Outcomes {
        loop {
            thread::park();
        }
    });
    scripted(hang)
}

/// `id=name` of each event.
pub(crate) fn ids(batch: &Batch<'_>) -> String {
    let each: Vec<_> = batch.iter().map(|event| format!("{}={}", event.id(), event.name())).collect();
    each.join(" ")
}

/// A file that several processes append lines to. Each begins with a line feed and ends with a full stop, so that one that
/// was torn by a kill spoils no other.
#[derive(Clone)]
pub(crate) struct Log(Arc<File>);

impl Log {
    pub(crate) fn at(path: &Path) -> Self {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Self(Arc::new(file.unwrap_or_else(|error| panic!("{}: {error}", path.display()))))
    }

    /// In one write, so that lines of several processes stand in the order of time.
    pub(crate) fn line(&self, text: &str) {
        (&*self.0).write_all(format!("\n{text}.").as_bytes()).expect("room");
    }

    /// Each line, and whether it is whole.
    pub(crate) fn lines(path: &Path) -> Vec<(String, bool)> {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = |line: &str| match line.strip_suffix('.') {
            Some(whole) => (whole.to_owned(), true),
            None => (line.to_owned(), false),
        };
        text.split('\n').skip(1).map(line).collect()
    }
}

/// The events that arrived at a [`to_file`], as pairs of id and name, in order.
pub(crate) fn arrived(path: &Path) -> Vec<(String, String)> {
    let lines = Log::lines(path);
    let events = lines.iter().flat_map(|(line, _)| line.split(' ')).filter(|event| !event.is_empty());
    events
        .map(|event| {
            let (id, name) = event.split_once('=').expect("id=name");
            (id.to_owned(), name.to_owned())
        })
        .collect()
}

/// The names of what arrived, after a look that no id is there twice.
pub(crate) fn arrived_once(path: &Path) -> Vec<String> {
    let arrived = arrived(path);
    let mut ids: Vec<_> = arrived.iter().map(|(id, _)| id).collect();
    ids.sort_unstable();
    if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        panic!("{} arrived twice at {}", twice[0], path.display());
    }
    arrived.into_iter().map(|(_, name)| name).collect()
}

const ROLE: &str = "JACKFIELD_TEST_ROLE";
const HOME: &str = "JACKFIELD_TEST_HOME";
const NUMBER: &str = "JACKFIELD_TEST_NUMBER";

/// What this process is to do as the child of a test: role, folder and number.
pub(crate) fn role() -> (String, PathBuf, u32) {
    let role = env::var(ROLE).expect("set by the test that runs this one");
    let home = env::var_os(HOME).expect("set with the role").into();
    let number = env::var(NUMBER).expect("set with the role").parse().expect("a number");
    (role, home, number)
}

/// This test binary as another process, which runs the test `child` alone. Its output is a pipe.
pub(crate) fn child(role: &str, home: &Path, number: u32) -> Command {
    in_role(rerun("child"), role, home, number)
}

/// The same, started by another program whose arguments so far are in `command`.
pub(crate) fn child_by(command: Command, role: &str, home: &Path, number: u32) -> Command {
    in_role(rerun_by(command, "child"), role, home, number)
}

fn in_role(mut command: Command, role: &str, home: &Path, number: u32) -> Command {
    command
        .env(ROLE, role)
        .env(HOME, home)
        .env(NUMBER, number.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// A child, killed at the end of the test whatever happens.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// The machine's file system, with a clock that a test turns.
#[derive(Clone, Debug)]
pub(crate) struct Clocked(Arc<AtomicU64>);

impl Clocked {
    /// It shows the time of now.
    pub(crate) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        Self(Arc::new(AtomicU64::new(u64::try_from(now.as_millis()).expect("before the year 500,000,000"))))
    }

    pub(crate) fn forward(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as u64, Ordering::Relaxed);
    }

    pub(crate) fn back(&self, by: Duration) {
        self.0.fetch_sub(by.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Fs for Clocked {
    fn folder(&self, path: &Path, create: bool) -> Result<Arc<dyn Folder>, FolderError> {
        Disk.folder(path, create)
    }

    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn process(&self) -> u32 {
        Disk.process()
    }

    fn random(&self) -> u32 {
        Disk.random()
    }

    fn pause(&self) {
        Disk.pause();
    }
}
