//! Which proxies do not share the limits, and when that is told. Pure.
//!
//! What proxies say of it may change as often as Redis comes and goes, and every tenant with limits is told: so a change is told only when it lasted,
//! and no two follow each other faster than [`STEADY`].

use relay_snapshot::Unavailable;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long proxies must be without the shared limits before anybody is told.
pub const APPEARS: Duration = Duration::from_secs(2);
/// How long all must share them again before that is told; and between two changes of the words.
pub const STEADY: Duration = Duration::from_secs(10);

/// Ready proxies that do not share the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// How many they are.
    pub count: u32,
    /// How many proxies are ready.
    pub ready: u32,
    /// Why: what most of them say.
    pub reason: String,
}

impl Apart {
    /// Counts. `reasons` are those of the proxies that do not share the limits.
    pub fn of<'a>(reasons: impl IntoIterator<Item = &'a str>, ready: u32) -> Option<Self> {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for reason in reasons {
            *counts.entry(reason).or_default() += 1;
        }
        let count = counts.values().sum();
        // Of two that equally many say, the first by its letters: the same proxies give the same words.
        let (reason, _) = counts.into_iter().rev().max_by_key(|(_, count)| *count)?;
        Some(Self { count, ready, reason: reason.to_owned() })
    }

    /// What it means for a tenant.
    pub fn message(&self, on_unavailable: Unavailable) -> String {
        let Self { count, ready, reason } = self;
        let does = match on_unavailable {
            Unavailable::Local => "keep their own share of the limits",
            Unavailable::Allow => "let everything pass",
            Unavailable::Deny => "refuse what is limited",
        };
        format!("{count}/{ready} proxies {does}: {reason}")
    }
}

/// What is told of it now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// Not known yet: what was told before stays.
    #[default]
    Before,
    /// All share the limits, as far as they were made to.
    Shared,
    /// Some do not.
    Apart(Apart),
}

/// What is told, and since when the proxies say otherwise.
#[derive(Debug, Default)]
pub struct Sharing {
    told: Told,
    changed: Option<Instant>,
    otherwise: Option<Instant>,
}

impl Sharing {
    /// What is told now.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// Takes what the proxies say at `now`. Gives when it is to be asked again, where they say something that is not told yet.
    pub fn take(&mut self, apart: Option<Apart>, now: Instant) -> Option<Instant> {
        let said = apart.map_or(Told::Shared, Told::Apart);
        if said == self.told {
            self.otherwise = None;
            return None;
        }
        let due = match (&self.told, &said) {
            (Told::Before, _) | (_, Told::Before) => now,
            (Told::Apart(_), Told::Apart(_)) => {
                self.otherwise = None;
                self.changed.map_or(now, |changed| changed + STEADY)
            }
            (Told::Shared, _) => *self.otherwise.get_or_insert(now) + APPEARS,
            (Told::Apart(_), Told::Shared) => *self.otherwise.get_or_insert(now) + STEADY,
        };
        if due > now {
            return Some(due);
        }
        *self = Self { told: said, changed: Some(now), otherwise: None };
        None
    }
}

#[cfg(test)]
mod tests;
