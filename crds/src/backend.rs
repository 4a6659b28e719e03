//! Backends of a RelayRoute: whose API it is, where it is, with which key, and what is another for it.

use crate::rules;
use crate::shared::{HeaderValue, SecretKeyRef};
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where requests go: a provider's API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::from(rules::URL_REQUIRED), validation = Rule::from(rules::PLAINTEXT), validation = Rule::from(rules::URL_FORM),
    validation = Rule::from(rules::CREDENTIAL_REQUIRED), validation = Rule::from(rules::CREDENTIAL_HEADER),
    validation = Rule::from(rules::HEADER_OF_CREDENTIAL), validation = Rule::from(rules::TLS_PLAINTEXT)
)]
pub struct Backend {
    /// Name of this backend within the route.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Whose API this is. It decides the default url, the header of the credential and the wire formats of the paths.
    pub provider: Provider,
    /// Base of the upstream's URLs: scheme, host, optional port and optional path, which is put before the path of the request.
    /// Default by provider; required for Custom, AzureOpenAI and AzureSpeech.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 2048))]
    pub url: Option<String>,
    /// Allows an http:// url: requests, answers and the credential then cross the network in the clear. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_plaintext: Option<bool>,
    /// The provider's key. It is bound to the origin of `url` and sent nowhere else; redirects are not followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// What becomes of the model that a request asks for, in its JSON body or, with Gemini and the deployments of AzureOpenAI, in its path.
    /// Default: it goes up as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelRewrite>,
    /// What becomes of the client's headers, beyond what the relay itself takes out and puts in. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<HeaderRewrite>,
    /// Its share of the requests among the backends of its priority: weight by the sum of their weights. 0: none. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: Option<u32>,
    /// 0 is asked first; a higher group is used when all of a lower one are unhealthy or refused before the first byte. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 15))]
    pub priority: Option<u32>,
    /// How the upstream proves who it is. Default: by a certificate that the system's roots sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<BackendTls>,
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
    /// Azure OpenAI, speaks OpenAI's formats; needs `url` with the resource's host; `api-key`.
    AzureOpenAI,
    /// Azure Speech, text to speech; needs `url` with the region's host; `Ocp-Apim-Subscription-Key`.
    AzureSpeech,
    /// generativelanguage.googleapis.com; `x-goog-api-key`.
    Gemini,
    /// api.elevenlabs.io, text to speech; `xi-api-key`.
    ElevenLabs,
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

/// What becomes of the model that a request asks for: exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::from(rules::MODEL_ONE_OF))]
pub struct ModelRewrite {
    /// Every request asks for this model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub name: Option<String>,
    /// From the client's name of a model, whole and without a star, to the backend's; other names go up as they came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "model_map")]
    pub map: Option<BTreeMap<String, String>>,
}

/// The names of both sides are bounded as those of `matches[].models`. A schema can't bound the keys of a map; relay-compile does.
fn model_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object", "minProperties": 1, "maxProperties": 64,
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 256},
    })
}

/// What becomes of the client's headers: first `remove`, then `set`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::from(rules::HEADER_FRAMING))]
pub struct HeaderRewrite {
    /// Headers that every request carries, with these values instead of the client's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]), validation = Rule::from(rules::HEADERS_DISTINCT))]
    pub set: Vec<HeaderValue>,
    /// Names of the client's headers that do not go up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9_-]+$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub remove: Vec<String>,
}

/// How an upstream proves who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendTls {
    /// The Secret, in the route's own namespace, with the certificates (PEM) that sign the upstream's, as cert-manager writes it. They are trusted
    /// instead of the system's roots.
    pub ca_ref: CaRef,
}

/// A key of a Secret that holds certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CaRef {
    /// Name of the Secret. It is read from the namespace of the route, never from another.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
    /// Key in the Secret's data; PEM, at most 64 KiB. Default: ca.crt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: Option<String>,
}

impl CaRef {
    /// The key that is meant where none is named: cert-manager's.
    pub const KEY: &str = "ca.crt";

    /// The same as a reference with its key spelled out.
    pub fn to_secret_key(&self) -> SecretKeyRef {
        SecretKeyRef { name: self.name.clone(), key: self.key.clone().unwrap_or_else(|| Self::KEY.to_owned()) }
    }
}
