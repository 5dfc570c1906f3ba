//! The trusted certificates, and the certificate that is shown to the server.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use jackfield_plugin_api::Error;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    sign::CertifiedKey,
};
use rustls_platform_verifier::Verifier;

/// Options for encrypted connections.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline, deny_unknown_fields))]
pub struct TlsConfig {
    /// A PEM file with root certificates that are trusted in addition to those of the system, such as those of a
    /// company.
    #[cfg_attr(feature = "schema", schemars(extend("format" = "input-file")))]
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the certificate that this client shows to the server, and the intermediate certificates up to
    /// its root. Needs `key_file`.
    #[cfg_attr(feature = "schema", schemars(extend("format" = "input-file")))]
    pub cert_file: Option<PathBuf>,
    /// A PEM file with the private key of `cert_file`.
    #[cfg_attr(feature = "schema", schemars(extend("format" = "input-file")))]
    pub key_file: Option<PathBuf>,
}

impl TlsConfig {
    /// Whether no file is named.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        matches!(self, Self { ca_file: None, cert_file: None, key_file: None })
    }

    /// The client's configuration of a handshake, from the files. The system's root certificates are read at the first
    /// encrypted connection.
    ///
    /// # Errors
    /// The key, from `tls.` on, whose file can't be read or has the wrong content.
    pub fn client_config(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(ring::default_provider());
        let extra_roots = match &self.ca_file {
            Some(path) => roots("tls.ca_file", path)?,
            None => Vec::new(),
        };
        let verifier =
            LazyVerifier { extra_roots, provider: Arc::clone(&provider), verifier: OnceLock::new() };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::failed(format!("TLS: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        match (&self.cert_file, &self.key_file) {
            (None, None) => Ok(builder.with_no_client_auth()),
            (Some(_), None) => Err(Error::config("tls.key_file", "is missing; tls.cert_file needs it")),
            (None, Some(_)) => Err(Error::config("tls.cert_file", "is missing; tls.key_file needs it")),
            (Some(cert_file), Some(key_file)) => {
                let chain = certificates("tls.cert_file", cert_file)?;
                let key = PrivateKeyDer::from_pem_file(key_file)
                    .map_err(|error| unreadable("tls.key_file", key_file, "a private key", &error))?;
                CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider).map_err(|error| {
                    let key_file = key_file.display();
                    let why = match error {
                        rustls::Error::InconsistentKeys(_) => "is not the key of tls.cert_file".to_owned(),
                        error => format!("can't be used with tls.cert_file: {error}"),
                    };
                    Error::config("tls.key_file", format!("{key_file} {why}"))
                })?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| Error::config("tls.cert_file", error.to_string()))
            }
        }
    }
}

fn roots(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = certificates(key, path)?;
    let mut store = rustls::RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|error| {
            Error::config(key, format!("{} has a certificate that can't be a root: {error}", path.display()))
        })?;
    }
    Ok(certificates)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(key, path, "a certificate", &error))?;
    if certificates.is_empty() {
        return Err(unreadable(key, path, "a certificate", &rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

fn unreadable(
    key: &'static str,
    path: &Path,
    expected: &str,
    error: &rustls::pki_types::pem::Error,
) -> Error {
    use rustls::pki_types::pem::Error as Pem;
    let path = path.display();
    let message = match error {
        Pem::Io(error) => format!("{path}: {error}"),
        Pem::NoItemsFound => format!("{path} has no {} in PEM form", expected.trim_start_matches("a ")),
        // The text of other errors may quote the content of the file.
        _ => format!("{path} is damaged; expected {expected} in PEM form"),
    };
    Error::config(key, message)
}

/// The system's verifier with the extra roots. It is made at the first handshake, because reading the system's root
/// certificates takes milliseconds and memory that a backend without encryption does not need.
#[derive(Debug)]
struct LazyVerifier {
    extra_roots: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    verifier: OnceLock<Result<Verifier, rustls::Error>>,
}

impl ServerCertVerifier for LazyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier
            .get_or_init(|| {
                Verifier::new_with_extra_roots(self.extra_roots.iter().cloned(), Arc::clone(&self.provider))
            })
            .as_ref()
            .map_err(Clone::clone)?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A certificate and its key, as PEM.
    fn pem() -> (String, String) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["client".to_owned()]).expect("a name");
        (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
    }

    /// Why a certificate and a key are refused.
    fn refusal(certificate: &str, key: &str) -> Option<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("writable");
            Some(path)
        };
        let (cert_file, key_file) = (file("cert.pem", certificate), file("key.pem", key));
        let config = TlsConfig { cert_file, key_file, ..TlsConfig::default() };
        config.client_config().err().map(|error| error.to_string())
    }

    #[test]
    fn a_damaged_key_is_refused_without_being_quoted() {
        let (certificate, key) = pem();
        let body: String = key.lines().filter(|line| !line.starts_with('-')).collect();
        let cut = key.replace("-----END PRIVATE KEY-----", "");
        for damaged in [
            key.replace('\n', ""),
            key.replace('\n', " "),
            key.replacen("\n", "", 1),
            key.replacen(&body[8..12], "!?!?", 1),
            cut,
            body.clone(),
        ] {
            let refusal = refusal(&certificate, &damaged).unwrap_or_else(|| panic!("taken: {damaged}"));
            assert!(refusal.starts_with("tls.key_file: ") && !refusal.contains('\n'), "{refusal}");
            assert!(!refusal.contains(&body[12..20]), "{refusal}");
            // Nor as a list of bytes.
            let bytes: Vec<String> = body.bytes().skip(12).take(4).map(|byte| byte.to_string()).collect();
            assert!(!refusal.contains(&bytes.join(", ")), "{refusal}");
        }
        assert_eq!(refusal(&certificate, &key), None);
    }

    #[test]
    fn the_key_of_another_certificate_is_refused() {
        let ((certificate, _), (_, key)) = (pem(), pem());
        let refusal = refusal(&certificate, &key).expect("another's key");
        assert!(refusal.ends_with("is not the key of tls.cert_file"), "{refusal}");
    }

    #[test]
    fn missing_and_wrong_files_are_named() {
        let config = |ca: Option<&str>, cert: Option<&str>, key: Option<&str>| {
            let [ca_file, cert_file, key_file] = [ca, cert, key].map(|path| path.map(PathBuf::from));
            let error = TlsConfig { ca_file, cert_file, key_file }.client_config().expect_err("refused");
            error.to_string()
        };
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(config(Some("/no"), None, None).starts_with("tls.ca_file: /no: "));
        assert!(config(Some(here), None, None).ends_with("has no certificate in PEM form"));
        assert!(config(None, Some(here), None).starts_with("tls.key_file: is missing"));
        assert!(config(None, None, Some(here)).starts_with("tls.cert_file: is missing"));
        assert!(TlsConfig::default().is_empty() && TlsConfig::default().client_config().is_ok());
    }
}
