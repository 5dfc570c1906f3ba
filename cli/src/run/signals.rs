//! Signals: to end in good order, to end at once, and to reload.

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

/// Passes the first request to end on. The second request ends the process at once.
fn stop(sender: &Sender<Message>) {
    if STOPPING.swap(true, Ordering::SeqCst) {
        jackfield_loader::exit(Exit::Interrupted.code().into());
    }
    console::say(
        "stopping: events that were read are delivered first, other events wait for the next run; a second signal ends at once",
    );
    let _ = sender.send(Message::Stop);
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
