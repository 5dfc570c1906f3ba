//! The addresses and credentials of brokers, from the URLs of the configuration.

use std::fmt;

use jackfield_secret::{NotPercentEncoded, Secret, Secrets, percent_decoded};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo, SASLMechanism};
use url::{Host, Url};

/// A URL as it is in the configuration, including the password. It is never shown.
#[derive(Clone, serde::Deserialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct SecretUrl(String);

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How a connection logs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(serde::Serialize, schemars::JsonSchema), schemars(inline))]
pub(crate) enum Auth {
    /// With the user name and the password of the URL.
    #[default]
    Plain,
    /// As the user that the certificate of `tls.cert_file` names (the mechanism EXTERNAL). The broker needs its plugin
    /// `rabbitmq_auth_mechanism_ssl`.
    External,
}

/// A broker's address with its credentials. It is shown as `host:port`.
#[derive(Clone)]
pub(crate) struct Address {
    /// The host name, or the IP address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    /// Empty for the user of the certificate.
    pub(crate) user: String,
    pub(crate) vhost: String,
    password: String,
    auth: Auth,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Address {
    /// Reads a URL by RabbitMQ's URI specification: a missing path is the virtual host `/`, the path `/` is the virtual
    /// host without a name, and every part may be percent-encoded. The error does not show the URL, which contains a
    /// password.
    pub(crate) fn parse(SecretUrl(text): &SecretUrl, auth: Auth) -> Result<Self, String> {
        if !text.contains("://") {
            return Err("has no scheme; expected amqp://USER:PASSWORD@HOST:PORT/VHOST".to_owned());
        }
        let url = Url::parse(text)
            .map_err(|error| format!("is no URL ({error}); expected amqp://USER:PASSWORD@HOST:PORT/VHOST"))?;
        let tls = match url.scheme() {
            "amqp" => false,
            "amqps" => true,
            other => return Err(format!("has the scheme `{other}`; expected amqp or amqps")),
        };
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => decode(name, "host")?,
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            _ => return Err("names no host; expected amqp://USER:PASSWORD@HOST:PORT/VHOST".to_owned()),
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err("has a query; use options such as `heartbeat` instead".to_owned());
        }
        let vhost = match url.path() {
            "" => "/".to_owned(),
            path => decode(&path[1..], "virtual host")?,
        };
        if vhost.contains('/') && vhost != "/" && url.path()[1..].contains('/') {
            return Err("has more than one part in its path; a / in a virtual host is written %2f".to_owned());
        }
        if vhost.len() > 255 {
            return Err("names a virtual host of more than 255 bytes".to_owned());
        }
        let (user, password) = match (auth, url.username(), url.password()) {
            (Auth::Plain, "", _) => {
                return Err(
                    "names no user; expected amqp://USER:PASSWORD@HOST:PORT/VHOST (a new broker knows \
                            guest:guest, for connections from its own machine), or `auth = \"external\"`"
                        .to_owned(),
                );
            }
            (Auth::External, "", None) => Default::default(),
            (Auth::External, ..) => {
                return Err(
                    "names a user or a password; with `auth = \"external\"` the certificate names the user"
                        .to_owned(),
                );
            }
            (_, user, password) => (decode(user, "user")?, decode(password.unwrap_or_default(), "password")?),
        };
        if auth == Auth::External && !tls {
            return Err(
                "begins with amqp://; `auth = \"external\"` shows a certificate, which needs amqps://"
                    .to_owned(),
            );
        }
        let port = url.port().unwrap_or(if tls { 5671 } else { 5672 });
        Ok(Self { host, port, tls, user, vhost, password, auth })
    }

    /// The user in messages.
    pub(crate) fn shown_user(&self) -> String {
        match self.auth {
            Auth::Plain => format!("user `{}`", self.user),
            Auth::External => "the user of the certificate".to_owned(),
        }
    }

    /// The login data for lapin.
    pub(crate) fn uri(&self, heartbeat: u16) -> AMQPUri {
        let mechanism = match self.auth {
            Auth::Plain => SASLMechanism::Plain,
            Auth::External => SASLMechanism::External,
        };
        AMQPUri {
            scheme: if self.tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
            authority: AMQPAuthority {
                userinfo: AMQPUserInfo { username: self.user.clone(), password: self.password.clone() },
                host: self.host.clone(),
                port: self.port,
            },
            vhost: self.vhost.clone(),
            query: AMQPQueryString {
                heartbeat: Some(heartbeat),
                auth_mechanism: Some(mechanism),
                ..AMQPQueryString::default()
            },
        }
    }

    /// A text of the broker or of a library in one line, without the password as [`Secrets::clean`] removes it. A
    /// password that is the user's name is no secret, because messages show the name.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut secrets = Secrets::default();
        if self.password != self.user {
            secrets.add(&Secret::new(&*self.password));
            // The login as AMQP's mechanism PLAIN sends it, which may be repeated in base64.
            secrets.add(&Secret::new(format!("\0{}\0{}", self.user, self.password)));
        }
        secrets.clean(text).replace(['\r', '\n'], " ")
    }
}

fn decode(text: &str, what: &str) -> Result<String, String> {
    percent_decoded(text).map_err(|error| match error {
        NotPercentEncoded::Digits => {
            format!("has a % in its {what} that is not followed by two hexadecimal digits")
        }
        NotPercentEncoded::Utf8 => format!("has a {what} that is not UTF-8"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Address, String> {
        Address::parse(&SecretUrl(url.to_owned()), Auth::Plain)
    }

    #[test]
    fn a_certificate_names_the_user_or_the_url_does() {
        let external = |url: &str| Address::parse(&SecretUrl(url.to_owned()), Auth::External);
        let address = external("amqps://h").expect("valid");
        assert_eq!(
            (address.user.as_str(), address.shown_user().as_str()),
            ("", "the user of the certificate")
        );
        assert_eq!(address.uri(0).query.auth_mechanism, Some(SASLMechanism::External));
        for (url, expected) in [
            ("amqp://h", "needs amqps://"),
            ("amqps://u@h", "the certificate names the user"),
            ("amqps://:s3cret@h", "the certificate names the user"),
        ] {
            let refusal = external(url).expect_err(url);
            assert!(refusal.contains(expected) && !refusal.contains("s3cret"), "{refusal}");
        }
        for url in ["amqp://h", "amqp://:s3cret@h", "amqps://@h"] {
            let refusal = parse(url).expect_err(url);
            assert!(refusal.starts_with("names no user; expected amqp://USER:PASSWORD@"), "{refusal}");
            assert!(!refusal.contains("s3cret"), "{refusal}");
        }
    }

    #[test]
    fn the_parts_of_a_url_are_read_with_their_defaults() {
        let full = parse("amqps://me:p%40ss@broker.example:1234/a%2fb").expect("valid");
        assert_eq!((full.host.as_str(), full.port, full.tls), ("broker.example", 1234, true));
        assert_eq!((full.user.as_str(), full.password.as_str(), full.vhost.as_str()), ("me", "p@ss", "a/b"));
        let short = parse("amqp://u@localhost").expect("valid");
        assert_eq!((short.port, short.password.as_str(), short.vhost.as_str()), (5672, "", "/"));
        assert_eq!(parse("amqp://u:p@h/").expect("valid").vhost, "");
        assert_eq!(parse("amqp://u:p@h/%2F").expect("valid").vhost, "/");
        assert_eq!(parse("amqps://u:p@h").expect("valid").port, 5671);
    }

    #[test]
    fn an_ipv6_address_is_not_taken_for_localhost() {
        let address = parse("amqp://u:p@[2001:db8::1]:1").expect("valid");
        assert_eq!(address.host, "2001:db8::1");
        assert_eq!(address.to_string(), "[2001:db8::1]:1");
    }

    #[test]
    fn an_invalid_url_is_refused_without_the_password() {
        for (url, part) in [
            ("amqp://u:s3cret@h:notaport/", "is no URL"),
            ("http://u:s3cret@h/", "scheme `http`"),
            ("amqp://u:s3cret@/", "no URL"),
            ("amqp:///", "names no host"),
            ("u:s3cret@h:5672", "has no scheme"),
            ("amqp://u:s3cret@h/a/b", "%2f"),
            ("amqp://u:s3cret%zz@h/", "password that is not followed by two"),
            ("amqp://u:s3cret@h/?heartbeat=1", "`heartbeat`"),
        ] {
            let error = parse(url).expect_err(url);
            assert!(error.contains(part) && !error.contains("s3cret"), "{url}: {error}");
        }
        let address = parse("amqp://u:s3cret@h/").expect("valid");
        assert_eq!(format!("{address:?} {:?}", SecretUrl("amqp://u:s3cret@h".into())), "h:5672 ***");
        let cleaned = address.clean("login of u with s3cret");
        assert!(!cleaned.contains("s3cret") && !cleaned.contains("login"), "{cleaned}");
        let address = parse("amqp://u:s3cret-s3cret@h/").expect("valid");
        assert_eq!(address.clean("login of u\nwith s3cret-s3cret"), "login of u with ***");
        assert_eq!(parse("amqp://guest:guest@h/").expect("valid").clean("no guest"), "no guest");
    }
}
