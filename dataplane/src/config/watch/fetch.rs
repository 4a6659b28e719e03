//! Reads shards from the API server.

use crate::config::Outcome;
use futures::StreamExt;
use futures::future::BoxFuture;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{GetParams, Request};
use kube::{Client, Resource};
use relay_snapshot::shards::{SHARD_KEY, is_secret, sha256_hex};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How many shards are asked for at once.
pub(super) const PARALLEL: usize = 8;
/// A `get` takes no longer, or it counts as failed.
const GET_TIMEOUT: Duration = Duration::from_secs(5);

/// The text of a shard, and what it hashes to.
pub(super) struct Text {
    pub(super) hash: String,
    pub(super) text: String,
}

/// Why a shard was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{name} does not exist or has no key {SHARD_KEY}")]
    Absent { name: String },
    #[error("{name} is not text")]
    NotText { name: String },
    #[error("the API server does not let this proxy read {name}: its Role must allow get on it by name")]
    Forbidden { name: String },
    #[error("the API server did not answer for {name} within {} s", GET_TIMEOUT.as_secs())]
    Timeout { name: String },
    #[error("the API server did not give {name}: {error}")]
    Api { name: String, error: Box<kube::Error> },
}

impl FetchError {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Absent { .. } => Outcome::Missing,
            Self::NotText { .. } => Outcome::Unreadable,
            Self::Forbidden { .. } | Self::Timeout { .. } | Self::Api { .. } => Outcome::Unavailable,
        }
    }
}

/// What came of one round of gets, in no order.
pub(super) type Round = Vec<(String, Result<Text, FetchError>)>;

#[derive(Clone)]
pub(super) struct Fetcher {
    client: Client,
    namespace: String,
}

impl Fetcher {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned() }
    }

    /// Gets all of `names`, [`PARALLEL`] at once. Dropping the future cancels the requests.
    pub(super) fn get_all(&self, names: Vec<String>) -> BoxFuture<'static, Round> {
        let this = Arc::new(self.clone());
        let gets = futures::stream::iter(names).map(move |name| {
            let this = Arc::clone(&this);
            async move {
                let got = tokio::time::timeout(GET_TIMEOUT, this.get(&name)).await;
                let got = got.unwrap_or_else(|_| Err(FetchError::Timeout { name: name.clone() }));
                (name, got)
            }
        });
        Box::pin(gets.buffer_unordered(PARALLEL).collect())
    }

    async fn get(&self, name: &str) -> Result<Text, FetchError> {
        let secret = is_secret(name);
        let url = if secret {
            Secret::url_path(&(), Some(&self.namespace))
        } else {
            ConfigMap::url_path(&(), Some(&self.namespace))
        };
        let request = Request::new(url).get(name, &GetParams::default());
        let request = request.map_err(|error| failed(name, kube::Error::BuildRequest(error)))?;
        // Not `Api::get`: that logs the whole text of an object that it can't parse, and this one may be a Secret.
        let text = self.client.request_text(request).await.map_err(|error| failed(name, error))?;
        let shard = if secret { secret_data(&text) } else { config_data(&text) };
        let text = match shard {
            Shard::Text(text) => text,
            Shard::Absent => return Err(FetchError::Absent { name: name.to_owned() }),
            Shard::NotText => return Err(FetchError::NotText { name: name.to_owned() }),
        };
        Ok(Text { hash: sha256_hex(text.as_bytes()), text })
    }
}

/// What is read of a ConfigMap or a Secret.
#[derive(Deserialize)]
struct Object<T> {
    data: Option<BTreeMap<String, T>>,
}

enum Shard {
    Text(String),
    Absent,
    /// The error is dropped: it could quote what it did not understand.
    NotText,
}

fn config_data(text: &str) -> Shard {
    match serde_json::from_str::<Object<String>>(text) {
        Ok(object) => object.data.and_then(|mut data| data.remove(SHARD_KEY)).map_or(Shard::Absent, Shard::Text),
        Err(_) => Shard::NotText,
    }
}

fn secret_data(text: &str) -> Shard {
    let Ok(object) = serde_json::from_str::<Object<ByteString>>(text) else { return Shard::NotText };
    match object.data.and_then(|mut data| data.remove(SHARD_KEY)) {
        Some(bytes) => String::from_utf8(bytes.0).map_or(Shard::NotText, Shard::Text),
        None => Shard::Absent,
    }
}

fn failed(name: &str, error: kube::Error) -> FetchError {
    let name = name.to_owned();
    match error {
        kube::Error::Api(status) if status.is_not_found() => FetchError::Absent { name },
        kube::Error::Api(status) if status.is_forbidden() => FetchError::Forbidden { name },
        error => FetchError::Api { name, error: Box::new(error) },
    }
}
