//! Which proxy a request goes by: that of the option `proxy`, or that of the environment.
//!
//! | variable | what it names |
//! | --- | --- |
//! | `HTTP_PROXY`, `http_proxy` | the proxy of `http://` addresses |
//! | `HTTPS_PROXY`, `https_proxy` | the proxy of `https://` addresses |
//! | `ALL_PROXY`, `all_proxy` | the proxy of all addresses without another one |
//! | `NO_PROXY`, `no_proxy` | the hosts to which requests go directly: `no_proxy.rs` |
//!
//! The first variable of a line that is set counts; an empty variable is an unset one. In a CGI program (`REQUEST_METHOD`)
//! there are no proxies, because its client chooses `HTTP_PROXY`. On Windows and macOS the system's settings count where no
//! variable is set.

use std::env;

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use jackfield_plugin_api::Error;
use jackfield_secret::Secret;
use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::{endpoint::Endpoint, no_proxy::NoProxy, request::credentials_in};

/// The value of the option `proxy` for requests that go directly.
const NONE: &str = "none";

/// The proxies of one client.
#[derive(Clone, Default)]
pub(crate) struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    direct: NoProxy,
    /// Whether the system's settings count for what has no proxy.
    uses_system: bool,
}

/// Why a text names no proxy. It may hold a password, so that no message repeats it.
enum Refusal {
    /// A character of user name or password has a meaning in a URL.
    Raw,
    NoProxy,
}

impl Proxies {
    /// The proxy that the option names, or those of the environment. `endpoint` is where most requests go.
    ///
    /// # Errors
    /// [`Error::config`] for the option `proxy`: it names no proxy, or a variable that `endpoint` depends on has a raw
    /// character in its password.
    pub(crate) fn open(option: Option<&Secret>, endpoint: &Endpoint) -> Result<Self, Error> {
        match option.map(Secret::reveal) {
            None => Self::from_environment(endpoint, &|name| env::var(name).ok()),
            Some(NONE) => Ok(Self::default()),
            Some(text) => {
                let url = parse(text).map_err(|refusal| Error::config("proxy", refusal.told()))?;
                Ok(Self { http: Some(url.clone()), https: Some(url), ..Self::default() })
            }
        }
    }

    fn from_environment(
        endpoint: &Endpoint,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let set = |name: &str| {
            let names = [name.to_ascii_uppercase(), name.to_owned()];
            names.into_iter().find_map(|name| {
                Some((variable(&name).filter(|value| !value.is_empty())?, name))
                    .map(|(value, name)| (name, value))
            })
        };
        if variable("REQUEST_METHOD").is_some() {
            return Ok(Self::default());
        }
        let direct = NoProxy::parse(&set("no_proxy").map(|(_, value)| value).unwrap_or_default());
        let goes_directly = direct.contains(endpoint.url());
        let proxy = |scheme: &str| {
            let Some((name, value)) = set(&format!("{scheme}_proxy")).or_else(|| set("all_proxy")) else {
                return Ok(None);
            };
            match parse(&value) {
                Ok(url) => Ok(Some(url)),
                Err(refusal @ Refusal::Raw)
                    if !goes_directly && (scheme == "https") == endpoint.is_https() =>
                {
                    let reason = format!("the environment variable {name} {}", refusal.told());
                    Err(Error::config("proxy", format!("is left out, and {reason}")))
                }
                Err(refusal) => {
                    tracing::warn!("the environment variable {name} {}", refusal.told());
                    Ok(None)
                }
            }
        };
        Ok(Self { http: proxy("http")?, https: proxy("https")?, direct, uses_system: true })
    }

    /// The proxy of requests to `url`.
    pub(crate) fn before(&self, url: &Url) -> Option<Url> {
        if self.direct.contains(url) {
            return None;
        }
        let named = if url.scheme() == "https" { &self.https } else { &self.http };
        named.clone().or_else(|| if self.uses_system { of_the_system(url) } else { None })
    }
}

/// Host and port of a proxy, without its user name and password.
pub(crate) fn shown(proxy: &Url) -> String {
    let host = proxy.host_str().unwrap_or_default();
    proxy.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The credentials in the address of a proxy: the password, and what HTTP's basic form makes of it.
pub(crate) fn credentials(proxy: &Url) -> Vec<Secret> {
    let Some(written) = proxy.password() else { return Vec::new() };
    let plain = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (user, password) = (plain(proxy.username()), plain(written));
    let header = format!("Basic {}", BASE64.encode(format!("{user}:{password}")));
    credentials_in(&header).into_iter().chain([Secret::new(written)]).collect()
}

/// The proxy in the system's settings. Variables of the environment, which the library reads before, are not set.
fn of_the_system(url: &Url) -> Option<Url> {
    if !cfg!(any(windows, target_os = "macos")) {
        return None;
    }
    let target: Uri = url.as_str().parse().ok()?;
    Url::parse(&Matcher::from_system().intercept(&target)?.uri().to_string()).ok()
}

impl Refusal {
    fn told(&self) -> &'static str {
        match self {
            Self::Raw => {
                "has one of the characters `#`, `/`, `?` or `@` in its user name or password: write %23, %2F, %3F or %40"
            }
            Self::NoProxy => "does not name a proxy; expected an address such as http://host:3128",
        }
    }
}

fn parse(text: &str) -> Result<Url, Refusal> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    if rest.rsplit_once('@').is_some_and(|(user, _)| user.contains(['#', '/', '?', '@'])) {
        return Err(Refusal::Raw);
    }
    // The parser drops a port that is the scheme's own, and takes some texts for hosts that are none.
    let is_known = matches!(scheme, "http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h");
    let url = Url::parse(&format!("{scheme}://{rest}"))
        .ok()
        .filter(|url| is_known && !rest.starts_with('/') && url.has_host());
    url.filter(|_| !text.contains(char::is_whitespace) && !rest.contains("//")).ok_or(Refusal::NoProxy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(endpoint: &str, variables: &[(&str, &str)]) -> Result<Proxies, String> {
        let endpoint = Endpoint::parse(endpoint).expect("valid");
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Proxies::from_environment(&endpoint, &variable).map_err(|error| error.to_string())
    }

    fn before(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.before(&Url::parse(url).expect("valid")).map(|proxy| shown(&proxy))
    }

    #[test]
    fn the_scheme_chooses_the_variable() {
        for (variables, http, https) in [
            (&[("http_proxy", "http://a:1")][..], Some("a:1"), None),
            (&[("https_proxy", "a:1")], None, Some("a:1")),
            (&[("all_proxy", "http://a:1"), ("HTTPS_PROXY", "b:2")], Some("a:1"), Some("b:2")),
            (&[("HTTP_PROXY", "a:1"), ("http_proxy", "b:2")], Some("a:1"), None),
            (&[("HTTP_PROXY", ""), ("http_proxy", "b:2")], Some("b:2"), None),
            (&[("HTTP_PROXY", "a:1"), ("REQUEST_METHOD", "GET")], None, None),
            (&[("all_proxy", "a:1"), ("no_proxy", "h.example")], None, None),
            (&[("all_proxy", "a:1"), ("NO_PROXY", ".other")], Some("a:1"), Some("a:1")),
        ] {
            let proxies = proxies("http://h.example/", variables).expect("valid");
            assert_eq!(before(&proxies, "http://h.example/").as_deref(), http, "{variables:?}");
            assert_eq!(before(&proxies, "https://h.example/").as_deref(), https, "{variables:?}");
        }
    }

    #[test]
    fn the_option_counts_and_not_the_environment() {
        let endpoint = Endpoint::parse("http://127.0.0.1:4318/").expect("valid");
        let open = |text: &str| Proxies::open(Some(&Secret::new(text)), &endpoint);
        let proxies = open("http://me:p%40ss@proxy:3128").expect("valid");
        let proxy = proxies.before(endpoint.url()).expect("a proxy, also before this machine");
        assert_eq!((shown(&proxy).as_str(), proxy.password()), ("proxy:3128", Some("p%40ss")));
        assert!(open("none").expect("valid").before(endpoint.url()).is_none());
        for (text, expected) in [
            ("", "does not name a proxy"),
            ("ftp://me:hunter2@proxy", "does not name a proxy"),
            ("http://me:hunter2#@proxy", "write %23"),
        ] {
            let refusal = open(text).map(|_| ()).expect_err(text).to_string();
            assert!(refusal.starts_with("proxy: ") && refusal.contains(expected), "{refusal}");
            assert!(!refusal.contains("hunter2"), "{refusal}");
        }
    }

    #[test]
    fn a_raw_character_in_a_password_is_refused_where_the_proxy_is_needed() {
        for value in [
            "http://u:hun#ter@proxy:3128",
            "http://u:hun@ter@proxy:3128",
            "u:hun/ter@proxy",
            "http://u:?@proxy",
        ] {
            let refusal = |endpoint, variables: &[_]| proxies(endpoint, variables).map(drop);
            let told = refusal("http://h/", &[("http_proxy", value)]).expect_err(value);
            let expected =
                "proxy: is left out, and the environment variable http_proxy has one of the characters";
            assert!(told.starts_with(expected) && !told.contains("hun") && !told.contains("3128"), "{told}");
            assert!(refusal("https://h/", &[("HTTPS_PROXY", value)]).is_err());
            assert!(refusal("https://h/", &[("all_proxy", value)]).is_err());
            assert!(refusal("https://h/", &[("http_proxy", value)]).is_ok(), "it is not needed");
            assert!(refusal("http://h/", &[("http_proxy", value), ("no_proxy", "h")]).is_ok(), "nor here");
        }
    }

    #[test]
    fn a_value_that_names_no_proxy_is_recognized() {
        for value in [
            "http://proxy:3128",
            "proxy:3128",
            "http://u:p@proxy",
            "socks5://proxy",
            "http://[::1]:3128/",
            "proxy",
        ] {
            assert!(parse(value).is_ok(), "{value}");
        }
        for value in
            ["http://", "ftp://proxy", "http://proxy:port", "http//proxy", "a proxy", "/proxy", "http:///x"]
        {
            assert!(matches!(parse(value), Err(Refusal::NoProxy)), "{value}");
        }
    }
}
