//! The limits of a tenant: one decision a request, exact over all proxies through Redis, or in this process alone.
//!
//! ```text
//! Limiter::admit --> amount 0?  denied here
//!                --> Memory     gcra.rs                      standalone: the whole limit
//!                --> Redis      gcra.lua, one round trip     cluster: the whole limit, shared by all proxies
//!                      `-- no answer within the budget: Memory with this proxy's share of the limit
//! ```

pub mod account;
pub mod calendar;
mod gcra;
mod memory;
pub mod plan;
mod redis;

#[cfg(test)]
mod tests;

use self::gcra::{Outcome, Rule};
use self::memory::Memory;
use self::redis::Redis;
use relay_snapshot::{ObjectId, RateLimit};
use std::fmt;
use std::time::Duration;

/// Decides on requests. Share it as an `Arc`; all state is inside and safe for use by many tasks.
pub struct Limiter {
    store: Store,
    /// Among how many processes a limit is divided that is kept in memory.
    replicas: u32,
}

enum Store {
    Memory(Memory),
    Redis(Redis),
}

/// How to use Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedisOptions {
    /// Among how many proxies a limit is divided while Redis does not answer. 0 counts as 1.
    pub replicas: u32,
    /// The longest that one decision waits for Redis, connecting included.
    pub budget: Duration,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self { replicas: 1, budget: Duration::from_millis(25) }
    }
}

/// Why there is no limiter. The URL is in none of the messages: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimiterError {
    /// The URL can't be read.
    #[error(
        "the Redis URL is not valid: write redis://[user:password@]host[:port][/db] or redis+unix:///path/of/socket, \
         with special characters in the password percent-encoded"
    )]
    Url,
    /// The URL asks for TLS.
    #[error("this build does not speak TLS to Redis: write redis:// instead of rediss://")]
    Tls,
    /// There is nothing to run the connection on.
    #[error("Limiter::redis must be called within a tokio runtime")]
    Runtime,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the request may pass. If so, its token is taken.
    pub allowed: bool,
    /// Size of the bucket that decided: the limit's `burst`, or this proxy's share of it under [`Mode::Local`].
    pub limit: u32,
    /// Whole requests that may follow at once.
    pub remaining: u32,
    /// Until the bucket is full again, if nothing is taken meanwhile; rounded up to a microsecond. Zero for amount 0.
    pub reset: Duration,
    /// When denied: how long until a request can pass, rounded up to a microsecond. `None` when allowed, and when none
    /// will ever pass (amount 0).
    pub retry_after: Option<Duration>,
    /// What was applied.
    pub mode: Mode,
    /// The call to Redis; `None` when none was made.
    pub store: Option<StoreCall>,
}

/// Which limit was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The whole limit: by Redis for all proxies, or by the only process there is ([`Limiter::memory`]).
    Shared,
    /// This proxy's share of the limit, since Redis did not answer (the degraded mode), or since several proxies run without one.
    Local,
}

impl Mode {
    /// The value in metrics and headers.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Local => "local",
        }
    }
}

/// A call to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreCall {
    /// How it ended.
    pub result: StoreResult,
    /// How long the request waited for it.
    pub elapsed: Duration,
}

/// How a call to Redis ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreResult {
    /// It decided.
    Ok,
    /// It did not answer, or there was no connection, within the budget.
    Timeout,
    /// The connection failed, or Redis answered with an error.
    Error,
}

impl StoreResult {
    /// The value in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Timeout => "timeout",
            Self::Error => "error",
        }
    }
}

impl Limiter {
    /// Keeps the limits in this process, the only one.
    pub fn memory() -> Self {
        Self::memory_share(1)
    }

    /// Keeps the limits in this process, one of `replicas` that nothing connects: each holds its part, so that together they never admit more
    /// than the limit (parts are rounded down, but to 1 at least, and a process that starts again begins full). 0 counts as 1.
    pub fn memory_share(replicas: u32) -> Self {
        Self { store: Store::Memory(Memory::new()), replicas: replicas.max(1) }
    }

    /// Keeps the limits in Redis, and in this process while Redis does not answer.
    ///
    /// Parses the URL (`redis://`, `redis+unix://`, and the same with `valkey`) and returns at once; a task on the current tokio runtime
    /// connects, now and whenever the connection is lost, until the limiter is dropped. Redis being away is no error.
    pub fn redis(url: &str, options: RedisOptions) -> Result<Self, LimiterError> {
        Ok(Self { store: Store::Redis(Redis::open(url, options)?), replicas: options.replicas.max(1) })
    }

    /// Takes one request from the tenant's bucket, if it has one.
    ///
    /// Never takes longer than the budget. A change of `limit` holds from this very decision on.
    ///
    /// Cancel-safe: dropping the future leaves nothing locked or waiting. If it is dropped while Redis is asked, the request may or may
    /// not have been counted.
    pub async fn admit(&self, tenant: &ObjectId, limit: &RateLimit) -> Decision {
        let Some(rule) = Rule::new(limit) else { return Decision::never(limit.burst) };
        match &self.store {
            Store::Memory(memory) if self.replicas == 1 => {
                Decision::new(rule, memory.admit(tenant, rule), Mode::Shared, None)
            }
            Store::Memory(memory) => {
                let rule = rule.share(self.replicas);
                Decision::new(rule, memory.admit(tenant, rule), Mode::Local, None)
            }
            Store::Redis(redis) => redis.admit(tenant, rule).await,
        }
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.store {
            Store::Memory(_) => "Limiter::memory",
            Store::Redis(_) => "Limiter::redis",
        })
    }
}

impl Decision {
    fn new(rule: Rule, outcome: Outcome, mode: Mode, store: Option<StoreCall>) -> Self {
        let Outcome { allowed, remaining, reset, retry_after } = outcome;
        Self { allowed, limit: rule.burst(), remaining, reset, retry_after, mode, store }
    }

    /// Amount 0. All proxies agree on it without asking, so it is never degraded.
    fn never(burst: u32) -> Self {
        Self {
            allowed: false,
            limit: burst,
            remaining: 0,
            reset: Duration::ZERO,
            retry_after: None,
            mode: Mode::Shared,
            store: None,
        }
    }
}
