//! Messages about proxies. The HTTP library itself reads them from the environment.

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use crate::endpoint::Endpoint;

const VARIABLES: [&str; 6] =
    ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// Host and port of the proxy that is used for `endpoint`, if there is one.
pub(crate) fn before(endpoint: &Endpoint) -> Option<String> {
    let target: Uri = endpoint.url().as_str().parse().ok()?;
    let proxy = Matcher::from_system().intercept(&target)?;
    proxy.uri().authority().map(ToString::to_string)
}

/// Warns, through `tracing`, of variables that are set and do not name a proxy. The library ignores them silently.
/// Their values may hold a password.
pub(crate) fn warn_of_those_that_are_none() {
    for name in VARIABLES {
        let value = std::env::var(name).unwrap_or_default();
        if !value.is_empty() && !names_a_proxy(&value) {
            tracing::warn!(
                "the environment variable {name} does not name a proxy; expected an address such as http://host:3128"
            );
        }
    }
}

fn names_a_proxy(value: &str) -> bool {
    let matcher = Matcher::builder().http(value).build();
    let proxy = matcher.intercept(&Uri::from_static("http://anywhere.invalid/"));
    let authority = proxy.as_ref().and_then(|proxy| proxy.uri().authority());
    // The library ignores a port that is not a number.
    authority
        .is_some_and(|authority| authority.host() == authority.as_str() || authority.port_u16().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_proxy_is_told_from_what_does() {
        for value in
            ["http://proxy:3128", "proxy:3128", "http://u:p@proxy", "socks5://proxy", "http://[::1]:3128/"]
        {
            assert!(names_a_proxy(value), "{value}");
        }
        for value in ["http://", "ftp://proxy", "http://proxy:port", "http//proxy", "a proxy"] {
            assert!(!names_a_proxy(value), "{value}");
        }
    }
}
