//! Pins and signatures: `jackfield lock`, `keygen`, `sign`, `verify`.

pub(crate) mod keygen;
mod keys;
pub(crate) mod lock;
pub(crate) mod sign;
pub(crate) mod verify;

use std::path::{Path, PathBuf};

/// `path` with a longer name.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}
