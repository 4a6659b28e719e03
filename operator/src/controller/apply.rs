//! Writes a plan by server-side apply: shards side by side, the index when all of them are in.

use super::build::{Piece, Prepared, ShardKind};
use super::plan::Plan;
use super::written::{CONFIG_LABEL, Written, label_of};
use crate::brief::brief;
use crate::metrics::Metrics;
use crate::stores::kinds::version_of;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Resource};
use relay_snapshot::shards::{INDEX_KEY, INDEX_NAME, SHARD_KEY};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The owner of the fields that the operator writes.
pub const FIELD_MANAGER: &str = "relay-operator";
/// How many objects are written at once.
pub const CONCURRENCY: usize = 8;
/// How long one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a write failed. Trying again may help.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The API server refused it or is not there.
    #[error("{name} was not written: {cause}")]
    Refused {
        /// Name of the object.
        name: String,
        /// The API server's answer.
        cause: String,
    },
    /// No answer in time.
    #[error("{name} was not written: no answer within {} s", WRITE_TIMEOUT.as_secs())]
    TimedOut {
        /// Name of the object.
        name: String,
    },
    /// The index has no JSON form.
    #[error("the index has no JSON form")]
    Unprintable,
}

/// Writes into one namespace.
pub struct Applier {
    configs: Api<ConfigMap>,
    secrets: Api<Secret>,
    written: Arc<Written>,
    metrics: Metrics,
}

impl Applier {
    /// Writes into `namespace` and notes in `written`.
    pub fn new(client: &Client, namespace: &str, written: Arc<Written>, metrics: Metrics) -> Self {
        let configs = Api::namespaced(client.clone(), namespace);
        let secrets = Api::namespaced(client.clone(), namespace);
        Self { configs, secrets, written, metrics }
    }

    /// Writes what `plan` names. An error leaves the index as it is; the shards that were written are no set without it.
    pub async fn apply(&self, wanted: &Prepared, plan: &Plan) -> Result<(), ApplyError> {
        let mut writes = Vec::with_capacity(plan.shards.len());
        for name in &plan.shards {
            if let Some(piece) = wanted.pieces.get(name) {
                writes.push(self.write(name, piece));
            }
        }
        futures::stream::iter(writes).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
        if let Some(index) = &plan.index {
            let text = serde_json::to_string(index).map_err(|_| ApplyError::Unprintable)?;
            let piece = Piece { kind: ShardKind::Config, text, hash: String::new() };
            self.write(INDEX_NAME, &piece).await?;
        }
        Ok(())
    }

    async fn write(&self, name: &str, piece: &Piece) -> Result<(), ApplyError> {
        self.written.expect(name, &piece.text);
        let result = match piece.kind {
            ShardKind::Config => self.send(&self.configs, name, &config_map(name, &piece.text)).await,
            ShardKind::Secret => self.send(&self.secrets, name, &secret(name, &piece.text)).await,
        };
        let label = if result.is_ok() { "ok" } else { "error" };
        self.metrics.apply_objects.with_label_values(&[label]).inc();
        self.written.wrote(name, &piece.text, result?);
        Ok(())
    }

    /// Gives the new resource version. The answer is asked for without the data, which can be large.
    async fn send<K, P>(&self, api: &Api<K>, name: &str, body: &P) -> Result<u64, ApplyError>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
        P: Serialize + Debug,
    {
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(body);
        match timeout(WRITE_TIMEOUT, api.patch_metadata(name, &parameters, &patch)).await {
            Ok(Ok(answer)) => Ok(version_of(&answer.metadata)),
            Ok(Err(error)) => Err(ApplyError::Refused { name: name.to_owned(), cause: brief(&error) }),
            Err(_) => Err(ApplyError::TimedOut { name: name.to_owned() }),
        }
    }
}

fn meta(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some(BTreeMap::from([(CONFIG_LABEL.to_owned(), label_of(name).to_owned())])),
        ..ObjectMeta::default()
    }
}

fn config_map(name: &str, text: &str) -> ConfigMap {
    let key = if name == INDEX_NAME { INDEX_KEY } else { SHARD_KEY };
    let data = Some(BTreeMap::from([(key.to_owned(), text.to_owned())]));
    ConfigMap { metadata: meta(name), data, ..ConfigMap::default() }
}

fn secret(name: &str, text: &str) -> Secret {
    let data = Some(BTreeMap::from([(SHARD_KEY.to_owned(), ByteString(text.as_bytes().to_vec()))]));
    Secret { metadata: meta(name), data, ..Secret::default() }
}
