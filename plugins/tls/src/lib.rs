//! TLS for Jackfield's backends: trusted certificates, the certificate that is shown to the server, and the explanation
//! of failures. Every backend has the same options and the same messages.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "a test makes the files that it needs"))]

mod certificates;

pub use rustls;
use rustls::{AlertDescription, CertificateError};

pub use crate::certificates::TlsConfig;

/// Why a handshake failed, in the words of people who run servers, and the option that may help. The text may contain
/// line feeds from the server.
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
            CertificateError::Other(other) => describe_refused_certificate(&other.to_string()),
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

/// What is wrong with the server's certificate, by the name that the verifier's own error has.
fn describe_refused_certificate(name: &str) -> String {
    let advice = match name {
        // `openssl req -x509` makes such a certificate.
        "CaUsedAsEndEntity" => {
            "it is one of an authority (CA:TRUE), which can't be a server's own; the server needs one with CA:FALSE, \
             and tls.ca_file can name a file with its root"
        }
        "UnsupportedCertVersion" => "it is of an old version; the server needs one of X.509 version 3",
        _ => "the server needs another certificate",
    };
    format!("the server's certificate is refused ({name}): {advice}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;

    use super::*;

    #[test]
    fn an_error_of_the_verifier_is_a_sentence_with_advice() {
        for (inner, advice) in [("CaUsedAsEndEntity", "CA:FALSE"), ("NameConstraintViolation", "another")] {
            let other = OtherError(Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(inner)));
            let text = describe(&rustls::Error::InvalidCertificate(CertificateError::Other(other)));
            assert!(text.contains(inner) && text.contains(advice) && !text.contains("Other"), "{text}");
        }
    }
}
