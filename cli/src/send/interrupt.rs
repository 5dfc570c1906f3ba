//! Ctrl-C: the first one ends the run in good order, the second one at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use jackfield::forward::CancellationToken;

use crate::{console, exit::Exit};

/// Whether the user interrupted.
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on Ctrl-C, and a signal to end, sets `stop`.
    pub(super) fn install(stop: CancellationToken) -> Self {
        let happened = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&happened);
        let installed = ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::SeqCst) {
                jackfield_loader::exit(Exit::Interrupted.code().into());
            }
            console::say(
                "interrupted: events that were read and not delivered are kept; a second Ctrl-C ends at once",
            );
            stop.set();
        });
        if let Err(error) = installed {
            tracing::warn!(
                "Ctrl-C will end this run at once, without keeping events that were read: {error}"
            );
        }
        Self(happened)
    }

    pub(super) fn happened(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
