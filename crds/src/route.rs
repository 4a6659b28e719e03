//! `RelayRoute`: where a request goes, and with which credential.

use crate::rules;
use crate::scalars::{ByteSize, Duration};
use crate::shared::{NamespaceConsent, SecretKeyRef};
use crate::status::RelayRouteStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A RelayRoute sends the requests of consenting tenants to a provider: it matches path, method and model, chooses a backend,
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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RelayRouteSpec {
    /// Which tenants may use this route, since it spends the route's credentials. Default: every tenant of the route's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenants: Option<RouteTenants>,
    /// Which requests this route serves: those that match at least one entry. Exact path over prefix, longer prefix over shorter, a model
    /// match over none, longer model pattern over shorter, then the older route, then namespace/name.
    #[schemars(length(min = 1, max = 16))]
    pub matches: Vec<RouteMatch>,
    /// Where the requests go. Several backends take turns.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub backends: Vec<Backend>,
    /// How long the relay waits for the upstream. There is no limit on the whole duration of a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
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

/// Where requests go: a provider's API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::from(rules::URL_REQUIRED), validation = Rule::from(rules::PLAINTEXT), validation = Rule::from(rules::URL_FORM),
    validation = Rule::from(rules::CREDENTIAL_REQUIRED), validation = Rule::from(rules::CREDENTIAL_HEADER)
)]
pub struct Backend {
    /// Name of this backend within the route.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Whose API this is. It decides the default url, the header of the credential and the wire formats of the paths.
    pub provider: Provider,
    /// Base of the upstream's URLs: scheme, host, optional port and optional path, which is put before the path of the request.
    /// Default by provider; required for Custom and AzureSpeech.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 2048))]
    pub url: Option<String>,
    /// Allows an http:// url: requests, answers and the credential then cross the network in the clear. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_plaintext: Option<bool>,
    /// The provider's key. It is bound to the origin of `url` and sent nowhere else; redirects are not followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
}

/// Whose API a backend speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Provider {
    /// api.openai.com; `Authorization: Bearer`.
    OpenAI,
    /// api.anthropic.com; `x-api-key`.
    Anthropic,
    /// api.siliconflow.cn, speaks OpenAI's formats; `Authorization: Bearer`.
    SiliconFlow,
    /// Azure Speech, text to speech; needs `url` with the region's host; `Ocp-Apim-Subscription-Key`.
    AzureSpeech,
    /// Any other upstream; needs `url`, and `credential.header` where it has a credential.
    Custom,
}

/// The provider's key, and how it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::from(rules::CREDENTIAL_HEADER_NAME))]
pub struct Credential {
    /// The Secret, in the route's own namespace, that holds the key. White space around it is dropped.
    pub secret_ref: SecretKeyRef,
    /// Name of the header that carries the key. Default by provider; required for Custom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9-]+$"))]
    pub header: Option<String>,
    /// Word before the key in the header, such as Bearer. Default by provider, none for Custom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = "^[A-Za-z0-9-]+$"))]
    pub scheme: Option<String>,
}

/// How long the relay waits for the upstream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timeouts {
    /// From sending the request to the first byte of the answer's body. Default: 120s. 0s switches it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Duration>,
    /// Between two pieces of the answer's body. Default: 120s. 0s switches it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Duration>,
}

/// Bounds of the request body.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BodyLimits {
    /// The largest request body, as a quantity of bytes. A longer one is answered 413. Default: 10Mi, at most 1Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<ByteSize>,
}
