//! What is said about one object; the operator makes conditions of it.

use crate::Problem;
use relay_crds::KeyStatus;
use relay_snapshot::{ObjectId, Unavailable};
use std::fmt;

/// The two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A RelayRoute.
    Route,
    /// A RelayTenant.
    Tenant,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Route => "RelayRoute",
            Self::Tenant => "RelayTenant",
        })
    }
}

/// Names one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace and name. An object without a namespace is in `default`.
    pub id: ObjectId,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)
    }
}

/// The judgement of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The generation of the object that was judged; `None` where no API server gave one.
    pub generation: Option<i64>,
    /// Whether the object is served. It is in the snapshot if and only if this is `Ok`.
    pub accepted: Result<(), Problem>,
    /// Whether all Secrets that it names are there and usable; judged for objects that are not accepted, too.
    pub resolved_refs: Result<(), Problem>,
    /// Figures for the status.
    pub summary: Summary,
}

/// Figures for the status of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Summary {
    /// Of a route.
    Route {
        /// The providers of its backends, each once, in the order of the backends, joined by `,`.
        providers: String,
    },
    /// Of a tenant.
    Tenant {
        /// How many accepted routes serve it.
        routes: u32,
        /// Its valid keys, by name. None while it is not accepted.
        keys: Vec<KeyStatus>,
        /// What becomes of its limits, its own and those of routes that serve it, while Redis can't be asked. `None`: it has none, or is not accepted.
        limited: Option<Unavailable>,
    },
}
