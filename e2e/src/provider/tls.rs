//! TLS of the provider: with a certificate from a folder, or with one made for a test.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Which protocols are offered by ALPN, in the order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// h2, then HTTP/1.1, as the real ones do.
    Both,
    /// HTTP/1.1 alone.
    Http1,
}

/// What a provider proves itself with.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    ca: Arc<str>,
}

/// No certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or is no PEM of what it should hold.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A certificate for these names cannot be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// Certificate and key do not go together.
    #[error("the certificate cannot be served: {0}")]
    Pair(#[from] rustls::Error),
}

impl Tls {
    /// A certificate for these host names or addresses, signed by a CA made for it alone: [`Tls::ca`].
    pub fn made_for(names: &[&str], alpn: Alpn) -> Result<Self, TlsError> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.distinguished_name.push(DnType::CommonName, "CA of a fake provider");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let leaf = CertificateParams::new(names)?.signed_by(&key, &authority)?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(|problem| file(Path::new("made"), problem))?;
        Self::new(vec![leaf.der().clone()], key, authority.pem(), alpn)
    }

    /// `tls.crt` and `tls.key` of a folder, as a Secret of type `kubernetes.io/tls` is mounted.
    pub fn from_folder(folder: &Path, alpn: Alpn) -> Result<Self, TlsError> {
        let (chain, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        let text = std::fs::read_to_string(&chain).map_err(|problem| file(&chain, problem))?;
        let certificates = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(|problem| file(&chain, problem))?;
        let key = PrivateKeyDer::from_pem_file(&key).map_err(|problem| file(&key, problem))?;
        Self::new(certificates, key, text, alpn)
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        ca: String,
        alpn: Alpn,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = match alpn {
            Alpn::Both => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Alpn::Http1 => vec![b"http/1.1".to_vec()],
        };
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), ca: ca.into() })
    }

    /// The PEM text that a client needs to trust it.
    pub fn ca(&self) -> &str {
        &self.ca
    }

    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        self.acceptor.accept(stream).await
    }
}

fn file(path: &Path, problem: impl std::fmt::Display) -> TlsError {
    TlsError::File { path: path.to_owned(), problem: problem.to_string() }
}
