//! What the mirrors keep of each kind.

use super::mirror::Mirrored;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DeserializeGuard;
use relay_compile::{CA_MAX_BYTES, KEY_MAX_BYTES};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Whom changes of a kind concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concerns {
    /// What proxies serve.
    Fleet,
    /// Who the proxies are.
    Proxies,
}

/// A RelayRoute or RelayTenant, also one that this build can't read.
#[derive(Clone, Debug)]
pub struct Watched<K> {
    /// Tells an object from another that has its name later.
    pub uid: String,
    /// Counts changes of the spec.
    pub generation: Option<i64>,
    /// Counts changes of any kind; see [`version_of`].
    pub version: u64,
    labels: BTreeMap<String, String>,
    /// The object, or why it is not readable.
    pub object: Result<Arc<K>, String>,
}

/// The labels of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceLabels(pub BTreeMap<String, String>);

/// The values of a Secret, each shortened to what tells whether it is a key or certificates.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretData(pub BTreeMap<String, Vec<u8>>);

impl fmt::Debug for SecretData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretData(..)")
    }
}

/// A proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyPod {
    /// Tells a pod from another of its name.
    pub uid: String,
    /// Name, for logs.
    pub name: String,
    /// Its address, once it has one.
    pub ip: Option<IpAddr>,
    /// Whether Services send it requests.
    pub ready: bool,
    /// Whether it is on its way out; then it is not ready, either.
    pub terminating: bool,
}

/// A resource version as a number that grows, as Kubernetes promises since 1.35 and etcd always did; 0 where it is none.
pub fn version_of(meta: &ObjectMeta) -> u64 {
    meta.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

impl<K> Mirrored for Watched<K>
where
    K: Resource<DynamicType: Default + Eq + std::hash::Hash + Clone>
        + Clone
        + fmt::Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    type Object = DeserializeGuard<K>;
    const CONCERNS: Concerns = Concerns::Fleet;

    fn mirror(mut guarded: Self::Object) -> Self {
        let meta = guarded.meta_mut();
        // kubectl's copy of the object and the list of managers are larger than the object itself.
        meta.managed_fields = None;
        meta.annotations = None;
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            generation: meta.generation,
            version: version_of(meta),
            labels: meta.labels.clone().unwrap_or_default(),
            object: guarded.0.map(Arc::new).map_err(|invalid| invalid.error),
        }
    }

    fn matters(&self, before: &Self) -> bool {
        let readable = |watched: &Self| watched.object.as_ref().err().cloned();
        (&self.uid, self.generation, &self.labels) != (&before.uid, before.generation, &before.labels)
            || readable(self) != readable(before)
    }
}

impl Mirrored for NamespaceLabels {
    type Object = Namespace;
    const CONCERNS: Concerns = Concerns::Fleet;

    fn mirror(namespace: Namespace) -> Self {
        Self(namespace.metadata.labels.unwrap_or_default())
    }

    fn matters(&self, before: &Self) -> bool {
        self != before
    }
}

/// How certificates begin.
const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// A value as the compiler reads it: without the white space around it, and of one that is longer than any key, or than any certificates where it has
/// some, as much as shows that. What is kept of a Secret is small, whatever else lies in it.
fn shortened(value: Vec<u8>) -> Vec<u8> {
    if value.len() <= KEY_MAX_BYTES {
        return value;
    }
    let trimmed = value.trim_ascii();
    let looked_at = &trimmed[..trimmed.len().min(CA_MAX_BYTES)];
    let certified = looked_at.windows(CERTIFICATE.len()).any(|part| part == CERTIFICATE);
    let max = if certified { CA_MAX_BYTES } else { KEY_MAX_BYTES };
    let mut kept = trimmed[..trimmed.len().min(max + 1)].to_vec();
    if let Some(last) = kept.get_mut(max) {
        // White space at the cut would be trimmed, and the rest taken for the whole.
        *last = b'.';
    }
    kept
}

impl Mirrored for SecretData {
    type Object = Secret;
    const CONCERNS: Concerns = Concerns::Fleet;

    fn mirror(secret: Secret) -> Self {
        Self(secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, shortened(value.0))).collect())
    }

    fn matters(&self, before: &Self) -> bool {
        self != before
    }
}

impl Mirrored for ProxyPod {
    type Object = Pod;
    const CONCERNS: Concerns = Concerns::Proxies;

    fn mirror(pod: Pod) -> Self {
        let status = pod.status.unwrap_or_default();
        let terminating = pod.metadata.deletion_timestamp.is_some()
            || matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        let says_ready = status.conditions.iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True");
        Self {
            uid: pod.metadata.uid.unwrap_or_default(),
            name: pod.metadata.name.unwrap_or_default(),
            ip: status.pod_ip.and_then(|ip| ip.parse().ok()),
            ready: says_ready && !terminating,
            terminating,
        }
    }

    fn matters(&self, before: &Self) -> bool {
        self != before
    }
}

#[cfg(test)]
mod tests;
