//! The output of a child on its pipes.

#![cfg_attr(not(unix), allow(dead_code, reason = "there are no such children"))]

use std::{
    io::{self, Read},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// How many bytes of what a child prints are kept.
pub(super) const KEPT: usize = 2000;

/// How long a child that has answered may take to end, and its pipes to close.
const ENDING: Duration = Duration::from_secs(5);

/// What came out of a pipe.
#[derive(Clone, Debug, Default)]
pub(super) struct Output {
    pub(super) bytes: usize,
    pub(super) first: Vec<u8>,
    last: Vec<u8>,
}

impl Output {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(super) fn start(&self, characters: usize) -> String {
        String::from_utf8_lossy(&self.first).chars().take(characters).collect()
    }

    /// The last line that is not blank.
    pub(super) fn end(&self) -> String {
        let text = String::from_utf8_lossy(&self.last).into_owned();
        text.lines()
            .map(str::trim)
            .rfind(|line| !line.is_empty())
            .unwrap_or_default()
            .chars()
            .take(300)
            .collect()
    }

    fn append(&mut self, bytes: &[u8], keep: usize) {
        self.bytes += bytes.len();
        let room = keep.saturating_sub(self.first.len()).min(bytes.len());
        self.first.extend_from_slice(&bytes[..room]);
        self.last.extend_from_slice(bytes);
        let surplus = self.last.len().saturating_sub(KEPT);
        self.last.drain(..surplus);
    }
}

/// Reads a pipe on a thread, as long as any process has its other end.
pub(super) struct PipeReader(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    output: Output,
    has_ended: bool,
}

impl PipeReader {
    /// Keeps the first `keep` bytes.
    pub(super) fn start(mut from: impl Read + Send + 'static, keep: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        thread::Builder::new().name("check-pipe".to_owned()).spawn(move || {
            let mut buffer = [0; 16 << 10];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                of_thread
                    .state
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .output
                    .append(&buffer[..count], keep);
            }
            of_thread.state.lock().unwrap_or_else(PoisonError::into_inner).has_ended = true;
            of_thread.ended.notify_all();
        })?;
        Ok(Self(shared))
    }

    /// The output until the other end was closed. The wait has a limit, because a process may keep the pipe open.
    pub(super) fn finish(&self) -> Output {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = self.0.ended.wait_timeout_while(state, ENDING, |state| !state.has_ended);
        ended.unwrap_or_else(PoisonError::into_inner).0.output.clone()
    }
}
