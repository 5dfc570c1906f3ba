//! What a child prints to standard error, as lines of the log: so many bytes a minute, and the rest counted.

use std::time::{Duration, Instant};

use jackfield_plugin_api::abi;

use crate::boundary::{
    log,
    text::{self, LOG_MESSAGE_LIMIT},
};

const TARGET: &str = "jackfield::plugin::stderr";

/// Bytes that are passed on in a [`PERIOD`].
const MOST: usize = 64 << 10;
const PERIOD: Duration = Duration::from_secs(60);

/// The lines of one child.
pub(super) struct StderrLines {
    backend: String,
    /// The start of a line whose end has not come.
    partial: Vec<u8>,
    since: Instant,
    passed: usize,
    suppressed: u64,
}

impl StderrLines {
    pub(super) fn new(backend: &str, now: Instant) -> Self {
        Self { backend: backend.to_owned(), partial: Vec::new(), since: now, passed: 0, suppressed: 0 }
    }

    /// Takes what was read.
    pub(super) fn push(&mut self, bytes: &[u8], now: Instant) {
        self.push_to(bytes, now, &mut |backend, line| emit(backend, line));
    }

    /// Nothing follows.
    pub(super) fn end(&mut self) {
        self.end_to(&mut |backend, line| emit(backend, line));
    }

    fn push_to(&mut self, bytes: &[u8], now: Instant, emit: &mut dyn FnMut(&str, &[u8])) {
        if now.duration_since(self.since) >= PERIOD {
            self.say_suppressed(emit);
            (self.since, self.passed) = (now, 0);
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(part);
            if part.ends_with(b"\n") || self.partial.len() >= LOG_MESSAGE_LIMIT {
                self.line(emit);
            }
        }
    }

    fn end_to(&mut self, emit: &mut dyn FnMut(&str, &[u8])) {
        self.line(emit);
        self.say_suppressed(emit);
    }

    fn line(&mut self, emit: &mut dyn FnMut(&str, &[u8])) {
        let line = std::mem::take(&mut self.partial);
        if line.trim_ascii().is_empty() {
            return;
        }
        if self.passed + line.len() > MOST {
            self.suppressed += line.len() as u64;
            return;
        }
        self.passed += line.len();
        emit(&self.backend, &line);
    }

    fn say_suppressed(&mut self, emit: &mut dyn FnMut(&str, &[u8])) {
        let suppressed = std::mem::take(&mut self.suppressed);
        if suppressed > 0 {
            let line =
                format!("({suppressed} more bytes of standard error are not shown: {MOST} a minute are)");
            emit(&self.backend, line.as_bytes());
        }
    }
}

fn emit(backend: &str, line: &[u8]) {
    log::emit(abi::LEVEL_WARN, TARGET, backend, || {
        let line = String::from_utf8_lossy(line);
        // SAFETY: a string that is readable.
        unsafe { text::from_plugin(abi::Str::new(&line), LOG_MESSAGE_LIMIT) }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_up_to_the_limit_and_the_rest_is_counted_once() {
        let start = Instant::now();
        let mut lines = StderrLines::new("b", start);
        let mut seen = Vec::new();
        let mut emit = |_: &str, line: &[u8]| seen.push(String::from_utf8_lossy(line).into_owned());
        lines.push_to(b"one\ntw", start, &mut emit);
        lines.push_to(b"o\n\n", start, &mut emit);
        let long = [vec![b'x'; 999], b"\n".to_vec()].concat().repeat(1000);
        lines.push_to(&long, start, &mut emit);
        lines.push_to(b"three\n", start + PERIOD, &mut emit);
        lines.push_to(b"no end", start + PERIOD, &mut emit);
        lines.end_to(&mut emit);
        assert_eq!(&seen[..2], ["one\n", "two\n"]);
        let passed: usize = seen.iter().filter(|line| line.starts_with('x')).map(String::len).sum();
        assert!(passed <= MOST && passed > MOST - 2000, "{passed}");
        let rest = seen[seen.len() - 3..].to_vec();
        assert!(rest[0].starts_with(&format!("({} more bytes", long.len() - passed)), "{}", rest[0]);
        assert_eq!(&rest[1..], ["three\n", "no end"]);
    }
}
