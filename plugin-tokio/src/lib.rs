//! Backends of Jackfield whose functions are async.
//!
//! A plugin implements [`AsyncBackend`] and exports [`Tokio`] of it. The runtime is made when the backend opens and has
//! ended when `close` returns. A call whose time is up, or for which the host no longer waits, is dropped where it
//! waits, a little before the host's deadline; its events without an outcome are reported as retries.
//!
//! ```
//! #![forbid(unsafe_code)]
//! use jackfield_plugin_api::{Batch, Error, Host, Outcome, Outcomes, export};
//! use jackfield_plugin_tokio::{AsyncBackend, Call, Tokio};
//! use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Mutex};
//!
//! #[derive(serde::Deserialize)]
//! struct Config {
//!     address: String,
//! }
//!
//! struct Lines {
//!     address: String,
//!     stream: Mutex<Option<TcpStream>>,
//! }
//!
//! impl AsyncBackend for Lines {
//!     type Config = Config;
//!
//!     async fn open(config: Config, _host: Host, _call: &Call<'_>) -> Result<Self, Error> {
//!         Ok(Self { address: config.address, stream: Mutex::default() })
//!     }
//!
//!     async fn send(&self, batch: &Batch<'_>, _call: &Call<'_>) -> Outcomes {
//!         match self.write(batch).await {
//!             Ok(()) => Outcome::Delivered.into(),
//!             Err(error) => Outcome::retry(error.to_string()).into(),
//!         }
//!     }
//! }
//!
//! impl Lines {
//!     async fn write(&self, batch: &Batch<'_>) -> std::io::Result<()> {
//!         let mut slot = self.stream.lock().await;
//!         // A stream that fails, or whose call is dropped here, is not used again.
//!         let mut stream = match slot.take() {
//!             Some(stream) => stream,
//!             None => TcpStream::connect(&self.address).await?,
//!         };
//!         for event in batch {
//!             stream.write_all(format!("{}\n", event.json()).as_bytes()).await?;
//!         }
//!         *slot = Some(stream);
//!         Ok(())
//!     }
//! }
//!
//! export! {
//!     backend: Tokio<Lines>,
//!     name: "lines",
//!     description: "writes events to a TCP socket",
//!     acknowledges: false,
//! }
//! # fn main() {}
//! ```
//!
//! The contract between plugin and host is the same as that of any plugin: nothing of tokio crosses it, so a plugin may
//! use any version beside a tool that uses another.
#![forbid(unsafe_code)]

#[cfg(feature = "tokio")]
mod adapter;
#[cfg(feature = "tokio")]
mod backend;
#[cfg(feature = "tokio")]
mod call;
#[cfg(feature = "tokio")]
mod runtimes;

#[cfg(feature = "tokio")]
pub use crate::{
    adapter::Tokio,
    backend::{AsyncBackend, AsyncDeletesData, AsyncDiagnoses},
    call::Call,
    runtimes::Runtimes,
};

/// The files of this crate without its manifest, by their paths in its folder, for programs that write projects of plugins.
#[cfg(feature = "source")]
pub const SOURCE: &[(&str, &str)] = &[
    ("src/adapter.rs", include_str!("adapter.rs")),
    ("src/backend.rs", include_str!("backend.rs")),
    ("src/call.rs", include_str!("call.rs")),
    ("src/lib.rs", include_str!("lib.rs")),
    ("src/runtimes.rs", include_str!("runtimes.rs")),
];
