//! Reads standard input or a FIFO, and puts each line into the spool.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc::Sender},
    thread,
    time::{Duration, Instant},
};

use jackfield::forward::Forwarder;
use jackfield::spool::DropReason;
use jackfield_loader::show_path;

use super::{
    message::Message,
    sink::{Counts, Sink},
    source::{BLOCK, Source},
};
use crate::{leftovers::bad_lines::BadLines, log};

/// The pause between two looks at a FIFO without a writer, and between two attempts to store a line without room. Polling:
/// the system reports neither that a FIFO has a new writer nor that a disk has room again.
const TICK: Duration = Duration::from_millis(50);
/// How long the end waits for a line that is being stored.
const LAST_LINES: Duration = Duration::from_millis(500);
/// How soon a lack of room is printed again. With a backend that is too slow, the spool has room from time to time.
const QUIET: Duration = Duration::from_secs(60);

/// Where lines come from.
pub(super) enum Input {
    Stdin,
    Fifo(PathBuf),
}

impl Input {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stdin);
        }
        let kind = fs::metadata(path)?.file_type();
        #[cfg(unix)]
        if std::os::unix::fs::FileTypeExt::is_fifo(&kind) {
            return Ok(Self::Fifo(std::path::absolute(path)?));
        }
        let what = if kind.is_file() { "a regular file: `jackfield send` takes one" } else { "no FIFO" };
        Err(io::Error::new(io::ErrorKind::InvalidInput, format!("expected a FIFO or `-`, found {what}")))
    }

    fn name(&self) -> String {
        match self {
            Self::Stdin => "stdin".to_owned(),
            Self::Fifo(path) => show_path(path).to_string(),
        }
    }
}

/// Reads on a thread of its own. Every wait for that thread has a limit: the thread may hang in a read.
pub(super) struct InputReader {
    sink: Mutex<Sink>,
    name: String,
    /// No lock of the sink is taken while this one is held.
    progress: Mutex<Progress>,
    changed: Condvar,
}

/// The state of the thread that reads, and the request to it.
struct Progress {
    /// Set once nothing more is to be read: until then, lines that were read may still be stored.
    stop: Option<Instant>,
    /// Whether it waits for input, and has no line that is not stored.
    is_idle: bool,
    /// Whether it waits for room.
    is_held: bool,
}

impl InputReader {
    pub(super) fn start(
        input: Input,
        forwarder: Forwarder,
        bad: BadLines,
        sender: Sender<Message>,
    ) -> io::Result<Arc<Self>> {
        let reader = Arc::new(Self {
            sink: Mutex::new(Sink::new(forwarder, bad)),
            name: input.name(),
            progress: Mutex::new(Progress { stop: None, is_idle: true, is_held: false }),
            changed: Condvar::new(),
        });
        let of_thread = Arc::clone(&reader);
        thread::Builder::new().name("jackfield-input".to_owned()).spawn(move || {
            let result = match input {
                Input::Stdin => {
                    Source::stdin().and_then(|stdin| OpenInput::new(&of_thread, stdin, false).read(|| false))
                }
                Input::Fifo(path) => of_thread.fifo(&path),
            };
            of_thread.update(|progress| progress.is_idle = true);
            let _ = sender.send(Message::Ended(result));
        })?;
        Ok(reader)
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> Counts {
        self.sink().counts()
    }

    /// What people call the input.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress());
        self.changed.notify_all();
    }

    /// Waits for a change, and at most for a tick.
    fn pause(&self, progress: MutexGuard<'_, Progress>) {
        drop(self.changed.wait_timeout(progress, TICK));
    }

    fn is_stopping(&self) -> bool {
        self.progress().stop.is_some()
    }

    /// Stops reading, and stores the lines that were read last, an incomplete line included. A line without room at the
    /// `deadline` is given up.
    pub(super) fn stop(&self, deadline: Instant) {
        self.update(|progress| progress.stop = Some(deadline));
        let mut progress = self.progress();
        while !progress.is_idle {
            let was_held = progress.is_held;
            // A held line compares the time with the deadline once a tick. Room for one line is room for others, too.
            let until = if was_held { deadline + 2 * TICK } else { Instant::now() + LAST_LINES };
            let left = until.saturating_duration_since(Instant::now());
            let (now, waited) =
                self.changed.wait_timeout(progress, left).unwrap_or_else(PoisonError::into_inner);
            progress = now;
            if waited.timed_out() && progress.is_held == was_held {
                break;
            }
        }
        drop(progress);
        let room = self.sink().end_line();
        if !room && !self.hold(true, |_| ()) {
            self.sink().counts_mut().not_stored += 1;
        }
        self.sink().finish();
    }

    /// Waits for room. It holds no lock, so that the status can be read. With `to_the_end` it waits until the deadline of a
    /// request to end, else only until the request. It calls `meanwhile` with the reason at each attempt. Gives whether there
    /// is room.
    fn hold(&self, to_the_end: bool, mut meanwhile: impl FnMut(DropReason)) -> bool {
        self.update(|progress| progress.is_held = true);
        let mut has_room = true;
        while let Some((reason, _)) = self.counts().held {
            meanwhile(reason);
            let progress = self.progress();
            if progress.stop.is_some_and(|deadline| !to_the_end || Instant::now() >= deadline) {
                has_room = false;
                break;
            }
            self.pause(progress);
            self.sink().again();
        }
        self.update(|progress| progress.is_held = false);
        has_room
    }

    /// Keeps the reading end open while writers come and go, so that the system keeps the bytes of a writer that is gone.
    /// Opens a FIFO again when another one has replaced it.
    #[expect(
        clippy::disallowed_methods,
        reason = "what the user names as input, whose first writer is waited for"
    )]
    fn fifo(&self, path: &Path) -> io::Result<()> {
        loop {
            let file = File::open(path)?;
            let opened = identity(&file.metadata()?);
            OpenInput::new(self, Source::new(file), true).read(|| {
                !self.is_stopping() && fs::metadata(path).is_ok_and(|now| identity(&now) == opened)
            })?;
            if self.is_stopping() {
                return Ok(());
            }
            if !path.exists() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the FIFO was removed"));
            }
        }
    }
}

/// What reads one open input.
struct OpenInput<'a> {
    reader: &'a InputReader,
    source: Source,
    /// Whether what is left in the input outlives this run.
    stays: bool,
    /// When it last waited for room.
    held: Option<Instant>,
}

impl<'a> OpenInput<'a> {
    fn new(reader: &'a InputReader, source: Source, stays: bool) -> Self {
        Self { reader, source, stays, held: None }
    }

    /// Reads until the input has ended and `goes_on` says that no more comes.
    fn read(&mut self, goes_on: impl Fn() -> bool) -> io::Result<()> {
        let reader = self.reader;
        let mut block = vec![0; BLOCK];
        loop {
            // While the input has an incomplete line, the read does not hang.
            let is_idle = self.source.left() == 0;
            reader.update(|progress| progress.is_idle = is_idle);
            let found = self.source.next(&mut block, || reader.is_stopping());
            reader.update(|progress| progress.is_idle = false);
            let found = match found {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if reader.is_stopping() && self.source.keeps() {
                // New input stays where it is, for the next run, unless it is a line that lacks only its line feed.
                let is_line = is_whole(&block[..found.len]);
                return if is_line { self.feed(&block[..found.len], true).map(drop) } else { Ok(()) };
            }
            let lines = memchr::memrchr(b'\n', &block[..found.len]).map_or(0, |at| at + 1);
            let part = found.end || !self.source.keeps() || (lines == 0 && found.full);
            let goes_well = self.feed(&block[..if part { found.len } else { lines }], found.end)?;
            reader.sink().flush();
            if reader.is_stopping() || !goes_well {
                return Ok(());
            }
            if found.end && found.len == 0 {
                if !goes_on() {
                    return Ok(());
                }
                reader.update(|progress| progress.is_idle = true);
                reader.pause(reader.progress());
            }
        }
    }

    /// Stores bytes, one line at a time, and takes them out of the input. At the end of the input, a line without a line feed
    /// is stored, too. Gives whether there was room for all.
    fn feed(&mut self, block: &[u8], at_end: bool) -> io::Result<bool> {
        let (mut done, mut taken) = (0, 0);
        while done < block.len() || at_end {
            let end = memchr::memchr(b'\n', &block[done..]).map_or(block.len(), |at| done + at + 1);
            let is_last = end == block.len();
            let (has_begun, room) = {
                let mut sink = self.reader.sink();
                (sink.has_begun(), sink.take(&block[done..end]) && (!at_end || !is_last || sink.end_line()))
            };
            if !room {
                // The lines that are stored leave the input now, in case the run is killed while it waits.
                self.source.take(done - taken)?;
                taken = done;
                let is_there = self.source.keeps() && !has_begun;
                if !self.hold(is_there && self.stays) {
                    if !is_there {
                        self.reader.sink().counts_mut().not_stored += 1;
                        self.source.take(end - taken)?;
                        done = end;
                    }
                    self.give_up(&block[done..]);
                    return Ok(false);
                }
            }
            done = end;
            if is_last {
                break;
            }
        }
        self.source.take(block.len() - taken)?;
        Ok(true)
    }

    /// Waits for room, and prints that it does. Gives whether there is room.
    fn hold(&mut self, stays: bool) -> bool {
        let InputReader { name, .. } = self.reader;
        let mut is_told = false;
        let quiet = self.held.is_some_and(|ended| ended.elapsed() < QUIET);
        let begun = Instant::now();
        let tell = |reason| {
            log::warn(format_args!(
                "the spool has no room: {reason}; {name} is not read until there is room"
            ));
        };
        let has_room = self.reader.hold(!stays, |reason| {
            if !is_told && (!quiet || begun.elapsed() >= QUIET) {
                tell(reason);
                is_told = true;
            }
        });
        self.held = Some(Instant::now());
        if has_room && is_told {
            log::say(&format!(
                "there is room again after {} s: {name} is read on",
                begun.elapsed().as_secs()
            ));
        }
        has_room
    }

    /// Counts the lines that were seen and not stored.
    fn give_up(&self, block: &[u8]) {
        let ended = memchr::memchr_iter(b'\n', block).count() as u64;
        let lines = ended + u64::from(block.last().is_some_and(|last| *last != b'\n'));
        let mut sink = self.reader.sink();
        let counts = sink.counts_mut();
        *(if self.source.keeps() { &mut counts.left } else { &mut counts.not_stored }) += lines;
    }
}

/// Whether text without a line feed is a complete line: nothing can follow the end of a JSON object.
fn is_whole(line: &[u8]) -> bool {
    !line.contains(&b'\n') && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok()
}

#[cfg(unix)]
fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_metadata: &fs::Metadata) -> (u64, u64) {
    (0, 0)
}
