//! `RelayTenant`: who may call, with which keys, and how often.

use crate::limits::{Budget, Limits};
use crate::rules;
use crate::shared::{NamespaceConsent, SecretKeyRef};
use crate::status::RelayTenantStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

/// A RelayTenant is a caller of the relay: its keys, its limits, and which routes may take its traffic.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "stream-relay.dev",
    version = "v1alpha1",
    kind = "RelayTenant",
    plural = "relaytenants",
    shortname = "rtn",
    category = "relay",
    namespaced,
    status = "RelayTenantStatus",
    derive = "PartialEq",
    cel,
    doc = "RelayTenant is a caller of the relay: its keys, its limits, and which routes may take its traffic.",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Proxies", type_ = "string", json_path = ".status.proxies.summary"),
    printcolumn(name = "Keys", type_ = "integer", json_path = ".status.keyCount"),
    printcolumn(name = "Routes", type_ = "integer", json_path = ".status.routes"),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RelayTenantSpec {
    /// The keys that this tenant's requests carry. Several may be valid at once, so that a key can be rotated without an outage.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub api_keys: Vec<ApiKey>,
    /// true: new requests are refused with 403 tenant_suspended; running streams end as `onSuspend` says. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<bool>,
    /// What becomes of running streams when the tenant is suspended. Finish (default): they finish. Cut: they end with their format's error event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_suspend: Option<OnSuspend>,
    /// Which routes may take this tenant's traffic. Default: those of the tenant's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_routes: Option<AllowedRoutes>,
    /// How much this tenant may use, over all proxies together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// What this tenant may use until a day or a month is over, over all proxies together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub budgets: Vec<Budget>,
}

/// A key: its text in a Secret, or its digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::from(rules::KEY_ONE_OF))]
pub struct ApiKey {
    /// Name of this key within the tenant.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The Secret, in the tenant's own namespace, that holds the key's text: at least 20 bytes. White space around it is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// SHA-256 of the key's text, 64 hex digits. With it a tenant can stand in git in the clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 64, max = 64), regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub sha256: Option<String>,
    /// From then on the key is refused with 401 key_expired, by each proxy's own clock; RFC 3339, such as 2027-01-31T00:00:00Z. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "time")]
    pub not_after: Option<Time>,
}

/// A time, with a fault in words that name the form.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    text.parse().map(|time: Timestamp| Some(Time(time))).map_err(|_| {
        D::Error::invalid_value(Unexpected::Other("text"), &"a time of RFC 3339, such as 2027-01-31T00:00:00Z")
    })
}

/// What becomes of running streams when the tenant is suspended. Finish (default): they finish. Cut: they end with their format's error event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnSuspend {
    /// They finish.
    #[default]
    Finish,
    /// They end with their format's error event.
    Cut,
}

/// Which routes may take a tenant's traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedRoutes {
    /// Namespaces of the RelayRoutes. Default: the tenant's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<NamespaceConsent>,
}
