//! The trait that an author of a backend in Rust implements.

use std::borrow::Cow;

use serde_core::de::DeserializeOwned;

use crate::{
    abi,
    call::{Call, Outcomes},
    config::value::shown,
    event::Batch,
    host::Host,
};

/// A telemetry backend.
///
/// The host opens an instance, calls [`send`](Self::send) from worker threads (several at once unless
/// [`SERIAL`](Self::SERIAL)), then [`close`](Self::close), then drops it. After a panic it drops the instance and opens
/// a new one. A backend does not decide whether an event is sent again: `send` reports an outcome, and the host decides.
pub trait Backend: Send + Sync + Sized + 'static {
    /// The configuration, read from the JSON object that ops wrote. A key that the type does not have is refused by
    /// name, with or without `deny_unknown_fields`. A backend without options takes [`NoConfig`](crate::NoConfig).
    type Config: DeserializeOwned;

    /// Whether `send` must not run twice at once on the same instance.
    const SERIAL: bool = false;

    /// Opens an instance. It should not fail because the platform is down: a connection can wait until the first `send`.
    ///
    /// # Errors
    /// [`Error::config`] for a value that makes no sense, anything else that prevents sending for good.
    fn open(config: Self::Config, host: Host, call: &Call<'_>) -> Result<Self, Error>;

    /// Sends a batch, blocks for at most [`Call::remaining`], and reports the outcome of each event.
    fn send(&self, batch: &Batch<'_>, call: &Call<'_>) -> Outcomes;

    /// Flushes what is inside and releases connections, files and threads. Called at most once.
    ///
    /// # Errors
    /// When something that `send` had reported as delivered may not have arrived.
    fn close(&self, call: &Call<'_>) -> Result<(), Error> {
        let _ = call;
        Ok(())
    }
}

/// Why opening or closing failed: one line, without secrets. The constructor says what can be done about it: ops correct a
/// [configuration](Self::config), the host tries again what is [unavailable](Self::unavailable), and nothing helps what has
/// [failed](Self::failed).
///
/// ```
/// use std::{fs, path::PathBuf};
///
/// use jackfield_plugin_api::Error;
///
/// struct Config {
///     token_file: PathBuf,
///     batch_bytes: u32,
/// }
///
/// fn token(config: &Config) -> Result<String, Error> {
///     if config.batch_bytes < 1024 {
///         return Err(Error::config("batch_bytes", "expected 1024 or more"));
///     }
///     // The text names the key, which ops know, and not the value, which may be a secret in the wrong place.
///     fs::read_to_string(&config.token_file)
///         .map_err(|error| Error::config("token_file", format!("can't be read: {}", error.kind())))
/// }
///
/// let config = Config { token_file: "/no/such/file".into(), batch_bytes: 2048 };
/// assert_eq!(token(&config).unwrap_err().to_string(), "token_file: can't be read: entity not found");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub(crate) status: abi::Status,
    pub(crate) subject: Cow<'static, str>,
    pub(crate) message: Cow<'static, str>,
}

impl Error {
    /// The configuration is wrong. `key` is the path of the key, such as `tls.ca_file`; only the part of it that can be a
    /// name is shown. `message` must not quote a value, because it may be a secret in the wrong place.
    pub fn config(key: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        let subject = match key.into() {
            Cow::Borrowed(key) => Cow::Borrowed(key),
            Cow::Owned(key) => shown(&key).into(),
        };
        Self { status: abi::STATUS_INVALID_CONFIG, subject, message: message.into() }
    }

    /// The operation fails, and will fail again.
    pub fn failed(message: impl Into<Cow<'static, str>>) -> Self {
        Self { status: abi::STATUS_FAILED, subject: "".into(), message: message.into() }
    }

    /// The operation fails now, and may succeed later.
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self { status: abi::STATUS_UNAVAILABLE, subject: "".into(), message: message.into() }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.subject.is_empty() {
            write!(f, "{}: ", self.subject)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
