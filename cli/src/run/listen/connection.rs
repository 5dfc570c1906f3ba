//! One connection: reads a request, and writes the answer. Both directions end at a deadline, however slowly the client
//! reads or writes.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

use httparse::Status;

use super::answer::{Answer, Request, Site};

/// The time for a request to come, and that for its answer to be written.
const LIMIT: Duration = Duration::from_secs(5);
/// The time in which the client closes the connection after the answer.
const CLOSING: Duration = Duration::from_millis(500);
/// The largest request: its first line and its headers.
const LARGEST: usize = 8 << 10;
const MOST_HEADERS: usize = 64;

/// A connection of some kind of socket.
pub(super) trait Peer: Read + Write + Send + 'static {
    /// Limits the time of each read and write.
    fn limit(&self, left: Option<Duration>) -> io::Result<()>;
    fn end_writing(&self) -> io::Result<()>;
}

impl Peer for TcpStream {
    fn limit(&self, left: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(left)?;
        self.set_write_timeout(left)
    }

    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

#[cfg(unix)]
impl Peer for std::os::unix::net::UnixStream {
    fn limit(&self, left: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(left)?;
        self.set_write_timeout(left)
    }

    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// Answers one request.
pub(super) fn serve(mut peer: impl Peer, site: &Site) {
    // Errors are those of the client, which has gone or is too slow.
    let _ = match read(&mut peer) {
        Ok(Ok(request)) => write(&mut peer, &site.answer(&request), request.is_head),
        Ok(Err(refusal)) => write(&mut peer, &refusal, false),
        Err(error) => Err(error),
    };
}

/// Refuses a connection without reading from it.
pub(super) fn refuse(mut peer: impl Peer) {
    // A new connection has room for an answer of this size, so that this does not wait.
    let busy = Answer::text(503, "there are too many connections: try again");
    let _ = peer.limit(Some(CLOSING)).and_then(|()| peer.write_all(&busy.bytes(false)));
}

/// The time until the deadline.
fn left(deadline: Instant) -> io::Result<Option<Duration>> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
}

/// Reads a request, or gives the answer to what is none.
fn read(peer: &mut impl Peer) -> io::Result<Result<Request, Answer>> {
    let deadline = Instant::now() + LIMIT;
    let mut bytes = Vec::with_capacity(1024);
    let mut block = [0; 1024];
    loop {
        let read = left(deadline).and_then(|left| peer.limit(left)).and_then(|()| peer.read(&mut block));
        match read {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => bytes.extend_from_slice(&block[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if is_timeout(&error) => {
                return Ok(Err(Answer::text(408, "the request has not come in time")));
            }
            Err(error) => return Err(error),
        }
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&bytes) {
            Ok(Status::Complete(_)) => return Ok(Request::of(&request)),
            Ok(Status::Partial) if bytes.len() < LARGEST => {}
            Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Ok(Err(Answer::text(431, "the request is too large")));
            }
            Err(_) => return Ok(Err(Answer::text(400, "expected a request of HTTP/1.1"))),
        }
    }
}

fn write(peer: &mut impl Peer, answer: &Answer, is_head: bool) -> io::Result<()> {
    let deadline = Instant::now() + LIMIT;
    let bytes = answer.bytes(is_head);
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        peer.limit(left(deadline)?)?;
        match peer.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => rest = &rest[len..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // Closing with unread bytes, such as the body of a request, would reset the connection and take the answer with it.
    peer.end_writing()?;
    let deadline = Instant::now() + CLOSING;
    let mut block = [0; 1024];
    loop {
        peer.limit(left(deadline)?)?;
        if peer.read(&mut block)? == 0 {
            return Ok(());
        }
    }
}
