//! The thread that keeps one child: it starts it, passes its log on, and takes note of its end.
//!
//! The kernel ends a child with the *thread* that started it, so this one lives exactly as long as the child.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc::sync_channel},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_setfl},
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::stderr::Lines;
use crate::{
    log,
    reexec::{Child, Ended, Spawn},
    text::{self, LOG_MESSAGE_LIMIT, LOG_TARGET_LIMIT},
};

/// Between two looks at whether a child has ended, where the kernel has no descriptors for processes (before 5.3).
const TICK: Duration = Duration::from_millis(20);

/// Longest record of a log that is taken, in bytes: its head, and more text than is shown.
const LONGEST_RECORD: usize = 8 + (64 << 10);

/// A child and how it ended.
pub(super) struct Kept {
    child: Child,
    pidfd: Option<OwnedFd>,
    control: UnixStream,
    ended: Mutex<Option<Ended>>,
    gone: Condvar,
}

impl Kept {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Becomes readable when the child ends.
    pub(super) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(OwnedFd::as_fd)
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
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
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
pub(super) fn start(spawn: Spawn, control: UnixStream, backend: &str) -> io::Result<Arc<Kept>> {
    let (stderr, child_stderr) = io::pipe()?;
    let stderr = File::from(OwnedFd::from(stderr));
    fcntl_setfl(&stderr, OFlags::NONBLOCK)?;
    control.set_nonblocking(true)?;
    let spawn = spawn.stderr(File::from(OwnedFd::from(child_stderr)));
    let lines = Lines::new(backend, Instant::now());
    let backend = backend.to_owned();
    let (answer, answered) = sync_channel(1);
    thread::Builder::new().name(format!("jackfield-{backend}-child")).spawn(move || {
        let kept = spawn.start().map(|child| {
            let pid = Pid::from_raw(child.id().cast_signed());
            let pidfd = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
            Arc::new(Kept { child, pidfd, control, ended: Mutex::new(None), gone: Condvar::new() })
        });
        match kept {
            Ok(kept) => {
                let _ = answer.send(Ok(Arc::clone(&kept)));
                Keeper { kept: &kept, stderr: Some(stderr), lines, log: Some(Vec::new()), backend }.keep();
            }
            Err(error) => drop(answer.send(Err(error))),
        }
    })?;
    answered.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that starts it has ended")))
}

struct Keeper<'a> {
    kept: &'a Kept,
    /// `None` once nothing more comes.
    stderr: Option<File>,
    lines: Lines,
    /// Bytes of a log record that is not all there; `None` once nothing more comes, or nothing that makes sense.
    log: Option<Vec<u8>>,
    backend: String,
}

impl Keeper<'_> {
    fn keep(mut self) {
        while !self.has_ended() {
            self.read();
        }
        // Before its number is given up: what it has started and left behind ends with it.
        self.kept.kill();
        self.read();
        self.lines.end();
        // It is a zombie, or was one a moment ago.
        let ended = self.kept.child.wait(Duration::from_secs(5)).unwrap_or(Ended::Unknown);
        *self.kept.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
        self.kept.gone.notify_all();
    }

    /// Waits for something to happen; `true` when it is the child's end.
    fn has_ended(&self) -> bool {
        let mut places = Vec::with_capacity(3);
        if let Some(pidfd) = &self.kept.pidfd {
            places.push(PollFd::new(pidfd, PollFlags::IN));
        }
        if self.log.is_some() {
            places.push(PollFd::new(&self.kept.control, PollFlags::IN));
        }
        if let Some(stderr) = &self.stderr {
            places.push(PollFd::new(stderr, PollFlags::IN));
        }
        let tick = Timespec::try_from(TICK).ok().filter(|_| self.kept.pidfd.is_none());
        let found = poll(&mut places, tick.as_ref());
        match &self.kept.pidfd {
            Some(_) => found.is_ok() && !places[0].revents().is_empty(),
            None => self.kept.child.wait(Duration::ZERO).is_some(),
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
        match (&self.kept.control).read(&mut buffer) {
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
        let target = unsafe { text::from_plugin(super::wire::text(target), LOG_TARGET_LIMIT) };
        // SAFETY: as above.
        let message = || unsafe { text::from_plugin(super::wire::text(message), LOG_MESSAGE_LIMIT) };
        log::emit(u32::from(head[0]), &target, backend, message);
        done += 8 + texts.len();
    }
    bytes.drain(..done);
    bytes.len() <= 2 * LONGEST_RECORD
}

/// A record of a log as it goes through the control socket.
pub(super) fn log_record(level: u32, target: &str, message: &str) -> Vec<u8> {
    let cut = |text: &str| u16::try_from(text.len()).unwrap_or(u16::MAX);
    let (target_len, message_len) = (cut(target), cut(message));
    let mut record = vec![u8::try_from(level).unwrap_or(u8::MAX), 0];
    record.extend(target_len.to_le_bytes());
    record.extend(message_len.to_le_bytes());
    record.extend([0, 0]);
    record.extend(&target.as_bytes()[..usize::from(target_len)]);
    record.extend(&message.as_bytes()[..usize::from(message_len)]);
    record
}
