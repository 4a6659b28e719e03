//! How many ready proxies serve an object as it stands. Pure.

use crate::history::{Digest, Entry, History};
use crate::sharing::Apart;
use crate::stores::ProxyPod;
use relay_compile::ObjectKey;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What pods said when they were asked last, by pod uid; `None` where there was no answer. A pod that was never asked is absent.
pub type Acks = BTreeMap<String, Option<Ack>>;

/// What a proxy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The revision that it serves; the empty text: none yet.
    pub revision: String,
    /// Why it does not share the limits now, though it was made to; `None`: it does, or does not say.
    pub apart: Option<String>,
}

/// The ready proxies.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    /// The set that each of them serves; `None` where it has not said, or says a revision that is not remembered.
    sets: Vec<Option<Arc<Entry>>>,
    asked: bool,
    apart: Option<Apart>,
}

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
        let ready: Vec<_> = pods.into_iter().filter(|pod| pod.ready).map(|pod| acks.get(&pod.uid)).collect();
        let set = |answer: Option<&Option<Ack>>| history.of(&answer?.as_ref()?.revision).map(Arc::clone);
        let reasons = ready.iter().filter_map(|answer| answer.as_ref()?.as_ref()?.apart.as_deref());
        Self {
            sets: ready.iter().copied().map(set).collect(),
            asked: ready.iter().all(Option::is_some),
            apart: Apart::of(reasons, count(ready.len())),
        }
    }

    /// Counts for one object that is wanted with `digest`.
    pub fn serving(&self, key: &ObjectKey, digest: Digest) -> Serving {
        let serves = |entry: &Entry| entry.object(key).is_some_and(|standing| standing.digest == digest);
        let serving = self.sets.iter().flatten().filter(|entry| serves(entry)).count();
        Serving { ready: count(self.sets.len()), serving: count(serving) }
    }

    /// How many proxies are ready.
    pub fn ready(&self) -> u32 {
        count(self.sets.len())
    }

    /// Whether every ready proxy was asked. Until then its silence proves nothing, neither that it serves a set nor that it does not.
    pub fn asked(&self) -> bool {
        self.asked
    }

    /// The ready proxies that say that they do not share the limits.
    pub fn apart(&self) -> Option<&Apart> {
        self.apart.as_ref()
    }

    /// Whether there are ready proxies and each of them serves the set of `revision`.
    pub fn all_at(&self, revision: &str) -> bool {
        let serves = |set: &Option<Arc<Entry>>| set.as_ref().is_some_and(|entry| &*entry.revision == revision);
        !self.sets.is_empty() && self.sets.iter().all(serves)
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
