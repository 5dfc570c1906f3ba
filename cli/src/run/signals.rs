//! Requests from the system: to end, in good order and at once, and to reload.

use std::{
    io,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
};

use super::message::Message;
use crate::{console, exit::Exit};

static STOPPING: AtomicBool = AtomicBool::new(false);

/// The first request to end is passed on; the second ends at once.
fn stop(sender: &Sender<Message>) {
    if STOPPING.swap(true, Ordering::SeqCst) {
        jackfield_loader::exit(Exit::Interrupted.code().into());
    }
    console::say(
        "stopping: what was read is delivered first, the rest waits for the next run; once more ends at once",
    );
    let _ = sender.send(Message::CancellationToken);
}

/// From now on `SIGINT` and `SIGTERM` end the run, and `SIGHUP` reloads.
#[cfg(unix)]
pub(super) fn install(sender: Sender<Message>) -> io::Result<()> {
    use signal_hook::{
        consts::{SIGHUP, SIGINT, SIGTERM},
        iterator::Signals,
    };
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let wait = move || {
        for signal in signals.forever() {
            if signal == SIGHUP {
                let _ = sender.send(Message::Reload);
            } else {
                stop(&sender);
            }
        }
    };
    std::thread::Builder::new().name("jackfield-signals".to_owned()).spawn(wait).map(drop)
}

/// From now on Ctrl-C ends the run.
#[cfg(not(unix))]
pub(super) fn install(sender: Sender<Message>) -> io::Result<()> {
    ctrlc::set_handler(move || stop(&sender)).map_err(io::Error::other)
}
