//! What a proxy serves: routes, tenants and their secrets, valid and complete.

use crate::{Limits, ModelRewrite, Policy, SecretText, Unavailable};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// `namespace/name` of a RelayRoute or RelayTenant; the label value of metrics, too.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId {
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
}

/// A text that is not `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not of the form namespace/name")]
pub struct ObjectIdError;

impl ObjectId {
    /// Joins the two parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for ObjectId {
    type Err = ObjectIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self::new(namespace, name))
            }
            _ => Err(ObjectIdError),
        }
    }
}

impl Serialize for ObjectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Everything that the proxies serve. Routes and tenants are in the order of their ids, each id once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The routes that are accepted, also those whose references are not resolved.
    pub routes: Vec<Route>,
    /// The tenants that are accepted.
    pub tenants: Vec<Tenant>,
}

/// An accepted RelayRoute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Whose it is.
    pub id: ObjectId,
    /// When the object was created, in seconds since 1970: the older of two routes with equal matches wins.
    pub created: i64,
    /// The tenants that it serves: those where both sides consent. In order, each once.
    pub tenants: Vec<ObjectId>,
    /// At least one must match.
    pub matches: Vec<Match>,
    /// At least one; they take turns.
    pub backends: Vec<Backend>,
    /// How long to wait for the upstream.
    pub timeouts: Timeouts,
    /// Largest request body in bytes.
    pub body_max: u64,
    /// How its requests and answers are handled.
    #[serde(default)]
    pub policy: Policy,
    /// What each tenant may use of this route, besides the tenant's own limits; without budgets.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// False while a reference is not resolved: the route keeps its place and answers 503 `route_not_ready`.
    pub ready: bool,
}

/// Which requests a route takes; all parts must match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Match {
    /// The path of the request.
    pub path: PathRule,
    /// The methods; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// The `model` of a JSON body; empty: any body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelPattern>,
    /// Headers that must be there with these values; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderRule>,
}

/// A header and its whole value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderRule {
    /// Name, lower case.
    pub name: String,
    /// Value; compared with case.
    pub value: String,
}

/// How a path is matched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PathRule {
    /// The whole path.
    Exact(String),
    /// Whole leading segments.
    Prefix(String),
}

/// How a model is matched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ModelPattern {
    /// The whole name.
    Exact(String),
    /// The beginning of the name; the star is not part of the text.
    Prefix(String),
}

/// Whose API a backend speaks. A name that this build does not know makes the set unreadable: guessing a header for a credential is no option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Provider {
    OpenAI,
    Anthropic,
    SiliconFlow,
    AzureOpenAI,
    AzureSpeech,
    Gemini,
    ElevenLabs,
    Custom,
}

impl Provider {
    /// The name as users write it; the label value of metrics, too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAI => "OpenAI",
            Self::Anthropic => "Anthropic",
            Self::SiliconFlow => "SiliconFlow",
            Self::AzureOpenAI => "AzureOpenAI",
            Self::AzureSpeech => "AzureSpeech",
            Self::Gemini => "Gemini",
            Self::ElevenLabs => "ElevenLabs",
            Self::Custom => "Custom",
        }
    }
}

/// An upstream of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// Its name within the route.
    pub name: String,
    /// Whose API it speaks.
    pub provider: Provider,
    /// `http` or `https` URL of host, optional port and optional path; without user, query and fragment.
    pub url: String,
    /// What proves the relay to the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// What becomes of the `model` of a request.
    #[serde(default, skip_serializing_if = "ModelRewrite::is_none")]
    pub model: ModelRewrite,
    /// Headers that are set on the request, after the client's were taken over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_headers: Vec<HeaderRule>,
    /// Headers of the client that do not go up; lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_headers: Vec<String>,
    /// Its share among the backends of its priority; 0: none.
    #[serde(default = "one")]
    pub weight: u32,
    /// 0 is asked first; a higher group only where a lower one can't serve.
    #[serde(default)]
    pub priority: u32,
    /// Certificates (PEM) that sign the upstream's, instead of the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

const fn one() -> u32 {
    1
}

impl Backend {
    /// A backend with every option at its default.
    pub fn new(name: impl Into<String>, provider: Provider, url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            provider,
            url: url.into(),
            credential: None,
            model: ModelRewrite::None,
            set_headers: Vec::new(),
            remove_headers: Vec::new(),
            weight: 1,
            priority: 0,
            ca: None,
        }
    }
}

/// A header that carries a provider's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// Name of the header, lower case.
    pub header: String,
    /// Word before the key, such as `Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// The key. It travels in the secret shard, never with the rest; `None` only while the route is not ready.
    #[serde(skip)]
    pub secret: Option<SecretText>,
}

/// How long to wait for the upstream, in milliseconds; 0: without bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// For a connection, TLS included.
    #[serde(default = "connect_ms")]
    pub connect_ms: u64,
    /// From sending the request to the first byte of the body.
    pub first_byte_ms: u64,
    /// Between two pieces of the body.
    pub idle_ms: u64,
    /// From the request to the last byte of its answer.
    #[serde(default)]
    pub total_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect_ms: connect_ms(), first_byte_ms: 120_000, idle_ms: 120_000, total_ms: 0 }
    }
}

const fn connect_ms() -> u64 {
    5_000
}

/// An accepted RelayTenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tenant {
    /// Whose it is.
    pub id: ObjectId,
    /// True: new requests are answered 403 `tenant_suspended`.
    #[serde(default)]
    pub suspended: bool,
    /// Suspended: running streams end, too.
    #[serde(default)]
    pub cut: bool,
    /// What it may use. Its fields stand beside those of the tenant, since `requests` did in format 1: each reads what the other wrote.
    #[serde(flatten)]
    pub limits: Limits,
    /// What becomes of its limits, those on routes too, while Redis can't be asked.
    #[serde(default)]
    pub on_unavailable: Unavailable,
    /// Its valid keys. They travel in the secret shard.
    #[serde(skip)]
    pub keys: Vec<KeyDigest>,
}

impl Tenant {
    /// A tenant without keys and limits.
    pub fn new(id: ObjectId) -> Self {
        Self {
            id,
            suspended: false,
            cut: false,
            limits: Limits::default(),
            on_unavailable: Unavailable::Local,
            keys: Vec::new(),
        }
    }
}

/// A tenant's key, as far as a proxy knows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyDigest {
    /// Its name within the tenant.
    pub name: String,
    /// SHA-256 of its text, 64 lower-case hex digits.
    pub sha256: String,
    /// From then on it is refused, in seconds since 1970; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<i64>,
}

impl KeyDigest {
    /// The first 8 hex digits: how logs and status name the key.
    pub fn id(&self) -> &str {
        self.sha256.get(..8).unwrap_or_default()
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyDigest").field("name", &self.name).field("id", &self.id()).finish_non_exhaustive()
    }
}
