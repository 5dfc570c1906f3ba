//! The host's end of one thread of a child.

use std::{
    io::{self, Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::{Duration, Instant},
};

use jackfield_plugin_api::abi::{self, Status};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    protocol::{self, HEAD, Kind, Record, record},
    reaper::ChildHandle,
    shared_memory::{self, RequestHeader, SharedMemory},
};
use crate::{boundary::log, guard::spin::Spin};

/// How often a host that sleeps looks whether anybody still waits for the call.
const TICK: Duration = Duration::from_millis(50);

/// How long after its deadline a call is given up by the thread that made it. The one who waits for it has done so before.
const GRACE: Duration = Duration::from_millis(500);

/// One call.
pub(super) struct Request<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// Views that are valid as long as the request.
    pub(super) events: &'a [abi::Event],
    pub(super) deadline: Instant,
    pub(super) cancelled: &'a dyn Fn() -> bool,
}

/// How a call came back.
pub(super) struct Done {
    pub(super) status: Status,
    /// For `open`: the `ABLE_` bits.
    pub(super) abilities: u64,
}

/// Why a call did not come back.
pub(super) enum Lost {
    /// The child has ended.
    Died,
    /// What was started is no child of this kind, and has ended.
    NoChild,
    /// It sends what none of this version sends, or has closed its end.
    Broken(&'static str),
    /// It did not answer in time.
    Late,
    /// The request could not be made.
    Io(io::Error),
}

pub(super) struct Channel {
    memory: SharedMemory,
    bell: UnixStream,
    taken: u64,
    /// What was taken and is no whole record yet.
    inbox: Vec<u8>,
    spin: Spin,
}

impl Channel {
    /// A channel and what the child needs for its end: the other end of the bell, and the memory.
    pub(super) fn new() -> io::Result<(Self, [OwnedFd; 2])> {
        let memory = SharedMemory::new()?;
        let (bell, other) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        let descriptor = memory.descriptor().try_clone_to_owned()?;
        Ok((
            Self { memory, bell, taken: 0, inbox: Vec::new(), spin: Spin::new() },
            [OwnedFd::from(other), descriptor],
        ))
    }

    /// Makes a call and hands each record that answers it to `each`.
    pub(super) fn call(
        &mut self,
        request: &Request<'_>,
        child: &ChildHandle,
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Done, Lost> {
        // SAFETY: the views of a request are valid.
        let placed = unsafe { protocol::encode(&mut self.memory, request.text, request.events) };
        let (text, events) = placed.map_err(Lost::Io)?;
        let left = request.deadline.saturating_duration_since(Instant::now());
        self.memory.post(&RequestHeader {
            kind: request.kind as u32,
            level: log::most_detailed(),
            timeout_ns: protocol::nanoseconds(left),
            text: (text, request.text.len()),
            events: (events, request.events.len()),
        });
        if self.memory.wake_child() {
            self.ring();
        }
        let mut told = false;
        loop {
            if let Some(done) = self.read(each)? {
                return Ok(done);
            }
            let (memory, taken) = (&self.memory, self.taken);
            self.spin.until(|| memory.has_answer(taken));
            if memory.has_answer(taken) {
                continue;
            }
            memory.host_sleeps(true);
            if !memory.has_answer(taken) && self.sleep(child)? {
                // What it had said before stands, and an end that it had said is one.
                let died = if self.memory.has_begun() { Lost::Died } else { Lost::NoChild };
                return self.read(each)?.ok_or(died);
            }
            self.memory.host_sleeps(false);
            if !told && (request.cancelled)() {
                self.memory.cancel();
                told = true;
            }
            if Instant::now() > request.deadline + GRACE {
                return Err(Lost::Late);
            }
        }
    }

    fn ring(&self) {
        // A full socket has a bell in it that nobody has heard yet, and a closed one is noticed by whoever waits.
        let _ = (&self.bell).write(&[1]);
    }

    /// Reads what has come. The last record of the answer, if it has come too.
    fn read(&mut self, each: &mut dyn FnMut(&Record<'_>)) -> Result<Option<Done>, Lost> {
        const UNKNOWN: Lost = Lost::Broken("sent what no child of this version sends");
        self.taken = self.memory.take(self.taken, &mut self.inbox).ok_or(UNKNOWN)?;
        let mut read = 0;
        let mut done = None;
        while let Some((record, length)) = Record::parse(&self.inbox[read..]).map_err(|()| UNKNOWN)? {
            if done.is_some() {
                return Err(UNKNOWN);
            }
            if record.kind == record::DONE {
                let status = Status::try_from(record.x.cast_signed()).unwrap_or(abi::STATUS_FAILED);
                done = Some(Done { status, abilities: record.y });
            } else {
                each(&record);
            }
            read += length;
        }
        self.inbox.drain(..read);
        if self.inbox.is_empty() && self.inbox.capacity() > (1 << 20) {
            self.inbox = Vec::new();
        }
        // One call at a time: nothing follows its end.
        if done.is_some() && !self.inbox.is_empty() {
            return Err(UNKNOWN);
        }
        debug_assert!(self.inbox.len() <= HEAD + 2 * protocol::LONGEST + shared_memory::RING);
        Ok(done)
    }

    /// Sleeps until the bell rings, the child ends, or it is time to look around; `true` when the child has ended.
    fn sleep(&self, child: &ChildHandle) -> Result<bool, Lost> {
        let mut places = vec![PollFd::new(&self.bell, PollFlags::IN)];
        if let Some(pidfd) = child.pidfd() {
            places.push(PollFd::from_borrowed_fd(pidfd, PollFlags::IN));
        }
        let tick = Timespec::try_from(TICK).ok();
        // An interrupted wait is one that has ended early.
        let _ = poll(&mut places, tick.as_ref());
        let rang = !places[0].revents().is_empty();
        let died = places.get(1).is_some_and(|place| !place.revents().is_empty())
            || child.ended(Duration::ZERO).is_some();
        if died || !rang {
            return Ok(died);
        }
        match (&self.bell).read(&mut [0; 64]) {
            Ok(1..) => Ok(false),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Ok(false)
            }
            // A process closes what it has before its end is known.
            _ => match child.ended(Duration::from_secs(1)) {
                Some(_) => Ok(true),
                None => Err(Lost::Broken("closed its connection to the tool")),
            },
        }
    }
}
