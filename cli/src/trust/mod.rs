//! Pins and signatures: `jackfield lock`, `keygen`, `sign`, `verify`.

pub(crate) mod keygen;
mod keys;
pub(crate) mod lock;
pub(crate) mod sign;
pub(crate) mod verify;

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// Makes a new file. Everybody may read it, or, when it is secret, the user alone.
fn create(path: &Path, text: &str, secret: bool) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(if secret { 0o600 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _ = secret;
    let mut file = options.open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Replaces a file atomically. Everybody may read it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let half = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    create(&half, text, false)?;
    fs::rename(&half, path).inspect_err(|_| drop(fs::remove_file(&half)))
}

/// `path` with a longer name.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}
