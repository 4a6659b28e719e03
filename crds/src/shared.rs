//! Parts that both kinds use.

use crate::rules;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One key of a Secret in the object's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretKeyRef {
    /// Name of the Secret. It is read from the namespace of the object that names it, never from another.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
    /// Key in the Secret's data.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// A header and its whole value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::from(rules::HEADER_VALUE))]
pub struct HeaderValue {
    /// Name of the header; upper and lower case mean the same.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9_-]+$"))]
    pub name: String,
    /// Its value, with case: visible ASCII, spaces inside only.
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
}

/// Same (default): the object's own namespace. All: every namespace. Selector: namespaces whose labels match `selector`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FromNamespaces {
    /// The object's own namespace.
    #[default]
    Same,
    /// Every namespace.
    All,
    /// The namespaces whose labels match `selector`.
    Selector,
}

/// Consent by namespace. A route serves a tenant only where both sides consent: the route by `tenants`, the tenant by `allowedRoutes`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::from(rules::CONSENT_SELECTOR))]
pub struct NamespaceConsent {
    /// Same (default): the object's own namespace. All: every namespace. Selector: namespaces whose labels match `selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<FromNamespaces>,
    /// Labels of the namespaces. Goes with `from: Selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}
