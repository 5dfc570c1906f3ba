//! What host and child use of Windows: events by which each wakes the other, and a pipe for the log.

use std::io::{self, PipeReader, Read, Write};
use std::os::windows::io::{AsHandle as _, AsRawHandle as _, BorrowedHandle, OwnedHandle};
use std::ptr;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use windows_sys::Win32::Foundation::{FALSE, WAIT_OBJECT_0};
use windows_sys::Win32::System::Threading::{
    CreateEventW, GetCurrentProcess, INFINITE, PROCESS_SYNCHRONIZE, SetEvent, WaitForMultipleObjects,
};

use super::awake::Awake;
use crate::boundary::handles::{copy, made, milliseconds};
use crate::boundary::process::{SMALL_STACK, lock, thread};
use crate::reexec::{Child, Ended};

/// Number of bytes that are read at once.
const READ: usize = 16 << 10;

/// The longest time for the rest of what a child has written, after its end and that of all processes which it has started.
const REST: Duration = Duration::from_secs(1);

/// An event: once it is set, it wakes one wait.
#[derive(Debug)]
struct Event(OwnedHandle);

impl Event {
    fn new() -> io::Result<Self> {
        // SAFETY: a new event without a name, which nobody inherits.
        unsafe { made(CreateEventW(ptr::null(), FALSE, FALSE, ptr::null())) }.map(Self)
    }

    fn set(&self) {
        // SAFETY: the handle is open.
        unsafe { SetEvent(self.0.as_raw_handle()) };
    }
}

/// Waits for one of these, at most for so many milliseconds, and returns which it was.
fn wait(handles: &[BorrowedHandle<'_>], most: u32) -> Option<usize> {
    let raw: Vec<_> = handles.iter().map(|handle| handle.as_raw_handle()).collect();
    // SAFETY: the handles are open.
    let woken = unsafe { WaitForMultipleObjects(raw.len() as u32, raw.as_ptr(), FALSE, most) };
    usize::try_from(woken.wrapping_sub(WAIT_OBJECT_0)).ok().filter(|number| *number < raw.len())
}

/// The host's end of what wakes a side of a channel.
pub(super) struct HostWaker {
    host: Event,
    child: Event,
    cancelled: Arc<Event>,
}

impl HostWaker {
    /// One end, and the handles from which a child takes the other.
    pub(super) fn new() -> io::Result<(Self, Vec<OwnedHandle>)> {
        let new = Self { host: Event::new()?, child: Event::new()?, cancelled: Arc::new(Event::new()?) };
        let theirs = vec![new.host.0.try_clone()?, new.child.0.try_clone()?];
        Ok((new, theirs))
    }

    /// Wakes the child.
    pub(super) fn wake(&self) {
        self.child.set();
    }

    /// What wakes the host when a call is cancelled.
    pub(super) fn on_cancel(&self) -> Arc<dyn Fn() + Send + Sync> {
        let cancelled = Arc::clone(&self.cancelled);
        Arc::new(move || cancelled.set())
    }

    /// Sleeps until the child wakes the host or ends, or the call is cancelled, at most for `longest`.
    pub(super) fn sleep(&self, child: &Child, longest: Duration) -> Awake {
        let handles = [self.host.0.as_handle(), self.cancelled.0.as_handle(), child.process()];
        match wait(&handles, milliseconds(longest)) {
            Some(2) => Awake::Died,
            _ => Awake::Maybe,
        }
    }
}

/// The child's end.
pub(super) struct ChildWaker {
    host: Event,
    child: Event,
}

impl ChildWaker {
    /// Takes the handles that [`HostWaker::new`] has made.
    pub(super) fn take(files: &mut impl Iterator<Item = OwnedHandle>) -> Option<Self> {
        Some(Self { host: Event(files.next()?), child: Event(files.next()?) })
    }

    /// Wakes the host.
    pub(super) fn wake(&self) {
        self.host.set();
    }

    /// Sleeps until the host wakes the child; `false` if that can't be waited for.
    pub(super) fn sleep(&self) -> bool {
        // When the host ends, the thread that waits for that ends this process.
        wait(&[self.child.0.as_handle()], INFINITE).is_some()
    }
}

/// The host's end of what belongs to no call: an event for the child, and the child's log.
pub(super) struct HostControl {
    cancelled: Event,
    log: Mutex<Option<PipeReader>>,
}

impl HostControl {
    /// One end, and the handles from which a child takes the other.
    pub(super) fn new() -> io::Result<(Self, Vec<OwnedHandle>)> {
        let (reader, writer) = io::pipe()?;
        let cancelled = Event::new()?;
        // SAFETY: the handle of this process is always valid.
        let own = unsafe { BorrowedHandle::borrow_raw(GetCurrentProcess()) };
        let host = copy(own, PROCESS_SYNCHRONIZE, false, 0)?;
        let theirs = vec![cancelled.0.try_clone()?, host, OwnedHandle::from(writer)];
        Ok((Self { cancelled, log: Mutex::new(Some(reader)) }, theirs))
    }

    /// Tells the child that the host is done with the backend.
    pub(super) fn cancel(&self) {
        self.cancelled.set();
    }
}

/// The child's end.
pub(super) struct ChildControl {
    cancelled: Event,
    /// The process of the host, of which this one may only wait for the end.
    host: OwnedHandle,
    log: std::fs::File,
}

impl ChildControl {
    /// Takes the handles that [`HostControl::new`] has made.
    pub(super) fn take(files: &mut impl Iterator<Item = OwnedHandle>) -> Option<Self> {
        Some(Self { cancelled: Event(files.next()?), host: files.next()?, log: files.next()?.into() })
    }

    /// Where the log is written to.
    pub(super) fn log(&self) -> io::Result<impl Write + Send + 'static> {
        self.log.try_clone()
    }

    /// Waits until the host is done with the backend; `false` if the host has ended.
    pub(super) fn wait(&self) -> bool {
        wait(&[self.cancelled.0.as_handle(), self.host.as_handle()], INFINITE) == Some(0)
    }
}

/// Passes on what a child prints to standard error and its log, and `None` at the end of each, until the child ends. Then kills
/// the processes that it has started. Each is read by a thread, because Windows can't wait for several pipes.
pub(super) fn attend(
    child: &Child,
    control: &HostControl,
    stderr: PipeReader,
    printed: impl FnMut(Option<&[u8]>) + Send + 'static,
    logged: impl FnMut(Option<&[u8]>) + Send + 'static,
) {
    let (done, all_done) = channel::<()>();
    let log = lock(&control.log).take();
    read_all("stderr", Some(stderr), printed, done.clone());
    read_all("log", log, logged, done);
    let _ = child.wait(Duration::MAX);
    // This closes the other ends of both pipes, unless another process has inherited one by mistake.
    child.kill();
    // Nothing is sent: the wait ends when both threads have.
    let _ = all_done.recv_timeout(REST);
}

/// Starts a thread that passes on what it reads, and drops `done` at the end. Without the thread, the child can't write.
fn read_all(
    job: &str,
    from: Option<PipeReader>,
    mut each: impl FnMut(Option<&[u8]>) + Send + 'static,
    done: Sender<()>,
) {
    let run = move || {
        let mut buffer = vec![0; READ];
        if let Some(mut from) = from {
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                each(Some(&buffer[..count]));
            }
        }
        each(None);
        drop(done);
    };
    let _ = thread(job).stack_size(SMALL_STACK).spawn(run);
}

/// The host ends this process: by the job that it is in, also before this process knows of the host.
pub(super) const fn end_with_parent() {}

/// Whether the host that started this process is still there. If not, the job has ended this process.
pub(super) const fn has_parent(_number: u32) -> bool {
    true
}

/// What ended a child, if that was an exception.
pub(super) fn cause(ended: Ended) -> Option<String> {
    let Ended::Exception(number) = ended else { return None };
    let name = match number {
        0x8000_0003 => "a breakpoint",
        0xC000_0005 => "a forbidden access to memory",
        0xC000_0006 => "a page that can't be read",
        0xC000_0017 => "no memory",
        0xC000_001D => "an illegal instruction",
        0xC000_0094 => "an integer division by zero",
        0xC000_00FD => "a stack overflow",
        0xC000_0135 => "a missing DLL",
        0xC000_0142 => "a DLL that could not begin",
        0xC000_0374 => "a damaged heap",
        0xC000_0409 => "an abort",
        _ => return Some(format!("the exception {number:#010X}")),
    };
    Some(format!("the exception {number:#010X} ({name})"))
}
