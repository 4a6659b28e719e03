use crate::upstream::dial::{Dialer, Rules};
use crate::upstream::tls::Trusts;
use std::sync::Arc;

fn trusts() -> Trusts {
    Trusts::new(Dialer::new(Rules::default()))
}

/// A certificate of its own signature.
fn pem() -> Arc<str> {
    let key = rcgen::KeyPair::generate().unwrap();
    rcgen::CertificateParams::new(vec!["a.example".into()]).unwrap().self_signed(&key).unwrap().pem().into()
}

#[test]
fn the_same_certificates_are_the_same_trust_and_others_are_not() {
    let trusts = trusts();
    let (a, b) = (pem(), pem());
    let first = trusts.of(Some(&a)).unwrap();
    assert_ne!(first.id, trusts.of(None).unwrap().id);
    assert_ne!(first.id, trusts.of(Some(&b)).unwrap().id);
    let copy: Arc<str> = a.as_ref().into();
    let again = trusts.of(Some(&copy)).unwrap();
    assert!(Arc::ptr_eq(&again, &first), "sessions are resumed after a reload");
}

#[test]
fn the_64_used_last_are_kept_and_a_number_is_never_given_twice() {
    let trusts = trusts();
    let all: Vec<Arc<str>> = (0..65).map(|_| pem()).collect();
    let ids: Vec<u64> = all[..64].iter().map(|ca| trusts.of(Some(ca)).unwrap().id).collect();
    assert_eq!(trusts.of(Some(&all[0])).unwrap().id, ids[0]);
    let newest = trusts.of(Some(&all[64])).unwrap().id;
    assert!(!ids.contains(&newest));
    assert_eq!(trusts.of(Some(&all[0])).unwrap().id, ids[0], "used lately");
    let back = trusts.of(Some(&all[1])).unwrap().id;
    assert!(back > newest, "gone, and made anew");
}

#[test]
fn what_is_no_certificate_is_told() {
    let trusts = trusts();
    let error = |text: &str| trusts.of(Some(&text.into())).unwrap_err().to_string();
    assert!(error("").contains("no certificate"));
    assert!(error("-----BEGIN CERTIFICATE-----\nA").contains("CA"));
    assert!(error("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").contains("CA"));
}
