//! Platforms instead of the configured one: away, accepting nobody, silent, closing, breaking connections, answering, and
//! answering slowly.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    iter, mem,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::harness::{CheckError, fail};

/// A platform that accepts connections and datagrams and never answers.
pub(super) struct SilentPlatform {
    listener: TcpListener,
    socket: Option<UdpSocket>,
}

impl SilentPlatform {
    pub(super) fn start() -> Result<Self, CheckError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| no_port(&error))?;
        listener.set_nonblocking(true).map_err(|error| no_port(&error))?;
        let socket = listener
            .local_addr()
            .and_then(UdpSocket::bind)
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .ok();
        Ok(Self { listener, socket })
    }

    pub(super) fn address(&self) -> Result<SocketAddr, CheckError> {
        self.listener.local_addr().map_err(|error| fail(error.to_string(), "run it again"))
    }

    /// Whether there was a connection or a datagram.
    pub(super) fn was_contacted(&self) -> bool {
        self.listener.accept().is_ok()
            || self.socket.as_ref().is_some_and(|socket| socket.recv_from(&mut [0; 1]).is_ok())
    }
}

/// A platform that accepts no connection, so that a client waits for one.
#[cfg_attr(not(unix), allow(dead_code, reason = "none is made there"))]
pub(super) struct FullPlatform {
    listener: TcpListener,
    _clients: Vec<TcpStream>,
}

impl FullPlatform {
    /// `None` where the system takes any number of connections.
    #[cfg(unix)]
    pub(super) fn start() -> Option<Self> {
        /// A connection on the same machine is made at once, or not at all.
        const AT_ONCE: Duration = Duration::from_millis(50);
        /// More than a system takes beyond what it is asked to keep.
        const MOST: usize = 16;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        rustix::net::listen(&listener, 0).ok()?;
        let (address, mut clients) = (listener.local_addr().ok()?, Vec::new());
        while clients.len() < MOST {
            match TcpStream::connect_timeout(&address, AT_ONCE) {
                Ok(client) => clients.push(client),
                Err(_) => return Some(Self { listener, _clients: clients }),
            }
        }
        None
    }

    #[cfg(not(unix))]
    pub(super) fn start() -> Option<Self> {
        None
    }

    pub(super) fn address(&self) -> Result<SocketAddr, CheckError> {
        self.listener.local_addr().map_err(|error| no_port(&error))
    }
}

/// Starts a platform that begins to answer, a byte now and then, and never ends. It lasts as long as the process.
pub(super) fn start_slow() -> Result<SocketAddr, CheckError> {
    /// The time between two bytes.
    const PACE: Duration = Duration::from_millis(50);
    let answer_slowly = |mut connection: TcpStream| {
        // The reason of a status of HTTP may be as long as it likes.
        let mut answer = b"HTTP/1.1 503 ".iter().chain(iter::repeat(&b'a'));
        let (mut buffer, mut last) = ([0; 1 << 14], None);
        let _ = connection.set_read_timeout(Some(PACE));
        loop {
            match connection.read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    // It answers when it was asked.
                    if last.is_none() {
                        continue;
                    }
                }
                Err(_) => return,
            }
            if last.is_some_and(|last: Instant| last.elapsed() < PACE) {
                continue;
            }
            last = Some(Instant::now());
            let byte = answer.next().copied().unwrap_or_default();
            if connection.write_all(&[byte]).is_err() {
                return;
            }
        }
    };
    serve(answer_slowly)
}

/// Starts a platform that reads what comes, answers nothing, and closes the connection. It lasts as long as the process.
pub(super) fn start_closing() -> Result<SocketAddr, CheckError> {
    serve(read_until_quiet)
}

/// Starts a platform that breaks each connection within what the client sends. It lasts as long as the process.
pub(super) fn start_breaking() -> Result<SocketAddr, CheckError> {
    let read_little = |mut connection: TcpStream| {
        let _ = connection.read(&mut [0; 1 << 10]);
        // After the end of this side, a client that sends on gets the signal SIGPIPE, unless it has said that it wants none.
        let _ = connection.shutdown(Shutdown::Write);
    };
    serve(read_little)
}

/// Starts a platform that answers: to a request of HTTP that all is well, to each line of JSON with the line `ok`, to anything else
/// with the same bytes. Then it closes the connection, but to one that sends lines. It lasts as long as the process.
pub(super) fn start_answering() -> Result<SocketAddr, CheckError> {
    serve(|connection| answer(connection, |_| true))
}

/// What a platform has answered.
pub(super) type Answered = &'static Mutex<Vec<u8>>;

/// Starts a platform that fails after one answer to a request of HTTP or to a line of JSON: it closes every connection without
/// another. It lasts as long as the process. Gives what it has answered, too.
pub(super) fn start_failing() -> Result<(SocketAddr, Answered), CheckError> {
    let answered: Answered = Box::leak(Box::default());
    let once = move |request: &[u8]| {
        let mut answered = answered.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = answered.is_empty() && Protocol::of(request) != Protocol::Unknown;
        if is_first {
            answered.extend_from_slice(request);
        }
        is_first
    };
    serve(move |connection| answer(connection, once)).map(|address| (address, answered))
}

/// Answers what comes on a connection, as long as `may` allows it for a request.
fn answer(mut connection: TcpStream, may: impl Fn(&[u8]) -> bool) {
    /// The longest wait for the rest of a request.
    const REST: Duration = Duration::from_secs(5);
    let (mut received, mut buffer) = (Vec::new(), [0; 1 << 14]);
    let _ = connection.set_read_timeout(Some(REST));
    while let Ok(count @ 1..) = connection.read(&mut buffer) {
        received.extend_from_slice(&buffer[..count]);
        while let Some((request, answer)) = next_answer(&mut received) {
            if !may(&request) {
                return read_until_quiet(connection);
            }
            let is_written = connection.write_all(&answer).is_ok();
            if !is_written || Protocol::of(&request) != Protocol::Lines {
                return;
            }
        }
    }
}

/// Reads what a client sends without an answer: a client whose connection is closed earlier loses what it was answered before.
fn read_until_quiet(mut connection: TcpStream) {
    /// The time without a byte after which a client has sent what it sends without an answer.
    const QUIET: Duration = Duration::from_millis(100);
    let mut buffer = [0; 1 << 14];
    if connection.set_read_timeout(Some(QUIET)).is_ok() {
        while let Ok(1..) = connection.read(&mut buffer) {}
    }
}

/// How a client speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http,
    /// Objects of JSON, one on each line.
    Lines,
    Unknown,
}

impl Protocol {
    /// That of the start of a request.
    fn of(request: &[u8]) -> Self {
        const METHODS: [&[u8]; 3] = [b"POST ", b"PUT ", b"GET "];
        match request {
            [b'{', ..] => Self::Lines,
            _ if METHODS.iter().any(|method| request.starts_with(method) || method.starts_with(request)) => {
                Self::Http
            }
            _ => Self::Unknown,
        }
    }
}

/// Takes the first request out of what has come, and gives it with the answer of a platform that answers; `None` as long as none is
/// complete.
fn next_answer(received: &mut Vec<u8>) -> Option<(Vec<u8>, Vec<u8>)> {
    if received.is_empty() {
        return None;
    }
    match Protocol::of(received) {
        Protocol::Http => {
            let answer = answer_of_http(received)?;
            Some((mem::take(received), answer))
        }
        Protocol::Lines => {
            let end = received.iter().position(|byte| *byte == b'\n')?;
            Some((received.drain(..=end).collect(), b"ok\n".to_vec()))
        }
        Protocol::Unknown => Some((received.clone(), mem::take(received))),
    }
}

/// The answer to a request of HTTP.
fn answer_of_http(request: &[u8]) -> Option<Vec<u8>> {
    const WELL: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    let end = request.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let is_complete = match length {
        Some(length) => request.len() - end >= length,
        None if head.contains("transfer-encoding: chunked") => request.ends_with(b"0\r\n\r\n"),
        None => true,
    };
    is_complete.then(|| WELL.to_vec())
}

/// Serves each connection to a new local port on a thread of its own.
fn serve(connection: impl Fn(TcpStream) + Send + Copy + 'static) -> Result<SocketAddr, CheckError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| no_port(&error))?;
    let address = listener.local_addr().map_err(|error| no_port(&error))?;
    let named = || thread::Builder::new().name("check-platform".to_owned());
    let accept = move || {
        for client in listener.incoming().flatten() {
            // Without a thread, the connection is closed.
            let _ = named().spawn(move || connection(client));
        }
    };
    named().spawn(accept).map(|_| address).map_err(|error| no_port(&error))
}

fn no_port(error: &io::Error) -> CheckError {
    fail(format!("no local port is available: {error}"), "run the check where it may listen on 127.0.0.1")
}

/// An address where no process listens, as long as this process lives: another one of the kit's could listen there otherwise.
/// It is that of the client of a connection, so that the port is in use.
pub(super) fn closed_address() -> Result<SocketAddr, CheckError> {
    type Connection = ([TcpStream; 2], SocketAddr);
    static CONNECTION: Mutex<Option<Connection>> = Mutex::new(None);
    let mut connection = CONNECTION.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, address)) = &*connection {
        return Ok(*address);
    }
    let connect = || -> io::Result<Connection> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        let address = client.local_addr()?;
        Ok(([client, listener.accept()?.0], address))
    };
    let (_, address) = connection.insert(connect().map_err(|error| no_port(&error))?);
    Ok(*address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_when_it_is_complete() {
        for (request, answered) in [
            (&b"PO"[..], false),
            (b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{", false),
            (b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", true),
            (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", false),
            (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", true),
            (b"GET / HTTP/1.1\r\n\r\n", true),
        ] {
            let answer = next_answer(&mut request.to_vec());
            assert_eq!(answer.is_some_and(|(_, answer)| answer.starts_with(b"HTTP/1.1 200")), answered);
        }
        let mut received = b"AMQP\0".to_vec();
        assert_eq!(next_answer(&mut received), Some((b"AMQP\0".to_vec(), b"AMQP\0".to_vec())));
        assert_eq!(next_answer(&mut received), None);
    }

    #[test]
    fn each_line_is_answered_and_after_a_failure_none() {
        let say = |address: SocketAddr| {
            let mut client = TcpStream::connect(address).expect("it takes connections");
            client.write_all(b"{\"a\":1}\n{}\n{").expect("it reads");
            client.shutdown(Shutdown::Write).expect("it ends");
            let mut answer = String::new();
            client.read_to_string(&mut answer).expect("it closes the connection");
            answer
        };
        assert_eq!(say(start_answering().unwrap_or_else(|_| panic!("a port"))), "ok\nok\n");
        let (failing, answered) = start_failing().unwrap_or_else(|_| panic!("a port"));
        assert_eq!([say(failing), say(failing)], ["ok\n", ""]);
        assert_eq!(*answered.lock().expect("no panic"), b"{\"a\":1}\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_platform_accepts_nobody() {
        let full = FullPlatform::start().expect("it can be filled");
        let address = full.address().unwrap_or_else(|_| panic!("an address"));
        let refused = TcpStream::connect_timeout(&address, Duration::from_millis(100)).expect_err("full");
        assert_eq!(refused.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn a_slow_platform_answers_byte_by_byte() {
        let mut client =
            TcpStream::connect(start_slow().unwrap_or_else(|_| panic!("a port"))).expect("a client");
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it reads");
        let (mut byte, mut answer) = ([0; 8], Vec::new());
        while answer.len() < 15 {
            let count = client.read(&mut byte).expect("it goes on");
            assert!(count > 0);
            answer.extend_from_slice(&byte[..count]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 503 aa"), "{answer:?}");
    }

    #[test]
    fn a_connection_to_a_silent_platform_is_noticed() {
        let silent = SilentPlatform::start().unwrap_or_else(|_| panic!("a port"));
        let address = silent.address().unwrap_or_else(|_| panic!("an address"));
        assert!(!silent.was_contacted());
        let _client = std::net::TcpStream::connect(address).expect("it takes connections");
        assert!(silent.was_contacted());
    }
}
