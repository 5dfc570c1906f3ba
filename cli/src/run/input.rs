//! Reads standard input or a FIFO, and stores each line in the spool.

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
use jackfield_loader::{
    files::{self, identity, identity_at},
    show_path,
};

use super::{
    followed,
    sink::{Counts, Sink},
    source::{BLOCK, Source, Stream, is_whole},
};
use crate::{leftovers::BadLines, log};

/// The time between two checks of a FIFO without a writer, and between two attempts to store a line without
/// room. This is polling, because the system reports neither the new writer of a FIFO nor new room on a disk.
const TICK: Duration = Duration::from_millis(50);
/// The time that the end of a run waits for a line that is being stored.
const LAST_LINES: Duration = Duration::from_millis(500);
/// A hold is printed once in this time, because a spool may be full again and again.
const QUIET: Duration = Duration::from_secs(60);

/// A message to the main thread of a run.
pub(super) enum Message {
    /// The input has ended, or can't be read.
    Ended(io::Result<()>),
    Reload,
    /// A reload is over.
    Reloaded,
    /// The first request to end.
    Stop,
}

/// The source of lines.
pub(super) enum Input {
    Stdin,
    #[cfg_attr(not(unix), expect(dead_code, reason = "Windows has no FIFO in a folder"))]
    Fifo(PathBuf),
    File(PathBuf),
}

impl Input {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stdin);
        }
        let kind = fs::metadata(path)?.file_type();
        if kind.is_file() {
            return Ok(Self::File(std::path::absolute(path)?));
        }
        #[cfg(unix)]
        if std::os::unix::fs::FileTypeExt::is_fifo(&kind) {
            return Ok(Self::Fifo(std::path::absolute(path)?));
        }
        let found = files::kind(kind);
        let refusal = format!("expected a file, a FIFO or `-`, found {found}");
        Err(io::Error::new(io::ErrorKind::InvalidInput, refusal))
    }

    fn name(&self) -> String {
        match self {
            Self::Stdin => "stdin".to_owned(),
            Self::Fifo(path) | Self::File(path) => show_path(path).to_string(),
        }
    }
}

/// The input, which a separate thread reads. Every wait for the thread is limited: it may hang in a read.
pub(super) struct InputReader {
    sink: Mutex<Sink>,
    /// The name of the input in messages.
    pub(super) name: String,
    /// While this lock is held, that of `sink` is not taken.
    progress: Mutex<Progress>,
    changed: Condvar,
}

/// The state of the thread that reads, and the request to stop.
struct Progress {
    /// Set by a request to stop reading. Until this time, lines that were read may be stored.
    stop: Option<Instant>,
    /// The thread waits for input, and has stored all lines.
    is_idle: bool,
    /// The thread waits for room.
    is_held: bool,
}

impl InputReader {
    pub(super) fn start(
        input: Input,
        forwarder: Forwarder,
        bad: BadLines,
        position: PathBuf,
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
                    Stream::stdin().and_then(|stdin| OpenInput::new(&of_thread, stdin, false).read(|| false))
                }
                Input::Fifo(path) => of_thread.fifo(&path),
                Input::File(path) => followed::Position::open(&position)
                    .and_then(|position| followed::resume(&path, position))
                    .and_then(|file| OpenInput::new(&of_thread, file, true).read(|| false)),
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

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress());
        self.changed.notify_all();
    }

    /// Waits for a change, at most for a [`TICK`].
    fn pause(&self, progress: MutexGuard<'_, Progress>) {
        drop(self.changed.wait_timeout(progress, TICK));
    }

    fn is_stopping(&self) -> bool {
        self.progress().stop.is_some()
    }

    /// Stops reading, and stores the lines that were read, even an incomplete last line. A line without room
    /// at the `deadline` is given up.
    pub(super) fn stop(&self, deadline: Instant) {
        self.update(|progress| progress.stop = Some(deadline));
        let mut progress = self.progress();
        while !progress.is_idle {
            let was_held = progress.is_held;
            // A held line compares the time with the deadline once in a tick.
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

    /// Waits for room, without a lock, so that the counts can be read. With `to_the_end` it waits until the
    /// deadline of a request to stop, else only until the request. At each attempt it calls `meanwhile` with
    /// the reason. Gives whether there is room.
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

    /// Reads a FIFO. It stays open while writers come and go, so that the system keeps the bytes of a writer
    /// that has ended. A FIFO that another one has replaced is opened again.
    #[expect(clippy::disallowed_methods, reason = "the user's input; opening it waits for the first writer")]
    fn fifo(&self, path: &Path) -> io::Result<()> {
        loop {
            let file = File::open(path)?;
            let opened = identity(&file)?;
            OpenInput::new(self, Stream::new(file), true)
                .read(|| !self.is_stopping() && identity_at(path).is_ok_and(|now| now == opened))?;
            if self.is_stopping() {
                return Ok(());
            }
            if !path.exists() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the FIFO was removed"));
            }
        }
    }
}

/// Reads one open input.
struct OpenInput<'a, S> {
    reader: &'a InputReader,
    source: S,
    /// Whether bytes that are left in the input outlive this run.
    stays: bool,
    /// When the last wait for room has ended.
    held: Option<Instant>,
}

impl<'a, S: Source> OpenInput<'a, S> {
    fn new(reader: &'a InputReader, source: S, stays: bool) -> Self {
        Self { reader, source, stays, held: None }
    }

    /// Reads until the input has ended and `goes_on` says that no more comes.
    fn read(&mut self, goes_on: impl Fn() -> bool) -> io::Result<()> {
        let reader = self.reader;
        let mut block = vec![0; BLOCK];
        loop {
            // The read does not hang while the input has an incomplete line.
            let is_idle = self.source.left() == 0;
            reader.update(|progress| progress.is_idle = is_idle);
            let found = self.source.next(&mut block, &|| reader.is_stopping());
            reader.update(|progress| progress.is_idle = false);
            let found = match found {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if reader.is_stopping() && self.source.keeps() {
                // New input stays in the pipe for the next run, unless it is a line without its line feed.
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

    /// Stores bytes, line by line, and removes them from the input. At the end of the input, a line without a
    /// line feed is stored, too. Gives whether there was room for all.
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
                // Stored lines are removed from the input now, because the run may be killed while it waits.
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

    /// Waits for room, and prints that it waits. Gives whether there is room.
    fn hold(&mut self, stays: bool) -> bool {
        let InputReader { name, .. } = self.reader;
        let mut is_told = false;
        let quiet = self.held.is_some_and(|ended| ended.elapsed() < QUIET);
        let begun = Instant::now();
        let has_room = self.reader.hold(!stays, |reason| {
            if !is_told && (!quiet || begun.elapsed() >= QUIET) {
                log::warn(format_args!(
                    "the spool takes no events: {reason}; {name} is not read until it does"
                ));
                is_told = true;
            }
        });
        self.held = Some(Instant::now());
        if has_room && is_told {
            let waited = begun.elapsed().as_secs();
            log::say(format_args!("the spool takes events again after {waited} s: {name} is read on"));
        }
        has_room
    }

    /// Counts lines that were read and not stored.
    fn give_up(&self, block: &[u8]) {
        if self.source.is_continued() {
            return;
        }
        let ended = memchr::memchr_iter(b'\n', block).count() as u64;
        let lines = ended + u64::from(block.last().is_some_and(|last| *last != b'\n'));
        let mut sink = self.reader.sink();
        let counts = sink.counts_mut();
        *(if self.source.keeps() { &mut counts.left } else { &mut counts.not_stored }) += lines;
    }
}
