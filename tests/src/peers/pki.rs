//! A certificate authority of the test's own, and what it signs.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};

/// What is to be said for a server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerCertificate {
    /// For 127.0.0.1 and localhost, by the authority.
    Good,
    /// The same, by an authority that nobody knows.
    OtherAuthority,
    /// For a host of another name.
    OtherName,
    /// Good until the year 2001.
    Expired,
    /// The same as the good one, and it may sign others, as what `openssl req -x509` makes.
    Authority,
}

/// An authority, its root certificate in a file, and a client's certificate with its key in files.
#[derive(Debug)]
pub struct Pki {
    folder: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    /// A new authority.
    ///
    /// # Panics
    /// When certificates can't be made or files can't be written.
    #[must_use]
    pub fn new() -> Self {
        let pki = Self {
            folder: tempfile::tempdir().expect("a folder"),
            authority: authority("Jackfield test authority"),
        };
        let (certificate, key) = pki.sign("client", ExtendedKeyUsagePurpose::ClientAuth, |_| {});
        pki.write("ca.pem", &pki.authority.pem());
        pki.write("client.pem", &certificate.pem());
        pki.write("client.key", &key.serialize_pem());
        pki
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).expect("writable");
    }

    /// The folder of the files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The root certificate, PEM.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The client's certificate, PEM.
    #[must_use]
    pub fn cert_file(&self) -> PathBuf {
        self.folder.path().join("client.pem")
    }

    /// The key of the client's certificate, PEM.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("client.key")
    }

    /// A server's certificate and its key, each as PEM.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn server_pem(&self, kind: ServerCertificate) -> (String, String) {
        let (certificate, key) = self.server(kind);
        (certificate.pem(), key.serialize_pem())
    }

    fn server(&self, kind: ServerCertificate) -> (rcgen::Certificate, KeyPair) {
        let change = |params: &mut CertificateParams| {
            if kind == ServerCertificate::Expired {
                params.not_before = date_time_ymd(2000, 1, 1);
                params.not_after = date_time_ymd(2001, 1, 1);
            }
            if kind == ServerCertificate::Authority {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }
        };
        let names = if kind == ServerCertificate::OtherName { "other.example" } else { "localhost" };
        if kind == ServerCertificate::OtherAuthority {
            return sign(&authority("Somebody else"), names, ExtendedKeyUsagePurpose::ServerAuth, change);
        }
        self.sign(names, ExtendedKeyUsagePurpose::ServerAuth, change)
    }

    fn sign(
        &self,
        name: &str,
        usage: ExtendedKeyUsagePurpose,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (rcgen::Certificate, KeyPair) {
        sign(&self.authority, name, usage, change)
    }

    /// The server's side of TLS; with `client` it wants a certificate of the authority.
    pub(super) fn server_config(&self, kind: ServerCertificate, client: bool) -> Arc<ServerConfig> {
        let (certificate, key) = self.server(kind);
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = if client {
            let mut roots = RootCertStore::empty();
            roots.add(self.authority.der().clone()).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .expect("a verifier");
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        Arc::new(builder.with_single_cert(chain, key).expect("a certificate and its key"))
    }
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

fn sign(
    authority: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    usage: ExtendedKeyUsagePurpose,
    change: impl FnOnce(&mut CertificateParams),
) -> (rcgen::Certificate, KeyPair) {
    let names = match name {
        "localhost" => vec![name.to_owned(), "127.0.0.1".to_owned()],
        name => vec![name.to_owned()],
    };
    let mut params = CertificateParams::new(names).expect("names");
    params.extended_key_usages = vec![usage];
    change(&mut params);
    let key = KeyPair::generate().expect("a key");
    (params.signed_by(&key, authority).expect("a certificate"), key)
}
