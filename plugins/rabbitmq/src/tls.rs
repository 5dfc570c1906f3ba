//! TLS: which certificates are trusted, and which one is shown.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use jackfield_plugin_api::Error;
use rustls_platform_verifier::Verifier;
use tokio_rustls::rustls::{
    ClientConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// Certificates. Each is a PEM file.
#[derive(Debug, Default, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub(crate) struct TlsOptions {
    /// Certificates of authorities that are trusted besides those that the system trusts.
    ca_file: Option<PathBuf>,
    /// The certificate to show to the broker, with its chain. Needs `key_file`.
    cert_file: Option<PathBuf>,
    /// Its private key.
    key_file: Option<PathBuf>,
}

/// Files that were read.
pub(crate) struct Tls {
    authorities: Vec<CertificateDer<'static>>,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    /// Made when it is first needed: that reads the system's certificates.
    client: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl TlsOptions {
    /// Reads the files; `None` when no address uses TLS.
    pub(crate) fn check(&self, needed: bool) -> Result<Option<Tls>, Error> {
        if !needed {
            return match self {
                Self { ca_file: None, cert_file: None, key_file: None } => Ok(None),
                _ => Err(Error::config("tls", "is set, and no URL begins with amqps://")),
            };
        }
        let authorities = self
            .ca_file
            .as_deref()
            .map_or_else(|| Ok(Vec::new()), |file| certificates("tls.ca_file", file))?;
        let identity = match (&self.cert_file, &self.key_file) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some((certificates("tls.cert_file", cert)?, private_key(key)?)),
            (Some(_), None) => return Err(Error::config("tls.key_file", "is missing beside `cert_file`")),
            (None, Some(_)) => return Err(Error::config("tls.cert_file", "is missing beside `key_file`")),
        };
        let tls = Tls { authorities, identity, client: OnceLock::new() };
        if tls.identity.is_some() {
            // A key that does not belong to the certificate is told now.
            tls.client().map_err(|why| Error::config("tls.key_file", why))?;
        }
        Ok(Some(tls))
    }
}

impl Tls {
    /// The client's side of a handshake.
    pub(crate) fn client(&self) -> Result<Arc<ClientConfig>, String> {
        self.client.get_or_init(|| self.build().map_err(|error| error.to_string())).clone()
    }

    fn build(&self) -> Result<Arc<ClientConfig>, tokio_rustls::rustls::Error> {
        let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
        let verifier =
            Verifier::new_with_extra_roots(self.authorities.iter().cloned(), Arc::clone(&provider))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        Ok(Arc::new(match &self.identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain.clone(), key.clone_key())?,
            None => builder.with_no_client_auth(),
        }))
    }
}

fn certificates(key: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = |why: String| Error::config(key, format!("{}: {why}", file.display()));
    let found = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() { Err(wrong("holds no certificate in PEM form".to_owned())) } else { Ok(found) }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_file(file)
        .map_err(|error| Error::config("tls.key_file", format!("{}: {error}", file.display())))
}
