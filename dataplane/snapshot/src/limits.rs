//! How much a tenant may use. A number, a name or a unit that this build does not know makes the set unreadable: guessing what a limit means
//! is no option.

use serde::{Deserialize, Serialize};

/// The limits of a tenant, or of each tenant on one route. The default limits nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Requests; `None`: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<RateLimit>,
    /// Tokens of models; `None`: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenLimit>,
    /// Characters that providers of speech bill; `None`: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub characters: Option<RateLimit>,
    /// Requests in flight at once, 1 to 1,000,000; `None`: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams: Option<u32>,
    /// Budgets by calendar, at most 8, each name once; routes have none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a reader of format 1, which knows the requests limit of tenants alone, would let pass what these limits do not.
    pub(crate) fn is_new(&self) -> bool {
        self.tokens.is_some() || self.characters.is_some() || self.streams.is_some() || !self.budgets.is_empty()
    }
}

/// A token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Sustained rate: `amount` per `per_seconds`. 0: nothing passes.
    pub amount: u32,
    /// 1, 60, 3600 or 86400.
    pub per_seconds: u64,
    /// The bucket's size, at least 1 where `amount` is.
    pub burst: u32,
}

/// A token bucket of a model's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenLimit {
    /// How many.
    #[serde(flatten)]
    pub rate: RateLimit,
    /// Which of them count.
    #[serde(default)]
    pub count: Count,
}

/// Which tokens count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Count {
    /// Those of the prompt.
    Input,
    /// Those of the answer.
    Output,
    /// Both.
    #[default]
    Total,
}

/// What may be used until a calendar's day or month is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Its name within the tenant.
    pub name: String,
    /// What is counted.
    pub unit: Unit,
    /// How many of them, 1 to 2^53 - 1.
    pub amount: u64,
    /// When it begins anew.
    pub per: Calendar,
    /// Whose midnight that is: an IANA name, such as `UTC` or `Europe/Berlin`, that the writer's time zone database has.
    pub time_zone: String,
    /// True: a running stream ends at the event that crosses it. False: new requests are refused, running streams finish.
    #[serde(default)]
    pub stops_streams: bool,
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Unit {
    /// Tokens of models, input and output.
    Tokens,
    /// Characters that providers of speech bill.
    Characters,
    /// Requests.
    Requests,
}

/// The window of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Calendar {
    /// From midnight to midnight.
    Day,
    /// From the first of a month to that of the next.
    Month,
}

/// What becomes of a tenant's limits while Redis can't be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Unavailable {
    /// Each proxy keeps its own share: the limit divided by the proxies.
    #[default]
    Local,
    /// Everything passes.
    Allow,
    /// Nothing passes.
    Deny,
}
