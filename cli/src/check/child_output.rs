//! The output of a child on its pipes.

use std::{
    io::{self, Read},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

/// Bytes of a child's output that are kept.
pub(super) const KEPT: usize = 2000;

/// The time that a child's pipes may take to close after the child has answered.
const ENDING: Duration = Duration::from_secs(5);

/// The output of a pipe.
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

/// Reads a pipe on a thread, as long as a process has its other end.
pub(super) struct PipeReader(Arc<Shared>);

/// The output, whether the pipe is closed, and the signal for that.
type Shared = (Mutex<(Output, bool)>, Condvar);

impl PipeReader {
    /// Keeps the first `keep` bytes.
    pub(super) fn start(mut from: impl Read + Send + 'static, keep: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        thread::Builder::new().name("check-pipe".to_owned()).spawn(move || {
            let (state, closed) = &*of_thread;
            let mut buffer = [0; 16 << 10];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                state.lock().unwrap_or_else(PoisonError::into_inner).0.append(&buffer[..count], keep);
            }
            state.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
            closed.notify_all();
        })?;
        Ok(Self(shared))
    }

    /// Waits until the other end is closed, and gives the output. The wait has a limit, because a process may
    /// keep the pipe open.
    pub(super) fn finish(&self) -> Output {
        let (state, closed) = &*self.0;
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = closed.wait_timeout_while(state, ENDING, |(_, is_closed)| !*is_closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.0.clone()
    }
}
