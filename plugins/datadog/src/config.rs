//! The options, and the request and log settings that follow from them.

use jackfield_http_client::{Connection, Endpoint, Request, Secret, TlsConfig};
use jackfield_plugin_api::Error;

use crate::{log::LogOptions, tags::Tags};

/// Datadog's sites.
const SITES: [&str; 9] = [
    "datadoghq.com",
    "us3.datadoghq.com",
    "us5.datadoghq.com",
    "ap1.datadoghq.com",
    "ap2.datadoghq.com",
    "uk1.datadoghq.com",
    "datadoghq.eu",
    "ddog-gov.com",
    "us2.ddog-gov.com",
];

const INTAKE: &str = "/api/v2/logs";

/// Options of the backend `datadog`: events as Datadog logs.
#[derive(Debug, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(crate) struct Config {
    /// The API key. No message repeats it.
    api_key: Secret,
    /// The Datadog site. Default: datadoghq.com.
    #[cfg_attr(test, schemars(extend("enum" = SITES)))]
    site: Option<String>,
    /// The address of events instead of a site, such as a proxy of your own: a URL with http or https. The path
    /// `/api/v2/logs` is added when it has none.
    url: Option<String>,
    /// The service of the logs. Default: the tool's name.
    service: Option<String>,
    /// The source of the logs. Datadog chooses pipelines by it.
    #[serde(default = "jackfield")]
    source: String,
    /// Tags of all logs, in addition to event_type, tool_version, os and arch: a list (`["env:prod"]`) or a table
    /// (`{env = "prod"}`). Characters that Datadog's rules for tags don't allow are replaced by underscores.
    #[serde(default)]
    tags: Tags,
    /// Whether bodies are compressed (`Content-Encoding: gzip`).
    #[serde(default = "yes")]
    gzip: bool,
    /// Certificates.
    #[serde(default)]
    tls: TlsConfig,
    /// The proxy of the requests, such as `http://user:password@proxy:3128`, instead of that of the environment; `none` for
    /// no proxy. Characters such as `@` in user name and password are written as `%40`.
    proxy: Option<Secret>,
    /// What happens to events that are more than 18 hours old, which Datadog does not accept.
    #[serde(default)]
    pub(crate) old_events: OldEvents,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(serde::Serialize, schemars::JsonSchema), schemars(inline))]
pub(crate) enum OldEvents {
    /// They are rejected, with the reason.
    #[default]
    Reject,
    /// They are sent with the time of their arrival, and with their own time in the attribute `event_timestamp`.
    Attribute,
}

fn jackfield() -> String {
    "jackfield".to_owned()
}

const fn yes() -> bool {
    true
}

impl Config {
    pub(crate) fn connection(self) -> Connection {
        Connection { tls: self.tls, proxy: self.proxy, ..Connection::default() }
    }

    /// The request for events.
    pub(crate) fn request(&self) -> Result<Request, Error> {
        if self.api_key.is_empty() {
            return Err(Error::config("api_key", "is empty; expected an API key of Datadog"));
        }
        Request::post(self.endpoint()?).gzip(self.gzip).secret_header(
            "api_key",
            "dd-api-key",
            "",
            &self.api_key,
        )
    }

    fn endpoint(&self) -> Result<Endpoint, Error> {
        match (&self.site, &self.url) {
            (Some(_), Some(_)) => {
                Err(Error::config("url", "is set together with site; expected one of the two"))
            }
            (None, Some(url)) => {
                let endpoint = Endpoint::from_option("url", url)?;
                Ok(if endpoint.path() == "/" { endpoint.join_path(INTAKE) } else { endpoint })
            }
            (site, None) => {
                let site = check_site(site.as_deref().unwrap_or(SITES[0]))?;
                Endpoint::from_option("site", &format!("https://http-intake.logs.{site}{INTAKE}"))
            }
        }
    }

    /// The values of the configuration that each log has.
    pub(crate) fn log_options(&self) -> Result<LogOptions, Error> {
        for (key, text) in [("service", self.service.as_deref()), ("source", Some(self.source.as_str()))] {
            if text.is_some_and(str::is_empty) {
                return Err(Error::config(key, "is empty; leave it out for the default"));
            }
        }
        let tags = self.tags.to_sent().map_err(|(key, tag)| {
            Error::config(key, format!("{tag:?} can't be a tag; expected one that starts with a letter"))
        })?;
        Ok(LogOptions { source: self.source.clone(), service: self.service.clone(), tags: tags.join(",") })
    }
}

fn check_site(site: &str) -> Result<&'static str, Error> {
    if let Some(known) = SITES.into_iter().find(|known| *known == site) {
        return Ok(known);
    }
    let word = site.to_lowercase();
    // Users copy the address of Datadog's web pages, whose host ends with the name of the site.
    let contained = SITES.into_iter().filter(|known| word.contains(known)).max_by_key(|known| known.len());
    let nearest = contained.or_else(|| {
        SITES
            .into_iter()
            .map(|known| (strsim::damerau_levenshtein(&word, known), known))
            .min()
            .filter(|(distance, known)| *distance <= known.len() / 3)
            .map(|(_, known)| known)
    });
    let hint = nearest.map(|near| format!(", did you mean \"{near}\"?")).unwrap_or_default();
    // The value may have been meant for another key, so it may be a secret.
    Err(Error::config("site", format!("unknown site{hint} (expected one of {})", SITES.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Config, String> {
        serde_json::from_str(json).map_err(|error: serde_json::Error| error.to_string())
    }

    fn endpoint(json: &str) -> Result<String, String> {
        let request = parse(json)?.request().map_err(|error| error.to_string())?;
        Ok(request.endpoint().to_string())
    }

    #[test]
    fn an_api_key_is_all_that_is_required() {
        let config = parse(r#"{"api_key":"k"}"#).expect("valid");
        assert!(config.gzip);
        assert_eq!(config.old_events, OldEvents::Reject);
        let options = config.log_options().expect("valid");
        assert_eq!(
            (options.source.as_str(), options.service, options.tags.as_str()),
            ("jackfield", None, "")
        );
        assert_eq!(
            endpoint(r#"{"api_key":"k"}"#).expect("valid"),
            "https://http-intake.logs.datadoghq.com/api/v2/logs"
        );
        assert!(parse("{}").expect_err("no key").contains("missing field `api_key`"));
    }

    #[test]
    fn each_site_has_an_intake_and_a_url_replaces_it() {
        for site in SITES {
            assert_eq!(
                endpoint(&format!(r#"{{"api_key":"k","site":"{site}"}}"#)).expect("valid"),
                format!("https://http-intake.logs.{site}/api/v2/logs")
            );
        }
        for (url, expected) in [
            ("http://proxy:8080", "http://proxy:8080/api/v2/logs"),
            ("http://proxy:8080/", "http://proxy:8080/api/v2/logs"),
            ("https://proxy/datadog/logs", "https://proxy/datadog/logs"),
        ] {
            assert_eq!(endpoint(&format!(r#"{{"api_key":"k","url":"{url}"}}"#)).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn an_unknown_site_names_the_nearest_one() {
        for (site, nearest) in [
            ("datadoghq.eu.", Some("datadoghq.eu")),
            ("datadog.eu", Some("datadoghq.eu")),
            ("datadoghq.con", Some("datadoghq.com")),
            ("us4.datadoghq.com", Some("datadoghq.com")),
            ("app.datadoghq.eu", Some("datadoghq.eu")),
            ("https://us5.datadoghq.com/logs", Some("us5.datadoghq.com")),
            ("DATADOGHQ.COM", Some("datadoghq.com")),
            ("example.org", None),
            ("", None),
        ] {
            let error = endpoint(&serde_json::json!({"api_key": "k", "site": site}).to_string())
                .expect_err("unknown");
            assert!(error.starts_with("site: unknown site") && error.contains("us2.ddog-gov.com"), "{error}");
            assert_eq!(
                error.split_once("did you mean \"").map(|(_, rest)| rest.split('"').next().expect("a part")),
                nearest,
                "{error}"
            );
        }
    }

    #[test]
    fn invalid_options_are_refused_without_the_api_key() {
        for (json, key) in [
            (r#"{"api_key":""}"#, "api_key: "),
            (r#"{"api_key":"hunter2\n"}"#, "api_key: "),
            (r#"{"api_key":"hunter2","site":"datadoghq.eu","url":"http://h"}"#, "url: "),
            (r#"{"api_key":"hunter2","url":"h"}"#, "url: "),
            (r#"{"api_key":"hunter2","service":""}"#, "service: "),
            (r#"{"api_key":"hunter2","source":""}"#, "source: "),
            (r#"{"api_key":"hunter2","tags":["a:b","12"]}"#, "tags[1]: "),
            (r#"{"api_key":"hunter2","tags":{"12":"b"}}"#, "tags.12: "),
        ] {
            let config = parse(json).expect("read");
            let refused = config.request().map(drop).and_then(|()| config.log_options().map(drop));
            let error = refused.expect_err(key).to_string();
            assert!(error.starts_with(key) && !error.contains("hunter2"), "{error}");
            assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
        }
    }

    #[test]
    fn the_checked_in_schema_is_that_of_the_options() {
        jackfield_plugin_api::schema::assert_schema::<Config>(env!("CARGO_MANIFEST_DIR"));
    }
}
