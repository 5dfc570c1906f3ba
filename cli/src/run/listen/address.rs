//! The address of `--listen`.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    #[cfg(unix)]
    Unix(std::path::PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            #[cfg(unix)]
            Self::Unix(path) => jackfield_loader::show_path(path).fmt(f),
        }
    }
}

/// Reads an address: text with a slash is the path of a UNIX socket.
///
/// # Errors
/// What was expected.
pub(crate) fn parse(text: &str) -> Result<Address, String> {
    // A path that begins so can be given as `./unix:…`.
    let has_scheme = text.starts_with("unix:") || text.contains("://");
    #[cfg(unix)]
    if text.contains('/') && !has_scheme {
        return std::path::absolute(text).map(Address::Unix).map_err(|error| error.to_string());
    }
    let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    let local = local.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let expected = || {
        let hint = if has_scheme {
            ", without a scheme"
        } else if text.parse::<IpAddr>().is_ok() {
            "; the port is missing"
        } else {
            ""
        };
        format!(
            "expected IP:PORT such as 127.0.0.1:9464, localhost:PORT, or the path of a UNIX socket such as ./metrics.sock{hint}"
        )
    };
    local.or_else(|| text.parse().ok()).map(Address::Tcp).ok_or_else(expected)
}

/// Whether a `Host` header names this machine by its loopback. A page of another site whose name suddenly leads to
/// 127.0.0.1 (DNS rebinding) makes the browser send that name.
pub(super) fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(address, _)| address),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_with_a_port_or_the_path_of_a_socket() {
        let shown = |text| parse(text).map(|address| address.to_string());
        for (text, address) in [
            ("127.0.0.1:9464", "127.0.0.1:9464"),
            ("localhost:0", "127.0.0.1:0"),
            ("[::1]:80", "[::1]:80"),
            ("0.0.0.0:80", "0.0.0.0:80"),
        ] {
            assert_eq!(shown(text), Ok(address.to_owned()));
        }
        for text in
            ["9464", ":9464", "127.0.0.1", "::1", "example.com:80", "localhost:", "127.0.0.1:99999", ""]
        {
            assert!(shown(text).is_err_and(|refusal| refusal.starts_with("expected IP:PORT")), "{text}");
        }
        assert!(shown("::1").is_err_and(|refusal| refusal.ends_with("the port is missing")));
        for text in
            ["unix:/run/a.sock", "unix:///run/a.sock", "http://127.0.0.1:9464", "http://[::1]:80/metrics"]
        {
            assert!(
                shown(text).is_err_and(|refusal| refusal.ends_with("./metrics.sock, without a scheme")),
                "{text}"
            );
        }
        #[cfg(unix)]
        assert_eq!(shown("/run/a\nb.sock"), Ok("/run/a\\nb.sock".to_owned()));
        #[cfg(unix)]
        assert!(shown("./unix:a.sock").is_ok_and(|path| path.ends_with("/unix:a.sock")));
    }

    #[test]
    fn only_names_of_the_loopback_are_hosts_of_it() {
        for host in ["localhost", "LocalHost:9464", "127.0.0.1:9464", "127.9.9.9", "[::1]:80", "[::1]"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "",
            "evil.example:9464",
            "localhost.evil.example",
            "10.0.0.1:9464",
            "[::2]:80",
            "127.0.0.1.evil:80",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
