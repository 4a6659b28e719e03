//! From a verdict and what proxies serve to a status. Pure.

use crate::history::Standing;
use crate::programmed::Serving;
use crate::sharing::Told;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use relay_compile::{Kind, Problem, Summary, Verdict};
use relay_crds::{ProxyStatus, RelayRouteStatus, RelayTenantStatus, condition, reason};
use serde_json::{Value, json};

/// Kubernetes takes at most 32,768 characters; more than this nobody reads.
const MESSAGE_MAX: usize = 2048;

/// The conditions that are written here; those of others stay.
pub const OURS: [&str; 5] =
    [condition::ACCEPTED, condition::RESOLVED_REFS, condition::PROGRAMMED, condition::READY, condition::DEGRADED];

/// A status of either kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// Of a RelayRoute.
    Route(RelayRouteStatus),
    /// Of a RelayTenant.
    Tenant(RelayTenantStatus),
}

/// All that is known about an object.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What the compiler says.
    pub verdict: &'a Verdict,
    /// How it stands in the wanted set; `None` where it is not in it.
    pub standing: Option<&'a Standing>,
    /// How far it is served.
    pub serving: Serving,
    /// Whether the wanted set is too young for a proxy without it to be news.
    pub settling: bool,
    /// Why the wanted set was not written.
    pub trouble: Option<&'a str>,
    /// What is told of the proxies that do not share the limits.
    pub sharing: &'a Told,
}

impl Status {
    /// Its conditions.
    pub fn conditions(&self) -> &[Condition] {
        match self {
            Self::Route(status) => &status.conditions,
            Self::Tenant(status) => &status.conditions,
        }
    }

    /// The generation that it describes.
    pub fn observed_generation(&self) -> Option<i64> {
        match self {
            Self::Route(status) => status.observed_generation,
            Self::Tenant(status) => status.observed_generation,
        }
    }

    /// The revision in which the object last changed.
    pub fn revision(&self) -> Option<&str> {
        match self {
            Self::Route(status) => status.revision.as_deref(),
            Self::Tenant(status) => status.revision.as_deref(),
        }
    }

    /// One condition.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions().iter().find(|condition| condition.type_ == type_)
    }

    fn programmed_by(&self, reasons: &[&str]) -> bool {
        self.condition(condition::PROGRAMMED).is_some_and(|programmed| reasons.contains(&programmed.reason.as_str()))
    }

    /// Whether it says that every ready proxy serves the object.
    pub fn served(&self) -> bool {
        self.programmed_by(&[reason::PROGRAMMED])
    }

    /// Whether it says that the object is on its way to the proxies.
    pub fn pending(&self) -> bool {
        self.programmed_by(&[reason::PENDING])
    }

    /// Whether it says that there are ready proxies without the object.
    pub fn lags(&self) -> bool {
        self.programmed_by(&[reason::PENDING, reason::PARTIALLY_PROGRAMMED])
    }

    /// Whether both say the same of their object: all but the times of conditions and the conditions of others.
    pub fn says(&self, other: &Self) -> bool {
        self.words() == other.words()
    }

    fn words(&self) -> Self {
        let mut words = self.clone();
        let conditions = match &mut words {
            Self::Route(status) => &mut status.conditions,
            Self::Tenant(status) => &mut status.conditions,
        };
        conditions.retain(|condition| OURS.contains(&condition.type_.as_str()));
        for condition in conditions {
            condition.last_transition_time = Time(Timestamp::UNIX_EPOCH);
        }
        words
    }

    /// The body of a merge patch that makes an object's status this one. What is absent here is removed there.
    pub fn patch(&self, uid: &str) -> Result<Value, serde_json::Error> {
        let (mut status, fields) = match self {
            Self::Route(status) => (serde_json::to_value(status)?, &["proxies", "providers"][..]),
            Self::Tenant(status) => (serde_json::to_value(status)?, &["proxies", "routes", "keyCount", "keys"][..]),
        };
        if let Value::Object(map) = &mut status {
            for field in ["observedGeneration", "revision"].iter().chain(fields) {
                map.entry(*field).or_insert(Value::Null);
            }
        }
        // With the uid the API server refuses the patch where another object has the name by now.
        Ok(json!({"metadata": {"uid": uid}, "status": status}))
    }
}

/// The status that `facts` give. What did not change since `previous` keeps its time; conditions of others stay.
pub fn status(facts: &Facts, previous: Option<&Status>, now: &Time) -> Status {
    let conditions = conditions(facts, previous.map_or(&[], Status::conditions), now);
    let observed_generation = facts.verdict.generation;
    let revision = facts.standing.map(|standing| standing.since.to_string());
    let proxies = facts.standing.map(|_| proxies(facts.serving));
    match &facts.verdict.summary {
        Summary::Route { providers } => Status::Route(RelayRouteStatus {
            observed_generation,
            conditions,
            revision,
            proxies,
            providers: Some(providers.clone()).filter(|providers| !providers.is_empty()),
        }),
        Summary::Tenant { routes, keys, .. } => Status::Tenant(RelayTenantStatus {
            observed_generation,
            conditions,
            revision,
            proxies,
            routes: Some(*routes),
            key_count: u32::try_from(keys.len()).ok(),
            keys: keys.clone(),
        }),
    }
}

/// The kind of a verdict's object.
pub fn kind_of(verdict: &Verdict) -> Kind {
    match verdict.summary {
        Summary::Route { .. } => Kind::Route,
        Summary::Tenant { .. } => Kind::Tenant,
    }
}

fn proxies(serving: Serving) -> ProxyStatus {
    let summary = format!("{}/{}", serving.serving, serving.ready);
    ProxyStatus { ready: serving.ready, serving: serving.serving, summary }
}

/// Status, reason and message of a condition.
struct Said {
    type_: &'static str,
    status: &'static str,
    reason: &'static str,
    message: String,
}

fn conditions(facts: &Facts, previous: &[Condition], now: &Time) -> Vec<Condition> {
    let accepted = judged(condition::ACCEPTED, reason::ACCEPTED, "the object is valid", &facts.verdict.accepted);
    let found = "all references are resolved";
    let resolved = judged(condition::RESOLVED_REFS, reason::RESOLVED_REFS, found, &facts.verdict.resolved_refs);
    let programmed = programmed(facts);
    let first_bad = [&accepted, &resolved, &programmed].into_iter().find(|said| said.status != "True");
    let summary = first_bad.unwrap_or(&programmed);
    let ready = Said { type_: condition::READY, message: summary.message.clone(), ..*summary };
    let foreign = previous.iter().filter(|condition| !OURS.contains(&condition.type_.as_str())).cloned();
    let foreign: Vec<Condition> = foreign.collect();
    let dated = |said: Said| dated(&said, facts.verdict.generation, previous, now);
    let ours = [accepted, resolved, programmed, ready].into_iter().chain(degraded(facts, previous));
    ours.map(dated).chain(foreign).collect()
}

/// There only while it is true, for a tenant that has limits.
fn degraded(facts: &Facts, previous: &[Condition]) -> Option<Said> {
    let Summary::Tenant { limited: Some(on_unavailable), .. } = facts.verdict.summary else { return None };
    let message = match facts.sharing {
        Told::Shared => return None,
        Told::Apart(apart) => apart.message(on_unavailable),
        Told::Before => previous.iter().find(|condition| condition.type_ == condition::DEGRADED)?.message.clone(),
    };
    Some(Said { type_: condition::DEGRADED, status: "True", reason: reason::LIMITS_NOT_SHARED, message })
}

fn judged(type_: &'static str, good: &'static str, fine: &str, verdict: &Result<(), Problem>) -> Said {
    match verdict {
        Ok(()) => Said { type_, status: "True", reason: good, message: fine.to_owned() },
        Err(problem) => Said { type_, status: "False", reason: problem.reason, message: problem.to_string() },
    }
}

fn programmed(facts: &Facts) -> Said {
    let said = |status, reason, message| Said { type_: condition::PROGRAMMED, status, reason, message };
    if facts.verdict.accepted.is_err() {
        return said("False", reason::INVALID, "no proxy serves an object that is not accepted".to_owned());
    }
    let Serving { ready, serving } = facts.serving;
    let Some(standing) = facts.standing else {
        return said("Unknown", reason::PENDING, "not written yet".to_owned());
    };
    let count = format!("{serving}/{ready} proxies serve revision {}", standing.since);
    if facts.serving.everywhere() {
        return said("True", reason::PROGRAMMED, count);
    }
    if let Some(trouble) = facts.trouble {
        return said("Unknown", reason::PENDING, format!("{count}; {trouble}"));
    }
    match (ready, serving) {
        (0, _) => {
            said("False", reason::NO_READY_PROXIES, format!("no proxy is ready to serve revision {}", standing.since))
        }
        (_, 0) => said("Unknown", reason::PENDING, count),
        _ if facts.settling => said("Unknown", reason::PENDING, count),
        _ => said("False", reason::PARTIALLY_PROGRAMMED, count),
    }
}

fn dated(said: &Said, generation: Option<i64>, previous: &[Condition], now: &Time) -> Condition {
    let before = previous.iter().find(|condition| condition.type_ == said.type_ && condition.status == said.status);
    Condition {
        type_: said.type_.to_owned(),
        status: said.status.to_owned(),
        reason: said.reason.to_owned(),
        message: said.message.chars().take(MESSAGE_MAX).collect(),
        observed_generation: generation,
        last_transition_time: before.map_or(now, |condition| &condition.last_transition_time).clone(),
    }
}

#[cfg(test)]
mod tests;
