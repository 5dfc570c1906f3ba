//! The reaper: the thread that starts one child, passes its log on, and waits for its end.
//!
//! The kernel ends a child with the *thread* that started it, so this thread lives as long as the child.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc::sync_channel},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_setfl},
};

use super::{protocol, stderr::StderrLines};
use crate::{
    boundary::{
        log,
        process::{lock, thread},
        text::{self, LOG_MESSAGE_LIMIT, LOG_TARGET_LIMIT},
    },
    reexec::{Child, Ended, Spawn},
};

/// Between two looks at whether a child has ended, where the kernel has no descriptors of processes (Linux before 5.3) and
/// no event tells it.
pub(super) const TICK: Duration = Duration::from_millis(20);

/// Longest record of a log that is taken, in bytes: its head, and more text than is shown.
const LONGEST_RECORD: usize = 8 + (64 << 10);

/// A child and how it ended.
pub(super) struct ChildHandle {
    child: Child,
    control: UnixStream,
    ended: Mutex<Option<Ended>>,
    gone: Condvar,
}

impl ChildHandle {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Becomes readable when the child ends.
    pub(super) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.child.pidfd()
    }

    /// Ends it with all of its group.
    pub(super) fn kill(&self) {
        self.child.kill();
    }

    /// Tells the backend's own threads that the host is done with it.
    pub(super) fn cancel(&self) {
        let _ = (&self.control).write(b"c");
    }

    /// How it ended, once its log has been passed on; waits for it at most so long.
    pub(super) fn ended(&self, within: Duration) -> Option<Ended> {
        let deadline = Instant::now() + within;
        let mut ended = lock(&self.ended);
        while ended.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (ended, _) = self.gone.wait_timeout(ended, left).unwrap_or_else(PoisonError::into_inner);
        }
        *ended
    }
}

/// Starts a child whose second descriptor is the other end of `control`, on a thread of its own that keeps it.
pub(super) fn start(spawn: Spawn, control: UnixStream, backend: &str) -> io::Result<Arc<ChildHandle>> {
    let (stderr, child_stderr) = io::pipe()?;
    let stderr = File::from(OwnedFd::from(stderr));
    fcntl_setfl(&stderr, OFlags::NONBLOCK)?;
    control.set_nonblocking(true)?;
    let spawn = spawn.stderr(File::from(OwnedFd::from(child_stderr)));
    let lines = StderrLines::new(backend, Instant::now());
    let backend = backend.to_owned();
    let (answer, answered) = sync_channel(1);
    thread(&format!("reap {backend}")).spawn(move || {
        let child = spawn.start().map(|child| {
            Arc::new(ChildHandle { child, control, ended: Mutex::new(None), gone: Condvar::new() })
        });
        match child {
            Ok(child) => {
                let _ = answer.send(Ok(Arc::clone(&child)));
                Reaper { child: &child, stderr: Some(stderr), lines, log: Some(Vec::new()), backend }.keep();
            }
            Err(error) => drop(answer.send(Err(error))),
        }
    })?;
    answered.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that starts it has ended")))
}

struct Reaper<'a> {
    child: &'a ChildHandle,
    /// `None` once nothing more comes.
    stderr: Option<File>,
    lines: StderrLines,
    /// Bytes of a log record that is not all there; `None` once nothing more comes, or nothing that makes sense.
    log: Option<Vec<u8>>,
    backend: String,
}

impl Reaper<'_> {
    fn keep(mut self) {
        while !self.has_ended() {
            self.read();
        }
        // Before its number is given up: the processes that it has started end with it.
        self.child.kill();
        self.read();
        self.lines.end();
        // It is a zombie, or was one a moment ago.
        let ended = self.child.child.wait(Duration::from_secs(5)).unwrap_or(Ended::Unknown);
        *lock(&self.child.ended) = Some(ended);
        self.child.gone.notify_all();
    }

    /// Waits for something to happen; `true` when it is the child's end.
    fn has_ended(&self) -> bool {
        let mut descriptors = Vec::with_capacity(3);
        if let Some(pidfd) = self.child.pidfd() {
            descriptors.push(PollFd::from_borrowed_fd(pidfd, PollFlags::IN));
        }
        if self.log.is_some() {
            descriptors.push(PollFd::new(&self.child.control, PollFlags::IN));
        }
        if let Some(stderr) = &self.stderr {
            descriptors.push(PollFd::new(stderr, PollFlags::IN));
        }
        let tick = Timespec::try_from(TICK).ok().filter(|_| self.child.pidfd().is_none());
        let found = poll(&mut descriptors, tick.as_ref());
        match self.child.pidfd() {
            Some(_) => found.is_ok() && !descriptors[0].revents().is_empty(),
            None => self.child.child.wait(Duration::ZERO).is_some(),
        }
    }

    /// Takes what is there of standard error and of the log, and no more than a share of it at once.
    fn read(&mut self) {
        let mut buffer = [0; 16 << 10];
        if let Some(stderr) = &mut self.stderr {
            match stderr.read(&mut buffer) {
                Ok(0) => self.stderr = None,
                Ok(count) => self.lines.push(&buffer[..count], Instant::now()),
                Err(error) if is_later(&error) => {}
                Err(_) => self.stderr = None,
            }
        }
        let Some(log) = &mut self.log else { return };
        match (&self.child.control).read(&mut buffer) {
            Ok(0) => self.log = None,
            Ok(count) => {
                log.extend_from_slice(&buffer[..count]);
                if !pass_on(log, &self.backend) {
                    self.log = None;
                }
            }
            Err(error) if is_later(&error) => {}
            Err(_) => self.log = None,
        }
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Emits the records at the start of `bytes` and takes them out; `false` when they make no sense.
fn pass_on(bytes: &mut Vec<u8>, backend: &str) -> bool {
    let mut done = 0;
    while let Some((head, rest)) = bytes[done..].split_first_chunk::<8>() {
        let length = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
        let (target, message) = (length(2), length(4));
        let Some((texts, _)) = rest.split_at_checked(target + message) else { break };
        let (target, message) = texts.split_at(target);
        // SAFETY: both are readable.
        let target = unsafe { text::from_plugin(protocol::text(target), LOG_TARGET_LIMIT) };
        // SAFETY: as above.
        let message = || unsafe { text::from_plugin(protocol::text(message), LOG_MESSAGE_LIMIT) };
        log::emit(u32::from(head[0]), &target, backend, message);
        done += 8 + texts.len();
    }
    bytes.drain(..done);
    bytes.len() <= 2 * LONGEST_RECORD
}
