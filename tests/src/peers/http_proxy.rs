//! An HTTP proxy that passes requests on: those with a whole URL, and tunnels by CONNECT. Every host is one server of the
//! test, so that names need not exist.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// The proxy. Its threads end with the process.
#[derive(Debug)]
pub struct HttpProxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl HttpProxy {
    /// A proxy before `server`.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&seen);
        spawn(move || {
            for client in listener.incoming().flatten() {
                let seen = Arc::clone(&all);
                // The client's end is the test's to judge.
                spawn(move || drop(pass_on(client, server, &seen)));
            }
        });
        Self { address, seen }
    }

    /// `http://`, the address and, before it, this user and password.
    #[must_use]
    pub fn url(&self, credentials: &str) -> String {
        format!("http://{credentials}{}", self.address)
    }

    /// The heads of the first request of each connection so far.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().name("http-proxy".to_owned()).spawn(work).expect("a thread");
}

fn pass_on(mut client: TcpStream, server: SocketAddr, seen: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(head.clone());
    let mut server = TcpStream::connect(server)?;
    if head.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    } else {
        // `POST http://host/path HTTP/1.1` becomes `POST /path HTTP/1.1`. Later requests stay as they are.
        let (start, rest) = head.split_once("://").unwrap_or_default();
        let method = start.split(' ').next().unwrap_or_default();
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        server.write_all(format!("{method} {path}").as_bytes())?;
    }
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    spawn(move || {
        drop(io::copy(&mut from_client, &mut to_server));
        let _ = to_server.shutdown(Shutdown::Write);
    });
    io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}
