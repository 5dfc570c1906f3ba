//! What the plugins talk to in the tests. Every peer listens on a free port of 127.0.0.1 and ends with the value that stands
//! for it.

pub mod browser;
pub mod http;
pub mod http_proxy;
mod leash;
pub mod pki;
pub mod prometheus;
pub mod proxy;
pub mod python;
pub mod rabbitmq;
pub mod rotel;
pub mod rsyslog;
pub mod syslog;

use std::net::TcpListener;

pub(crate) use leash::Leash;

/// A port that was free a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}
