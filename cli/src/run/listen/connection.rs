//! One connection: reads a request, and writes the answer. Both directions end at a deadline, however slowly the client
//! reads or writes.

use std::{
    io,
    time::{Duration, Instant},
};

use httparse::Status;

use super::{
    answer::{Answer, Request, Site},
    peer::Peer,
    places::Place,
};

/// The time for a request to come.
const TO_ASK: Duration = Duration::from_secs(2);
/// The time for its answer to be written.
const TO_ANSWER: Duration = Duration::from_secs(5);
/// The time in which the client closes the connection after the answer.
const CLOSING: Duration = Duration::from_millis(500);
/// The largest request: its first line and its headers.
const LARGEST: usize = 8 << 10;
const MOST_HEADERS: usize = 64;

/// Answers one request.
pub(super) fn serve<P: Peer>(place: &Place<P>, site: &Site) {
    let peer = place.peer();
    let request = read(peer);
    place.has_asked();
    // Errors are those of the client, which has gone or is too slow.
    let _ = match request {
        Ok(Ok(request)) => write(peer, &site.answer(&request), request.is_head),
        Ok(Err(refusal)) => write(peer, &refusal, false),
        Err(error) => Err(error),
    };
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
fn read(peer: &impl Peer) -> io::Result<Result<Request, Answer>> {
    let deadline = Instant::now() + TO_ASK;
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

fn write(peer: &impl Peer, answer: &Answer, is_head: bool) -> io::Result<()> {
    let deadline = Instant::now() + TO_ANSWER;
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
