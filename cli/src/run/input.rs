//! Standard input or a FIFO, line by line into the spool.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    thread,
    time::{Duration, Instant},
};

use jackfield::{Error, Forwarder, Line, Lines};

use super::{Message, source::Source};
use crate::{console, send::bad_lines::BadLines};

/// Bytes of a read. As much as a pipe holds.
const BLOCK: usize = 64 * 1024;
/// Between two looks at a FIFO that nobody writes to.
const TICK: Duration = Duration::from_millis(50);
/// How many lines that are not events are kept in a file: the input never ends, a disk does.
const KEPT: u64 = 10_000;

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

/// What has been read so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) lines: u64,
    pub(super) events: u64,
    pub(super) bad: u64,
    pub(super) not_stored: u64,
}

/// What becomes of a line.
struct Sink {
    lines: Lines,
    forwarder: Forwarder,
    bad: BadLines,
    counts: Counts,
}

/// Reads on a thread of its own, which is never waited for: it may hang in a read.
pub(super) struct Pump {
    sink: Mutex<Sink>,
    stop: AtomicBool,
    /// Whether it waits for more, with nothing in its hands.
    idle: AtomicBool,
}

impl Pump {
    pub(super) fn start(
        input: Input,
        forwarder: Forwarder,
        bad: BadLines,
        sender: Sender<Message>,
    ) -> io::Result<Arc<Self>> {
        let sink = Mutex::new(Sink { lines: Lines::new(), forwarder, bad, counts: Counts::default() });
        let pump = Arc::new(Self { sink, stop: AtomicBool::new(false), idle: AtomicBool::new(true) });
        let of_thread = Arc::clone(&pump);
        thread::Builder::new().name("jackfield-input".to_owned()).spawn(move || {
            let result = match input {
                Input::Stdin => Source::stdin().and_then(|mut stdin| of_thread.read(&mut stdin, || false)),
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
        let sink = self.sink();
        Counts { lines: sink.lines.count(), bad: sink.bad.count, ..sink.counts }
    }

    /// Takes nothing more, and what has been read last, a line without its end included.
    pub(super) fn stop(&self, within: Duration) {
        self.stop.store(true, Ordering::SeqCst);
        let deadline = Instant::now() + within;
        while !self.idle.load(Ordering::SeqCst) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
        let mut sink = self.sink();
        sink.end_line();
        sink.bad.finish();
    }

    /// Until the input ends, or `at_end` says that there is no more to come.
    fn read(&self, source: &mut Source, goes_on: impl Fn() -> bool) -> io::Result<()> {
        let mut block = vec![0; BLOCK];
        loop {
            self.idle.store(true, Ordering::SeqCst);
            let read = source.next(&mut block);
            self.idle.store(false, Ordering::SeqCst);
            match read {
                // What comes now stays where it is, for the next run.
                _ if self.stop.load(Ordering::SeqCst) && !matches!(read, Ok(1..)) => return Ok(()),
                Ok(0) => {
                    self.sink().end_line();
                    if !goes_on() {
                        return Ok(());
                    }
                    self.idle.store(true, Ordering::SeqCst);
                    thread::sleep(TICK);
                }
                Ok(len) => {
                    self.sink().block(&block[..len]);
                    source.stored()?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.stop.load(Ordering::SeqCst) {
                return Ok(());
            }
        }
    }

    /// The reading end stays open while writers come and go: what one writes before another has come is then kept by the
    /// system. A FIFO that was replaced is opened anew.
    fn fifo(&self, path: &Path) -> io::Result<()> {
        loop {
            let file = File::open(path)?;
            let opened = identity(&file.metadata()?);
            self.read(&mut Source::new(file), || {
                !self.stop.load(Ordering::SeqCst)
                    && fs::metadata(path).is_ok_and(|now| identity(&now) == opened)
            })?;
            if self.stop.load(Ordering::SeqCst) {
                return Ok(());
            }
            if !path.exists() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the FIFO was removed"));
            }
        }
    }
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

impl Sink {
    fn block(&mut self, block: &[u8]) {
        let Self { lines, forwarder, bad, counts } = self;
        lines.feed(block, |number, line| take(forwarder, bad, counts, number, &line));
        bad.flush();
    }

    fn end_line(&mut self) {
        let Self { lines, forwarder, bad, counts } = self;
        lines.finish(|number, line| take(forwarder, bad, counts, number, &line));
        bad.flush();
    }
}

fn take(forwarder: &mut Forwarder, bad: &mut BadLines, counts: &mut Counts, number: u64, line: &Line<'_>) {
    let Line::Whole(bytes) = line else {
        if bad.count < KEPT {
            bad.piece(number, line);
        } else if matches!(line, Line::TooLong(_)) {
            bad.count += 1;
        }
        return;
    };
    match forwarder.push(bytes) {
        Ok(event) => counts.events += u64::from(event),
        Err(Error::Event { .. }) if bad.count >= KEPT => bad.count += 1,
        Err(reason @ Error::Event { .. }) => bad.bad(number, bytes, &reason),
        Err(error) => {
            counts.not_stored += 1;
            if counts.not_stored == 1 {
                console::error(format_args!("line {number}: {error}; further ones are counted"));
            }
        }
    }
}
