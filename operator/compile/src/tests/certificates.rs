//! Certificates that a route brings along.

use super::manifests::{id, inputs, route, secret, verdict};
use crate::{CA_MAX_BYTES, Inputs, Kind, Problem, compile, referenced_secrets};
use relay_crds::reason;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const ONE: &str = include_str!("certificates/one.pem");
const TWO: &str = include_str!("certificates/two.pem");

fn with(reference: Value) -> Inputs {
    inputs([route("team-a/x", &[("backends.0.tls.caRef", reference)])], [])
}

fn holding(value: &str) -> Inputs {
    let mut inputs = with(json!({"name": "ca"}));
    secret(&mut inputs, "team-a/ca", "ca.crt", value);
    inputs
}

fn read(value: &str) -> String {
    let route = compile(&holding(value)).snapshot.routes.remove(0);
    assert!(route.ready);
    route.backends[0].ca.clone().unwrap()
}

fn refused(inputs: &Inputs) -> Problem {
    let compiled = compile(inputs);
    let verdict = verdict(&compiled, Kind::Route, "team-a/x");
    assert_eq!(verdict.accepted, Ok(()));
    assert!(!compiled.snapshot.routes[0].ready && compiled.snapshot.routes[0].backends[0].ca.is_none());
    verdict.resolved_refs.clone().unwrap_err()
}

#[test]
fn the_certificates_go_along_as_pem() {
    assert_eq!(read(ONE), ONE);
    assert_eq!(read(&format!("{ONE}{TWO}{ONE}")), format!("{ONE}{TWO}"));
    let named = with(json!({"name": "ca", "key": "bundle.pem"}));
    assert_eq!(refused(&named).field, "spec.backends[0].tls.caRef.name");
    let mut named = named;
    secret(&mut named, "team-a/ca", "bundle.pem", TWO);
    assert_eq!(compile(&named).snapshot.routes[0].backends[0].ca.as_deref(), Some(TWO));
}

#[test]
fn nothing_but_certificates_goes_along() {
    let key = "-----BEGIN PRIVATE KEY-----\nc2stY2FuYXJ5\n-----END PRIVATE KEY-----\n";
    assert_eq!(read(&format!("{key}subject=/CN=canary\r\n{}", ONE.replace('\n', "\r\n"))), ONE);
    let problem = refused(&holding(key));
    assert_eq!((problem.reason, problem.field.as_str()), (reason::INVALID_CA, "spec.backends[0].tls.caRef.key"));
    assert!(!format!("{problem:?}").contains("c2stY2FuYXJ5"), "{problem:?}");
}

#[test]
fn what_is_no_certificate_is_told_and_not_repeated() {
    let cut = ONE.replace("-----END CERTIFICATE-----", "");
    let other = "-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n";
    let both = format!("{ONE}{other}");
    let long = format!("{ONE}{}", "canary\n".repeat(CA_MAX_BYTES / 7));
    for (value, said) in [
        ("", "has no certificate"),
        ("canary", "has no certificate"),
        (&cut, "is no PEM"),
        ("-----BEGIN CERTIFICATE-----\n!canary!\n-----END CERTIFICATE-----\n", "is no PEM"),
        (other, "has a certificate that can't be read"),
        (&both, "has a certificate that can't be read"),
        (&long, "is longer than 64 KiB"),
    ] {
        let problem = refused(&holding(value));
        assert_eq!((problem.reason, problem.field.as_str()), (reason::INVALID_CA, "spec.backends[0].tls.caRef.key"));
        assert!(problem.message.starts_with(&format!("the value of key ca.crt in Secret ca {said}")), "{problem}");
        assert!(!problem.message.contains("canary") && !problem.message.contains("Y2Fu"), "{problem}");
    }
}

#[test]
fn a_missing_secret_or_key_is_told_as_for_credentials() {
    let problem = refused(&with(json!({"name": "ca"})));
    assert_eq!((problem.reason, problem.field.as_str()), (reason::SECRET_NOT_FOUND, "spec.backends[0].tls.caRef.name"));
    let mut other = with(json!({"name": "ca"}));
    secret(&mut other, "team-a/ca", "tls.crt", ONE);
    let problem = refused(&other);
    assert_eq!(
        (problem.reason, problem.field.as_str()),
        (reason::SECRET_KEY_MISSING, "spec.backends[0].tls.caRef.key")
    );
    let mut elsewhere = with(json!({"name": "ca"}));
    secret(&mut elsewhere, "team-b/ca", "ca.crt", ONE);
    assert_eq!(refused(&elsewhere).reason, reason::SECRET_NOT_FOUND);
}

#[test]
fn the_secret_is_among_those_to_read() {
    let inputs = with(json!({"name": "ca"}));
    assert_eq!(referenced_secrets(&inputs.routes, &[]), BTreeSet::from([id("team-a/ca")]));
    assert!(referenced_secrets(&with(json!({"name": "../ca"})).routes, &[]).is_empty());
}
