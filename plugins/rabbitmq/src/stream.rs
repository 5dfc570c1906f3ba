//! The connected socket that lapin uses. It is made here, because a connection that lapin makes can neither be
//! abandoned after a deadline nor be ended from outside: a broker that accepts and never answers would block a thread
//! for ever.

use std::{
    io,
    net::{Shutdown, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use async_rs::{Tokio, traits::Reactor};
use futures_core::Stream as FuturesStream;
use futures_io::{AsyncRead, AsyncWrite};
use jackfield_tls::rustls::{self, ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead as TokioRead, AsyncWrite as TokioWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::address::Address;

/// A connected socket, with TLS or without.
pub(crate) struct Stream(Box<dyn Socket>);

trait Socket: TokioRead + TokioWrite + Send + Sync + Unpin {}

impl<T: TokioRead + TokioWrite + Send + Sync + Unpin> Socket for T {}

impl Stream {
    fn socket(self: Pin<&mut Self>) -> Pin<&mut dyn Socket> {
        Pin::new(&mut *self.get_mut().0)
    }
}

/// Ends a connection from outside, in whatever state lapin is. A drop ends the connection, too.
pub(crate) struct Kill(std::net::TcpStream);

impl Kill {
    pub(crate) fn kill(&self) {
        // The call fails when the connection has already ended.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Drop for Kill {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Connects, with a TLS handshake if the address asks for TLS. The error is one line without the address.
pub(crate) async fn connect(
    address: &Address,
    tls: Option<&Arc<ClientConfig>>,
) -> Result<(Stream, Kill), String> {
    let found = tokio::net::lookup_host((address.host.as_str(), address.port))
        .await
        .map_err(|error| format!("the name can't be resolved: {}", plain(&error, address)))?;
    let mut connected = Err("the name has no address".to_owned());
    for candidate in found {
        connected = TcpStream::connect(candidate).await.map_err(|error| plain(&error, address));
        if connected.is_ok() {
            break;
        }
    }
    let stream = connected?;
    let (stream, kill) = with_kill(stream).map_err(|error| plain(&error, address))?;
    if !address.tls {
        return Ok((Stream(Box::new(stream)), kill));
    }
    let tls = tls.ok_or("TLS is not set up")?;
    let name =
        ServerName::try_from(address.host.clone()).map_err(|_| "the host's name is not valid in TLS")?;
    let stream = TlsConnector::from(Arc::clone(tls))
        .connect(name, stream)
        .await
        .map_err(|error| plain(&error, address))?;
    Ok((Stream(Box::new(stream)), kill))
}

fn with_kill(stream: TcpStream) -> io::Result<(TcpStream, Kill)> {
    stream.set_nodelay(true)?;
    let stream = stream.into_std()?;
    let kill = Kill(stream.try_clone()?);
    Ok((TcpStream::from_std(stream)?, kill))
}

/// An error of the connection to `address` in one line, without the number at the end of the system's errors.
pub(crate) fn plain(error: &io::Error, address: &Address) -> String {
    let text = error.to_string();
    if error.raw_os_error().is_some() {
        return text.split(" (os error").next().unwrap_or_default().to_owned();
    }
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    address.clean(&tls.map_or(text, jackfield_tls::describe))
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(self.socket().poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.socket().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket().poll_write_vectored(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_shutdown(cx)
    }
}

/// tokio's reactor with [`Stream`] as the type of its connections. lapin learns the type from it.
#[derive(Clone, Debug)]
pub(crate) struct Net(pub(crate) Tokio);

impl Reactor for Net {
    type TcpStream = Stream;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: io::Read + io::Write + Send + 'static>(
        &self,
        _socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Stream, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl FuturesStream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        _address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
