//! An HTTP/1.1 server that answers by a script and remembers what it was asked.

mod reply;

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use flate2::read::GzDecoder;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

pub use self::reply::Reply;
use self::reply::{Answer, Kind, Pace};
use super::pki::{Pki, ServerCertificate};

/// A URL at which every connection is refused: port 1 is nobody's.
pub const REFUSED: &str = "http://127.0.0.1:1/";

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, decompressed.
    pub body: Vec<u8>,
    /// Bytes of the body on the wire.
    pub wire_bytes: usize,
    /// Which connection it came by, from 0.
    pub connection: usize,
}

impl Received {
    /// The value of a header, whose name is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}

struct State {
    script: Mutex<(VecDeque<Reply>, Reply)>,
    received: Mutex<Vec<Received>>,
    keep: bool,
    served: AtomicUsize,
    connections: AtomicUsize,
    /// Each closes one connection.
    open: Mutex<Vec<Box<dyn Fn() + Send>>>,
    tls: Option<Arc<ServerConfig>>,
    stop: AtomicBool,
}

/// The server. It ends when this value is dropped.
pub struct HttpServer {
    /// Unspecified for a UNIX socket.
    address: SocketAddr,
    /// Connects to the server, which wakes the thread that accepts.
    wake: Box<dyn Fn() + Send + Sync>,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// A server that answers every request alike.
    #[must_use]
    pub fn start(reply: Reply) -> Self {
        Self::script([], reply)
    }

    /// A server that answers the first requests with these replies and all others with `then`.
    #[must_use]
    pub fn script(replies: impl IntoIterator<Item = Reply>, then: Reply) -> Self {
        Self::launch(replies, then, None, true)
    }

    /// A server for a benchmark, which counts requests and keeps none.
    #[must_use]
    pub fn forgetful(reply: Reply) -> Self {
        Self::launch([], reply, None, false)
    }

    /// A server that speaks TLS, and wants a client certificate of the authority if `client` says so.
    #[must_use]
    pub fn tls(pki: &Pki, kind: ServerCertificate, client: bool, reply: Reply) -> Self {
        Self::launch([], reply, Some(pki.server_config(kind, client)), true)
    }

    fn launch(
        replies: impl IntoIterator<Item = Reply>,
        then: Reply,
        tls: Option<Arc<ServerConfig>>,
        keep: bool,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state = State::new(replies, then, tls, keep);
        let thread = spawn({
            let state = Arc::clone(&state);
            move || accept(listener.incoming(), &state)
        });
        Self {
            address,
            wake: Box::new(move || drop(TcpStream::connect(address))),
            state,
            thread: Some(thread),
        }
    }

    /// A server on a UNIX socket at `path`.
    ///
    /// # Panics
    /// When there can be no socket.
    #[cfg(unix)]
    #[must_use]
    pub fn unix(path: &std::path::Path, reply: Reply) -> Self {
        use std::os::unix::net::{UnixListener, UnixStream};
        let listener = UnixListener::bind(path).expect("a free path");
        let state = State::new([], reply, None, true);
        let thread = spawn({
            let state = Arc::clone(&state);
            move || accept(listener.incoming(), &state)
        });
        let path = path.to_owned();
        let wake = Box::new(move || drop(UnixStream::connect(&path)));
        Self { address: (Ipv4Addr::UNSPECIFIED, 0).into(), wake, state, thread: Some(thread) }
    }

    /// Address and port.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT` and this path; `https` with TLS.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.state.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// The requests so far, in the order in which they were complete.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state.received).clone()
    }

    /// How many requests there were.
    #[must_use]
    pub fn served(&self) -> usize {
        self.state.served.load(Ordering::Acquire)
    }

    /// How many connections there were.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Acquire)
    }

    /// Closes the connections that are open, as a server does with those that were idle for long.
    pub fn close_connections(&self) {
        lock(&self.state.open).drain(..).for_each(|close| close());
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Release);
        (self.wake)();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.close_connections();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn(work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name("http-peer".to_owned()).spawn(work).expect("a thread")
}

impl State {
    fn new(
        replies: impl IntoIterator<Item = Reply>,
        then: Reply,
        tls: Option<Arc<ServerConfig>>,
        keep: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new((replies.into_iter().collect(), then)),
            received: Mutex::default(),
            keep,
            served: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            open: Mutex::default(),
            tls,
            stop: AtomicBool::new(false),
        })
    }
}

/// A connection.
trait Socket: Read + Write + Send + Sized + 'static {
    fn another(&self) -> io::Result<Self>;

    /// Ends the connection. One that has ended already can't be ended.
    fn end(&self);

    fn send_at_once(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket for TcpStream {
    fn another(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }

    fn send_at_once(&self) -> io::Result<()> {
        self.set_nodelay(true)
    }
}

#[cfg(unix)]
impl Socket for std::os::unix::net::UnixStream {
    fn another(&self) -> io::Result<Self> {
        self.try_clone()
    }

    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

fn accept<S: Socket>(incoming: impl Iterator<Item = io::Result<S>>, state: &Arc<State>) {
    for stream in incoming {
        if state.stop.load(Ordering::Acquire) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let number = state.connections.fetch_add(1, Ordering::AcqRel);
        let Ok(clone) = stream.another() else { continue };
        let Ok(own) = stream.another() else { continue };
        lock(&state.open).push(Box::new(move || clone.end()));
        let state = Arc::clone(state);
        spawn(move || {
            // The client's end is the test's to judge.
            let _ = connection(stream, number, &state);
            // The clone in the list keeps the connection open otherwise.
            own.end();
        });
    }
}

fn connection(stream: impl Socket, number: usize, state: &State) -> io::Result<()> {
    stream.send_at_once()?;
    match &state.tls {
        None => serve(stream, number, state),
        Some(config) => {
            let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
            serve(StreamOwned::new(session, stream), number, state)
        }
    }
}

fn serve(mut stream: impl Read + Write, number: usize, state: &State) -> io::Result<()> {
    let mut buffer = vec![0];
    stream.read_exact(&mut buffer)?;
    if !buffer[0].is_ascii_uppercase() {
        return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    }
    while let Some(received) = read_request(&mut stream, &mut buffer, number)? {
        let mut reply = {
            let mut script = lock(&state.script);
            script.0.pop_front().unwrap_or_else(|| script.1.clone())
        };
        while let Kind::With(choose) = &reply.0 {
            reply = choose(&received);
        }
        if state.keep {
            lock(&state.received).push(received);
        }
        state.served.fetch_add(1, Ordering::AcqRel);
        match &reply.0 {
            Kind::Answer(answer) => {
                if !write_answer(&mut stream, answer, state)? {
                    return Ok(());
                }
            }
            Kind::Silence => {
                // Until the client gives up, or the server is dropped.
                let mut byte = [0];
                while stream.read(&mut byte)? > 0 {}
                return Ok(());
            }
            Kind::Close | Kind::With(_) => return Ok(()),
        }
    }
    Ok(())
}

/// The next request; `None` when the client has closed the connection.
fn read_request(
    stream: &mut impl Read,
    buffer: &mut Vec<u8>,
    connection: usize,
) -> io::Result<Option<Received>> {
    let mut chunk = vec![0; 64 << 10];
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            count => buffer.extend_from_slice(&chunk[..count]),
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut received = Received { method, path, headers, body: Vec::new(), wire_bytes: 0, connection };
    let length = received.header("content-length").map_or(Ok(0), str::parse).map_err(io::Error::other)?;
    buffer.reserve((head_end + length).saturating_sub(buffer.len()));
    while buffer.len() < head_end + length {
        match stream.read(&mut chunk)? {
            0 => return Ok(None),
            count => buffer.extend_from_slice(&chunk[..count]),
        }
    }
    let rest = buffer.split_off(head_end + length);
    let wire = std::mem::replace(buffer, rest).split_off(head_end);
    received.wire_bytes = wire.len();
    received.body = if received.header("content-encoding") == Some("gzip") {
        let mut body = Vec::new();
        GzDecoder::new(&*wire).read_to_end(&mut body)?;
        body
    } else {
        wire
    };
    Ok(Some(received))
}

/// Writes an answer, and says whether the connection goes on.
fn write_answer(stream: &mut impl Write, answer: &Answer, state: &State) -> io::Result<bool> {
    pause(answer.delay, state);
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", answer.length));
    let second = Duration::from_secs(1);
    match answer.pace {
        Pace::DripAll => {
            for byte in head.as_bytes().iter().chain(&answer.body) {
                stream.write_all(&[*byte])?;
                stream.flush()?;
                pause(second, state);
            }
        }
        Pace::DripBody => {
            stream.write_all(head.as_bytes())?;
            stream.flush()?;
            for at in 0..answer.length {
                pause(second, state);
                stream.write_all(&[answer.body.get(at).copied().unwrap_or(0)])?;
                stream.flush()?;
            }
        }
        Pace::Cut => {
            stream.write_all(head.as_bytes())?;
            stream.write_all(&answer.body[..answer.body.len() / 2])?;
            stream.flush()?;
            return Ok(false);
        }
        Pace::Whole => {
            let mut whole = head.into_bytes();
            whole.extend_from_slice(&answer.body);
            stream.write_all(&whole)?;
            let zeros = [0; 64 << 10];
            let mut left = answer.length - answer.body.len();
            while left > 0 {
                let count = left.min(zeros.len());
                stream.write_all(&zeros[..count])?;
                left -= count;
            }
            stream.flush()?;
        }
    }
    Ok(true)
}

/// Sleeps, unless the server ends.
fn pause(time: Duration, state: &State) {
    let until = Instant::now() + time;
    while !state.stop.load(Ordering::Acquire) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(Duration::from_millis(50)));
    }
}
