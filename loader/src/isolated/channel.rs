//! The host's end of one thread of a child.

use std::io;
use std::time::{Duration, Instant};

use jackfield_plugin_api::abi::{self, Status};

use super::awake::Awake;
use super::protocol::{self, DoesNotFit, HEAD, NotARecord, Record, record};
use super::reaper::ChildHandle;
use super::shared_memory::{self, RequestHeader, SharedMemory};
use super::system::HostWaker;
use crate::boundary::log;
use crate::boundary::process::nanoseconds;
use crate::guard::call::CallState;
use crate::guard::spin::Spin;
use crate::load::tables::{Abilities, Function};
use crate::reexec::OwnedHandle;

/// The most records of a call beside [`EACH`] for each of its events: a plugin may report an event again.
const MOST_RECORDS: usize = 64 << 10;
const EACH: usize = 4;

/// The time after its deadline at which a worker gives up a call. The caller has stopped waiting by then.
const GRACE: Duration = Duration::from_millis(500);

pub(super) struct Request<'a> {
    pub(super) function: Function,
    pub(super) text: &'a str,
    /// Valid as long as the request.
    pub(super) events: &'a [abi::Event],
    pub(super) deadline: Instant,
    /// The caller's state, if a caller waits.
    pub(super) call: Option<&'a CallState>,
}

/// The answer of a child, while it is read.
pub(super) struct Answer {
    in_preview: bool,
    records_left: usize,
}

impl Answer {
    /// The answer to a request with so many events.
    pub(super) const fn new(function: Function, events: usize) -> Self {
        Self { in_preview: matches!(function, Function::Preview), records_left: MOST_RECORDS + EACH * events }
    }
}

pub(super) struct Completed {
    pub(super) status: Status,
    /// The abilities of the plugin, for `open`.
    pub(super) abilities: Abilities,
}

pub(super) enum ChannelError {
    /// The child has ended.
    Died,
    /// The process has ended, and was no child of this kind.
    NoChild,
    /// The child has sent invalid data, or closed its end.
    Broken(&'static str),
    /// The child did not answer in time.
    Late,
    /// The request was not sent, and the child is as it was.
    DoesNotFit(DoesNotFit),
    /// The child could not be started.
    Io(io::Error),
}

pub(super) struct Channel {
    pub(super) memory: SharedMemory,
    waker: HostWaker,
    taken: u64,
    /// The start of an incomplete record.
    inbox: Vec<u8>,
    spin: Spin,
}

impl Channel {
    /// A channel, and the files from which the child takes the other end of it.
    pub(super) fn new() -> io::Result<(Self, Vec<OwnedHandle>)> {
        let memory = SharedMemory::new()?;
        let (waker, mut theirs) = HostWaker::new()?;
        theirs.push(memory.share()?);
        Ok((Self { memory, waker, taken: 0, inbox: Vec::new(), spin: Spin::new() }, theirs))
    }

    /// Makes a call, and passes each record of the answer to `each`.
    pub(super) fn call(
        &mut self,
        request: &Request<'_>,
        child: &ChildHandle,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Completed, ChannelError> {
        // SAFETY: the views of a request are valid.
        let placed = unsafe { protocol::encode(&self.memory, request.text, request.events) };
        let (text, events) = placed.map_err(ChannelError::DoesNotFit)?;
        let left = request.deadline.saturating_duration_since(Instant::now());
        self.memory.post(&RequestHeader {
            function: request.function as u32,
            level: log::most_detailed(),
            timeout_ns: nanoseconds(left),
            text: (text, request.text.len()),
            events: (events, request.events.len()),
        });
        if self.memory.wake_child() {
            self.waker.wake();
        }
        if let Some(call) = request.call {
            call.on_cancel(self.waker.on_cancel());
        }
        let give_up = request.deadline + GRACE;
        let mut answer = Answer::new(request.function, request.events.len());
        let mut told = false;
        loop {
            if let Some(done) = self.read(&mut answer, each)? {
                return Ok(done);
            }
            // In each round, because a child may answer without end.
            if !told && request.call.is_some_and(CallState::is_cancelled) {
                self.memory.cancel();
                told = true;
            }
            if Instant::now() > give_up {
                return Err(ChannelError::Late);
            }
            let (memory, taken) = (&self.memory, self.taken);
            self.spin.until(|| memory.has_answer(taken));
            if memory.has_answer(taken) {
                continue;
            }
            memory.host_sleeps(true);
            if !memory.has_answer(taken) && self.sleep(child, give_up)? {
                // The child may have answered before it ended.
                let died = if self.memory.has_begun() { ChannelError::Died } else { ChannelError::NoChild };
                return self.read(&mut answer, each)?.ok_or(died);
            }
            self.memory.host_sleeps(false);
        }
    }

    /// Reads the available records, and passes them to `each`. Returns the end of the call, if that is among them.
    pub(super) fn read(
        &mut self,
        answer: &mut Answer,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Option<Completed>, ChannelError> {
        const UNKNOWN: ChannelError = ChannelError::Broken("sent what no child of this version sends");
        self.taken = self.memory.take(self.taken, &mut self.inbox).ok_or(UNKNOWN)?;
        let mut read = 0;
        let mut done = None;
        let in_preview = answer.in_preview;
        while let Some((record, length)) =
            Record::parse(&self.inbox[read..], in_preview).map_err(|NotARecord| UNKNOWN)?
        {
            if done.is_some() {
                return Err(UNKNOWN);
            }
            let too_many = ChannelError::Broken("sent more records than a call can have");
            answer.records_left = answer.records_left.checked_sub(1).ok_or(too_many)?;
            if record.kind == record::DONE {
                let status = Status::try_from(record.x.cast_signed()).unwrap_or(abi::STATUS_FAILED);
                done = Some(Completed { status, abilities: Abilities(record.y) });
            } else {
                each(&record);
            }
            read += length;
        }
        self.inbox.drain(..read);
        if self.inbox.is_empty() && self.inbox.capacity() > (1 << 20) {
            self.inbox = Vec::new();
        }
        // Nothing follows the end of a call.
        if done.is_some() && !self.inbox.is_empty() {
            return Err(UNKNOWN);
        }
        debug_assert!(
            self.inbox.len() <= HEAD + protocol::LONGEST_TEXT + protocol::LONGEST + shared_memory::RING
        );
        Ok(done)
    }

    /// Sleeps until the child wakes the host or ends (`true`), the call is cancelled, or it is time to give
    /// up.
    fn sleep(&self, child: &ChildHandle, give_up: Instant) -> Result<bool, ChannelError> {
        let longest = give_up.saturating_duration_since(Instant::now());
        let awake = self.waker.sleep(&child.process, longest);
        if awake == Awake::Died || child.ended(Duration::ZERO).is_some() {
            return Ok(true);
        }
        match awake {
            // A process closes its files before its end is reported.
            Awake::Closed if child.ended(Duration::from_secs(1)).is_none() => {
                Err(ChannelError::Broken("closed its connection to the tool"))
            }
            awake => Ok(awake == Awake::Closed),
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::super::reaper;
    use super::super::system::{ChildWaker, HostControl};
    use super::*;
    use crate::reexec::Spawn;
    use crate::reexec::program::Program;

    /// A process that answers nothing. Its folder has its program.
    fn silent() -> (tempfile::TempDir, Arc<ChildHandle>) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("silent");
        std::fs::write(&program, "#!/bin/sh\nexec sleep 600\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let (control, theirs) = HostControl::new().unwrap();
        let spawn = Spawn::new(Program::At(program), "silent").files(theirs);
        (folder, reaper::start(spawn, control, "b").unwrap())
    }

    /// How a call ended whose child sends the same record without end.
    struct Flooded {
        ended: Result<Completed, ChannelError>,
        records: usize,
        /// Bytes that the host has read.
        taken: u64,
    }

    /// Calls a child that sends the same record without end, and has begun before the call.
    fn flooded(function: Function, record: &[u8], deadline: Duration) -> Flooded {
        let (_folder, child) = silent();
        let (mut channel, theirs) = Channel::new().unwrap();
        let mut theirs = theirs.into_iter();
        let waker = ChildWaker::take(&mut theirs).unwrap();
        let memory = SharedMemory::map(theirs.next().unwrap()).unwrap();
        let enough = AtomicBool::new(false);
        let flooded = thread::scope(|scope| {
            let flood = scope.spawn(|| {
                let mut put = 0;
                while !enough.load(Ordering::Relaxed) {
                    let at = (put % record.len() as u64) as usize;
                    put += memory.put(put, &record[at..]) as u64;
                    if memory.wake_host() {
                        waker.wake();
                    }
                }
            });
            while !channel.memory.has_answer(0) {
                thread::yield_now();
            }
            let deadline = Instant::now() + deadline;
            let request = Request { function, text: "", events: &[], deadline, call: None };
            let mut records = 0;
            let ended = channel.call(&request, &child, &mut |_| records += 1);
            enough.store(true, Ordering::Relaxed);
            flood.join().unwrap();
            Flooded { ended, records, taken: channel.taken }
        });
        child.process.kill();
        flooded
    }

    #[test]
    fn answers_without_end_do_not_outlast_the_deadline() {
        // One arrives in time on a machine with other work, too, and there is no time for as many as a call may have.
        let second = vec![b'x'; 1 << 16];
        let head = Record { kind: record::MESSAGE, second: &second, ..Record::default() }.head();
        let message = [&head[..], &second].concat();
        let Flooded { ended, taken, .. } = flooded(Function::Preview, &message, Duration::ZERO);
        assert!(matches!(ended, Err(ChannelError::Late)));
        assert!(taken > 0);
    }

    #[test]
    fn a_child_sends_a_bounded_number_of_records() {
        let report = Record { kind: record::REPORT, ..Record::default() }.head();
        let Flooded { ended, records, .. } = flooded(Function::Free, &report, Duration::from_secs(600));
        assert!(matches!(ended, Err(ChannelError::Broken(what)) if what.contains("more records")));
        assert_eq!(records, MOST_RECORDS);
    }
}
