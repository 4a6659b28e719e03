//! Reads shards from the API server.

use crate::config::Outcome;
use futures::StreamExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use relay_snapshot::shards::{SHARD_KEY, sha256_hex};
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
    configs: Api<ConfigMap>,
    secrets: Api<Secret>,
}

impl Fetcher {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self { configs: Api::namespaced(client.clone(), namespace), secrets: Api::namespaced(client, namespace) }
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
        let owned = || name.to_owned();
        let text = if name.starts_with("relay-secrets-") {
            let secret = self.secrets.get_opt(name).await.map_err(|error| failed(name, error))?;
            let bytes = secret.and_then(|secret| secret.data).and_then(|mut data| data.remove(SHARD_KEY));
            match bytes.map(|bytes| String::from_utf8(bytes.0)) {
                // The error of from_utf8 carries the bytes.
                Some(Err(_)) => return Err(FetchError::NotText { name: owned() }),
                Some(Ok(text)) => Some(text),
                None => None,
            }
        } else {
            let config = self.configs.get_opt(name).await.map_err(|error| failed(name, error))?;
            config.and_then(|config| config.data).and_then(|mut data| data.remove(SHARD_KEY))
        };
        let text = text.ok_or_else(|| FetchError::Absent { name: owned() })?;
        Ok(Text { hash: sha256_hex(text.as_bytes()), text })
    }
}

fn failed(name: &str, error: kube::Error) -> FetchError {
    let name = name.to_owned();
    match error {
        kube::Error::Api(status) if status.is_forbidden() => FetchError::Forbidden { name },
        // A Secret that does not parse: serde's message could quote it.
        kube::Error::SerdeError(_) => FetchError::NotText { name },
        error => FetchError::Api { name, error: Box::new(error) },
    }
}
