//! The reaper: the thread that starts a child, emits its log and standard error, and waits for its end.
//!
//! The kernel of Linux ends a child with the *thread* that started it, so this thread lives as long as the child.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jackfield_plugin_api::abi;

use super::system::{self, HostControl};
use crate::boundary::budget::Budget;
use crate::boundary::log;
use crate::boundary::process::{backend_thread, lock};
use crate::boundary::text::{self, LOG_MESSAGE_LIMIT, LOG_TARGET_LIMIT};
use crate::reexec::{Child, Ended, OwnedHandle, Spawn};

/// Longest log record, in bytes: its head has two lengths of 16 bits.
const LONGEST_RECORD: usize = 8 + 2 * u16::MAX as usize;

pub(super) struct ChildHandle {
    pub(super) process: Child,
    control: HostControl,
    ended: Mutex<Option<Ended>>,
    gone: Condvar,
}

impl ChildHandle {
    /// Tells the backend's own threads that the host is done with the backend.
    pub(super) fn cancel(&self) {
        self.control.cancel();
    }

    /// Waits for the end of the child and of its log, at most for `within`, and returns the end.
    pub(super) fn ended(&self, within: Duration) -> Option<Ended> {
        let waited = self.gone.wait_timeout_while(lock(&self.ended), within, |ended| ended.is_none());
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Starts a child, among whose files is the other end of `control`, and the thread that reaps it.
pub(super) fn start(spawn: Spawn, control: HostControl, backend: &str) -> io::Result<Arc<ChildHandle>> {
    let (stderr, child_stderr) = io::pipe()?;
    let spawn = spawn.stderr(File::from(OwnedHandle::from(child_stderr)));
    let backend = backend.to_owned();
    let (answer, answered) = sync_channel(1);
    backend_thread("reap", &backend).spawn(move || {
        let child = match spawn.start() {
            Ok(process) => ChildHandle { process, control, ended: Mutex::new(None), gone: Condvar::new() },
            Err(error) => return drop(answer.send(Err(error))),
        };
        let child = Arc::new(child);
        let _ = answer.send(Ok(Arc::clone(&child)));
        let mut lines = StderrLines::new(&backend);
        let printed = move |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => lines.push(bytes, Instant::now(), &mut emit),
            None => lines.end(&mut emit),
        };
        let (mut records, budget) = (Vec::new(), Mutex::new(log::budget()));
        let logged = move |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => {
                records.extend_from_slice(bytes);
                pass_on(&mut records, &backend, &budget);
            }
            None => log::emit_left_out(&budget, &backend),
        };
        system::attend(&child.process, &child.control, stderr, printed, logged);
        // The child has ended, so this does not wait long.
        let ended = child.process.wait(Duration::from_secs(5)).unwrap_or(Ended::Unknown);
        *lock(&child.ended) = Some(ended);
        child.gone.notify_all();
    })?;
    answered.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that starts it has ended")))
}

/// Emits the complete records at the start of `bytes`, and removes them. What remains is less than [`LONGEST_RECORD`].
pub(super) fn pass_on(bytes: &mut Vec<u8>, backend: &str, budget: &Mutex<Budget>) {
    let mut done = 0;
    while let Some((head, rest)) = bytes[done..].split_first_chunk::<8>() {
        let length = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
        let (target, message) = (length(2), length(4));
        let Some((texts, _)) = rest.split_at_checked(target + message) else { break };
        let (target, message) = texts.split_at(target);
        let target = text::from_bytes(target, LOG_TARGET_LIMIT);
        let message = || text::from_bytes(message, LOG_MESSAGE_LIMIT);
        log::emit_within(budget, u32::from(head[0]), &target, backend, message);
        done += 8 + texts.len();
    }
    bytes.drain(..done);
    debug_assert!(bytes.len() < LONGEST_RECORD);
}

const TARGET: &str = "jackfield::plugin::stderr";

/// Number of bytes of standard error that are emitted in a minute. The others are counted.
const MOST: usize = 64 << 10;
/// Number of bytes at the end of the stream that are emitted in any case: they tell of a crash.
const TAIL: usize = LOG_MESSAGE_LIMIT;

/// The lines that a child prints to standard error. They are emitted as log records, up to a limit.
pub(super) struct StderrLines {
    backend: String,
    partial: Vec<u8>,
    budget: Budget,
    /// The last of the lines that were left out, and their length.
    tail: (VecDeque<Vec<u8>>, usize),
}

impl StderrLines {
    pub(super) fn new(backend: &str) -> Self {
        let budget = Budget::new("standard error", MOST);
        Self { backend: backend.to_owned(), partial: Vec::new(), budget, tail: (VecDeque::new(), 0) }
    }

    /// Adds bytes, and emits each complete line.
    pub(super) fn push(&mut self, bytes: &[u8], now: Instant, emit: &mut dyn FnMut(&str, &[u8])) {
        if self.budget.turns(now) {
            self.tail = (VecDeque::new(), 0);
            self.say_left_out(emit);
        }
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(part);
            if part.ends_with(b"\n") || self.partial.len() >= LOG_MESSAGE_LIMIT {
                self.line(emit);
            }
        }
    }

    /// Emits the rest, and the last lines whatever the limit.
    pub(super) fn end(&mut self, emit: &mut dyn FnMut(&str, &[u8])) {
        self.line(emit);
        let (lines, length) = std::mem::take(&mut self.tail);
        self.budget.readmit(lines.len(), length);
        self.say_left_out(emit);
        lines.iter().for_each(|line| emit(&self.backend, line));
    }

    fn line(&mut self, emit: &mut dyn FnMut(&str, &[u8])) {
        let line = std::mem::take(&mut self.partial);
        if line.trim_ascii().is_empty() {
            return;
        }
        if !self.budget.admits(line.len()) {
            let (lines, length) = &mut self.tail;
            *length += line.len();
            lines.push_back(line);
            while *length > TAIL
                && let Some(first) = lines.pop_front()
            {
                *length -= first.len();
            }
            return;
        }
        emit(&self.backend, &line);
    }

    fn say_left_out(&mut self, emit: &mut dyn FnMut(&str, &[u8])) {
        if let Some(line) = self.budget.left_out() {
            emit(&self.backend, line.as_bytes());
        }
    }
}

pub(super) fn emit(backend: &str, line: &[u8]) {
    log::emit(abi::LEVEL_WARN, TARGET, backend, || {
        Some(text::from_bytes(String::from_utf8_lossy(line).as_bytes(), LOG_MESSAGE_LIMIT))
    });
}

#[cfg(test)]
mod tests {
    use super::super::protocol::log_record;
    use super::*;

    /// A subscriber that wants everything.
    struct All;

    impl tracing_core::Subscriber for All {
        fn enabled(&self, _: &tracing_core::Metadata<'_>) -> bool {
            true
        }
        fn event(&self, _: &tracing_core::Event<'_>) {}
        fn new_span(&self, _: &tracing_core::span::Attributes<'_>) -> tracing_core::span::Id {
            tracing_core::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing_core::span::Id, _: &tracing_core::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing_core::span::Id, _: &tracing_core::span::Id) {}
        fn enter(&self, _: &tracing_core::span::Id) {}
        fn exit(&self, _: &tracing_core::span::Id) {}
    }

    #[test]
    fn whole_lines_are_emitted_up_to_the_limit() {
        let start = Instant::now();
        let mut lines = StderrLines::new("b");
        let mut seen = Vec::new();
        let mut emit = |_: &str, line: &[u8]| seen.push(String::from_utf8_lossy(line).into_owned());
        lines.push(b"one\ntw", start, &mut emit);
        lines.push(b"o\n\n", start, &mut emit);
        let long = [vec![b'x'; 999], b"\n".to_vec()].concat().repeat(1000);
        lines.push(&long, start, &mut emit);
        lines.push(b"three\n", start + Duration::from_secs(60), &mut emit);
        lines.push(b"no end", start + Duration::from_secs(60), &mut emit);
        lines.end(&mut emit);
        assert_eq!(&seen[..2], ["one\n", "two\n"]);
        let passed: usize = seen.iter().filter(|line| line.starts_with('x')).map(String::len).sum();
        assert!(passed <= MOST && passed > MOST - 2000, "{passed}");
        let rest = seen[seen.len() - 3..].to_vec();
        assert!(rest[0].starts_with(&format!("({} more bytes", long.len() - passed)), "{}", rest[0]);
        assert_eq!(&rest[1..], ["three\n", "no end"]);
    }

    #[test]
    fn records_beyond_the_budget_are_counted_not_emitted() {
        let budget = Mutex::new(log::budget());
        let mut bytes = log_record(abi::LEVEL_ERROR, "", "").repeat(61_000);
        // Without a subscriber no record is wanted, and none costs anything.
        pass_on(&mut bytes.clone(), "b", &budget);
        assert_eq!(lock(&budget).left_out(), None);
        let all = tracing_core::Dispatch::new(All);
        tracing_core::dispatcher::with_default(&all, || pass_on(&mut bytes, "b", &budget));
        assert!(bytes.is_empty());
        let said = lock(&budget).left_out().unwrap();
        assert!(said.contains("in 5") && said.contains(" lines"), "most of 61,000: {said}");
    }

    #[test]
    fn the_last_lines_are_emitted_whatever_the_limit() {
        let start = Instant::now();
        let mut lines = StderrLines::new("b");
        let mut seen = Vec::new();
        let mut emit = |_: &str, line: &[u8]| seen.push(String::from_utf8_lossy(line).into_owned());
        let noise = "a line of noise\n".repeat(2 * MOST / 16);
        lines.push(noise.as_bytes(), start, &mut emit);
        lines.push(b"what it died of", start, &mut emit);
        lines.end(&mut emit);
        let left_out = noise.len() - MOST - TAIL + "what it died of".len().next_multiple_of(16);
        let said = format!("({left_out} more bytes");
        let at = seen.iter().position(|line| line.starts_with(&said)).unwrap_or_else(|| panic!("{said}"));
        assert_eq!(at, MOST / 16);
        assert_eq!(seen.last().unwrap(), "what it died of");
        assert_eq!(seen.len() - at - 1, TAIL / 16);
    }
}
