//! Whose certificates are believed.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::sync::{Arc, Mutex, PoisonError};

/// How many sets of certificates of routes are kept ready; the one that was used longest ago goes first.
const MAX_OWN: usize = 64;

/// A set of certificates to believe, with what TLS needs for it.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    /// Never given to another set, so that connections made under one are not used under another.
    pub(super) id: u64,
    /// Offers HTTP/2 and HTTP/1.1.
    pub(super) both: Arc<ClientConfig>,
    /// Offers HTTP/1.1 alone, for upgrades.
    pub(super) h1: Arc<ClientConfig>,
}

impl Trust {
    /// TLS 1.2 and 1.3; sessions are resumed.
    fn new(id: u64, roots: RootCertStore) -> Self {
        let mut both = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        both.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut h1 = both.clone();
        h1.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { id, both: Arc::new(both), h1: Arc::new(h1) }
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
    system: Trust,
    own: Mutex<Own>,
}

struct Own {
    /// Used last stands last.
    list: Vec<(Arc<str>, Trust)>,
    next: u64,
}

impl Trusts {
    /// Reads the system's roots. Where there are none, upstreams with certificates of public authorities are refused.
    pub(super) fn new() -> Self {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            tracing::warn!(errors = ?found.errors, "no root certificates: https upstreams can't be verified and will be refused");
        }
        Self { system: Trust::new(0, roots), own: Mutex::new(Own { list: Vec::new(), next: 1 }) }
    }

    /// By content: the same certificates are the same set after a reload.
    pub(super) fn of(&self, ca: Option<&Arc<str>>) -> Result<Trust, TrustError> {
        let Some(ca) = ca else { return Ok(self.system.clone()) };
        // No invariant spans the lock: a panic inside leaves a whole list.
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = own.list.iter().position(|(known, _)| Arc::ptr_eq(known, ca) || known == ca) {
            own.list[at..].rotate_left(1);
        } else {
            let trust = Trust::new(own.next, roots(ca)?);
            own.next += 1;
            if own.list.len() == MAX_OWN {
                own.list.remove(0);
            }
            own.list.push((Arc::clone(ca), trust));
        }
        own.list.last().map(|(_, trust)| trust.clone()).ok_or(TrustError::Empty)
    }
}

fn roots(pem: &str) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() { Err(TrustError::Empty) } else { Ok(roots) }
}
