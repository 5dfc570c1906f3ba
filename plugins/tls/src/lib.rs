//! TLS for Jackfield's backends: trusted certificates, the certificate that is shown to the server, and the explanation
//! of failures. Every backend has the same options and the same messages.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test makes the files that it needs"))]

mod certificates;

pub use rustls;
use rustls::{AlertDescription, CertificateError};

pub use crate::certificates::TlsConfig;

/// Why a handshake failed, in the words of people who run servers, and the option that may help. The text may contain line feeds from the server.
#[must_use]
pub fn describe(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer => {
                "the server's certificate is of an unknown issuer; tls.ca_file can name a file with its root"
                    .to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the server's certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the server's certificate is not valid yet".to_owned()
            }
            CertificateError::BadSignature => {
                "the server's certificate is not signed by the issuer that it names".to_owned()
            }
            CertificateError::Revoked => "the server's certificate is revoked".to_owned(),
            other => format!("the server's certificate is refused: {other}"),
        },
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => {
                "the server wants a client certificate; tls.cert_file and tls.key_file name one".to_owned()
            }
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied => {
                format!("the server refuses the client certificate ({alert:?})")
            }
            alert => format!("the server refuses the TLS handshake ({alert:?})"),
        },
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS on this port".to_owned(),
        rustls::Error::General(why) => format!("TLS: {why}"),
        other => format!("TLS: {other}"),
    }
}
