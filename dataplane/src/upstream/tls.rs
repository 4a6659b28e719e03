//! Whose certificates are believed.

use super::dial::Dialer;
use hyper_rustls::HttpsConnector;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::sync::{Arc, Mutex, PoisonError};

/// How many sets of certificates of routes are kept ready; the one that was used longest ago goes first.
const MAX_OWN: usize = 64;

/// A set of certificates to believe, with what connects by it.
#[derive(Debug)]
pub(super) struct Trust {
    /// Never given to another set, so that connections made under one are not used under another.
    pub(super) id: u64,
    /// Offers HTTP/2 and HTTP/1.1.
    pub(super) both: HttpsConnector<Dialer>,
    /// Offers HTTP/1.1 alone, for upgrades.
    pub(super) h1: HttpsConnector<Dialer>,
}

impl Trust {
    /// TLS 1.2 and 1.3; sessions are resumed.
    fn new(id: u64, roots: RootCertStore, dialer: &Dialer) -> Self {
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        // Not by hyper-rustls' builder: for HTTP/1.1 alone it offers nothing, and the upstream would have to guess.
        let offering = |protocols: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            HttpsConnector::from((dialer.clone(), config))
        };
        Self { id, both: offering(&[b"h2", b"http/1.1"]), h1: offering(&[b"http/1.1"]) }
    }
}

/// Why a route's certificates can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrustError {
    #[error("the CA is no PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    #[error("the CA has no certificate")]
    Empty,
    #[error("the CA: {0}")]
    Certificate(#[from] rustls::Error),
}

/// The system's roots, and those that routes name.
pub(super) struct Trusts {
    dialer: Dialer,
    system: Arc<Trust>,
    own: Mutex<Own>,
}

struct Own {
    /// Used last stands last.
    list: Vec<(Arc<str>, Arc<Trust>)>,
    next: u64,
}

impl Trusts {
    /// Reads the system's roots. Where there are none, upstreams with certificates of public authorities are refused.
    pub(super) fn new(dialer: Dialer) -> Self {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            tracing::warn!(errors = ?found.errors, "no root certificates: https upstreams can't be verified and will be refused");
        }
        let system = Arc::new(Trust::new(0, roots, &dialer));
        Self { dialer, system, own: Mutex::new(Own { list: Vec::new(), next: 1 }) }
    }

    /// By content: the same certificates are the same set after a reload.
    pub(super) fn of(&self, ca: Option<&Arc<str>>) -> Result<Arc<Trust>, TrustError> {
        let Some(ca) = ca else { return Ok(Arc::clone(&self.system)) };
        // No invariant spans the lock: a panic inside leaves a whole list.
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = own.list.iter().position(|(known, _)| Arc::ptr_eq(known, ca) || known == ca) {
            own.list[at..].rotate_left(1);
        } else {
            let trust = Arc::new(Trust::new(own.next, roots(ca)?, &self.dialer));
            own.next += 1;
            if own.list.len() == MAX_OWN {
                own.list.remove(0);
            }
            own.list.push((Arc::clone(ca), trust));
        }
        own.list.last().map(|(_, trust)| Arc::clone(trust)).ok_or(TrustError::Empty)
    }
}

fn roots(pem: &str) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() { Err(TrustError::Empty) } else { Ok(roots) }
}
