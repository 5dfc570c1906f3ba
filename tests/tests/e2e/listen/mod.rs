//! `jackfield run --listen`: metrics, health and the page.
#![cfg(unix)]

mod addresses;
mod health;
mod metrics;
mod page;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixStream,
};

use crate::site::{Running, Site};

/// An answer: its status, its head and its body.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }
}

/// Sends bytes to `127.0.0.1:PORT`, and reads the answer to its end.
fn ask(port: u16, request: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    Answer::of(&bytes)
}

fn get(port: u16, path: &str) -> Answer {
    ask(port, &format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"))
}

/// The same, through a UNIX socket of a site.
fn get_at(site: &Site, socket: &str, path: &str) -> Answer {
    let mut stream = UnixStream::connect(site.path(socket)).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: anything\r\n\r\n").expect("it reads");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    Answer::of(&bytes)
}

/// Starts a run that listens at a port of its own choice, and gives the port. Other `arguments` may follow.
fn listening(site: &Site, arguments: &[&str]) -> (Running, u16) {
    let mut running = site.runs(&[&["--listen", "127.0.0.1:0"], arguments].concat());
    let port = port(&mut running);
    (running, port)
}

/// The port that a run has printed.
fn port(running: &mut Running) -> u16 {
    let said = running.until_said("metrics and status: http://127.0.0.1:");
    let (_, rest) = said.split_once("metrics and status: http://127.0.0.1:").expect("said");
    rest.split_once('/').expect("the whole line").0.parse().expect("a port")
}
