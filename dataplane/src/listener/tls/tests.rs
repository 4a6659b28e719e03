use super::{Tls, TlsError};
use crate::metrics::Metrics;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::duplex;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(30);

/// A certificate for `relay.example` with its key, in PEM; and the certificate alone.
fn pair() -> (String, String, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["relay.example".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem(), made.cert.der().clone())
}

fn put(dir: &Path, certificate: &str, key: &str) {
    fs::write(dir.join("tls.crt"), certificate).unwrap();
    fs::write(dir.join("tls.key"), key).unwrap();
}

/// The certificate that a client sees, and the protocol that both speak.
async fn seen(tls: &Tls, alpn: &[&[u8]]) -> (CertificateDer<'static>, Option<Vec<u8>>) {
    #[derive(Debug)]
    struct Any;
    impl rustls::client::danger::ServerCertVerifier for Any {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: rustls::pki_types::UnixTime,
        ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
            Ok(rustls::client::danger::ServerCertVerified::assertion())
        }
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            let algorithms = super::default_provider().signature_verification_algorithms;
            rustls::crypto::verify_tls12_signature(message, cert, dss, &algorithms)
        }
        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            let algorithms = super::default_provider().signature_verification_algorithms;
            rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
        }
        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            super::default_provider().signature_verification_algorithms.supported_schemes()
        }
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(super::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.dangerous().set_certificate_verifier(Arc::new(Any));
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let (near, far) = duplex(1 << 16);
    let name = ServerName::try_from("relay.example").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let (client, server) = tokio::join!(connector.connect(name, near), tls.accept(far));
    server.unwrap();
    let client = client.unwrap();
    let connection = client.get_ref().1;
    let certificate = connection.peer_certificates().unwrap()[0].clone().into_owned();
    (certificate, connection.alpn_protocol().map(<[u8]>::to_vec))
}

#[tokio::test]
async fn alpn_chooses_http2_before_http1() {
    let (dir, (certificate, key, der)) = (TempDir::new().unwrap(), pair());
    put(dir.path(), &certificate, &key);
    let tls = Tls::load(dir.path()).unwrap();
    assert_eq!(seen(&tls, &[b"http/1.1", b"h2"]).await, (der.clone(), Some(b"h2".to_vec())));
    assert_eq!(seen(&tls, &[b"http/1.1"]).await, (der.clone(), Some(b"http/1.1".to_vec())));
    assert_eq!(seen(&tls, &[]).await, (der, None));
}

#[test]
fn what_is_missing_is_said_and_no_key_is_shown() {
    let dir = TempDir::new().unwrap();
    let told = |dir: &TempDir| Tls::load(dir.path()).err().unwrap();
    assert!(matches!(told(&dir), TlsError::Unreadable { ref path, .. } if path.ends_with("tls.crt")));
    assert!(told(&dir).to_string().contains("kubernetes.io/tls"));
    let ((certificate, key, _), (_, other, _)) = (pair(), pair());
    for (certificate, key, wanted) in [
        ("nonsense", key.as_str(), "has no certificate in PEM form"),
        (certificate.as_str(), "secret-nonsense", "has no private key in PEM form"),
        (certificate.as_str(), other.as_str(), "can't be used together"),
    ] {
        put(dir.path(), certificate, key);
        let message = told(&dir).to_string();
        assert!(message.contains(wanted) && !message.contains("secret-nonsense"), "{message}");
    }
}

/// Puts a pair where the kubelet puts a new generation of a volume.
fn swap(dir: &Path, generation: &str, certificate: &str, key: &str) {
    let folder = dir.join(generation);
    fs::create_dir(&folder).unwrap();
    put(&folder, certificate, key);
    symlink(generation, dir.join("..data_tmp")).unwrap();
    fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
}

#[tokio::test]
async fn a_swapped_volume_is_taken_and_a_bad_pair_keeps_the_old_one() {
    let dir = TempDir::new().unwrap();
    let ((first, first_key, first_der), (second, second_key, second_der)) = (pair(), pair());
    swap(dir.path(), "..1", &first, &first_key);
    let (tls, metrics) = (Arc::new(Tls::load(dir.path()).unwrap()), Arc::new(Metrics::new().unwrap()));
    let stop = CancellationToken::new();
    let running = tokio::spawn(Arc::clone(&tls).run(Arc::clone(&metrics), stop.clone()));
    assert_eq!(seen(&tls, &[]).await.0, first_der);
    let counted = |result| metrics.tls_reloads.with_label_values(&[result]).get();
    let until = async |result, count| {
        while counted(result) < count {
            tokio::task::yield_now().await;
        }
    };
    for (generation, certificate, key, result, count, der) in [
        ("..2", &second, &first_key, "refused", 1, &first_der),
        ("..3", &second, &second_key, "taken", 1, &second_der),
        ("..4", &first, &first_key, "taken", 2, &first_der),
    ] {
        swap(dir.path(), generation, certificate, key);
        tokio::time::timeout(LIMIT, until(result, count)).await.unwrap();
        assert_eq!(&seen(&tls, &[]).await.0, der, "{generation}");
    }
    assert_eq!((counted("refused"), counted("taken")), (1, 2));
    stop.cancel();
    tokio::time::timeout(LIMIT, running).await.unwrap().unwrap();
}

/// Cut at the bound, a chain would lose its last certificates and still be one.
#[test]
fn a_file_that_is_too_long_is_refused_and_not_cut() {
    let (certificate, key, _) = pair();
    let dir = TempDir::new().unwrap();
    let most = usize::try_from(super::FILE_MAX_BYTES).unwrap();
    let padded = |length: usize| format!("{certificate}{}", "#".repeat(length - certificate.len()));
    put(dir.path(), &padded(most), &key);
    assert!(Tls::load(dir.path()).is_ok());
    put(dir.path(), &padded(most + 1), &key);
    let error = Tls::load(dir.path()).err().unwrap();
    assert!(matches!(error, TlsError::TooLong { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("tls.crt is longer than 1048576 bytes") && !text.contains("BEGIN"), "{text}");
}
