//! The signals by which a user or a process manager ends a command, or makes it reload.
//!
//! A request to end may come as two signals within milliseconds: `timeout` signals its child and then the
//! child's group, and a wrapper such as `npm` passes Ctrl-C on to a child that has already received it. So a
//! second signal soon after the first is the same request. A later one, or a third one, ends the process.

use std::{
    io,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use jackfield::forward::CancellationToken;
#[cfg(unix)]
use jackfield_loader::signals::release_hangup;

use crate::exit::Exit;

/// The time after the first signal in which a second one is the same request.
const SAME_REQUEST: Duration = Duration::from_secs(1);
/// The time in which [`unless_stopped`] notices a request to stop.
const TICK: Duration = Duration::from_millis(20);

/// The meaning of a signal to end, after the signals before it.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    End,
    SameRequest,
    EndAtOnce,
}

/// The signals to end that have come.
#[derive(Debug, Default)]
struct Requests {
    first: Option<Instant>,
    repeated: bool,
}

impl Requests {
    fn add(&mut self, now: Instant) -> Meaning {
        let Some(first) = self.first else {
            self.first = Some(now);
            return Meaning::End;
        };
        if self.repeated || now.duration_since(first) >= SAME_REQUEST {
            return Meaning::EndAtOnce;
        }
        self.repeated = true;
        Meaning::SameRequest
    }
}

/// The handler of a signal to end: it calls `end` for the first request; a second one ends the process.
fn on_end(mut end: impl FnMut()) -> impl FnMut() {
    let mut requests = Requests::default();
    move || match requests.add(Instant::now()) {
        Meaning::End => end(),
        Meaning::SameRequest => {}
        Meaning::EndAtOnce => jackfield_loader::exit(Exit::Interrupted.code().into()),
    }
}

/// From now on `SIGINT` and `SIGTERM` are requests to end. A separate thread calls `end` for the first one.
/// `SIGHUP` is a request to end, too, unless there is a `reload`.
#[cfg(unix)]
pub(crate) fn install(
    end: impl FnMut() + Send + 'static,
    mut reload: Option<Box<dyn FnMut() + Send>>,
) -> io::Result<()> {
    use signal_hook::{
        consts::{SIGHUP, SIGINT, SIGTERM},
        iterator::Signals,
    };
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let wait = move || {
        let mut end = on_end(end);
        for signal in signals.forever() {
            match &mut reload {
                Some(reload) if signal == SIGHUP => reload(),
                _ => end(),
            }
        }
    };
    thread::Builder::new().name("jackfield-signals".to_owned()).spawn(wait)?;
    release_hangup();
    Ok(())
}

/// From now on Ctrl-C, Ctrl-Break and the closed window are requests to end. A separate thread calls `end` for the first one.
#[cfg(windows)]
pub(crate) fn install(
    end: impl FnMut() + Send + 'static,
    _reload: Option<Box<dyn FnMut() + Send>>,
) -> io::Result<()> {
    jackfield_loader::signals::on_console_end(on_end(end))
}

/// Does `work` on a separate thread. Gives its result; `None` if `stop` is set first, and the thread goes on.
pub(crate) fn unless_stopped<T: Send + 'static>(
    stop: &CancellationToken,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Option<T>> {
    let (sender, receiver) = mpsc::channel();
    let work = move || drop(sender.send(work()));
    thread::Builder::new().name("jackfield-open".to_owned()).spawn(work)?;
    while !stop.is_set() {
        // Polling, because a thread can't wait for a channel and a flag at once.
        match receiver.recv_timeout(TICK) {
            Ok(done) => return Ok(Some(done)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("its thread panicked")),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The meanings of signals that come after these numbers of milliseconds.
    fn meanings<const N: usize>(after_ms: [u64; N]) -> [Meaning; N] {
        let (start, mut requests) = (Instant::now(), Requests::default());
        after_ms.map(|ms| requests.add(start + Duration::from_millis(ms)))
    }

    #[test]
    fn two_signals_within_a_second_are_one_request() {
        use Meaning::{End, EndAtOnce, SameRequest};
        assert_eq!(meanings([0, 3, 6]), [End, SameRequest, EndAtOnce]);
        assert_eq!(meanings([0, 999, 5000]), [End, SameRequest, EndAtOnce]);
        assert_eq!(meanings([0, 1000]), [End, EndAtOnce]);
    }

    #[test]
    fn a_request_to_stop_ends_the_wait_for_work() {
        let stop = CancellationToken::new();
        assert_eq!(unless_stopped(&stop, || 7).expect("a thread"), Some(7));
        let (hold, held) = mpsc::channel::<()>();
        let set = stop.clone();
        let work = move || {
            set.set();
            held.recv()
        };
        assert_eq!(unless_stopped(&stop, work).expect("a thread"), None);
        drop(hold);
    }
}
