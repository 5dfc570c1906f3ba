//! `jackfield run`, killed again and again while events come, and a count of what has arrived.

mod destination;

use std::{
    collections::{HashSet, hash_map::RandomState},
    fs::{self, File},
    hash::{BuildHasher as _, Hasher as _},
    io::Write as _,
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use jackfield_test_support::{wait_for, wait_until};

pub use self::destination::Destination;
use crate::{
    events::{event, id},
    isolated_command,
};

/// The greatest number of events in a batch of `jackfield run`.
pub const BATCH_EVENTS: usize = 1000;
/// The greatest number of bytes that `jackfield run` stores before it takes them out of a pipe.
const INPUT_BLOCK: usize = 64 * 1024;

/// Every other run is killed at most so long after its start, and the others so long after they have delivered so many
/// batches.
const LONGEST_RUN_MS: u64 = 400;
const BATCHES: usize = 5;
/// The writer writes so many lines, then it pauses.
const BURST: usize = 50;
const PAUSE: Duration = Duration::from_millis(5);

/// From where a run of a kill loop reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input, which is a pipe.
    Pipe,
    /// A FIFO.
    Fifo,
}

impl Input {
    /// The reading and the writing end.
    fn open(self, folder: &Path) -> (File, File) {
        match self {
            Self::Pipe => {
                let (reading, writing) = std::io::pipe().expect("a pipe");
                (OwnedFd::from(reading).into(), OwnedFd::from(writing).into())
            }
            Self::Fifo => {
                let path = folder.join("fifo");
                assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
                let both = File::options().read(true).write(true).open(path).expect("it is there");
                (both.try_clone().expect("a handle"), both)
            }
        }
    }
}

/// What a kill loop has found. All numbers count events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Written to the run.
    pub written: usize,
    /// Written and not arrived.
    pub lost: usize,
    /// Sent again: they arrived with an id that had arrived before.
    pub sent_again: usize,
    /// Read again: they arrived with another id than before, because a run had stored a line and not taken it out of the
    /// pipe when it was killed.
    pub read_again: usize,
}

/// The greatest number of lines of a writer of the kill loop that a kill makes the next run read again.
#[must_use]
pub fn lines_of_a_block() -> usize {
    INPUT_BLOCK / line(0).len() + 1
}

/// A numbered event without an id, so that each reading of the line gives it a new one.
fn line(number: usize) -> String {
    event(number).replacen(&format!(r#""id":"{}","#, id(number)), "", 1) + "\n"
}

/// Starts `program`, which is `jackfield`, in an empty folder, lets it read numbered events, and kills it at
/// random moments, each time with another run after it. The last run delivers what is left. On average, a kill may have at
/// most [`BATCH_EVENTS`] sent again, and [`lines_of_a_block`] read again.
///
/// # Panics
/// When a run ends by itself, or when the last one can't deliver everything.
#[must_use]
pub fn kill_loop(
    program: &Path,
    plugin: &Path,
    input: Input,
    destination: Destination,
    kills: usize,
) -> Found {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let config = format!("[[backend]]\nplugin = {plugin:?}\n[backend.config]\n{}", destination.options());
    fs::write(folder.join("config.toml"), config).expect("writable");
    // This process has the reading end open as well: the lines in the pipe outlive each run.
    let (reading, output) = input.open(folder);
    let arguments = ["run", "--state", "state", "--grace", "100s", "fifo"];
    let start = || {
        let messages = File::options().create(true).append(true).open(folder.join("messages"));
        let (arguments, stdin) = match input {
            Input::Pipe => (&arguments[..5], reading.try_clone().expect("a handle").into()),
            Input::Fifo => (&arguments[..], Stdio::null()),
        };
        isolated_command(program, folder, arguments)
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(messages.expect("writable"))
            .spawn()
            .expect("starts")
    };
    let messages = || fs::read_to_string(folder.join("messages")).unwrap_or_default();
    let is_over = Arc::new(AtomicBool::new(false));
    let writer = thread::Builder::new()
        .spawn({
            let is_over = Arc::clone(&is_over);
            move || write(output, &is_over)
        })
        .expect("a thread");
    for kill in 1..=kills {
        let enough = destination.count() + BATCHES * BATCH_EVENTS;
        let mut running = start();
        if kill % 2 == 0 {
            wait_until("the run delivers several batches", || {
                assert!(running.try_wait().expect("a child").is_none(), "a run has ended: {}", messages());
                destination.count() >= enough
            });
        }
        thread::sleep(Duration::from_millis(random() % LONGEST_RUN_MS));
        running.kill().expect("a child");
        let status = running.wait().expect("a child");
        assert_eq!(status.code(), None, "a run has ended before its kill: {}", messages());
    }
    is_over.store(true, Ordering::Release);
    // The pipe may be full, so a run has to read while the writer ends.
    let mut last = start();
    let written = writer.join().expect("no panic");
    if input == Input::Fifo {
        // Its end is not the end of the run.
        wait_until("all has arrived", || destination.different() == written);
        let told = Command::new("kill").args(["-s", "TERM", &last.id().to_string()]).status();
        assert!(told.expect("kill runs").success());
    }
    let code = ended(&mut last);
    assert_eq!(code, Some(0), "the last run: {}", messages());
    count(written, destination)
}

/// Writes events until it is over. Gives how many, and closes the pipe.
fn write(mut output: File, is_over: &AtomicBool) -> usize {
    let mut number = 0;
    while !is_over.load(Ordering::Acquire) {
        for _ in 0..BURST {
            // In one write, so that the line is whole in the pipe or not there.
            output.write_all(line(number).as_bytes()).expect("there is a reader");
            number += 1;
        }
        thread::sleep(PAUSE);
    }
    number
}

fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn ended(child: &mut Child) -> Option<i32> {
    let status = wait_for("the last run ends", || child.try_wait().expect("a child"), Option::is_some);
    status.expect("it has ended").code()
}

/// Counts what has arrived.
fn count(written: usize, destination: Destination) -> Found {
    let (mut names, mut ids) = (HashSet::new(), HashSet::new());
    let (mut sent_again, mut read_again) = (0, 0);
    for arrival in destination.take() {
        if !ids.insert(arrival.id) {
            sent_again += 1;
        } else if !names.insert(arrival.name) {
            read_again += 1;
        }
    }
    Found { written, lost: written - names.len(), sent_again, read_again }
}
