//! From the stores to what the compiler takes, and the verdicts on objects that are not readable.

use crate::stores::{Stores, Watched};
use relay_compile::{Inputs, Kind, ObjectKey, Problem, Summary, Verdict, referenced_secrets};
use relay_crds::reason;
use relay_snapshot::ObjectId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All that a set is made of.
pub struct Resolved {
    /// For the compiler. Of Secrets, those alone that are named.
    pub inputs: Inputs,
    /// Objects that this build can't read. They are refused, and touch no other.
    pub unreadable: BTreeMap<ObjectKey, Verdict>,
}

/// Reads the stores. `watched` names the namespaces that are watched, where they are named: they exist even where their labels may not be read.
pub fn resolve(stores: &Stores, watched: &[String]) -> Resolved {
    let mut unreadable = BTreeMap::new();
    let routes = readable(Kind::Route, stores.routes.state(), &mut unreadable);
    let tenants = readable(Kind::Tenant, stores.tenants.state(), &mut unreadable);
    let mut namespaces: BTreeMap<_, _> = watched.iter().map(|name| (name.clone(), BTreeMap::new())).collect();
    namespaces.extend(stores.namespaces.state().into_iter().map(|(id, labels)| (id.name, labels.0.clone())));
    let named = referenced_secrets(&routes, &tenants).into_iter();
    let secrets = named.filter_map(|id| {
        let secret = stores.secrets.get(&id)?;
        Some((id, secret.0.clone()))
    });
    let secrets = secrets.collect();
    Resolved { inputs: Inputs { routes, tenants, namespaces, secrets }, unreadable }
}

fn readable<K>(
    kind: Kind,
    objects: BTreeMap<ObjectId, Arc<Watched<K>>>,
    unreadable: &mut BTreeMap<ObjectKey, Verdict>,
) -> Vec<Arc<K>> {
    let mut fine = Vec::with_capacity(objects.len());
    for (id, watched) in objects {
        match &watched.object {
            Ok(object) => fine.push(Arc::clone(object)),
            Err(error) => {
                unreadable.insert(ObjectKey { kind, id }, refused(kind, watched.generation, error));
            }
        }
    }
    fine
}

fn refused(kind: Kind, generation: Option<i64>, error: &str) -> Verdict {
    let summary = match kind {
        Kind::Route => Summary::Route { providers: String::new() },
        Kind::Tenant => Summary::Tenant { routes: 0, keys: Vec::new(), limited: None },
    };
    let message = format!("this operator can't read the object: {error}; install the CRDs of its own version");
    let problem = Problem { reason: reason::INVALID, field: "spec".to_owned(), message };
    Verdict { generation, accepted: Err(problem), resolved_refs: Ok(()), summary }
}

#[cfg(test)]
mod tests;
