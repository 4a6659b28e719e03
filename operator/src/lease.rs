//! Who leads, decided from a Lease (`coordination.k8s.io/v1`). Pure; [`crate::election`] does the I/O.
//!
//! As in client-go, a Lease of another holder has run out when it has not changed for its duration *on the own clock*, so that clocks of two nodes need
//! not agree. A Lease is no fence: what a leader writes is the whole desired state every time, so that two of them would write the same.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// How long things of the election take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// A Lease that was not renewed for this long may be taken.
    pub duration: Duration,
    /// A leader that could not renew for this long stops to lead; shorter than `duration`.
    pub renew_deadline: Duration,
    /// Pause between two renewals.
    pub retry: Duration,
    /// Pause between two looks of a replica that does not lead: how long a released Lease stays untaken at most.
    pub campaign: Duration,
}

/// 15 s, 10 s and 2 s are the defaults of client-go.
pub const TIMING: Timing = Timing {
    duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry: Duration::from_secs(2),
    campaign: Duration::from_secs(1),
};

/// The Lease as it was last seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The object.
    pub lease: Lease,
    /// When this version of it was first seen, by the own clock.
    pub since: Instant,
}

impl Seen {
    /// Takes what was read at `now`. A version that was seen before keeps its time.
    pub fn next(before: Option<Self>, lease: Lease, now: Instant) -> Self {
        let since = match before {
            Some(seen) if seen.lease.metadata.resource_version == lease.metadata.resource_version => seen.since,
            _ => now,
        };
        Self { lease, since }
    }

    /// The holder; `None` where nobody holds it.
    pub fn holder(&self) -> Option<&str> {
        let holder = self.lease.spec.as_ref()?.holder_identity.as_deref()?;
        Some(holder).filter(|holder| !holder.is_empty())
    }
}

/// What a replica that wants to lead does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is no Lease: create it.
    Create,
    /// Nobody holds it, or its holder is gone: take it.
    Take,
    /// It is the own one, perhaps of a process before this one in the same pod: renew it.
    Renew,
    /// Another holds it: look again later.
    Wait,
}

/// Decides for `me` at `now`.
pub fn decide(me: &str, seen: Option<&Seen>, now: Instant, timing: &Timing) -> Decision {
    let Some(seen) = seen else { return Decision::Create };
    match seen.holder() {
        None => Decision::Take,
        Some(holder) if holder == me => Decision::Renew,
        Some(_) if now.duration_since(seen.since) >= timing.duration => Decision::Take,
        Some(_) => Decision::Wait,
    }
}

/// The Lease as `me` wants it after [`Decision::Create`], [`Decision::Take`] or [`Decision::Renew`]. It keeps the resource version, so that a write
/// fails where somebody else was faster.
pub fn held(me: &str, name: &str, seen: Option<&Seen>, at: Timestamp, timing: &Timing) -> Lease {
    let before = seen.and_then(|seen| seen.lease.spec.clone()).unwrap_or_default();
    let mine = before.holder_identity.as_deref() == Some(me);
    let transitions = before.lease_transitions.unwrap_or(0);
    let spec = LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: i32::try_from(timing.duration.as_secs()).ok(),
        acquire_time: before.acquire_time.filter(|_| mine).or(Some(MicroTime(at))),
        renew_time: Some(MicroTime(at)),
        lease_transitions: Some(if mine || seen.is_none() { transitions } else { transitions.saturating_add(1) }),
        ..before
    };
    let metadata = match seen {
        Some(seen) => ObjectMeta { managed_fields: None, ..seen.lease.metadata.clone() },
        None => ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
    };
    Lease { metadata, spec: Some(spec) }
}

/// The Lease with nobody holding it, so that another replica takes it at its next look.
pub fn released(lease: &Lease, at: Timestamp) -> Lease {
    let before = lease.spec.clone().unwrap_or_default();
    let spec = LeaseSpec {
        holder_identity: Some(String::new()),
        lease_duration_seconds: Some(1),
        renew_time: Some(MicroTime(at)),
        ..before
    };
    let metadata = ObjectMeta { managed_fields: None, ..lease.metadata.clone() };
    Lease { metadata, spec: Some(spec) }
}

#[cfg(test)]
mod tests;
