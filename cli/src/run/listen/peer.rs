//! The client's end of a connection, by TCP or by a UNIX socket.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

/// A connection of some kind of socket.
pub(super) trait Peer: Send + Sync + 'static {
    fn read(&self, block: &mut [u8]) -> io::Result<usize>;
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Limits the time of each read and write.
    fn limit(&self, left: Option<Duration>) -> io::Result<()>;
    fn end_writing(&self) -> io::Result<()>;
    /// Ends both directions: reads and writes of other threads end, too.
    fn end(&self) -> io::Result<()>;
}

/// Sockets whose calls have the same names.
macro_rules! peers {
    ($($(#[$when:meta])? $socket:ty,)*) => {$(
        $(#[$when])?
        impl Peer for $socket {
            fn read(&self, block: &mut [u8]) -> io::Result<usize> {
                Read::read(&mut &*self, block)
            }

            fn write(&self, bytes: &[u8]) -> io::Result<usize> {
                Write::write(&mut &*self, bytes)
            }

            fn limit(&self, left: Option<Duration>) -> io::Result<()> {
                self.set_read_timeout(left)?;
                self.set_write_timeout(left)
            }

            fn end_writing(&self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }

            fn end(&self) -> io::Result<()> {
                self.shutdown(Shutdown::Both)
            }
        }
    )*};
}

peers! {
    TcpStream,
    #[cfg(unix)] std::os::unix::net::UnixStream,
}
