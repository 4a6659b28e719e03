//! Tenants: from what users write to what a proxy knows of a caller.

use crate::backend::NAME_FORM;
use crate::consent::Consent;
use crate::lexical::is_label;
use crate::problem::{Problem, ensure, ensure_distinct, ensure_length};
use crate::{SecretData, identity, limits, secrets};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use relay_crds as crds;
use relay_crds::{KeyStatus, OnSuspend, RelayTenant, reason, rules};
use relay_snapshot::shards::sha256_hex;
use relay_snapshot::{KeyDigest, ObjectId, Tenant};
use std::collections::BTreeMap;

/// The shortest text of a tenant's key, in bytes: what is shorter can be guessed.
const KEY_MIN_BYTES: usize = 20;

/// A tenant that is valid in itself.
pub(crate) struct ValidTenant {
    /// What proxies get.
    pub tenant: Tenant,
    /// Its age: whose keys these are where two tenants have the same.
    pub created: i64,
    /// Its labels, for the routes' selectors.
    pub labels: BTreeMap<String, String>,
    /// The routes' namespaces that it consents to.
    pub consent: Consent,
    /// The fields of its keys, digest to field.
    pub fields: BTreeMap<String, String>,
}

/// A tenant and what is to be said about it.
pub(crate) struct JudgedTenant {
    pub generation: Option<i64>,
    pub accepted: Result<ValidTenant, Problem>,
    pub refs: Result<(), Problem>,
}

/// Judges the tenant of one id, in itself: [`crate::keys::settle`] compares tenants.
pub(crate) fn judge(id: &ObjectId, objects: &[&RelayTenant], secrets: &SecretData) -> JudgedTenant {
    let raw = match identity::only(id, objects) {
        Ok(raw) => raw,
        Err(problem) => return JudgedTenant { generation: None, accepted: Err(problem), refs: Ok(()) },
    };
    let mut refs = Ok(());
    let mut keys = Vec::new();
    for (index, key) in raw.spec.api_keys.iter().enumerate() {
        match digest(index, key, id, secrets) {
            Ok(found) => keys.extend(found),
            Err(problem) if refs.is_ok() => refs = Err(problem),
            Err(_) => {}
        }
    }
    let accepted = parse(id, raw).map(|mut valid| {
        for (field, key) in keys {
            // The same key under two names is one key, known by the first of them; whichever ends first ends both.
            if let Some(known) = valid.tenant.keys.iter_mut().find(|known| known.sha256 == key.sha256) {
                known.not_after = [known.not_after, key.not_after].into_iter().flatten().min();
            } else {
                valid.fields.insert(key.sha256.clone(), field);
                valid.tenant.keys.push(key);
            }
        }
        valid.tenant.keys.sort_by(|a, b| a.name.cmp(&b.name));
        valid
    });
    JudgedTenant { generation: raw.metadata.generation, accepted, refs }
}

/// The digest of a key, with the field that holds it; `None` where the key has neither form.
fn digest(
    index: usize,
    raw: &crds::ApiKey,
    id: &ObjectId,
    secrets: &SecretData,
) -> Result<Option<(String, KeyDigest)>, Problem> {
    let not_after = raw.not_after.as_ref().map(|time| time.0.as_second());
    let key = |sha256| KeyDigest { name: raw.name.clone(), sha256, not_after };
    if let Some(reference) = &raw.secret_ref {
        let at = format!("spec.apiKeys[{index}].secretRef");
        let text = secrets::text(&at, &id.namespace, reference, secrets)?;
        if text.len() < KEY_MIN_BYTES {
            let message = format!(
                "the value of key {} in Secret {} is shorter than {KEY_MIN_BYTES} bytes: use a longer, random key",
                reference.key, reference.name
            );
            return Err(Problem { reason: reason::INVALID_KEY, field: format!("{at}.key"), message });
        }
        return Ok(Some((at, key(sha256_hex(text.as_bytes())))));
    }
    let lower = raw.sha256.as_ref().map(|digits| digits.to_ascii_lowercase());
    Ok(lower.map(|digits| (format!("spec.apiKeys[{index}].sha256"), key(digits))))
}

/// What the status says of a key.
pub fn key_status(key: &KeyDigest) -> KeyStatus {
    // The second was one of a time, so that it is one again.
    let not_after = key.not_after.and_then(|second| Timestamp::from_second(second).ok()).map(Time);
    KeyStatus { name: key.name.clone(), id: key.id().to_owned(), not_after }
}

/// Parses a tenant, field by field in the order of the documentation; the first fault is told.
fn parse(id: &ObjectId, raw: &RelayTenant) -> Result<ValidTenant, Problem> {
    let spec = &raw.spec;
    ensure_length(spec.api_keys.len(), 1, 32, "spec.apiKeys")?;
    for (index, key) in spec.api_keys.iter().enumerate() {
        parse_key(&format!("spec.apiKeys[{index}]"), key)?;
    }
    let names: Vec<&str> = spec.api_keys.iter().map(|key| key.name.as_str()).collect();
    ensure_distinct(&names, "spec.apiKeys", ".name")?;
    let allowed = spec.allowed_routes.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    let consent = Consent::parse("spec.allowedRoutes.namespaces", allowed)?;
    let limits = limits::of_tenant(spec.limits.as_ref(), &spec.budgets)?;
    let on_unavailable = limits::on_unavailable(spec.limits.as_ref());
    let suspended = spec.suspended.unwrap_or(false);
    let cut = spec.on_suspend == Some(OnSuspend::Cut);
    Ok(ValidTenant {
        tenant: Tenant { suspended, cut, limits, on_unavailable, ..Tenant::new(id.clone()) },
        created: identity::created(&raw.metadata),
        labels: raw.metadata.labels.clone().unwrap_or_default(),
        consent,
        fields: BTreeMap::new(),
    })
}

fn parse_key(at: &str, raw: &crds::ApiKey) -> Result<(), Problem> {
    ensure(is_label(&raw.name), at, ".name", NAME_FORM)?;
    ensure(raw.secret_ref.is_some() != raw.sha256.is_some(), at, "", rules::KEY_ONE_OF.1)?;
    if let Some(reference) = &raw.secret_ref {
        secrets::parse_reference(&format!("{at}.secretRef"), reference)?;
    }
    // The value is not repeated: a key's text could have been put here by mistake.
    let is_digest = |digits: &String| digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let fine = raw.sha256.as_ref().is_none_or(is_digest);
    ensure(fine, at, ".sha256", "must be 64 hex digits, the SHA-256 of the key's text; not the key itself")
}
