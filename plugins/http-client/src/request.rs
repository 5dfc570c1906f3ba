//! A request of a platform: its address, headers and credentials.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use jackfield_plugin_api::Error;
use jackfield_secret::{Secret, Secrets};
use reqwest::{
    Method,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};

use crate::{endpoint::Endpoint, failure::condense};

/// Headers that describe the connection and the body. Only the client sets them.
const RESERVED: [HeaderName; 9] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
];

/// Parts of a header's name that indicate a credential in its value.
const TELLTALE: [&str; 9] =
    ["auth", "token", "key", "secret", "pass", "cookie", "credential", "sig", "session"];

/// Headers whose values are not secret.
const COMMON: [HeaderName; 6] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::CONTENT_TYPE,
    header::USER_AGENT,
];

fn is_telltale(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    TELLTALE.iter().any(|part| name.contains(part))
}

/// The credentials in a header's value: the value, what follows its scheme, as in `Bearer TOKEN`, and the password of
/// HTTP's basic form.
pub(crate) fn credentials_in(value: &str) -> Vec<Secret> {
    let (scheme, sent) = value.split_once(' ').unwrap_or_default();
    let basic = Some(sent).filter(|_| scheme.eq_ignore_ascii_case("basic"));
    let login = basic.and_then(|sent| String::from_utf8(BASE64.decode(sent).ok()?).ok());
    let password = login.as_deref().and_then(|login| Some(login.split_once(':')?.1));
    [value, sent].into_iter().chain(password).map(Secret::new).collect()
}

/// A request without its body.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: HeaderMap,
    pub(crate) gzip: bool,
    /// Texts that a server may repeat in its answer and that no message may show.
    pub(crate) secrets: Secrets,
    /// Whether the request has credentials, in addition to values that are only possible credentials and to those of a
    /// proxy.
    has_credentials: bool,
}

impl Request {
    /// A POST of JSON. No message repeats the values in the endpoint's query.
    #[must_use]
    pub fn post(endpoint: Endpoint) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut secrets = Secrets::default();
        let query = endpoint.url().query().unwrap_or_default();
        let written = query.split('&').filter_map(|pair| pair.split_once('='));
        // The encoding in the URL may differ from the usual one.
        let written = written.map(|(name, value)| (name.into(), value.into()));
        let mut has_credentials = false;
        for (name, value) in endpoint.url().query_pairs().chain(written) {
            if is_telltale(&name) {
                secrets.add(&Secret::new(value));
                has_credentials = true;
            } else {
                secrets.add_possible(value);
            }
        }
        Self { method: Method::POST, endpoint, headers, gzip: false, secrets, has_credentials }
    }

    /// Turns it into a PUT.
    #[must_use]
    pub fn put(mut self) -> Self {
        self.method = Method::PUT;
        self
    }

    /// Whether bodies are compressed.
    #[must_use]
    pub const fn gzip(mut self, gzip: bool) -> Self {
        self.gzip = gzip;
        self
    }

    /// Sets the headers of the configuration, `headers.NAME`.
    ///
    /// # Errors
    /// As [`header`](Self::header), and when a name occurs twice. Upper and lower case make no difference in a
    /// name.
    pub fn headers(self, headers: &BTreeMap<String, Secret>) -> Result<Self, Error> {
        let mut names = BTreeMap::new();
        headers.iter().try_fold(self, |request, (name, value)| {
            let key = format!("headers.{name}");
            if let Some(other) = names.insert(name.to_ascii_lowercase(), name) {
                return Err(Error::config(key, format!("is there as {other}, too; keep one of them")));
            }
            request.header(&key, name, value.reveal())
        })
    }

    /// Sets a header, and replaces one with the same name. If the name indicates a credential, the value is treated as
    /// one. No message repeats other values either, except those of common headers.
    ///
    /// # Errors
    /// [`Error::config`] under `key` when name or value is not allowed in a header, or only the client sets
    /// this header.
    pub fn header(self, key: &str, name: &str, value: &str) -> Result<Self, Error> {
        if is_telltale(name) {
            let request = self.set(key, name, value, true)?;
            return Ok(credentials_in(value).iter().fold(request, Self::secret));
        }
        let mut request = self.set(key, name, value, false)?;
        let common = name.parse::<HeaderName>().is_ok_and(|name| COMMON.contains(&name));
        if !common {
            request.secrets.add_possible(value);
        }
        Ok(request)
    }

    /// Sets a header whose value is `prefix` and a credential, such as `Bearer ` and a token.
    ///
    /// # Errors
    /// As [`header`](Self::header).
    pub fn secret_header(self, key: &str, name: &str, prefix: &str, value: &Secret) -> Result<Self, Error> {
        self.set(key, name, &format!("{prefix}{}", value.reveal()), true).map(|request| request.secret(value))
    }

    /// Sets `Authorization` to HTTP's basic form of a user name and a password.
    ///
    /// # Errors
    /// [`Error::config`] under `key` when the user name has a colon in it.
    pub fn basic_auth(self, key: &str, username: &str, password: &Secret) -> Result<Self, Error> {
        if username.contains(':') {
            return Err(Error::config(
                format!("{key}.username"),
                "has a colon in it, which HTTP's basic authentication can't express",
            ));
        }
        let encoded = BASE64.encode(format!("{username}:{}", password.reveal()));
        self.header(key, "authorization", &format!("Basic {encoded}"))
    }

    /// Registers a credential that is elsewhere in the request, so that no message repeats it.
    #[must_use]
    pub fn secret(mut self, secret: &Secret) -> Self {
        self.secrets.add(secret);
        self.has_credentials = true;
        self
    }

    /// The address.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Warns, through `tracing`, of credentials that are sent over the network without encryption. Call it when the
    /// backend opens.
    pub(crate) fn warn_if_exposed(&self) {
        if self.has_credentials && !self.endpoint.is_https() && !self.endpoint.is_loopback() {
            tracing::warn!(
                "credentials for {} go over the network without encryption; use https",
                self.endpoint.host()
            );
        }
    }

    /// Makes `text` from the server fit for a message: one line, bounded length, without the request's credentials. A
    /// text that repeats a credential which is short or a word is replaced by a sentence, as [`Secrets::clean`] says, so
    /// give it what the server says and none of your own words.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        condense(&self.secrets.clean(text))
    }

    fn set(mut self, key: &str, name: &str, value: &str, sensitive: bool) -> Result<Self, Error> {
        let refuse = |why: &str| Err(Error::config(key.to_owned(), why.to_owned()));
        let Ok(name) = name.parse::<HeaderName>() else {
            let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            let wrong = name.chars().enumerate().find(|(_, c)| !is_token(*c));
            let wrong = wrong.map(|(at, c)| format!(": character {} is U+{:04X}", at + 1, u32::from(c)));
            return refuse(&format!("is not a valid name of an HTTP header{}", wrong.unwrap_or_default()));
        };
        if RESERVED.contains(&name) {
            return refuse("is a header that the client sets itself");
        }
        let Ok(mut value) = value.parse::<HeaderValue>() else {
            return refuse("has a character in its value that is not allowed in an HTTP header");
        };
        value.set_sensitive(sensitive);
        self.headers.insert(name, value);
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request::post(Endpoint::parse("http://h/").expect("valid"))
    }

    #[test]
    fn the_debug_form_hides_credentials() {
        let request = request()
            .header("headers", "X-Api-Key", "hunter2")
            .and_then(|r| r.secret_header("token", "X-Other", "Bearer ", &Secret::new("hunter3")))
            .and_then(|r| r.basic_auth("basic", "me", &Secret::new("hunter4")))
            .and_then(|r| r.header("headers", "X-Plain", "seen"))
            .expect("valid");
        let shown = format!("{request:?}");
        assert!(shown.contains("seen"), "{shown}");
        for secret in ["hunter", "bWU6aHVudGVyNA"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        for secret in ["hunter2", "hunter3", "hunter4", "bWU6aHVudGVyNA=="] {
            let cleaned = request.clean(&format!("{secret} is wrong"));
            assert!(!cleaned.contains(secret), "{cleaned}");
        }
        assert_eq!(request.clean("not seen"), "not ***");
    }

    #[test]
    fn no_message_repeats_a_configured_header_or_the_query() {
        let endpoint = Endpoint::parse("http://h/?key=p%40ssw0rd%2Bxyz&odd=%7Esecre%74&v=1").expect("valid");
        let request = Request::post(endpoint)
            .header("headers", "X-Tenant", "tenant-7")
            .and_then(|r| r.header("headers", "X-Pass", "abcdef-0123456"))
            .and_then(|r| r.header("headers", "Accept", "text/json"))
            .expect("valid");
        assert_eq!(
            request.clean(
                "key=p%40ssw0rd%2Bxyz p@ssw0rd+xyz %7Esecre%74 ~secret tenant-7 abcdef-0123456 1 text/json"
            ),
            "key=*** *** *** *** *** *** 1 text/json"
        );
    }

    #[test]
    fn credentials_are_recognized_by_their_names() {
        for (url, header, expected) in [
            ("http://h/?x=12345", "x-tenant", false),
            ("http://h/?api_key=12345", "x-tenant", true),
            ("http://h/", "x-session", true),
            ("http://h/", "x-pass", true),
        ] {
            let request = Request::post(Endpoint::parse(url).expect("valid"));
            let request = request.header("headers", header, "value").expect("valid");
            assert_eq!(request.has_credentials, expected, "{url} {header}");
        }
    }

    #[test]
    fn an_invalid_header_is_refused_without_its_value() {
        for (name, value) in
            [("bad name", "hunter2"), ("x-token", "hunter2\r\nX: y"), ("Content-Length", "9")]
        {
            let error = request().header("headers.x", name, value).expect_err(name).to_string();
            assert!(error.starts_with("headers.x: ") && !error.contains("hunter2"), "{error}");
        }
        let error = request().header("headers.…", "\u{1}y", "v").expect_err("no name").to_string();
        assert!(error.ends_with(": character 1 is U+0001"), "{error}");
        assert!(request().basic_auth("basic", "a:b", &Secret::new("x")).is_err());
    }
}
