//! Standard input or a FIFO, line by line into the spool.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    thread,
    time::{Duration, Instant},
};

use jackfield::forward::Forwarder;
use jackfield::spool::DropReason;

use super::{
    message::Message,
    sink::{Counts, Sink},
    source::{BLOCK, Source},
};
use crate::{console, leftovers::bad_lines::BadLines};

/// Between two looks at a FIFO that nobody writes to, or for room.
const TICK: Duration = Duration::from_millis(50);
/// How long a line that is being stored is waited for at the end.
const LAST_LINES: Duration = Duration::from_millis(500);
/// How soon a lack of room is told again. Beside a backend that is too slow the spool has room now and then.
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

    pub(super) fn name(&self) -> String {
        match self {
            Self::Stdin => "stdin".to_owned(),
            Self::Fifo(path) => path.display().to_string(),
        }
    }
}

/// Reads on a thread of its own, which is never waited for without end: it may hang in a read.
pub(super) struct Pump {
    sink: Mutex<Sink>,
    /// What people call the input.
    name: String,
    /// Until when what was read may be stored, once nothing more is to be read.
    stop: OnceLock<Instant>,
    /// Whether it waits for more, with nothing in its hands.
    idle: AtomicBool,
}

/// When what waited for room does not any more.
enum Held {
    /// There was room.
    Stored,
    /// The end has come first.
    GivenUp,
}

impl Pump {
    pub(super) fn start(
        input: Input,
        forwarder: Forwarder,
        bad: BadLines,
        sender: Sender<Message>,
    ) -> io::Result<Arc<Self>> {
        let pump = Arc::new(Self {
            sink: Mutex::new(Sink::new(forwarder, bad)),
            name: input.name(),
            stop: OnceLock::new(),
            idle: AtomicBool::new(true),
        });
        let of_thread = Arc::clone(&pump);
        thread::Builder::new().name("jackfield-input".to_owned()).spawn(move || {
            let result = match input {
                Input::Stdin => {
                    Source::stdin().and_then(|stdin| Reader::new(&of_thread, stdin, false).read(|| false))
                }
                Input::Fifo(path) => of_thread.fifo(&path),
            };
            of_thread.idle.store(true, Ordering::SeqCst);
            let _ = sender.send(Message::Ended(result));
        })?;
        Ok(pump)
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> Counts {
        self.sink().counts()
    }

    fn is_stopping(&self) -> bool {
        self.stop.get().is_some()
    }

    /// Takes nothing more, and what has been read last, a line without its end included. What there is no room for until
    /// `deadline` is given up.
    pub(super) fn stop(&self, deadline: Instant) {
        let deadline = *self.stop.get_or_init(|| deadline);
        let mut last_lines = Instant::now() + LAST_LINES;
        while !self.idle.load(Ordering::SeqCst) {
            let now = Instant::now();
            let is_held = self.counts().held.is_some();
            if is_held {
                // When there is room for one line, there is for others.
                last_lines = now + LAST_LINES;
            }
            // What is held looks at the time once a tick.
            if now >= if is_held { deadline + 2 * TICK } else { last_lines } {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let room = self.sink().end_line();
        if !room && matches!(self.hold(true, |_| ()), Held::GivenUp) {
            self.sink().counts_mut().not_stored += 1;
        }
        self.sink().finish();
    }

    /// Waits for room, without a lock, so that whoever asks how it goes is answered. With `to_the_end` a request to end
    /// leaves it its time. `meanwhile` is told the reason again and again.
    fn hold(&self, to_the_end: bool, mut meanwhile: impl FnMut(DropReason)) -> Held {
        while let Some((reason, _)) = self.counts().held {
            meanwhile(reason);
            if self.stop.get().is_some_and(|deadline| !to_the_end || Instant::now() >= *deadline) {
                return Held::GivenUp;
            }
            thread::sleep(TICK);
            self.sink().again();
        }
        Held::Stored
    }

    /// The reading end stays open while writers come and go: what one writes before another has come is then kept by the
    /// system. A FIFO that was replaced is opened anew.
    fn fifo(&self, path: &Path) -> io::Result<()> {
        loop {
            let file = File::open(path)?;
            let opened = identity(&file.metadata()?);
            Reader::new(self, Source::new(file), true).read(|| {
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
struct Reader<'a> {
    pump: &'a Pump,
    source: Source,
    /// Whether what is left in the input outlives this run.
    stays: bool,
    /// When it had last waited for room.
    held: Option<Instant>,
}

impl<'a> Reader<'a> {
    fn new(pump: &'a Pump, source: Source, stays: bool) -> Self {
        Self { pump, source, stays, held: None }
    }

    /// Until there is no more, and `goes_on` does not say that more may come.
    fn read(&mut self, goes_on: impl Fn() -> bool) -> io::Result<()> {
        let pump = self.pump;
        let mut block = vec![0; BLOCK];
        loop {
            // With the beginning of a line in the input it does not hang.
            pump.idle.store(self.source.left() == 0, Ordering::SeqCst);
            let found = self.source.next(&mut block, || pump.is_stopping());
            pump.idle.store(false, Ordering::SeqCst);
            let found = match found {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if pump.is_stopping() && self.source.keeps() {
                // What comes now stays where it is, for the next run, unless it is but a line feed short.
                let is_line = is_whole(&block[..found.len]);
                return if is_line { self.feed(&block[..found.len], true).map(drop) } else { Ok(()) };
            }
            let lines = memchr::memrchr(b'\n', &block[..found.len]).map_or(0, |at| at + 1);
            let part = found.end || !self.source.keeps() || (lines == 0 && found.full);
            let goes_well = self.feed(&block[..if part { found.len } else { lines }], found.end)?;
            pump.sink().flush();
            if pump.is_stopping() || !goes_well {
                return Ok(());
            }
            if found.end && found.len == 0 {
                if !goes_on() {
                    return Ok(());
                }
                pump.idle.store(true, Ordering::SeqCst);
                thread::sleep(TICK);
            }
        }
    }

    /// Stores bytes, a line at a time, and takes them out of the input; at the `end` of it, a line without a line feed too.
    /// Gives whether there was room for all.
    fn feed(&mut self, block: &[u8], at_end: bool) -> io::Result<bool> {
        let (mut done, mut taken) = (0, 0);
        while done < block.len() || at_end {
            let end = memchr::memchr(b'\n', &block[done..]).map_or(block.len(), |at| done + at + 1);
            let is_last = end == block.len();
            let (has_begun, room) = {
                let mut sink = self.pump.sink();
                (sink.has_begun(), sink.take(&block[done..end]) && (!at_end || !is_last || sink.end_line()))
            };
            if !room {
                // A run that is killed while it waits leaves nothing behind that is stored.
                self.source.take(done - taken)?;
                taken = done;
                let is_there = self.source.keeps() && !has_begun;
                if !self.hold(is_there && self.stays) {
                    if !is_there {
                        self.pump.sink().counts_mut().not_stored += 1;
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

    /// Waits for room, and says so. Gives whether there is some.
    fn hold(&mut self, stays: bool) -> bool {
        let Pump { name, .. } = self.pump;
        let mut is_told = false;
        let quiet = self.held.is_some_and(|ended| ended.elapsed() < QUIET);
        let begun = Instant::now();
        let tell = |reason| {
            console::warn(format_args!(
                "no room for what is read: {reason}; {name} is held back until there is some"
            ));
        };
        let held = self.pump.hold(!stays, |reason| {
            if !is_told && (!quiet || begun.elapsed() >= QUIET) {
                tell(reason);
                is_told = true;
            }
        });
        self.held = Some(Instant::now());
        let stored = matches!(held, Held::Stored);
        if stored && is_told {
            console::say(&format!(
                "there is room again after {} s: {name} is read on",
                begun.elapsed().as_secs()
            ));
        }
        stored
    }

    /// Notes what was seen and not stored.
    fn give_up(&self, block: &[u8]) {
        let ended = memchr::memchr_iter(b'\n', block).count() as u64;
        let lines = ended + u64::from(block.last().is_some_and(|last| *last != b'\n'));
        let mut sink = self.pump.sink();
        let counts = sink.counts_mut();
        *(if self.source.keeps() { &mut counts.left } else { &mut counts.not_stored }) += lines;
    }
}

/// Whether what has no line feed yet is a line all the same: nothing can follow the end of an object.
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
