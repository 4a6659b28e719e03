//! How many ready proxies serve an object as it stands. Pure.

use crate::history::{Digest, Entry, History};
use crate::stores::ProxyPod;
use relay_compile::ObjectKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The revision that a pod last said it serves: pod uid to revision.
pub type Acks = BTreeMap<String, String>;

/// The ready proxies, each with the set that it serves; `None` where it has not said, or says a revision that is not remembered.
#[derive(Clone, Debug, Default)]
pub struct Fleet(Vec<Option<Arc<Entry>>>);

/// How far an object is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serving {
    /// Ready proxies.
    pub ready: u32,
    /// Those of them that serve the object as it stands.
    pub serving: u32,
}

impl Fleet {
    /// A pod that is ready and has not acknowledged anything counts as ready and not serving.
    pub fn new<'a>(pods: impl IntoIterator<Item = &'a ProxyPod>, acks: &Acks, history: &History) -> Self {
        let ready = pods.into_iter().filter(|pod| pod.ready);
        Self(ready.map(|pod| history.of(acks.get(&pod.uid)?).map(Arc::clone)).collect())
    }

    /// Counts for one object that is wanted with `digest`.
    pub fn serving(&self, key: &ObjectKey, digest: Digest) -> Serving {
        let serves = |entry: &Entry| entry.object(key).is_some_and(|standing| standing.digest == digest);
        let serving = self.0.iter().flatten().filter(|entry| serves(entry)).count();
        Serving { ready: count(self.0.len()), serving: count(serving) }
    }

    /// How many proxies are ready.
    pub fn ready(&self) -> u32 {
        count(self.0.len())
    }

    /// Whether there are ready proxies and each of them serves the set of `revision`.
    pub fn all_at(&self, revision: &str) -> bool {
        !self.0.is_empty() && self.0.iter().all(|entry| entry.as_ref().is_some_and(|entry| &*entry.revision == revision))
    }
}

impl Serving {
    /// The one condition for `Programmed=True`: there is a ready proxy, and every one serves the object.
    pub fn everywhere(self) -> bool {
        self.ready > 0 && self.serving == self.ready
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
