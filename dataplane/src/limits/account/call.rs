//! What an account is asked, and what it replies.

use super::super::calendar::Spans;
use super::super::plan::Used;
use super::line::{Line, Standing};
use std::fmt;
use std::time::Duration;

/// How long a reservation holds without a refresh.
pub const TTL: Duration = Duration::from_secs(30);
/// How long an account remembers a reservation that ran out, and what was charged without one: a settle, a refresh or a charge that comes later is
/// taken for one that it has never heard of.
pub const LATE: Duration = Duration::from_mins(10);

/// Names one reservation, among all proxies and for ever: draw it at random.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub u128);

impl fmt::Display for Id {
    /// 32 hex digits, so that texts sort as numbers do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A change of one tenant's account, atomic.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    /// May this request begin? All lines let it, and it is charged to all; or one does not, and nothing is charged. If a line
    /// [is held](Line::is_held), what was charged is held under the id until it is settled, or until nobody has refreshed it for [`TTL`].
    Admit {
        /// A new name.
        id: Id,
        /// What it costs.
        lines: &'a [Line],
    },
    /// A request is over: what it used replaces what it reserved. An id that is not known is left alone, so that a settle may be sent twice.
    Settle {
        /// Which.
        id: Id,
        /// The lines that it was admitted by; those that are not held are left alone.
        lines: &'a [Line],
        /// What it used in all.
        used: Used,
    },
    /// These requests still run; and how do these budgets stand?
    Refresh {
        /// The requests, 1,000 at most.
        open: &'a [Open<'a>],
        /// The budgets to tell of: lines of windows, others are left alone.
        windows: &'a [Line],
    },
    /// A request began and ended while Redis could not be asked: it is charged, whatever the limits say. Once per id, for [`LATE`]. If the id turns out to
    /// be held (the question had come through, the answer had not), it is settled.
    Charge {
        /// Its name.
        id: Id,
        /// The lines that it would have been admitted by.
        lines: &'a [Line],
        /// What it used in all.
        used: Used,
    },
}

/// A request that runs.
#[derive(Clone, Copy, Debug)]
pub struct Open<'a> {
    /// Its name.
    pub id: Id,
    /// The lines that it was admitted by.
    pub lines: &'a [Line],
    /// What it used so far, in all. What goes beyond its reservation is charged now.
    pub seen: Used,
    /// True: if the account does not know it, it is reserved now, whatever the limits say (it began while Redis could not be asked).
    pub adopt: bool,
}

/// The answer to a [`Call`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Call::Admit`].
    Admitted(Admitted),
    /// To [`Call::Settle`]: whether the id was known.
    Settled(bool),
    /// To [`Call::Refresh`].
    Refreshed(Refreshed),
    /// To [`Call::Charge`]: whether it was charged now.
    Charged(bool),
}

/// The answer to [`Call::Admit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Whether the request may begin.
    pub allowed: bool,
    /// The account's clock: microseconds since 1970. Waits and resets count from here.
    pub now: u64,
    /// How each line stands after the decision, in the order of the call.
    pub standings: Vec<Standing>,
}

/// The answer to [`Call::Refresh`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// Whether each request was known before (or is over and charged), in the order of the call. One that is not was adopted if the call says so;
    /// else nothing is held for it.
    pub known: Vec<bool>,
    /// How each line of the call's windows stands; `None` for lines of other kinds.
    pub windows: Vec<Option<WindowLevel>>,
}

/// How a budget stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLevel {
    /// What is used and reserved of it.
    pub used: u64,
    /// The window that is counted, one of the line's [`Spans`].
    pub span: usize,
}

impl WindowLevel {
    /// Start and end of the window, in seconds since 1970.
    pub fn times(&self, spans: &Spans) -> (i64, i64) {
        spans.all()[self.span.min(2)]
    }
}
