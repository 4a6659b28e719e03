//! Pure: routes, tenants and the Secrets that they name, to a [`Snapshot`] and one [`Verdict`] an object.
//!
//! ```text
//! Inputs -- parse each object --> valid routes, valid tenants   a fault is a Problem of that object alone
//!        -- resolve           --> provider keys, key digests    a missing Secret leaves the object in its place
//!        -- settle            --> each digest has one tenant    the older object keeps it
//!        -- consent           --> the tenants of each route     both sides must agree
//!        --> Compiled
//! ```
//!
//! No I/O, no clock, no panic. The result is a function of the set of objects: their order, restarts and a second replica can't
//! change it. What the API server refuses by schema and by the rules of [`relay_crds::rules`] is refused here too, with the same
//! messages, for the standalone mode and for objects that are older than a rule.

mod backend;
mod certificates;
mod consent;
mod handling;
mod headers;
mod identity;
mod keys;
mod lexical;
mod limits;

mod matches;
mod problem;
mod route;
mod secrets;
mod selector;
mod tenant;
mod verdict;

pub use certificates::CA_MAX_BYTES;
pub use problem::Problem;
pub use secrets::{KEY_MAX_BYTES, referenced_secrets};
pub use tenant::key_status;
pub use verdict::{Kind, ObjectKey, Summary, Verdict};

use consent::NamespaceLabels;
use relay_crds::{RelayRoute, RelayTenant};
use relay_snapshot::{ObjectId, Snapshot};
use route::JudgedRoute;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use tenant::JudgedTenant;

/// The data of the Secrets that exist: id to key to value.
pub type SecretData = BTreeMap<ObjectId, BTreeMap<String, Vec<u8>>>;

/// All that the result depends on.
#[derive(Clone, Default)]
pub struct Inputs {
    /// All routes, in any order.
    pub routes: Vec<Arc<RelayRoute>>,
    /// All tenants, in any order.
    pub tenants: Vec<Arc<RelayTenant>>,
    /// Namespace to its labels. One that is absent has only its name as label, `kubernetes.io/metadata.name`.
    pub namespaces: BTreeMap<String, BTreeMap<String, String>>,
    /// The Secrets of [`referenced_secrets`] that exist.
    pub secrets: SecretData,
}

impl fmt::Debug for Inputs {
    /// Counts only: the Secrets are among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs")
            .field("routes", &self.routes.len())
            .field("tenants", &self.tenants.len())
            .field("namespaces", &self.namespaces.len())
            .field("secrets", &self.secrets.len())
            .finish()
    }
}

/// What proxies get, and what users are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    /// The accepted objects, in the order of their ids.
    pub snapshot: Snapshot,
    /// One verdict for every object of the inputs.
    pub verdicts: BTreeMap<ObjectKey, Verdict>,
}

/// Compiles the whole fleet. See the crate's documentation for the steps.
pub fn compile(inputs: &Inputs) -> Compiled {
    let mut routes: BTreeMap<ObjectId, JudgedRoute> = identity::by_id(&inputs.routes)
        .into_iter()
        .map(|(id, objects)| (id.clone(), route::judge(&id, &objects, &inputs.secrets)))
        .collect();
    let mut tenants: BTreeMap<ObjectId, JudgedTenant> = identity::by_id(&inputs.tenants)
        .into_iter()
        .map(|(id, objects)| (id.clone(), tenant::judge(&id, &objects, &inputs.secrets)))
        .collect();
    keys::settle(&mut tenants);
    let namespaces = NamespaceLabels::new(&inputs.namespaces, routes.keys().chain(tenants.keys()));
    let served = consent::join(&mut routes, &tenants, &namespaces);
    collect(routes, tenants, &served)
}

fn collect(
    routes: BTreeMap<ObjectId, JudgedRoute>,
    tenants: BTreeMap<ObjectId, JudgedTenant>,
    served: &BTreeMap<ObjectId, u32>,
) -> Compiled {
    let mut compiled = Compiled::default();
    for (id, judged) in routes {
        let accepted = judged.accepted.map(|valid| compiled.snapshot.routes.push(valid.route));
        let summary = Summary::Route { providers: judged.providers };
        let verdict = Verdict { generation: judged.generation, accepted, resolved_refs: judged.refs, summary };
        compiled.verdicts.insert(ObjectKey { kind: Kind::Route, id }, verdict);
    }
    let limiting = compiled.snapshot.routes.iter().filter(|route| !route.limits.is_empty());
    let limited: BTreeSet<ObjectId> = limiting.flat_map(|route| &route.tenants).cloned().collect();
    for (id, judged) in tenants {
        let routes = served.get(&id).copied().unwrap_or(0);
        let (mut keys, mut on_unavailable) = (Vec::new(), None);
        let accepted = judged.accepted.map(|valid| {
            keys = valid.tenant.keys.iter().map(tenant::key_status).collect();
            let is_limited = !valid.tenant.limits.is_empty() || limited.contains(&id);
            on_unavailable = is_limited.then_some(valid.tenant.on_unavailable);
            compiled.snapshot.tenants.push(valid.tenant);
        });
        let summary = Summary::Tenant { routes, keys, limited: on_unavailable };
        let verdict = Verdict { generation: judged.generation, accepted, resolved_refs: judged.refs, summary };
        compiled.verdicts.insert(ObjectKey { kind: Kind::Tenant, id }, verdict);
    }
    compiled
}

#[cfg(test)]
mod tests;
