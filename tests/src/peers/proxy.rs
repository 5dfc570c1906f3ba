//! A way to a server that can fall silent, as a network does when a cable is pulled: nothing arrives, and nothing ends.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// The way. Connections by it end with the process.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    silent: Arc<AtomicBool>,
}

impl Proxy {
    /// A way to a port of 127.0.0.1.
    ///
    /// # Panics
    /// When no port is free.
    #[must_use]
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let silent = Arc::new(AtomicBool::new(false));
        let is_silent = Arc::clone(&silent);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
                let streams = (client.try_clone(), server.try_clone());
                let (Ok(to_client), Ok(from_server)) = streams else { continue };
                let never = Arc::new(AtomicBool::new(false));
                thread::spawn(move || forward(client, server, &never));
                let is_silent = Arc::clone(&is_silent);
                thread::spawn(move || forward(from_server, to_client, &is_silent));
            }
        });
        Self { address, silent }
    }

    /// Address and port.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing comes back from the server.
    pub fn fall_silent(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, is_silent: &AtomicBool) {
    let mut buffer = [0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        while is_silent.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(50));
        }
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // It fails when the other direction has ended it.
    let _ = to.shutdown(Shutdown::Both);
}
