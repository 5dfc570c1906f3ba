//! Messages to the main thread of a run, and the signals that send them.

use std::{io, sync::mpsc::Sender};

use jackfield::forward::CancellationToken;

use crate::{log, signals};

/// A message to the main thread.
pub(super) enum Message {
    /// The input has ended, or can't be read.
    Ended(io::Result<()>),
    Reload,
    /// A reload is over.
    Reloaded,
    /// The first request to end.
    Stop,
}

/// From now on `SIGINT` and `SIGTERM` end the run, and `SIGHUP` reloads. The first request to end also sets the token that is
/// returned.
pub(super) fn obey_signals(sender: &Sender<Message>) -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (flag, ends, reloads) = (stop.clone(), sender.clone(), sender.clone());
    let end = move || {
        log::say(
            "stopping: events that were read are delivered first, other events wait for the next run; \
             a second signal after a second, or a third one, ends at once",
        );
        flag.set();
        let _ = ends.send(Message::Stop);
    };
    let reload = move || {
        let _ = reloads.send(Message::Reload);
    };
    signals::install(end, Some(Box::new(reload)))?;
    Ok(stop)
}
