//! Certificates of an upstream's own authority.

use crate::problem::Problem;
use crate::{SecretData, secrets};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use relay_crds::{SecretKeyRef, reason};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The largest value that is taken for certificates, in bytes.
pub const CA_MAX_BYTES: usize = 64 << 10;

/// The certificates that the reference in field `at` points to, as PEM and each once. Whatever else stands between them is left out: a private key
/// that was put there must not travel with what is no secret.
pub(crate) fn read(
    at: &str,
    namespace: &str,
    reference: &SecretKeyRef,
    secrets: &SecretData,
) -> Result<String, Problem> {
    let value = secrets::value(at, namespace, reference, secrets)?;
    usable(value).map_err(|fault| {
        let SecretKeyRef { name, key } = reference;
        let message = format!("the value of key {key} in Secret {name} {fault}");
        Problem { reason: reason::INVALID_CA, field: format!("{at}.key"), message }
    })
}

fn usable(value: &[u8]) -> Result<String, &'static str> {
    if value.trim_ascii().len() > CA_MAX_BYTES {
        return Err("is longer than 64 KiB: put only the certificates there that sign the upstream's");
    }
    let mut known: Vec<CertificateDer<'static>> = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(value) {
        let certificate =
            certificate.map_err(|_| "is no PEM: put certificates there, from BEGIN CERTIFICATE to END CERTIFICATE")?;
        // What the proxy could not trust is refused before.
        let trusted = RootCertStore::empty().add(certificate.clone());
        trusted.map_err(|_| "has a certificate that can't be read: put X.509 certificates there, as cert-manager writes them to ca.crt")?;
        if !known.contains(&certificate) {
            known.push(certificate);
        }
    }
    if known.is_empty() {
        return Err("has no certificate: put PEM there, from BEGIN CERTIFICATE to END CERTIFICATE");
    }
    Ok(known.iter().map(|certificate| pem(certificate)).collect())
}

/// RFC 7468, section 3: 64 characters a line.
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII: every place is a boundary.
        let (line, tail) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
