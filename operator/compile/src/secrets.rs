//! Secrets: which ones are named, and what they hold.

use crate::lexical::{is_data_key, is_object_name};
use crate::problem::{Problem, ensure};
use crate::{SecretData, identity};
use kube::Resource;
use relay_crds::{RelayRoute, RelayTenant, SecretKeyRef, reason};
use relay_snapshot::ObjectId;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The longest key that is taken, in bytes: it must fit into a header, and a snapshot of many.
pub const KEY_MAX_BYTES: usize = 8192;

/// The Secrets that the objects name, each in the namespace of the object that names it. Names that no Secret can have are left out, so that
/// none reaches the path of a request to the API server.
pub fn referenced_secrets(routes: &[Arc<RelayRoute>], tenants: &[Arc<RelayTenant>]) -> BTreeSet<ObjectId> {
    let of_routes = routes.iter().flat_map(|route| {
        let named = route.spec.backends.iter().flat_map(|backend| {
            let key = backend.credential.as_ref().map(|credential| &credential.secret_ref.name);
            let ca = backend.tls.as_ref().map(|tls| &tls.ca_ref.name);
            key.into_iter().chain(ca)
        });
        named.filter_map(|name| target(route.as_ref(), name))
    });
    let of_tenants = tenants.iter().flat_map(|tenant| {
        let references = tenant.spec.api_keys.iter().filter_map(|key| key.secret_ref.as_ref());
        references.filter_map(|reference| target(tenant.as_ref(), &reference.name))
    });
    of_routes.chain(of_tenants).collect()
}

fn target<K: Resource>(object: &K, name: &str) -> Option<ObjectId> {
    let namespace = identity::id_of(object.meta()).namespace;
    is_object_name(name).then(|| ObjectId::new(namespace, name))
}

/// Checks the form of the reference in field `at`.
pub(crate) fn parse_reference(at: &str, raw: &SecretKeyRef) -> Result<(), Problem> {
    ensure(
        is_object_name(&raw.name),
        at,
        ".name",
        "is not the name of a Secret: at most 253 lower-case letters, digits, - and .",
    )?;
    ensure(is_data_key(&raw.key), at, ".key", "is not a key of a Secret: at most 253 letters, digits, -, _ and .")
}

/// The text that the reference in field `at` points to, without the white space around it: visible ASCII, not empty, at most
/// [`KEY_MAX_BYTES`]. Problems name the Secret and its key, and nothing of the value.
pub(crate) fn text<'a>(
    at: &str,
    namespace: &str,
    reference: &SecretKeyRef,
    secrets: &'a SecretData,
) -> Result<&'a str, Problem> {
    let SecretKeyRef { name, key } = reference;
    usable(value(at, namespace, reference, secrets)?).map_err(|fault| {
        let message = format!("the value of key {key} in Secret {name} {fault}");
        Problem { reason: reason::INVALID_KEY, field: format!("{at}.key"), message }
    })
}

/// The value that the reference in field `at` points to. Problems name the Secret and its key.
pub(crate) fn value<'a>(
    at: &str,
    namespace: &str,
    reference: &SecretKeyRef,
    secrets: &'a SecretData,
) -> Result<&'a [u8], Problem> {
    let SecretKeyRef { name, key } = reference;
    let problem = |reason, leaf: &str, message| Problem { reason, field: format!("{at}{leaf}"), message };
    let data = secrets.get(&ObjectId::new(namespace, name.as_str())).ok_or_else(|| {
        let message = format!(
            "no Secret {name} in namespace {namespace}, or it may not be read: create it there, or let the relay read it"
        );
        problem(reason::SECRET_NOT_FOUND, ".name", message)
    })?;
    data.get(key).map(Vec::as_slice).ok_or_else(|| {
        let message = format!("Secret {name} has no key {key}: add it, or name a key that the Secret has");
        problem(reason::SECRET_KEY_MISSING, ".key", message)
    })
}

fn usable(value: &[u8]) -> Result<&str, &'static str> {
    let trimmed = value.trim_ascii();
    if trimmed.is_empty() {
        return Err("is empty: put the key's text there");
    }
    if trimmed.len() > KEY_MAX_BYTES {
        return Err("is longer than 8192 bytes: put the key's text there, and nothing else");
    }
    let fault = "has characters that no key has: put the key's text there, visible ASCII without white space inside";
    match std::str::from_utf8(trimmed) {
        Ok(text) if text.bytes().all(|b| b.is_ascii_graphic()) => Ok(text),
        _ => Err(fault),
    }
}
