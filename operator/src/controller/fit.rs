//! Keeps every shard under the size that Kubernetes takes, so that objects too large for their shard stay out alone and all others are served.

use relay_compile::{Compiled, Inputs, Kind, ObjectKey, Problem, Summary, Verdict};
use relay_crds::reason;
use relay_snapshot::Snapshot;
use relay_snapshot::shards::{SHARD_MAX_BYTES, SHARDS, Shards, config_name, secrets_name, shard_of, split};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Why a snapshot is no set that can be written. What is in the cluster stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// The snapshot has no JSON form. The cause is left out, it could quote a secret.
    #[error("the set has no JSON form")]
    Unprintable,
}

/// A set whose shards fit.
pub struct Fitted {
    /// The shards, each of at most [`SHARD_MAX_BYTES`].
    pub shards: Shards,
    /// How many objects were left out for it.
    pub left_out: usize,
}

/// A shard that is too large.
struct Overfull {
    number: usize,
    /// Name of its object.
    name: String,
    /// Bytes beyond the bound.
    excess: usize,
}

/// When the objects were created, in seconds since 1970; those of no known time are as old as can be.
pub fn ages(inputs: &Inputs) -> BTreeMap<ObjectKey, i64> {
    let entry = |kind, meta: &kube::core::ObjectMeta| {
        let id = relay_snapshot::ObjectId::new(meta.namespace.clone()?, meta.name.clone()?);
        Some((ObjectKey { kind, id }, meta.creation_timestamp.as_ref()?.0.as_second()))
    };
    let routes = inputs.routes.iter().filter_map(|route| entry(Kind::Route, &route.metadata));
    let tenants = inputs.tenants.iter().filter_map(|tenant| entry(Kind::Tenant, &tenant.metadata));
    routes.chain(tenants).collect()
}

/// Cuts the snapshot into shards. Of a shard that is too large the largest objects are left out until it fits; of two equally large ones the younger,
/// then the one whose name is later. They are refused by their verdict. The same objects give the same choice, in any order and any replica.
pub fn fit(compiled: &mut Compiled, ages: impl FnOnce() -> BTreeMap<ObjectKey, i64>) -> Result<Fitted, FitError> {
    let mut shards = cut(&compiled.snapshot)?;
    let Some(mut next) = overfull(&shards) else { return Ok(Fitted { shards, left_out: 0 }) };
    let (ages, mut left_out) = (ages(), 0);
    loop {
        let chosen = choose(&compiled.snapshot, &next, &ages)?;
        if chosen.is_empty() {
            // Not reached: a shard without objects is a few bytes long.
            return Err(FitError::Unprintable);
        }
        left_out += chosen.len();
        leave_out(compiled, &chosen, next.number);
        shards = cut(&compiled.snapshot)?;
        match overfull(&shards) {
            Some(other) => next = other,
            None => return Ok(Fitted { shards, left_out }),
        }
    }
}

fn cut(snapshot: &Snapshot) -> Result<Shards, FitError> {
    split(snapshot).map_err(|_| FitError::Unprintable)
}

fn overfull(shards: &Shards) -> Option<Overfull> {
    let names = (0..SHARDS).flat_map(|number| [(number, config_name(number)), (number, secrets_name(number))]);
    names.into_iter().find_map(|(number, name)| {
        let excess = bytes(shards, &name).checked_sub(SHARD_MAX_BYTES).filter(|excess| *excess > 0)?;
        Some(Overfull { number, name, excess })
    })
}

fn bytes(shards: &Shards, name: &str) -> usize {
    shards.configs.get(name).or_else(|| shards.secrets.get(name)).map_or(0, String::len)
}

/// The objects to leave out of a shard: as few as bring it under the bound, or nearly so; [`fit`] looks again.
fn choose(
    snapshot: &Snapshot,
    shard: &Overfull,
    ages: &BTreeMap<ObjectKey, i64>,
) -> Result<BTreeSet<ObjectKey>, FitError> {
    let empty = bytes(&cut(&Snapshot::default())?, &shard.name);
    let alone = |snapshot: &Snapshot| Ok(bytes(&cut(snapshot)?, &shard.name).saturating_sub(empty));
    let mut objects = Vec::new();
    for route in snapshot.routes.iter().filter(|route| shard_of(&route.id) == shard.number) {
        let size: usize = alone(&Snapshot { routes: vec![route.clone()], tenants: Vec::new() })?;
        objects.push((size, ObjectKey { kind: Kind::Route, id: route.id.clone() }));
    }
    for tenant in snapshot.tenants.iter().filter(|tenant| shard_of(&tenant.id) == shard.number) {
        let size: usize = alone(&Snapshot { routes: Vec::new(), tenants: vec![tenant.clone()] })?;
        objects.push((size, ObjectKey { kind: Kind::Tenant, id: tenant.id.clone() }));
    }
    objects.sort_by_cached_key(|(size, key)| Reverse((*size, ages.get(key).copied(), key.clone())));
    let mut gone = 0;
    let needed = |(size, key): (usize, ObjectKey)| {
        let more = gone < shard.excess;
        gone += size;
        more.then_some(key)
    };
    Ok(objects.into_iter().map_while(needed).collect())
}

fn leave_out(compiled: &mut Compiled, chosen: &BTreeSet<ObjectKey>, shard: usize) {
    let Compiled { snapshot, verdicts } = compiled;
    for key in chosen {
        if let Some(verdict) = verdicts.get_mut(key) {
            refuse(verdict, shard);
        }
    }
    let out = |kind, id: &relay_snapshot::ObjectId| chosen.contains(&ObjectKey { kind, id: id.clone() });
    let (gone, kept) = std::mem::take(&mut snapshot.routes).into_iter().partition(|route| out(Kind::Route, &route.id));
    snapshot.routes = kept;
    let served: Vec<relay_snapshot::Route> = gone;
    for id in served.into_iter().flat_map(|route| route.tenants) {
        let verdict = verdicts.get_mut(&ObjectKey { kind: Kind::Tenant, id });
        if let Some(Summary::Tenant { routes, .. }) = verdict.map(|verdict| &mut verdict.summary) {
            *routes = routes.saturating_sub(1);
        }
    }
    snapshot.tenants.retain(|tenant| !out(Kind::Tenant, &tenant.id));
    for route in &mut snapshot.routes {
        route.tenants.retain(|tenant| !out(Kind::Tenant, tenant));
    }
}

fn refuse(verdict: &mut Verdict, shard: usize) {
    let cure = match &mut verdict.summary {
        Summary::Route { .. } => "use fewer matches, models or tenants",
        Summary::Tenant { routes, keys, limited } => {
            (*routes, *limited) = (0, None);
            keys.clear();
            "use fewer keys"
        }
    };
    let message = format!("the object makes shard {shard} larger than {SHARD_MAX_BYTES} bytes: {cure}");
    verdict.accepted = Err(Problem { reason: reason::INVALID, field: "spec".to_owned(), message });
}

#[cfg(test)]
mod tests;
