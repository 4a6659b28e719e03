//! What is in the cluster of what the operator writes: known from own writes, and from a watch on every object by its name, which also shows what others
//! did to them.
//!
//! A watch by name needs no right to any other object of the namespace, and the API server has an index for it.

use super::plan::Known;
use crate::metrics::Metrics;
use crate::stores::kinds::version_of;
use crate::stores::watch::{Denied, follow};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use relay_snapshot::Index;
use relay_snapshot::shards::{INDEX_KEY, INDEX_NAME, SHARD_KEY, SHARDS, config_name, secrets_name, sha256_hex};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Label of the objects that configure proxies: `index` or `shard`.
pub const CONFIG_LABEL: &str = "stream-relay.dev/config";

/// The value of [`CONFIG_LABEL`] of an object.
pub fn label_of(name: &str) -> &'static str {
    if name == INDEX_NAME { "index" } else { "shard" }
}

/// All that is known. One is made at the start of a leadership.
#[derive(Default)]
pub struct Written {
    state: Mutex<State>,
    /// Woken when an object is not as it was written, and when all are listed.
    pub changed: Notify,
}

#[derive(Default)]
struct State {
    known: BTreeMap<String, Known>,
    /// Names that were listed once.
    listed: BTreeSet<String>,
    /// Hash of what is being written or was written last.
    expected: BTreeMap<String, String>,
    /// The texts that were found, until [`Written::take_found`].
    found: Option<BTreeMap<String, String>>,
}

/// An object as a watch saw it.
struct Sight {
    version: u64,
    text: String,
    labelled: bool,
}

impl Written {
    /// Nothing is known; the texts of the first lists are kept.
    pub fn new() -> Self {
        let state = State { found: Some(BTreeMap::new()), ..State::default() };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// What is known now.
    pub fn known(&self) -> BTreeMap<String, Known> {
        self.lock().known.clone()
    }

    /// Whether all 33 objects were looked for.
    pub fn listed(&self) -> bool {
        self.lock().listed.len() == 2 * SHARDS + 1
    }

    /// The texts that were in the cluster at first, object name to text. Once; they are dropped after that.
    pub fn take_found(&self) -> BTreeMap<String, String> {
        self.lock().found.take().unwrap_or_default()
    }

    /// Says what is about to be written, so that the sight of it is no surprise.
    pub fn expect(&self, name: &str, text: &str) {
        self.lock().expected.insert(name.to_owned(), sha256_hex(text.as_bytes()));
    }

    /// Notes an own write that gave `version`.
    pub fn wrote(&self, name: &str, text: &str, version: u64) {
        let sight = Sight { version, text: text.to_owned(), labelled: true };
        self.lock().see(name, &sight);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saw(&self, name: &str, sight: &Sight) {
        let surprise = {
            let mut state = self.lock();
            if let Some(found) = &mut state.found {
                found.insert(name.to_owned(), sight.text.clone());
            }
            let as_expected = state.expected.get(name) == Some(&sha256_hex(sight.text.as_bytes())) && sight.labelled;
            state.see(name, sight) && !as_expected
        };
        if surprise {
            self.changed.notify_one();
        }
    }

    fn missing(&self, name: &str) {
        if self.lock().known.remove(name).is_some() {
            self.changed.notify_one();
        }
    }

    fn end_of_list(&self, name: &str, met: bool) {
        if !met {
            self.missing(name);
        }
        self.lock().listed.insert(name.to_owned());
        if self.listed() {
            self.changed.notify_one();
        }
    }

    /// Takes an event of the watch on `name`. `met` says whether the list that is running has met it.
    fn apply<K: Shard>(&self, name: &str, met: &mut bool, event: Event<K>) {
        match event {
            Event::Init => *met = false,
            Event::InitApply(object) | Event::Apply(object) => {
                *met = true;
                self.saw(name, &sight(name, &object));
            }
            Event::InitDone => self.end_of_list(name, *met),
            Event::Delete(_) => self.missing(name),
        }
    }

    /// Watches all objects in `namespace` until the set is dropped.
    pub fn watch(self: &Arc<Self>, client: &Client, namespace: &str, metrics: &Metrics) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let names = std::iter::once(INDEX_NAME.to_owned()).chain((0..SHARDS).map(config_name));
        for name in names {
            self.watch_one::<ConfigMap>(&mut tasks, client, namespace, name, metrics);
        }
        for name in (0..SHARDS).map(secrets_name) {
            self.watch_one::<Secret>(&mut tasks, client, namespace, name, metrics);
        }
        tasks
    }

    fn watch_one<K: Shard>(
        self: &Arc<Self>,
        tasks: &mut JoinSet<()>,
        client: &Client,
        namespace: &str,
        name: String,
        metrics: &Metrics,
    ) {
        let api: Api<K> = Api::namespaced(client.clone(), namespace);
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let (written, metrics) = (Arc::clone(self), metrics.clone());
        tasks.spawn(async move {
            let mut met = false;
            let handle = |event, _| written.apply::<K>(&name, &mut met, event);
            follow(api, config, "written", Denied::Wait, &metrics, handle).await;
        });
    }
}

impl State {
    /// Takes the newest sight of an object; false where it is older than what is known, or the same.
    fn see(&mut self, name: &str, sight: &Sight) -> bool {
        let older = |known: &Known| sight.version != 0 && sight.version <= known.version;
        if self.known.get(name).is_some_and(older) {
            return false;
        }
        let index = if name == INDEX_NAME { Index::parse(&sight.text).ok() } else { None };
        let known =
            Known { version: sight.version, hash: sha256_hex(sight.text.as_bytes()), labelled: sight.labelled, index };
        self.known.insert(name.to_owned(), known);
        true
    }
}

/// The two kinds of objects that hold texts.
trait Shard:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + 'static
{
    /// The text under `key`.
    fn text(&self, key: &str) -> Option<String>;
}

impl Shard for ConfigMap {
    fn text(&self, key: &str) -> Option<String> {
        self.data.as_ref()?.get(key).cloned()
    }
}

impl Shard for Secret {
    fn text(&self, key: &str) -> Option<String> {
        self.data.as_ref()?.get(key).and_then(|value| String::from_utf8(value.0.clone()).ok())
    }
}

fn sight(name: &str, object: &impl Shard) -> Sight {
    let key = if name == INDEX_NAME { INDEX_KEY } else { SHARD_KEY };
    let meta = object.meta();
    let label = meta.labels.as_ref().and_then(|labels| labels.get(CONFIG_LABEL));
    Sight {
        version: version_of(meta),
        text: object.text(key).unwrap_or_default(),
        labelled: label.map(String::as_str) == Some(label_of(name)),
    }
}

#[cfg(test)]
mod tests;
