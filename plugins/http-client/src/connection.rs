//! How a client reaches its platform.

use std::{path::PathBuf, time::Duration};

use jackfield_plugin_api::Error;
use jackfield_secret::Secret;
use jackfield_tls::TlsConfig;
use reqwest::{ClientBuilder, Proxy};

use crate::{
    endpoint::Endpoint,
    proxy::{Proxies, credentials, shown},
};

/// The options of a connection.
#[derive(Debug, Default)]
pub struct Connection {
    /// Certificates.
    pub tls: TlsConfig,
    /// The address of a proxy, or `none`; that of the environment if it is left out.
    pub proxy: Option<Secret>,
    /// The longest time of one call; the host's deadline is another limit.
    pub timeout: Option<Duration>,
    /// The UNIX socket that requests go to, instead of the host and port of their address.
    pub unix_socket: Option<PathBuf>,
}

/// The way that requests take.
pub(crate) enum Way {
    Network(Proxies),
    Socket(PathBuf),
}

impl Way {
    /// `endpoint` is where most requests go.
    ///
    /// # Errors
    /// [`Error::config`] for an option that makes no sense.
    pub(crate) fn open(connection: &Connection, endpoint: &Endpoint) -> Result<Self, Error> {
        let Some(path) = &connection.unix_socket else {
            return Ok(Self::Network(Proxies::open(connection.proxy.as_ref(), endpoint)?));
        };
        if connection.proxy.is_some() {
            return Err(Error::config("proxy", "is set together with unix_socket; keep one of the two"));
        }
        if cfg!(not(unix)) {
            return Err(Error::config("unix_socket", "this system has no UNIX sockets; remove it"));
        }
        if !path.is_absolute() {
            return Err(Error::config("unix_socket", "expected an absolute path"));
        }
        Ok(Self::Socket(path.clone()))
    }

    /// Makes a client take this way.
    pub(crate) fn set(&self, client: ClientBuilder) -> ClientBuilder {
        match self {
            Self::Network(proxies) => {
                let proxies = proxies.clone();
                client.proxy(Proxy::custom(move |url| proxies.before(url)))
            }
            #[cfg(unix)]
            Self::Socket(path) => client.no_proxy().unix_socket(path.as_path()),
            #[cfg(not(unix))]
            Self::Socket(_) => client,
        }
    }

    /// Why no request may go to `endpoint`.
    pub(crate) fn refusal(&self, endpoint: &Endpoint) -> Option<&str> {
        match self {
            Self::Network(proxies) => proxies.refusal(endpoint.url()),
            Self::Socket(_) => None,
        }
    }

    /// The credentials for the proxy before `endpoint`.
    pub(crate) fn credentials(&self, endpoint: &Endpoint) -> Vec<Secret> {
        match self {
            Self::Network(proxies) => {
                proxies.before(endpoint.url()).as_ref().map(credentials).unwrap_or_default()
            }
            Self::Socket(_) => Vec::new(),
        }
    }

    /// The way to `endpoint`, unless it is a direct one, for a message about a connection that can't be made.
    pub(crate) fn shown(&self, endpoint: &Endpoint) -> String {
        match self {
            Self::Network(proxies) => {
                let proxy = proxies.before(endpoint.url());
                proxy.map(|proxy| format!(" by the proxy {}", shown(&proxy))).unwrap_or_default()
            }
            Self::Socket(path) => format!(" by the socket {}", path.display()),
        }
    }
}
