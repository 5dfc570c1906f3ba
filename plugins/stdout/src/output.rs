//! Writes one batch at a time to a stream, in one write, and counts the complete events when a write stops half-way.

use std::{
    io::{self, ErrorKind, Write},
    thread,
    time::Duration,
};

use jackfield_plugin_api::{Error, Outcome, Outcomes};

/// The pause between two writes while a reader keeps a non-blocking stream full. The
/// plugin has no crate that could wait for it.
const PAUSE: Duration = Duration::from_millis(5);

/// The wait that the host is asked for when the reader is gone: longer than any run, so that no run waits.
const READER_GONE: Duration = Duration::from_secs(24 * 60 * 60);

/// A larger buffer than this is freed after its batch.
const KEPT_BYTES: usize = 1 << 20;

/// The text of a batch, and the end of each of its events.
#[derive(Default)]
pub(crate) struct Output {
    buffer: Vec<u8>,
    ends: Vec<usize>,
    /// Whether the stream ends in the middle of an event, whose rest will never come.
    torn: bool,
}

impl Output {
    /// Appends one event, which `write` writes, and a line feed.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.torn && self.buffer.is_empty() {
            self.buffer.push(b'\n');
        }
        write(&mut self.buffer);
        self.buffer.push(b'\n');
        self.ends.push(self.buffer.len());
    }

    /// An empty output that continues after this one on the stream.
    pub(crate) fn after(&self) -> Self {
        Self { torn: self.torn, ..Self::default() }
    }

    /// All that was pushed.
    pub(crate) fn pushed(&self) -> &[u8] {
        &self.buffer
    }

    /// Writes all that was pushed, clears it, and returns the outcome of each event. A stream that is full for the
    /// moment is tried again while `go_on` allows.
    pub(crate) fn write_to(&mut self, stream: &mut impl Write, go_on: impl Fn() -> bool) -> Outcomes {
        let (written, result) = write_counted(stream, &self.buffer, go_on);
        let arrived = self.ends.partition_point(|&end| end <= written);
        let outcomes = match result {
            Ok(()) => Outcomes::All(Outcome::Delivered),
            Err(error) => {
                let mut outcomes = vec![Outcome::Delivered; arrived];
                outcomes.resize(self.ends.len(), refusal(&error));
                Outcomes::Each(outcomes)
            }
        };
        // The line feed at the beginning of this batch has ended the incomplete event.
        let mended = usize::from(self.torn);
        let boundary = arrived.checked_sub(1).map_or(mended, |last| self.ends[last]);
        self.torn = written != boundary;
        self.ends.clear();
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BYTES);
        outcomes
    }
}

fn refusal(error: &io::Error) -> Outcome {
    match error.kind() {
        ErrorKind::BrokenPipe => Outcome::Retry {
            after: Some(READER_GONE),
            reason: "the reader of standard output is gone".into(),
        },
        ErrorKind::WouldBlock => Outcome::retry("the reader of standard output does not keep up"),
        _ => Outcome::retry(format!("standard output: {error}")),
    }
}

/// Writes `bytes`. The error says how many of them have arrived.
fn write_counted(stream: &mut impl Write, bytes: &[u8], go_on: impl Fn() -> bool) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock && go_on() => thread::sleep(PAUSE),
            Err(error) => return (written, Err(error)),
        }
    }
    (written, stream.flush())
}

/// Fails when the process has no standard output.
pub(crate) fn check() -> Result<(), Error> {
    #[cfg(unix)]
    raw(&io::stdout().lock()).map_err(|error| Error::failed(format!("standard output: {error}")))?;
    Ok(())
}

/// Hands `write` the standard output, locked against this library's other instances.
#[cfg(unix)]
pub(crate) fn with_stdout(write: impl FnOnce(&mut std::fs::File) -> Outcomes) -> Outcomes {
    let stdout = io::stdout().lock();
    match raw(&stdout) {
        Ok(mut file) => write(&mut file),
        Err(error) => Outcomes::All(Outcome::retry(format!("standard output: {error}"))),
    }
}

/// The stream without `std`'s buffer. The buffer would hide how much of a batch has arrived, and that the stream is
/// closed.
#[cfg(unix)]
fn raw(stdout: &io::StdoutLock<'_>) -> io::Result<std::fs::File> {
    use std::os::fd::AsFd as _;
    Ok(stdout.as_fd().try_clone_to_owned()?.into())
}

/// Passes standard output to `write`, locked against other instances of this library. `std` writes to it in the form
/// that a console needs.
#[cfg(not(unix))]
pub(crate) fn with_stdout(write: impl FnOnce(&mut io::StdoutLock<'static>) -> Outcomes) -> Outcomes {
    write(&mut io::stdout().lock())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts `steps[i]` bytes at the `i`th write, then everything.
    #[derive(Default)]
    struct Stream {
        steps: Vec<io::Result<usize>>,
        taken: Vec<u8>,
        writes: usize,
    }

    impl Stream {
        fn with(steps: Vec<io::Result<usize>>) -> Self {
            Self { steps, ..Self::default() }
        }

        fn text(&self) -> &str {
            std::str::from_utf8(&self.taken).expect("UTF-8")
        }
    }

    impl Write for Stream {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.writes += 1;
            let count = if self.steps.is_empty() { Ok(bytes.len()) } else { self.steps.remove(0) }?;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn send(output: &mut Output, stream: &mut Stream, lines: &[&str]) -> Vec<Outcome> {
        for line in lines {
            output.push(|buffer| buffer.extend_from_slice(line.as_bytes()));
        }
        match output.write_to(stream, || true) {
            Outcomes::All(outcome) => vec![outcome; lines.len()],
            Outcomes::Each(outcomes) => outcomes,
            Outcomes::Reported => panic!("nothing is reported on the way"),
        }
    }

    fn full() -> io::Error {
        ErrorKind::StorageFull.into()
    }

    #[test]
    fn a_batch_is_one_write() {
        let (mut output, mut stream) = (Output::default(), Stream::default());
        assert_eq!(send(&mut output, &mut stream, &["a", "b"]), [Outcome::Delivered, Outcome::Delivered]);
        assert_eq!((stream.text(), stream.writes), ("a\nb\n", 1));
        assert_eq!(send(&mut output, &mut stream, &["c"]), [Outcome::Delivered]);
        assert_eq!((stream.text(), stream.writes), ("a\nb\nc\n", 2));
    }

    #[test]
    fn events_after_the_end_of_the_reader_wait_a_day() {
        let mut stream = Stream::with(vec![Ok(2), Err(ErrorKind::BrokenPipe.into())]);
        let outcomes = send(&mut Output::default(), &mut stream, &["a", "b", "c"]);
        assert_eq!(outcomes[0], Outcome::Delivered);
        for outcome in &outcomes[1..] {
            let Outcome::Retry { after: Some(after), reason } = outcome else { panic!("{outcome:?}") };
            assert_eq!(reason, "the reader of standard output is gone");
            assert!(*after > Duration::from_secs(60 * 60), "no run waits for it: {after:?}");
        }
    }

    #[test]
    fn events_before_a_failure_are_delivered() {
        let mut stream = Stream::with(vec![Ok(3), Err(full())]);
        let outcomes = send(&mut Output::default(), &mut stream, &["a", "bc", "d"]);
        assert_eq!(outcomes[0], Outcome::Delivered);
        assert!(
            matches!(&outcomes[1], Outcome::Retry { reason, .. } if reason.starts_with("standard output: "))
        );
        assert_eq!(outcomes[1], outcomes[2]);
    }

    #[test]
    fn an_incomplete_event_is_ended_before_the_next() {
        let mut stream = Stream::with(vec![Ok(3), Err(full()), Err(full())]);
        let mut output = Output::default();
        send(&mut output, &mut stream, &["a", "bc", "d"]);
        send(&mut output, &mut stream, &["bc", "d"]);
        send(&mut output, &mut stream, &["bc", "d"]);
        send(&mut output, &mut stream, &["e"]);
        assert_eq!(stream.text(), "a\nb\nbc\nd\ne\n");
    }

    #[test]
    fn a_write_that_ends_between_events_tears_none() {
        let mut stream = Stream::with(vec![Ok(2), Err(full())]);
        let mut output = Output::default();
        let outcomes = send(&mut output, &mut stream, &["a", "b"]);
        assert_eq!(outcomes[0], Outcome::Delivered);
        send(&mut output, &mut stream, &["b"]);
        assert_eq!(stream.text(), "a\nb\n");
    }

    #[test]
    fn a_full_stream_is_tried_until_the_call_ends() {
        let would_block = || Err(io::Error::from(ErrorKind::WouldBlock));
        let mut stream = Stream::with(vec![Ok(1), would_block(), would_block()]);
        assert_eq!(send(&mut Output::default(), &mut stream, &["a"]), [Outcome::Delivered]);
        assert_eq!(stream.text(), "a\n");

        let mut output = Output::default();
        output.push(|buffer| buffer.push(b'a'));
        let outcomes = output.write_to(&mut Stream::with(vec![would_block()]), || false);
        let late = Outcome::retry("the reader of standard output does not keep up");
        assert_eq!(outcomes, Outcomes::Each(vec![late]));
    }
}
