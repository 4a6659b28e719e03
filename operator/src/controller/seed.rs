//! What a new leader knows of the sets before it: the set that is in the cluster, and what the statuses say.

use crate::history::{History, digests};
use crate::report::status::Status;
use crate::stores::Stores;
use relay_compile::{Kind, ObjectKey};
use relay_snapshot::Index;
use relay_snapshot::shards::{INDEX_NAME, assemble};
use std::collections::BTreeMap;

/// The history at the start of a leadership. `found` are the texts in the cluster, object name to text. Where they make no set the history is empty,
/// and every object counts as changed in the first set that is written.
pub fn seed(found: &BTreeMap<String, String>, stores: &Stores) -> History {
    let Some(index) = found.get(INDEX_NAME).and_then(|text| Index::parse(text).ok()) else {
        return History::default();
    };
    let Ok(snapshot) = assemble(&index, |name| found.get(name).map(String::as_str)) else {
        return History::default();
    };
    History::seeded(&index.revision, digests(&snapshot), |key| since(stores, key))
}

/// The revision that an object's status names, where that status says that the object, as it is now, is served.
fn since(stores: &Stores, key: &ObjectKey) -> Option<String> {
    let (generation, status) = match key.kind {
        Kind::Route => {
            let watched = stores.routes.get(&key.id)?;
            (watched.generation, Status::Route(watched.object.as_ref().ok()?.status.clone()?))
        }
        Kind::Tenant => {
            let watched = stores.tenants.get(&key.id)?;
            (watched.generation, Status::Tenant(watched.object.as_ref().ok()?.status.clone()?))
        }
    };
    let served = status.served() && status.observed_generation() == generation;
    status.revision().filter(|_| served).map(str::to_owned)
}

#[cfg(test)]
mod tests;
