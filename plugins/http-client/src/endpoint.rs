//! The address of requests.

use std::fmt;

use jackfield_plugin_api::Error;
use reqwest::Url;

/// Longest URL, in bytes.
const MAX_URL_BYTES: usize = 2048;

/// A checked URL: `http` or `https`, with a host and without user name, password and fragment.
///
/// It is shown without its query, since some platforms take their keys there.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
}

impl Endpoint {
    /// The URL in the option `key`.
    ///
    /// # Errors
    /// [`Error::config`], in a few words that quote only the scheme of the URL.
    pub fn from_option(key: &'static str, url: &str) -> Result<Self, Error> {
        Self::parse(url).map_err(|why| Error::config(key, why))
    }

    /// The URL of this text.
    ///
    /// # Errors
    /// What is wrong, in a few words that quote only the scheme of the URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty; expected a URL such as https://telemetry.example.com/events".to_owned());
        }
        if text.len() > MAX_URL_BYTES {
            return Err(format!("is {} bytes long; expected at most {MAX_URL_BYTES}", text.len()));
        }
        // The parser drops some of these characters silently; the URL would then differ from the one in the
        // configuration.
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err("has a control character or a space in it; expected none".to_owned());
        }
        if !text.contains("://") {
            return Err("has no scheme; write http:// or https:// before the host".to_owned());
        }
        let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
        Self::check(url)
    }

    fn check(url: Url) -> Result<Self, String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("has the scheme `{}`; expected http or https", url.scheme()));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err("names no host".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("has a user name or a password in it; use the options for credentials".to_owned());
        }
        if url.fragment().is_some() {
            return Err("has a fragment (#...), which is not sent to any server; remove it".to_owned());
        }
        Ok(Self { url })
    }

    /// This endpoint with `path` (such as `/v1/logs`) behind its own.
    #[must_use]
    pub fn join_path(&self, path: &str) -> Self {
        let mut url = self.url.clone();
        let joined = format!("{}/{}", url.path().trim_end_matches('/'), path.trim_start_matches('/'));
        url.set_path(&joined);
        Self { url }
    }

    /// This endpoint without a slash at the end of its path.
    #[must_use]
    pub fn without_last_slash(&self) -> Self {
        let mut url = self.url.clone();
        url.set_path(self.url.path().trim_end_matches('/'));
        Self { url }
    }

    /// Host, and port where it is not the scheme's own.
    #[must_use]
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Whether requests are encrypted.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether the host is this machine by its name or address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Path of the URL, from its first slash.
    #[must_use]
    pub fn path(&self) -> &str {
        self.url.path()
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    /// The target of a redirect to `location` if it may be followed: it is on the same origin, or leads from port 80 to
    /// the encrypted port of the same host. Otherwise the host that it names.
    pub(crate) fn redirected(&self, location: &str) -> Result<Self, String> {
        let next = self.url.join(location).map_err(|_| "an address that is no URL".to_owned())?;
        let name = next.host_str().unwrap_or("no host").to_owned();
        let name = next.port().map_or_else(|| name.clone(), |port| format!("{name}:{port}"));
        let same_host = next.host_str() == self.url.host_str();
        let same_port = next.scheme() == self.url.scheme()
            && next.port_or_known_default() == self.url.port_or_known_default();
        let upgrade = (self.url.scheme(), next.scheme()) == ("http", "https")
            && (self.url.port(), next.port()) == (None, None);
        match Self::check(next) {
            Ok(next) if same_host && (same_port || upgrade) => Ok(next),
            Ok(next) if same_host && self.is_https() && !next.is_https() => {
                Err(format!("{name} without encryption"))
            }
            _ => Err(name),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.url.scheme(), self.host(), self.url.path())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn an_invalid_endpoint_is_refused_without_its_text() {
        for (text, reason) in [
            ("", "is empty"),
            ("telemetry.example.com", "has no scheme; write http://"),
            ("localhost:4318", "has no scheme; write http://"),
            ("ftp://example.com/", "`ftp`; expected http or https"),
            ("unix:/run/socket", "has no scheme"),
            ("https://", "is no URL"),
            ("https://user:hunter2@example.com/", "a user name or a password"),
            ("https://hunter2@example.com/", "a user name or a password"),
            ("https://example.com/#hunter2", "fragment"),
            ("https://example.com/\nX: hunter2", "control character"),
            (" https://example.com/hunter2", "control character or a space"),
            ("https://example.com/\u{0}", "control character"),
        ] {
            let refusal = Endpoint::parse(text).expect_err(text);
            assert!(refusal.contains(reason), "{text:?}: {refusal}");
            assert!(!refusal.contains("hunter2") && !refusal.contains('\n'), "{refusal}");
        }
        let longest = format!("http://h/{}", "x".repeat(MAX_URL_BYTES - 9));
        assert!(Endpoint::parse(&longest).is_ok());
        assert!(Endpoint::parse(&format!("{longest}x")).expect_err("too long").contains("2049 bytes"));
    }

    #[test]
    fn it_is_shown_without_its_query() {
        let shown = format!("{0} {0:?}", endpoint("https://example.com:8443/in?key=hunter2"));
        assert_eq!(shown, "https://example.com:8443/in https://example.com:8443/in");
    }

    #[test]
    fn a_path_is_appended_to_the_path() {
        assert_eq!(endpoint("http://h").join_path("/v1/logs").path(), "/v1/logs");
        assert_eq!(endpoint("http://h/otlp/").join_path("v1/logs").path(), "/otlp/v1/logs");
    }

    #[test]
    fn a_redirect_stays_at_its_origin_or_adds_encryption() {
        for (from, location, to) in [
            ("https://h/a", "/b", Ok("https://h/b")),
            ("https://h:99/a", "https://h:99/b?c", Ok("https://h:99/b")),
            ("http://h/a", "https://h/a", Ok("https://h/a")),
            ("http://h:8080/a", "https://h/a", Err("h")),
            ("https://h/a", "http://h/a", Err("h without encryption")),
            ("https://h/a", "https://h:99/a", Err("h:99")),
            ("https://h/a", "//evil.example/a", Err("evil.example")),
            ("https://h/a", "https://evil.example:99/a?token", Err("evil.example:99")),
            ("https://h/a", "https://user:hunter2@h/a", Err("h")),
            ("https://h/a", "ftp://h/a", Err("h")),
        ] {
            let next = endpoint(from).redirected(location).map(|next| next.to_string());
            assert_eq!(next.as_deref().map_err(String::as_str), to, "{from} to {location}");
        }
    }

    #[test]
    fn loopback_is_recognized_by_name_and_address() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9:80", "[::1]"] {
            assert!(endpoint(&format!("http://{host}/")).is_loopback(), "{host}");
        }
        assert!(!endpoint("http://localhost.example.com/").is_loopback());
    }
}
