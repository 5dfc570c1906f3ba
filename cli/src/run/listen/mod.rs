//! `run --listen`: metrics, health and a page with the status, over HTTP.
//!
//! | path | answer |
//! | --- | --- |
//! | `/` | one page with what `jackfield status` shows, and a plot of the last hour |
//! | `/metrics` | the same numbers in Prometheus' text format |
//! | `/healthz` | 200 while the main thread of the run goes on |
//! | `/readyz` | 200 while the input is read and every backend is open, else 503 with the reason |
//!
//! All of them show the [`Snapshot`] that the run last wrote as its status; nothing is computed a second time. No
//! thread of this module holds a lock while it reads or writes a connection, so a slow client, or a panic, holds up
//! nothing else. The number of connections, the size of a request and the time of both directions are limited.

pub(super) mod address;
mod answer;
mod board;
mod connection;
mod health;
mod history;
mod html;
mod metrics;
mod page;
mod peer;
mod places;
mod plot;
#[cfg(unix)]
mod unix_socket;

use std::{
    io,
    net::TcpListener,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use self::{address::Address, answer::Site, board::Board, connection::serve, peer::Peer, places::Places};
use crate::{exit::CommandError, log, run_state::Snapshot};

/// The pause after a connection could not be accepted, because descriptors are used up.
const PAUSE: Duration = Duration::from_millis(100);

/// An open address. Its threads go on until the process ends.
pub(super) struct Listening {
    board: Arc<Board>,
    /// Removes the socket's file.
    #[cfg(unix)]
    _file: Option<unix_socket::SocketFile>,
}

impl Listening {
    /// Opens the address, and answers from now on.
    ///
    /// # Errors
    /// The address is in use or not this machine's, the folder of a socket can't be trusted, or there is no thread.
    pub(super) fn open(address: &Address) -> Result<Self, CommandError> {
        let failed = || CommandError::system(format!("--listen {address}"));
        let board = Arc::<Board>::default();
        match address {
            Address::Tcp(wanted) => {
                let listener = TcpListener::bind(wanted).map_err(failed())?;
                let bound = listener.local_addr().map_err(failed())?;
                let site = Site { board: Arc::clone(&board), is_loopback: bound.ip().is_loopback() };
                if !site.is_loopback {
                    log::warn(format_args!(
                        "--listen {bound}: whoever reaches this address can read the status, with the names of backends \
                         and tools, paths and errors: there is neither a password nor TLS"
                    ));
                }
                accept(move || Ok(listener.accept()?.0), site).map_err(failed())?;
                log::say(format_args!("metrics and status: http://{bound}/"));
                Ok(Self {
                    board,
                    #[cfg(unix)]
                    _file: None,
                })
            }
            #[cfg(unix)]
            Address::Unix(path) => {
                let (listener, file) = unix_socket::bind(path)
                    .map_err(|reason| CommandError::Unusable(format!("--listen {address}: {reason}")))?;
                let site = Site { board: Arc::clone(&board), is_loopback: false };
                accept(move || Ok(listener.accept()?.0), site).map_err(failed())?;
                log::say(format_args!("metrics and status: the socket {address}"));
                Ok(Self { board, _file: Some(file) })
            }
        }
    }

    /// From now on this is the status.
    pub(super) fn publish(&self, snapshot: Arc<Snapshot>) {
        self.board.publish(snapshot);
    }
}

/// Accepts connections on a thread, and serves each on a thread of its own.
fn accept<P: Peer>(next: impl Fn() -> io::Result<P> + Send + 'static, site: Site) -> io::Result<()> {
    let (site, places) = (Arc::new(site), Places::new());
    let accept = move || {
        loop {
            let Ok(peer) = next() else {
                thread::sleep(PAUSE);
                continue;
            };
            let (site, place) = (Arc::clone(&site), places.take(peer));
            let serve = move || {
                // A panic has printed its message, and ends this connection alone.
                let _ = catch_unwind(AssertUnwindSafe(|| serve(&place, &site)));
            };
            // Without a thread the connection is closed.
            let _ = thread::Builder::new().name("jackfield-http".to_owned()).spawn(serve);
        }
    };
    thread::Builder::new().name("jackfield-listen".to_owned()).spawn(accept)?;
    Ok(())
}
