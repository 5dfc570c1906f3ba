//! What host and child use of Linux: sockets by which each wakes the other, and the signal at the end of a parent.

use std::io::{self, PipeReader, Read as _, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::Signal;

use super::awake::Awake;
use crate::reexec::entry::ORPHANED;
use crate::reexec::{Child, Ended};

/// The interval of the checks whether a child has ended, before Linux 5.3, which reports no such event.
const TICK: Duration = Duration::from_millis(20);

/// Number of bytes that are read at once, and the most reads after the end of a child: the largest pipe.
const READ: usize = 16 << 10;
const MOST_READS: usize = (1 << 20) / READ;

/// The host's end of what wakes a side of a channel.
pub(super) struct HostWaker {
    stream: UnixStream,
    /// An event descriptor, readable when the call is cancelled, and the function that makes it so.
    cancelled: Arc<OwnedFd>,
    on_cancel: Arc<dyn Fn() + Send + Sync>,
}

impl HostWaker {
    /// One end, and the descriptors from which a child takes the other.
    pub(super) fn new() -> io::Result<(Self, Vec<OwnedFd>)> {
        let (stream, other) = UnixStream::pair()?;
        stream.set_nonblocking(true)?;
        let cancelled = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let event = Arc::clone(&cancelled);
        let on_cancel = Arc::new(move || {
            let _ = rustix::io::write(&event, &1_u64.to_ne_bytes());
        });
        Ok((Self { stream, cancelled, on_cancel }, vec![other.into()]))
    }

    /// Wakes the child.
    pub(super) fn wake(&self) {
        // A full socket wakes the child already. The next wait notices a closed socket.
        let _ = (&self.stream).write(&[1]);
    }

    /// What wakes the host when a call is cancelled.
    pub(super) fn on_cancel(&self) -> Arc<dyn Fn() + Send + Sync> {
        Arc::clone(&self.on_cancel)
    }

    /// Sleeps until the child wakes the host or ends, or the call is cancelled, at most for `longest`.
    pub(super) fn sleep(&self, child: &Child, longest: Duration) -> Awake {
        let mut events = [
            PollFd::new(&self.stream, PollFlags::IN),
            PollFd::new(&self.cancelled, PollFlags::IN),
            PollFd::new(&self.stream, PollFlags::empty()),
        ];
        let mut longest = longest;
        match child.pidfd() {
            Some(pidfd) => events[2] = PollFd::from_borrowed_fd(pidfd, PollFlags::IN),
            None => longest = longest.min(TICK),
        }
        // An interrupted wait ends early.
        let _ = poll(&mut events, Timespec::try_from(longest).ok().as_ref());
        let [rang, was_cancelled, died] = events.map(|event| !event.revents().is_empty());
        if was_cancelled {
            let _ = rustix::io::read(&self.cancelled, &mut [0; 8]);
        }
        if died && child.pidfd().is_some() {
            return Awake::Died;
        }
        if !rang {
            return Awake::Maybe;
        }
        match (&self.stream).read(&mut [0; 64]) {
            Ok(1..) => Awake::Maybe,
            Err(error) if is_later(&error) => Awake::Maybe,
            _ => Awake::Closed,
        }
    }
}

/// The child's end.
pub(super) struct ChildWaker(UnixStream);

impl ChildWaker {
    /// Takes the descriptors that [`HostWaker::new`] has made.
    pub(super) fn take(files: &mut impl Iterator<Item = OwnedFd>) -> Option<Self> {
        files.next().map(|file| Self(file.into()))
    }

    /// Wakes the host.
    pub(super) fn wake(&self) {
        // An error means that the host has ended, or that the full socket wakes it already.
        let _ = (&self.0).write(&[1]);
    }

    /// Sleeps until the host wakes the child; `false` if the host has ended.
    pub(super) fn sleep(&self) -> bool {
        match (&self.0).read(&mut [0; 64]) {
            Ok(1..) => true,
            Err(error) => error.kind() == io::ErrorKind::Interrupted,
            Ok(0) => false,
        }
    }
}

/// The host's end of what belongs to no call: a word to the child, and the child's log.
pub(super) struct HostControl(UnixStream);

impl HostControl {
    /// One end, and the descriptors from which a child takes the other.
    pub(super) fn new() -> io::Result<(Self, Vec<OwnedFd>)> {
        let (stream, other) = UnixStream::pair()?;
        stream.set_nonblocking(true)?;
        Ok((Self(stream), vec![other.into()]))
    }

    /// Tells the child that the host is done with the backend.
    pub(super) fn cancel(&self) {
        let _ = (&self.0).write(b"c");
    }
}

/// The child's end.
pub(super) struct ChildControl(UnixStream);

impl ChildControl {
    /// Takes the descriptors that [`HostControl::new`] has made.
    pub(super) fn take(files: &mut impl Iterator<Item = OwnedFd>) -> Option<Self> {
        files.next().map(|file| Self(file.into()))
    }

    /// Where the log is written to.
    pub(super) fn log(&self) -> io::Result<impl Write + Send + 'static> {
        self.0.try_clone()
    }

    /// Waits until the host is done with the backend; `false` if the host has ended.
    pub(super) fn wait(&self) -> bool {
        let mut word = [0; 1];
        loop {
            match (&self.0).read(&mut word) {
                Ok(1..) if word == *b"c" => return true,
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => return false,
            }
        }
    }
}

/// Passes on what a child prints to standard error and its log, and `None` at the end of each, until the child ends. Then kills
/// the processes that it has started.
pub(super) fn attend(
    child: &Child,
    control: &HostControl,
    stderr: PipeReader,
    mut printed: impl FnMut(Option<&[u8]>),
    mut logged: impl FnMut(Option<&[u8]>),
) {
    let stderr = fcntl_setfl(&stderr, OFlags::NONBLOCK).is_ok().then_some(stderr);
    let mut streams = Streams { stderr, log: Some(control) };
    while !streams.until_ended(child) {
        streams.read(&mut printed, &mut logged);
    }
    // Before its process number is free again, because this kills the processes that it has started.
    child.kill();
    // Not without end, because a process that has escaped may go on writing.
    let _ = (0..MOST_READS).find(|_| !streams.read(&mut printed, &mut logged));
    printed(None);
    logged(None);
}

/// What a child writes. Each is `None` after its end.
struct Streams<'a> {
    stderr: Option<PipeReader>,
    log: Option<&'a HostControl>,
}

impl Streams<'_> {
    /// Waits for output or the end of the child; `true` if it has ended.
    fn until_ended(&self, child: &Child) -> bool {
        let mut descriptors = Vec::with_capacity(3);
        if let Some(pidfd) = child.pidfd() {
            descriptors.push(PollFd::from_borrowed_fd(pidfd, PollFlags::IN));
        }
        if let Some(HostControl(log)) = self.log {
            descriptors.push(PollFd::new(log, PollFlags::IN));
        }
        if let Some(stderr) = &self.stderr {
            descriptors.push(PollFd::new(stderr, PollFlags::IN));
        }
        let tick = Timespec::try_from(TICK).ok().filter(|_| child.pidfd().is_none());
        let found = poll(&mut descriptors, tick.as_ref());
        match child.pidfd() {
            Some(_) => found.is_ok() && !descriptors[0].revents().is_empty(),
            None => child.wait(Duration::ZERO).is_some(),
        }
    }

    /// Reads a part of each; `false` if there is none.
    fn read(
        &mut self,
        printed: &mut dyn FnMut(Option<&[u8]>),
        logged: &mut dyn FnMut(Option<&[u8]>),
    ) -> bool {
        let mut some = false;
        if let Some(stderr) = &mut self.stderr
            && !read_some(stderr, printed, &mut some)
        {
            self.stderr = None;
        }
        if let Some(HostControl(log)) = self.log
            && !read_some(log, logged, &mut some)
        {
            self.log = None;
        }
        some
    }
}

/// Reads what is there now, and sets `some` if anything is; `false` at the end of the stream.
fn read_some(mut from: impl io::Read, each: &mut dyn FnMut(Option<&[u8]>), some: &mut bool) -> bool {
    let mut buffer = [0; READ];
    match from.read(&mut buffer) {
        Ok(0) => false,
        Ok(count) => {
            *some = true;
            each(Some(&buffer[..count]));
            true
        }
        Err(error) => is_later(&error),
    }
}

fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Makes this process end with the host's thread that started it, and forked processes with this one.
pub(super) fn end_with_parent() {
    unsafe extern "C" {
        /// `pthread.h`. Every version of the C library has it.
        fn pthread_atfork(
            prepare: Option<unsafe extern "C" fn()>,
            parent: Option<unsafe extern "C" fn()>,
            child: Option<unsafe extern "C" fn()>,
        ) -> libc::c_int;
    }
    /// The process that forks.
    static FORKING: AtomicI32 = AtomicI32::new(0);
    unsafe extern "C" fn forks() {
        // SAFETY: a plain system call.
        FORKING.store(unsafe { libc::getpid() }, Ordering::Relaxed);
    }
    unsafe extern "C" fn forked() {
        // SAFETY: plain system calls, which are allowed between fork and exec.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // If the parent has ended already, as a daemon's parent does, the kernel sends no signal.
            if libc::getppid() != FORKING.load(Ordering::Relaxed) {
                libc::_exit(ORPHANED);
            }
        }
    }
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    // The host finds what is below this process, and kills it with it.
    crate::reexec::adopt_orphans();
    // SAFETY: the functions are safe before a fork and in a forked child, and are never unmapped.
    unsafe { pthread_atfork(Some(forks), None, Some(forked)) };
}

/// Whether the host that started this process is still there. If it ended before [`end_with_parent`], the kernel sends no
/// signal.
pub(super) fn has_parent(number: u32) -> bool {
    std::os::unix::process::parent_id() == number
}

/// What ended a child, if that was a signal.
pub(super) fn cause(ended: Ended) -> Option<String> {
    let Ended::Signal(number) = ended else { return None };
    let name = match number {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        other => return Some(format!("signal {other}")),
    };
    Some(name.to_owned())
}
