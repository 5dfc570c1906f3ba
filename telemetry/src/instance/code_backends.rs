//! The backends in the tool's code that [`init_with`](crate::init_with) names: a child process of the tool has these, because
//! they are named before the child's work begins. They are facts of the program, not of one telemetry.

use std::sync::Mutex;

use crate::instance::settings::StaticBackend;
use crate::process::lock;

static NAMED: Mutex<Vec<StaticBackend>> = Mutex::new(Vec::new());

/// Names backends. Of two with one name, the first one counts.
pub(crate) fn name(backends: Vec<StaticBackend>) {
    lock(&NAMED).extend(backends);
}

/// The backend with this name.
pub(crate) fn find(name: &str) -> Option<StaticBackend> {
    lock(&NAMED).iter().find(|backend| backend.name == name).cloned()
}
