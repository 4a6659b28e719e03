//! The certificate that clients see: read from a folder, and again whenever it changes.

#[cfg(test)]
mod tests;

use crate::config::folder::Changes;
use crate::metrics::Metrics;
use arc_swap::ArcSwap;
use aws_lc_rs::digest::{Context, SHA256};
use notify::RecursiveMode;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// How long a handshake may take.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);
/// Names of the files, as Secrets of type kubernetes.io/tls have them.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
/// The longest file that is read: a whole Secret is not longer.
const FILE_MAX_BYTES: u64 = 1024 * 1024;

/// Why a folder gives no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or can't be read.
    #[error("can't read {}: {error}; the folder needs tls.crt and tls.key, as a Secret of type kubernetes.io/tls has them", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Longer than [`FILE_MAX_BYTES`].
    #[error("{} is longer than {FILE_MAX_BYTES} bytes: it can't be a certificate or key of a Secret", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
    },
    /// No PEM, or none with what is needed. The content is not shown.
    #[error("{} has no {wanted} in PEM form", path.display())]
    NoPem {
        /// Which.
        path: PathBuf,
        /// What should be in it.
        wanted: &'static str,
    },
    /// They are not a pair, or of a kind that TLS does not use.
    #[error("tls.crt and tls.key in {} can't be used together: {error}", dir.display())]
    NoPair {
        /// The folder.
        dir: PathBuf,
        /// Why.
        error: rustls::Error,
    },
}

/// TLS for clients: 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN.
pub struct Tls {
    dir: PathBuf,
    acceptor: TlsAcceptor,
    current: Arc<Current>,
}

/// The pair that the next handshake uses; those before keep theirs.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Tls {
    /// Reads the pair in `dir`.
    pub fn load(dir: &Path) -> Result<Self, TlsError> {
        let current = Arc::new(Current(ArcSwap::from_pointee(Files::read(dir)?.pair(dir)?)));
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&current) as _;
        let provider = Arc::new(default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::NoPair { dir: dir.to_owned(), error })?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { dir: dir.to_owned(), acceptor: Arc::new(config).into(), current })
    }

    /// Takes a new pair whenever the folder changes, until `stop`. One that can't be used is said once and counted, and the old one stays.
    pub async fn run(self: Arc<Self>, metrics: Arc<Metrics>, stop: CancellationToken) {
        Self::begin_counting(&metrics);
        let mut changes = Changes::of(self.dir.clone(), RecursiveMode::NonRecursive).await;
        // What was loaded before may have changed before the watch was set up: it is looked at once more.
        let mut seen = None;
        loop {
            self.look(&mut seen, &metrics).await;
            tokio::select! {
                () = changes.next() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Both results begin at 0, so that the first refusal already counts as an increase.
    fn begin_counting(metrics: &Metrics) {
        for result in ["taken", "refused"] {
            metrics.tls_reloads.with_label_values(&[result]);
        }
    }

    async fn look(&self, seen: &mut Option<Vec<u8>>, metrics: &Metrics) {
        let dir = self.dir.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let read = Files::read(&dir);
            let digest = read.as_ref().map_or_else(|error| error.to_string().into_bytes(), Files::digest);
            (digest, read.and_then(|files| files.pair(&dir)))
        });
        // Only a runtime that is shutting down drops the task.
        let Ok((digest, read)) = reading.await else { return };
        if seen.as_ref() == Some(&digest) {
            return;
        }
        let is_first = seen.replace(digest).is_none();
        match read {
            Ok(pair) => {
                let is_same = pair.cert == self.current.0.load().cert;
                self.current.0.store(Arc::new(pair));
                if !is_first || !is_same {
                    tracing::info!(dir = %self.dir.display(), "new connections see the new certificate");
                    metrics.tls_reloads.with_label_values(&["taken"]).inc();
                }
            }
            Err(error) => {
                tracing::error!(%error, "the certificate before stays in use");
                metrics.tls_reloads.with_label_values(&["refused"]).inc();
            }
        }
    }

    /// The handshake of one connection.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        self.acceptor.accept(stream).await
    }
}

/// Both files of one generation.
struct Files {
    certificate: (PathBuf, Vec<u8>),
    key: (PathBuf, Vec<u8>),
}

impl Files {
    /// The kubelet swaps a volume by renaming the link `..data`: followed once, it leads to files that belong together.
    fn read(dir: &Path) -> Result<Self, TlsError> {
        let folder = dir.join("..data").canonicalize().unwrap_or_else(|_| dir.to_owned());
        let read = |name| {
            let path = folder.join(name);
            let mut bytes = Vec::new();
            let read = std::fs::File::open(&path);
            match read.and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes)) {
                Ok(length) if length as u64 > FILE_MAX_BYTES => Err(TlsError::TooLong { path: dir.join(name) }),
                Ok(_) => Ok((path, bytes)),
                Err(error) => Err(TlsError::Unreadable { path: dir.join(name), error }),
            }
        };
        Ok(Self { certificate: read(CERTIFICATE)?, key: read(KEY)? })
    }

    fn digest(&self) -> Vec<u8> {
        let mut digest = Context::new(&SHA256);
        for (_, bytes) in [&self.certificate, &self.key] {
            digest.update(&(bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        }
        digest.finish().as_ref().to_vec()
    }

    fn pair(&self, dir: &Path) -> Result<CertifiedKey, TlsError> {
        let none = |file: &(PathBuf, Vec<u8>), wanted| TlsError::NoPem { path: file.0.clone(), wanted };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&self.certificate.1)
            .collect::<Result<_, _>>()
            .ok()
            .filter(|chain: &Vec<_>| !chain.is_empty())
            .ok_or_else(|| none(&self.certificate, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key.1).map_err(|_| none(&self.key, "private key"))?;
        CertifiedKey::from_der(chain, key, &default_provider())
            .map_err(|error| TlsError::NoPair { dir: dir.to_owned(), error })
    }
}
