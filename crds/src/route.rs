//! `RelayRoute`: where a request goes, and with which credential.

use crate::backend::Backend;
use crate::handling::{BodyLimits, Hedge, KeepAlive, OnClientGone, Retries, Rewrite, Timeouts, Usage, WireFormat};
use crate::limits::RouteLimits;
use crate::rules;
use crate::shared::{HeaderValue, NamespaceConsent};
use crate::status::RelayRouteStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A RelayRoute sends the requests of consenting tenants to a provider: it matches path, method, headers and model, chooses a backend,
/// puts the backend's credential in and relays the answer byte for byte.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "stream-relay.dev",
    version = "v1alpha1",
    kind = "RelayRoute",
    plural = "relayroutes",
    shortname = "rr",
    category = "relay",
    namespaced,
    status = "RelayRouteStatus",
    derive = "PartialEq",
    cel,
    doc = "RelayRoute sends the requests of consenting tenants to a provider and relays the answer byte for byte.",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Proxies", type_ = "string", json_path = ".status.proxies.summary"),
    printcolumn(name = "Backends", type_ = "string", json_path = ".status.providers"),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::from(rules::REWRITE_MATCHES), validation = Rule::from(rules::KEEP_ALIVE_GEMINI),
    validation = Rule::from(rules::HEDGE_BACKENDS)
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RelayRouteSpec {
    /// Which tenants may use this route, since it spends the route's credentials. Default: every tenant of the route's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenants: Option<RouteTenants>,
    /// Which requests this route serves: those that match at least one entry. Exact path over prefix, longer prefix over shorter, a model
    /// match over none, longer model pattern over shorter, then more headers, then the older route, then namespace/name.
    #[schemars(length(min = 1, max = 16))]
    pub matches: Vec<RouteMatch>,
    /// What becomes of the path. Default: it goes up unchanged. The query string goes up unchanged, without credentials in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Rewrite>,
    /// Where the requests go: by priority, then by weight, among those that are healthy.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub backends: Vec<Backend>,
    /// The wire format of the answers: it decides how the relay reads usage, knows that an answer is complete, and tells that one failed.
    /// Auto (default): by the provider and the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<WireFormat>,
    /// How long the relay waits for the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    /// Comment lines in event streams whose upstream is silent, so that nothing on the way takes them for dead. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<KeepAlive>,
    /// When a failed attempt is followed by another; always before the first byte to the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
    /// When a second backend is asked while the first is silent. Default: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
    /// What becomes of the upstream's answer when the client goes away. Default: it is cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_client_gone: Option<OnClientGone>,
    /// What each tenant may use of this route, over all proxies together, besides the tenant's own limits. Default: nothing is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<RouteLimits>,
    /// How the relay learns the usage of streams. AsSent (default): from what the provider tells. Ask: it asks Chat Completions to tell their
    /// usage, and drops the event that tells it where the client did not ask for it. Where a provider tells none, it is estimated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Tokens of an answer that are reserved for a request that names no maximum itself. Default: 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_output: Option<u32>,
    /// Bounds of the request body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyLimits>,
}

/// Which tenants may use a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteTenants {
    /// Labels of the RelayTenants. Default: all in the namespaces that `namespaces` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Namespaces of the RelayTenants. Default: the route's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<NamespaceConsent>,
}

/// One way to match a request; all fields that are set must match.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteMatch {
    /// The path of the request.
    pub path: PathMatch,
    /// The methods of the request. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub methods: Vec<HttpMethod>,
    /// The `model` of a JSON request body: exact names, or prefixes with one trailing `*`. Default: any, and bodies without a model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Set, validation = Rule::from(rules::MODEL_FORM))]
    pub models: Vec<String>,
    /// Headers of the request, by name without case: each must be there with exactly this value. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(
        merge_strategy = ListMerge::Map(vec!["name".into()]), validation = Rule::from(rules::HEADERS_DISTINCT),
        validation = Rule::from(rules::MATCH_HEADER)
    )]
    pub headers: Vec<HeaderValue>,
}

/// A path, exact or by prefix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::from(rules::PATH_ONE_OF), validation = Rule::from(rules::PATH_FORM))]
pub struct PathMatch {
    /// Matches whole segments: `/v1` matches `/v1` and `/v1/models`, not `/v10`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub prefix: Option<String>,
    /// Matches the whole path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub exact: Option<String>,
}

/// A method of RFC 9110 section 9 or RFC 5789, as it stands in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum HttpMethod {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}
