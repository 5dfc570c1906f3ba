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
    http: Option<Named>,
    https: Option<Named>,
    direct: NoProxy,
    /// Whether the system's settings count for what has no proxy.
    uses_system: bool,
}

/// The proxy that a variable or the option names, or why it names none.
type Named = Result<Url, String>;

/// Why a text names no proxy. It may hold a password, so that no message repeats it.
enum Refusal {
    /// A character of user name or password has a meaning in a URL.
    Raw,
    Socks,
    NoProxy,
}

impl Proxies {
    /// The proxy that the option names, or those of the environment. `endpoint` is where most requests go.
    ///
    /// # Errors
    /// [`Error::config`] for the option `proxy`: it, or the variable that `endpoint` depends on, names no proxy that can be
    /// used. A request that went directly instead would go around a proxy that somebody demands.
    pub(crate) fn open(option: Option<&Secret>, endpoint: &Endpoint) -> Result<Self, Error> {
        match option.map(Secret::reveal) {
            None => {
                let proxies = Self::from_environment(&|name| {
                    // A value that is not UTF-8 names no proxy, and is set.
                    env::var_os(name).map(|value| value.to_string_lossy().into_owned())
                });
                match proxies.refusal(endpoint.url()) {
                    Some(reason) => Err(Error::config("proxy", format!("is left out, and {reason}"))),
                    None => Ok(proxies),
                }
            }
            Some(NONE) => Ok(Self::default()),
            Some(text) => {
                let url = parse(text).map_err(|refusal| Error::config("proxy", refusal.told()))?;
                Ok(Self { http: Some(Ok(url.clone())), https: Some(Ok(url)), ..Self::default() })
            }
        }
    }

    fn from_environment(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| {
            let names = [name.to_ascii_uppercase(), name.to_owned()];
            names.into_iter().find_map(|name| {
                let value = variable(&name).filter(|value| !value.is_empty())?;
                Some((name, value))
            })
        };
        if variable("REQUEST_METHOD").is_some() {
            return Self::default();
        }
        let proxy = |scheme: &str| {
            let (name, value) = set(&format!("{scheme}_proxy")).or_else(|| set("all_proxy"))?;
            Some(
                parse(&value)
                    .map_err(|refusal| format!("the environment variable {name} {}", refusal.told())),
            )
        };
        let direct = NoProxy::parse(&set("no_proxy").map(|(_, value)| value).unwrap_or_default());
        Self { http: proxy("http"), https: proxy("https"), direct, uses_system: true }
    }

    fn named(&self, url: &Url) -> Option<&Named> {
        if self.direct.contains(url) {
            return None;
        }
        if url.scheme() == "https" { self.https.as_ref() } else { self.http.as_ref() }
    }

    /// Why no request may go to `url`: what is to name its proxy names none.
    pub(crate) fn refusal(&self, url: &Url) -> Option<&str> {
        self.named(url)?.as_ref().err().map(String::as_str)
    }

    /// The proxy of requests to `url`, unless there is a [refusal](Self::refusal).
    pub(crate) fn before(&self, url: &Url) -> Option<Url> {
        match self.named(url) {
            Some(named) => named.as_ref().ok().cloned(),
            None if self.uses_system && !self.direct.contains(url) => of_the_system(url),
            None => None,
        }
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
            Self::Socks => "names a SOCKS proxy; this build speaks http and https proxies",
            Self::NoProxy => "does not name a proxy; expected an address such as http://host:3128",
        }
    }
}

fn parse(text: &str) -> Result<Url, Refusal> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    if rest.rsplit_once('@').is_some_and(|(user, _)| user.contains(['#', '/', '?', '@'])) {
        return Err(Refusal::Raw);
    }
    let scheme = scheme.to_ascii_lowercase();
    if matches!(scheme.as_str(), "socks" | "socks4" | "socks4a" | "socks5" | "socks5h") {
        return Err(Refusal::Socks);
    }
    // The parser takes some texts for hosts that are none.
    let is_known = matches!(scheme.as_str(), "http" | "https");
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
        let proxies = Proxies::from_environment(&variable);
        let refusal = proxies.refusal(endpoint.url()).map(str::to_owned);
        refusal.map_or(Ok(proxies), Err)
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
            ("http://me:hunter2@127.0.0.1:99999", "does not name a proxy"),
            ("socks5://me:hunter2@h:1", "names a SOCKS proxy; this build speaks http and https proxies"),
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
            let expected = "the environment variable http_proxy has one of the characters";
            assert!(told.starts_with(expected) && !told.contains("hun") && !told.contains("3128"), "{told}");
            assert!(refusal("https://h/", &[("HTTPS_PROXY", value)]).is_err());
            assert!(refusal("https://h/", &[("all_proxy", value)]).is_err());
            assert!(refusal("https://h/", &[("http_proxy", value)]).is_ok(), "it is not needed");
            assert!(refusal("http://h/", &[("http_proxy", value), ("no_proxy", "h")]).is_ok(), "nor here");
        }
    }

    #[test]
    fn a_variable_that_names_no_proxy_is_refused_where_the_proxy_is_needed() {
        for (value, expected) in [
            ("http://u:hunter2@127.0.0.1:99999", "does not name a proxy"),
            ("htp://x", "does not name a proxy"),
            ("http://", "does not name a proxy"),
            (" ", "does not name a proxy"),
            ("http://h\u{fffd}:1", "does not name a proxy"),
            ("socks5://u:hunter2@h:1", "names a SOCKS proxy; this build speaks http and https proxies"),
            ("SOCKS5H://h", "names a SOCKS proxy"),
        ] {
            let open = |endpoint, variables: &[_]| proxies(endpoint, variables);
            for name in ["HTTP_PROXY", "http_proxy", "all_proxy"] {
                let refusal = open("http://h/", &[(name, value)]).map(drop).expect_err(value);
                assert!(
                    refusal.starts_with(&format!("the environment variable {name} {expected}")),
                    "{refusal}"
                );
                assert!(!refusal.contains("hunter2") && !refusal.contains('\n'), "{refusal}");
            }
            let exempt = open("http://h/", &[("HTTP_PROXY", value), ("NO_PROXY", "h")]).expect("not needed");
            assert_eq!(before(&exempt, "http://h/"), None);
            // Another address of the same backend may need it: that for deletion, or that of a redirect.
            let other = Url::parse("http://other/").expect("valid");
            assert!(exempt.refusal(&other).is_some_and(|refusal| refusal.contains(expected)));
            assert!(open("https://h/", &[("HTTP_PROXY", value)]).is_ok(), "it is not needed");
            assert!(open("http://h/", &[("HTTP_PROXY", value), ("REQUEST_METHOD", "GET")]).is_ok());
        }
    }

    #[test]
    fn a_value_that_names_no_proxy_is_recognized() {
        for value in [
            "http://proxy:3128",
            "proxy:3128",
            "http://u:p@proxy",
            "HTTPS://proxy",
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
