//! The options, and the requests that follow from them.

use std::{
    collections::BTreeMap,
    num::{NonZeroU32, NonZeroU64},
    path::PathBuf,
};

use jackfield_http_client::{Connection, Endpoint, Limits, Request, Secret, TlsConfig};
use jackfield_plugin_api::Error;

/// Options of the backend `http`: events posted as JSON.
#[derive(Debug, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(crate) struct Config {
    /// The address of events: a URL with http or https, without user name, password and fragment, of at most 2048
    /// bytes.
    url: Secret,
    /// The form of a body.
    #[serde(default)]
    pub(crate) format: Format,
    /// The method of the requests.
    #[serde(default)]
    method: Method,
    /// Headers of every request, in addition to those that the client sets itself. No message repeats their values.
    #[serde(default)]
    headers: BTreeMap<String, Secret>,
    /// Sent as `Authorization: Bearer TOKEN`.
    bearer_token: Option<Secret>,
    /// Sent as HTTP's basic authentication.
    basic: Option<Basic>,
    /// Whether bodies are compressed (`Content-Encoding: gzip`). The server has to support it.
    #[serde(default)]
    gzip: bool,
    /// Certificates.
    #[serde(default)]
    tls: TlsConfig,
    /// The proxy of the requests, such as `http://user:password@proxy:3128`, instead of that of the environment; `none` for
    /// no proxy. Characters such as `@` in user name and password are written as `%40`.
    proxy: Option<Secret>,
    /// The absolute path of a UNIX socket that requests go to, instead of the host and port of `url`, which is then such as
    /// `http://localhost/events`. No proxy is used.
    unix_socket: Option<PathBuf>,
    /// The address of requests to delete a machine's data: a POST of `{"machine_id":"..."}` with the same headers and
    /// credentials. Without it these requests are not supported.
    deletion_url: Option<Secret>,
    /// Limits of one request.
    #[serde(default)]
    limits: LimitsConfig,
}

/// The form of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(serde::Serialize, schemars::JsonSchema), schemars(inline))]
pub(crate) enum Format {
    /// A JSON array of events (`application/json`).
    #[default]
    Array,
    /// A line for each event (`application/x-ndjson`).
    Ndjson,
    /// One event, a JSON object (`application/json`). Each event takes a request.
    Single,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[cfg_attr(test, derive(serde::Serialize, schemars::JsonSchema), schemars(inline))]
enum Method {
    /// The usual method.
    #[default]
    Post,
    /// For servers that require it.
    Put,
}

#[derive(Debug, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(inline, deny_unknown_fields))]
struct Basic {
    /// User name.
    username: String,
    /// Password.
    password: Secret,
}

/// Limits of the server.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(serde::Serialize, schemars::JsonSchema), schemars(inline, deny_unknown_fields))]
pub(crate) struct LimitsConfig {
    /// Bytes of a body before compression. Larger batches are divided; an event that is larger by itself is rejected.
    pub(crate) max_body_bytes: NonZeroU64,
    /// Events in a body. It has no effect with `format = "single"`.
    pub(crate) max_events: NonZeroU32,
}

impl Default for LimitsConfig {
    /// Bodies that common servers accept by default.
    fn default() -> Self {
        Self {
            max_body_bytes: NonZeroU64::MIN.saturating_add((1 << 20) - 1),
            max_events: NonZeroU32::MIN.saturating_add(999),
        }
    }
}

impl Config {
    pub(crate) fn limits(&self) -> Limits {
        let LimitsConfig { max_body_bytes, max_events } = self.limits;
        let max_events = if self.format == Format::Single { NonZeroU32::MIN } else { max_events };
        Limits::from_options(max_body_bytes, max_events)
    }

    pub(crate) fn connection(self) -> Connection {
        let Self { tls, proxy, unix_socket, .. } = self;
        Connection { tls, proxy, unix_socket, ..Connection::default() }
    }

    /// The requests for events, and for deletion.
    pub(crate) fn requests(&self) -> Result<(Request, Option<Request>), Error> {
        if self.bearer_token.is_some() && self.basic.is_some() {
            return Err(Error::config("bearer_token", "is set together with basic; expected one of the two"));
        }
        let option = match (&self.bearer_token, &self.basic) {
            (Some(token), _) if token.is_empty() => {
                return Err(Error::config("bearer_token", "is empty; expected a token, or leave it out"));
            }
            (Some(_), _) => Some("bearer_token"),
            (None, basic) => basic.as_ref().map(|_| "basic"),
        };
        let header = self.headers.keys().find(|name| name.eq_ignore_ascii_case("authorization"));
        if let (Some(option), Some(name)) = (option, header) {
            let key = format!("headers.{name}");
            return Err(Error::config(
                key,
                format!("is set together with {option}, which sets it; keep one of the two"),
            ));
        }
        let mut events = Request::post(Endpoint::from_option("url", self.url.reveal())?).gzip(self.gzip);
        if self.format == Format::Ndjson {
            events = events.header("format", "content-type", "application/x-ndjson")?;
        }
        let events = self.authorized(events)?;
        let events = if self.method == Method::Put { events.put() } else { events };
        let deletion = match &self.deletion_url {
            Some(url) => {
                Some(self.authorized(Request::post(Endpoint::from_option("deletion_url", url.reveal())?))?)
            }
            None => None,
        };
        Ok((events, deletion))
    }

    fn authorized(&self, mut request: Request) -> Result<Request, Error> {
        request = request.headers(&self.headers)?;
        if let Some(token) = &self.bearer_token {
            request = request.secret_header("bearer_token", "authorization", "Bearer ", token)?;
        }
        if let Some(Basic { username, password }) = &self.basic {
            request = request.basic_auth("basic", username, password)?;
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Config, String> {
        serde_json::from_str(json).map_err(|error: serde_json::Error| error.to_string())
    }

    #[test]
    fn a_url_is_all_that_is_required() {
        let config = parse(r#"{"url":"http://h/in"}"#).expect("valid");
        assert_eq!((config.limits.max_body_bytes.get(), config.limits.max_events.get()), (1 << 20, 1000));
        let (events, deletion) = config.requests().expect("valid");
        assert_eq!(events.endpoint().to_string(), "http://h/in");
        assert!(deletion.is_none());
        assert!(parse("{}").expect_err("no URL").contains("missing field `url`"));
    }

    #[test]
    fn invalid_options_are_refused_without_secrets() {
        for (config, key) in [
            (r#"{"url":"ftp://h"}"#, "url: "),
            (r#"{"url":"http://hunter2@h"}"#, "url: "),
            (r#"{"url":"http://h","deletion_url":"h"}"#, "deletion_url: "),
            (
                r#"{"url":"http://h","bearer_token":"hunter2","basic":{"username":"u","password":"hunter2"}}"#,
                "bearer_token: ",
            ),
            (r#"{"url":"http://h","basic":{"username":"u:v","password":"hunter2"}}"#, "basic.username: "),
            (r#"{"url":"http://h","bearer_token":"hunter2\n"}"#, "bearer_token: "),
            (r#"{"url":"http://h","headers":{"a b":"hunter2"}}"#, "headers.a…: "),
            (
                r#"{"url":"http://h","bearer_token":"hunter2","headers":{"authorization":"hunter2"}}"#,
                "headers.authorization: ",
            ),
            (
                r#"{"url":"http://h","basic":{"username":"u","password":"hunter2"},"headers":{"AUTHORIZATION":"hunter2"}}"#,
                "headers.AUTHORIZATION: ",
            ),
            (r#"{"url":"http://h","headers":{"X-A":"hunter2","x-a":"hunter2"}}"#, "headers.x-a: "),
            (r#"{"url":"http://h","bearer_token":""}"#, "bearer_token: "),
            (r#"{"url":"http://h","headers":{"content-length":"1"}}"#, "headers.content-length: "),
        ] {
            let config = parse(config).expect("read");
            let error = config.requests().expect_err(key).to_string();
            assert!(error.starts_with(key) && !error.contains("hunter2"), "{error}");
            assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
        }
    }

    #[test]
    fn the_form_of_a_body_sets_its_content_type_unless_a_header_does() {
        for (config, expected) in [
            (r#"{"url":"http://h"}"#, "application/json"),
            (r#"{"url":"http://h","format":"single"}"#, "application/json"),
            (r#"{"url":"http://h","format":"ndjson"}"#, "application/x-ndjson"),
            (r#"{"url":"http://h","format":"ndjson","headers":{"Content-Type":"text/plain"}}"#, "text/plain"),
        ] {
            let (events, _) = parse(config).expect("read").requests().expect("valid");
            assert!(format!("{events:?}").contains(&format!("{expected:?}")), "{config}: {events:?}");
        }
        let single = parse(r#"{"url":"http://h","format":"single"}"#).expect("read").limits();
        assert_eq!(single.entries, 1);
        assert!(parse(r#"{"url":"http://h","format":"lines"}"#).expect_err("unknown").contains("`ndjson`"));
    }

    #[test]
    fn limits_are_at_least_one() {
        assert!(parse(r#"{"url":"http://h","limits":{"max_events":0}}"#).is_err());
        let limits = parse(r#"{"url":"http://h","limits":{"max_events":7}}"#).expect("valid").limits;
        assert_eq!((limits.max_body_bytes.get(), limits.max_events.get()), (1 << 20, 7));
    }

    #[test]
    fn the_checked_in_schema_is_that_of_the_options() {
        jackfield_plugin_api::schema::assert_schema::<Config>(env!("CARGO_MANIFEST_DIR"));
    }
}
