//! Real servers for the tests, on free ports of the loopback interface.

mod leash;
pub mod rabbitmq;

use std::net::TcpListener;

pub(crate) use leash::Leash;

/// A port that was free a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}
