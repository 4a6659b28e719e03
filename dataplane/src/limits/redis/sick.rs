//! What can be wrong with Redis.
//!
//! | answer of Redis, or what happens | [`Sick`] | a new connection is made | why |
//! |---|---|---|---|
//! | none within the budget | `Slow` | after a second of it | another server may be behind the same name |
//! | the connection breaks, can't be made | `Gone` | at once, then every 50 to 250 ms | |
//! | `READONLY` | `ReadOnly` | at once | it was the master once: Sentinel or DNS know the new one |
//! | `LOADING` | `Loading` | no | it will be ready |
//! | `NOAUTH`, `WRONGPASS`, `AUTH` refused | `Unauthenticated` | at once | credentials are shown when connecting |
//! | `NOPERM` | `Forbidden` | at once | rights may be granted meanwhile, and hold from then on |
//! | `MASTERDOWN`, `CLUSTERDOWN`, `TRYAGAIN`, a slot without a node | `Down` | no | it heals itself |
//! | `OOM` | `Full` | no | |
//! | `MISCONF`, `NOREPLICAS` | `Unsafe` | no | it can't save, or has too few replicas, and was told to refuse writes then |
//! | `BUSY` | `Slow` | no | somebody's script runs |
//! | anything else | `Odd` | no | |
//!
//! All count as misses of the circuit (`circuit.rs`); `Gone` opens it at once.

#[cfg(test)]
mod tests;

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

/// Why Redis does not decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::limits) enum Sick {
    Slow,
    Gone,
    ReadOnly,
    Loading,
    Unauthenticated,
    Forbidden,
    Down,
    Full,
    Unsafe,
    Odd,
}

impl Sick {
    pub(super) fn of(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Unauthenticated,
            ErrorKind::Server(ServerErrorKind::ReadOnly) => Self::ReadOnly,
            ErrorKind::Server(ServerErrorKind::BusyLoading) => Self::Loading,
            ErrorKind::Server(ServerErrorKind::NoPerm) => Self::Forbidden,
            ErrorKind::Server(
                ServerErrorKind::MasterDown | ServerErrorKind::ClusterDown | ServerErrorKind::TryAgain,
            )
            | ErrorKind::ClusterConnectionNotFound
            | ErrorKind::MasterNameNotFoundBySentinel => Self::Down,
            _ => match error.code() {
                Some("NOAUTH" | "WRONGPASS") => Self::Unauthenticated,
                Some("OOM") => Self::Full,
                Some("MISCONF" | "NOREPLICAS") => Self::Unsafe,
                Some("BUSY") => Self::Slow,
                // Redis before 7 wraps the error of a command inside a script into its own text.
                Some("ERR") => error.detail().map_or(Self::Odd, wrapped),
                _ if error.is_unrecoverable_error() || error.is_io_error() => Self::Gone,
                _ => Self::Odd,
            },
        }
    }

    /// Whether a new connection is the way to a server that is well.
    pub(in crate::limits) const fn wants_new_connection(self) -> bool {
        matches!(self, Self::Gone | Self::ReadOnly | Self::Unauthenticated | Self::Forbidden)
    }

    /// For people: the log, the admin port, conditions. Nothing of it comes from Redis.
    pub(in crate::limits) const fn text(self) -> &'static str {
        match self {
            Self::Slow => "Redis does not answer in time",
            Self::Gone => "there is no connection to Redis",
            Self::ReadOnly => "Redis is a read-only replica",
            Self::Loading => "Redis is loading its data",
            Self::Unauthenticated => "Redis refuses the user or password",
            Self::Forbidden => "the Redis user lacks a permission: it needs +evalsha, +eval, +script|load and ~relay:*",
            Self::Down => "Redis says that its master or cluster is down",
            Self::Full => "Redis is out of memory",
            Self::Unsafe => "Redis refuses writes: it can't save, or has too few replicas",
            Self::Odd => "Redis answers with an error",
        }
    }
}

fn wrapped(detail: &str) -> Sick {
    let says = |word: &str| detail.contains(word);
    if says("READONLY") || says("read only replica") {
        Sick::ReadOnly
    } else if says("OOM") {
        Sick::Full
    } else if says("MISCONF") || says("NOREPLICAS") {
        Sick::Unsafe
    } else if says("NOPERM") || says("can't run this command") {
        Sick::Forbidden
    } else if says("AUTH") {
        Sick::Unauthenticated
    } else {
        Sick::Odd
    }
}
