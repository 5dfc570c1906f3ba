//! Where a platform's requests go, and what goes with each of them.

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use jackfield_plugin_api::Error;
use reqwest::{
    Method,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};

use crate::{Endpoint, Secret, failure::one_line, secret::scrub};

/// Headers that describe the connection and the body, which are the client's to set.
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

/// Parts of a header's name that tell of a credential in its value.
const TELLTALE: [&str; 8] =
    ["auth", "token", "key", "secret", "password", "cookie", "credential", "signature"];

/// A request without its body.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: HeaderMap,
    pub(crate) gzip: bool,
    /// What an answer may repeat and no message may.
    pub(crate) secrets: Vec<Secret>,
}

impl Request {
    /// A POST of JSON. Values in the endpoint's query are treated as credentials.
    #[must_use]
    pub fn post(endpoint: Endpoint) -> Self {
        let mut headers = HeaderMap::new();
        let secrets =
            endpoint.url().query_pairs().map(|(_, value)| Secret::new(value.into_owned())).collect();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self { method: Method::POST, endpoint, headers, gzip: false, secrets }
    }

    /// The same as a PUT.
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

    /// Sets a header, in the place of one with the same name. A value that looks like a credential, by the header's name,
    /// is treated as one.
    ///
    /// # Errors
    /// [`Error::config`] under `key` when name or value can be no header's, or the name is one that the client sets.
    pub fn header(self, key: &str, name: &str, value: &str) -> Result<Self, Error> {
        let lower = name.to_ascii_lowercase();
        if TELLTALE.iter().any(|part| lower.contains(part)) {
            return self.secret_header(key, name, "", &Secret::new(value));
        }
        self.set(key, name, value, false)
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
        let encoded = Secret::new(BASE64.encode(format!("{username}:{}", password.reveal())));
        Ok(self.secret_header(key, "authorization", "Basic ", &encoded)?.secret(password))
    }

    /// Names a credential that the request carries elsewhere, so that no message repeats it.
    #[must_use]
    pub fn secret(mut self, secret: &Secret) -> Self {
        self.secrets.push(secret.clone());
        self
    }

    /// Where it goes.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Warns, through `tracing`, of credentials that go over the network in the clear. To be called when the backend opens.
    pub fn warn_if_exposed(&self) {
        if !self.secrets.is_empty() && !self.endpoint.is_https() && !self.endpoint.is_loopback() {
            tracing::warn!(
                "credentials for {} go over the network without encryption; use https",
                self.endpoint.host()
            );
        }
    }

    /// `text` from the server as a message may quote it: in one line, not too long, and without the request's credentials.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        one_line(&scrub(text, &self.secrets))
    }

    fn set(mut self, key: &str, name: &str, value: &str, sensitive: bool) -> Result<Self, Error> {
        let refuse = |why: &str| Err(Error::config(key.to_owned(), why.to_owned()));
        let Ok(name) = name.parse::<HeaderName>() else {
            return refuse("is no name of an HTTP header");
        };
        if RESERVED.contains(&name) {
            return refuse("is a header that the client sets itself");
        }
        let Ok(mut value) = value.parse::<HeaderValue>() else {
            return refuse("has a character in its value that no HTTP header can have");
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
    fn credentials_are_hidden_in_the_debug_form_whatever_they_came_by() {
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
        assert_eq!(request.secrets.len(), 4);
    }

    #[test]
    fn a_header_that_can_be_none_is_refused_by_key_and_without_its_value() {
        for (name, value) in
            [("bad name", "hunter2"), ("x-token", "hunter2\r\nX: y"), ("Content-Length", "9")]
        {
            let error = request().header("headers.x", name, value).expect_err(name).to_string();
            assert!(error.starts_with("headers.x: ") && !error.contains("hunter2"), "{error}");
        }
        assert!(request().basic_auth("basic", "a:b", &Secret::new("x")).is_err());
    }
}
