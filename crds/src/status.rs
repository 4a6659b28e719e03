//! What users see: conditions, and the figures of the printer columns.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Types of conditions. All but the last have positive polarity: True is good.
pub mod condition {
    /// The object is valid.
    pub const ACCEPTED: &str = "Accepted";
    /// All that the object refers to was found.
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    /// Every ready proxy serves the object as it stands.
    pub const PROGRAMMED: &str = "Programmed";
    /// All of the above.
    pub const READY: &str = "Ready";
    /// Some proxies do not share the tenant's limits now. There only while it is True; Ready does not depend on it.
    pub const DEGRADED: &str = "Degraded";
}

/// Reasons of conditions; those of Gateway API where they fit.
pub mod reason {
    /// Accepted: valid.
    pub const ACCEPTED: &str = "Accepted";
    /// Accepted: wrong in itself; the message names the field and the cure.
    pub const INVALID: &str = "Invalid";
    /// Accepted: an older tenant has the same key.
    pub const KEY_CONFLICT: &str = "KeyConflict";
    /// ResolvedRefs: all found.
    pub const RESOLVED_REFS: &str = "ResolvedRefs";
    /// ResolvedRefs: no Secret of that name in the namespace, or the operator may not read it.
    pub const SECRET_NOT_FOUND: &str = "SecretNotFound";
    /// ResolvedRefs: the Secret has no such key.
    pub const SECRET_KEY_MISSING: &str = "SecretKeyMissing";
    /// ResolvedRefs: the Secret's value can't be a key.
    pub const INVALID_KEY: &str = "InvalidKey";
    /// ResolvedRefs: the Secret's value is not made of certificates that can sign others.
    pub const INVALID_CA: &str = "InvalidCACertificateRef";
    /// Programmed and Ready: every ready proxy serves it.
    pub const PROGRAMMED: &str = "Programmed";
    /// Programmed: written, not yet served by every ready proxy.
    pub const PENDING: &str = "Pending";
    /// Programmed: there is no ready proxy.
    pub const NO_READY_PROXIES: &str = "NoReadyProxies";
    /// Programmed: some proxies serve it and some do not.
    pub const PARTIALLY_PROGRAMMED: &str = "PartiallyProgrammed";
    /// Degraded: some proxies can't ask Redis; the message tells how many, and why.
    pub const LIMITS_NOT_SHARED: &str = "LimitsNotShared";
}

/// How many proxies serve the object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyStatus {
    /// Proxies that are ready.
    pub ready: u32,
    /// Ready proxies that serve this object as it stands.
    pub serving: u32,
    /// Both, as `serving/ready`.
    pub summary: String,
}

/// Status of a RelayRoute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RelayRouteStatus {
    /// The generation of the object that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, ResolvedRefs, Programmed and their summary Ready.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The revision of the configuration in which this object last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How many proxies serve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxies: Option<ProxyStatus>,
    /// The providers of the backends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub providers: Option<String>,
}

/// Status of a RelayTenant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RelayTenantStatus {
    /// The generation of the object that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, ResolvedRefs, Programmed and their summary Ready; Degraded while some proxies do not share the limits.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The revision of the configuration in which this object last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// How many proxies serve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxies: Option<ProxyStatus>,
    /// How many routes serve this tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<u32>,
    /// How many keys are valid; those whose `notAfter` is over count too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_count: Option<u32>,
    /// The valid keys, by name and id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub keys: Vec<KeyStatus>,
}

/// A valid key of a tenant. Its text and its whole digest are not shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyStatus {
    /// Name of the key in `spec.apiKeys`.
    pub name: String,
    /// The first 8 hex digits of the key's SHA-256; logs name a key by it.
    pub id: String,
    /// From then on it is refused; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
}
