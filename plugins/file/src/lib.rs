//! Appends events to a file, one JSON object a line.
//!
//! Guarantees, whatever else happens to the file:
//!
//! - A line is complete and in one file. An incomplete last line of an earlier crash is ended with a line feed and
//!   stays, so no event is joined to it. A write of this library that fails half-way is cut off again, so the retry of
//!   its events writes nothing twice.
//! - Several instances and processes may share the file. Each batch is written under the file's advisory lock, and a
//!   file that was rotated, moved or removed in the meantime is opened again.
//! - A new file has mode 0600. An existing file keeps its mode.
//! - A symbolic link is refused, on Unix: a user who may change the link could choose the file, and rotation would move
//!   the link instead of the file.
//! - A device or a FIFO is written without lock, repair, `fsync` and rotation. Opening a FIFO waits for its reader.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "it opens what ops name as output, and knows nothing of the host's side"
)]

mod append;
mod handle;
mod rotate;

use std::{
    num::{NonZeroU32, NonZeroU64},
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jackfield_plugin_api::{Backend, Batch, Call, Diagnoses, Error, Host, Outcome, Outcomes, Probe, plugin};

use crate::{
    append::{Appender, Options},
    handle::{Failure, SYSTEM},
    rotate::Rotation,
};

/// Options of the backend `file`: events appended to a file, one JSON object a line.
#[derive(Debug, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct Config {
    /// The file. Its folder must exist; a missing file is made, with mode 0600. A relative path starts at the tool's
    /// working folder.
    #[cfg_attr(test, schemars(extend("format" = "output-file", "minLength" = 1)))]
    path: PathBuf,
    /// Whether a batch is on the disk (fsync) before it counts as delivered. This is slower, and protects from a power
    /// failure.
    #[serde(default)]
    fsync: bool,
    /// Size in bytes above which the file is rotated: it becomes PATH.1, the old PATH.1 becomes PATH.2, and so on. With
    /// 0, the default, it is never rotated. A single event that is larger gets a file of its own.
    #[serde(default)]
    rotate_bytes: u64,
    /// How many rotated files are kept; older ones are deleted.
    #[serde(default = "five")]
    rotate_keep: NonZeroU32,
}

const fn five() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(4)
}

impl From<Config> for Options {
    fn from(config: Config) -> Self {
        let rotation = NonZeroU64::new(config.rotate_bytes)
            .map(|bytes| Rotation { bytes: bytes.get(), keep: config.rotate_keep });
        Self { path: config.path, fsync: config.fsync, rotation, disk: SYSTEM }
    }
}

struct FileBackend {
    appender: Mutex<Appender>,
}

impl FileBackend {
    fn appender(&self) -> MutexGuard<'_, Appender> {
        // After a panic the file's end is checked again, as after a crash.
        self.appender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for FileBackend {
    type Config = Config;

    /// The lock admits one batch at a time to the file; further threads would only wait.
    const SERIAL: bool = true;

    fn open(config: Config, _host: Host, _call: &Call<'_>) -> Result<Self, Error> {
        if config.path.as_os_str().is_empty() {
            return Err(Error::config("path", "is empty; name a file"));
        }
        let mut appender = Appender::new(config.into());
        match appender.open() {
            Ok(()) => Ok(Self { appender: Mutex::new(appender) }),
            Err(failure @ Failure::Path(_)) => Err(Error::config("path", appender.explain(&failure))),
            Err(failure) if failure.may_pass() => Err(Error::unavailable(appender.explain(&failure))),
            Err(failure) => Err(Error::failed(appender.explain(&failure))),
        }
    }

    fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes {
        let go_on = || !call.remaining().is_zero() && !call.is_cancelled();
        let mut appender = self.appender();
        let mut written = 0;
        match appender.append(batch.iter().map(|event| event.json()), &mut written, &go_on) {
            Ok(()) => Outcome::Delivered.into(),
            Err(failure) => {
                let mut outcomes = vec![Outcome::Delivered; written];
                outcomes.resize(batch.len(), Outcome::retry(appender.explain(&failure)));
                Outcomes::Each(outcomes)
            }
        }
    }

    fn close(&self, _call: &Call<'_>) -> Result<(), Error> {
        self.appender().close();
        Ok(())
    }
}

impl Diagnoses for FileBackend {
    /// Shows the lines. The repair of an incomplete line and the rotation depend on the file and are not shown.
    fn preview(
        &self,
        batch: &Batch<'_>,
        sink: &mut dyn FnMut(&str, &[u8]),
        _call: &Call<'_>,
    ) -> Result<(), Error> {
        let mut lines = Vec::new();
        for event in batch {
            append::push_line(event.json(), &mut lines);
        }
        if !batch.is_empty() {
            let label = format!("append to {}", self.appender().path().display());
            sink(&label, &lines);
        }
        Ok(())
    }

    fn probe(&self, _call: &Call<'_>) -> Probe {
        let appender = self.appender();
        match appender.probe() {
            Ok(()) => Probe::Reachable(format!("{} can be appended to", appender.path().display())),
            Err(failure) => Probe::Unreachable(appender.explain(&failure)),
        }
    }
}

plugin! {
    backend: FileBackend,
    name: "file",
    vendor: "Jackfield",
    description: "events appended to a file, one JSON object a line",
    offers: [diagnostics],
    config_schema: include_str!("../config.schema.json"),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Config, String> {
        serde_json::from_str(json).map_err(|error: serde_json::Error| error.to_string())
    }

    #[test]
    fn a_path_is_all_that_is_required() {
        let config = parse(r#"{"path":"/tmp/x"}"#).expect("valid");
        assert!(!config.fsync);
        assert_eq!(config.rotate_keep.get(), 5);
        assert!(Options::from(config).rotation.is_none());
        assert!(parse("{}").expect_err("no path").contains("missing field `path`"));
    }

    #[test]
    fn rotation_begins_at_one_byte_and_one_file() {
        let rotation = |json| Options::from(parse(json).expect("valid")).rotation;
        assert!(rotation(r#"{"path":"x","rotate_bytes":0}"#).is_none());
        let on = rotation(r#"{"path":"x","rotate_bytes":10,"rotate_keep":2}"#).expect("rotates");
        assert_eq!((on.bytes, on.keep.get()), (10, 2));
        assert!(parse(r#"{"path":"x","rotate_keep":0}"#).is_err());
    }

    #[test]
    fn the_checked_in_schema_is_that_of_the_options() {
        jackfield_plugin_api::schema::assert_schema::<Config>(env!("CARGO_MANIFEST_DIR"));
    }
}
