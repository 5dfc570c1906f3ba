//! In the place of `instance` where there is no process isolation.

use std::sync::Arc;

use crate::guard::error::{OpenFailure, Stage};
use crate::guard::executor::Entry;
use crate::guard::options::{BackendOptions, ProcessOptions};
use crate::library::content::Content;
use crate::library::location::Location;

pub(crate) fn entry(
    _: Arc<Content>,
    _: &Location,
    _: &ProcessOptions,
    _: &BackendOptions,
) -> Result<Box<dyn Entry>, OpenFailure> {
    let message = if cfg!(any(target_os = "linux", windows)) {
        "this program is built without process isolation: build it with the feature `isolation`, or set isolation = \"thread\""
    } else {
        "there is no process isolation on this platform yet"
    };
    Err(OpenFailure::Stage { stage: Stage::Process, message: message.to_owned() })
}

pub(crate) use self::entry as rehearsal;
