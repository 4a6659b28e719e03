//! How much may be used: rates, streams at once, and budgets by calendar.

use crate::rules;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits of a tenant, over all proxies together. A request passes only where every one of them has room.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Requests: a token bucket. Default: {amount: 100, per: Minute, burst: 20}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<RateLimit>,
    /// Tokens of models: a token bucket. What a request may use is reserved before it, what it used is charged after it. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokensLimit>,
    /// Characters that providers of speech bill: a token bucket. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub characters: Option<RateLimit>,
    /// Requests in flight at once. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<StreamsLimit>,
    /// What becomes of the limits and budgets while Redis can't be asked. Local (default): each proxy keeps its own share, the limit divided by
    /// the proxies. Allow: everything passes. Deny: what is limited is refused with 503 limits_unavailable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_redis_unavailable: Option<OnRedisUnavailable>,
}

/// What each tenant may use of a route, over all proxies together, besides its own limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteLimits {
    /// Requests: a token bucket. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<RateLimit>,
    /// Tokens of models: a token bucket. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokensLimit>,
    /// Characters that providers of speech bill: a token bucket. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub characters: Option<RateLimit>,
    /// Requests in flight at once. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<StreamsLimit>,
}

/// A token bucket: `amount` per `per` is the sustained rate, `burst` how many may pass at once after a pause.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::from(rules::LIMIT_ONE_OF), validation = Rule::from(rules::LIMIT_PER))]
pub struct RateLimit {
    /// How many per `per`. 0: none are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub amount: Option<u32>,
    /// The period of `amount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Period>,
    /// The bucket's size. Default: `amount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub burst: Option<u32>,
    /// true: no limit. Goes without the other fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlimited: Option<bool>,
}

/// A token bucket of a model's tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::from(rules::LIMIT_ONE_OF), validation = Rule::from(rules::LIMIT_PER),
    validation = Rule::from(rules::TOKENS_COUNT)
)]
pub struct TokensLimit {
    /// Tokens per `per`. 0: none are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub amount: Option<u32>,
    /// The period of `amount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Period>,
    /// The bucket's size: what may be used at once after a pause. Default: `amount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub burst: Option<u32>,
    /// Which tokens count. Input: the prompt's. Output: the answer's. Total (default): both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<TokenCount>,
    /// true: no limit. Goes without the other fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlimited: Option<bool>,
}

/// How many requests may be in flight at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StreamsLimit {
    /// At most so many: 1 to 1000000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max: u32,
}

/// What a tenant may use until a calendar's day or month is over. What was used lives in Redis, and is lost with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::from(rules::BUDGET_STOP))]
pub struct Budget {
    /// Name of this budget within the tenant. What was used is counted by it: another name begins at 0.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// What is counted. Tokens: of models, input and output. Characters: what providers of speech bill. Requests: requests.
    pub unit: BudgetUnit,
    /// How many of them, 1 to 9007199254740991.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64), extend("format" = "int64"))]
    pub amount: u64,
    /// When it begins anew. Day: at midnight. Month: at midnight before its first day.
    pub per: BudgetPeriod,
    /// Whose midnight that is: the IANA name of a time zone, such as Europe/Berlin. Default: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$"))]
    pub time_zone: Option<String>,
    /// What becomes of requests when it is spent. RefuseNew (default): new ones are refused with 429 budget_spent, running streams finish.
    /// StopStreams: running streams end too, at the event that crosses the budget, with their format's error event; not with unit Requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_limit: Option<AtLimit>,
}

/// The period of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Period {
    Second,
    Minute,
    Hour,
    Day,
}

impl Period {
    /// Length of the period in seconds.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }
}

/// Which tokens count. Input: the prompt's. Output: the answer's. Total (default): both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TokenCount {
    /// Those of the prompt.
    Input,
    /// Those of the answer.
    Output,
    /// Both.
    #[default]
    Total,
}

/// What becomes of the limits and budgets while Redis can't be asked. Local (default): each proxy keeps its own share, the limit divided by
/// the proxies. Allow: everything passes. Deny: what is limited is refused with 503 limits_unavailable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnRedisUnavailable {
    /// Each proxy keeps its own share.
    #[default]
    Local,
    /// Everything passes.
    Allow,
    /// Every request is refused.
    Deny,
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BudgetUnit {
    /// Tokens of models, input and output.
    Tokens,
    /// Characters that providers of speech bill.
    Characters,
    /// Requests.
    Requests,
}

/// The window of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BudgetPeriod {
    /// From midnight to midnight.
    Day,
    /// From the first of a month to that of the next.
    Month,
}

/// What becomes of requests when it is spent. RefuseNew (default): new ones are refused with 429 budget_spent, running streams finish.
/// StopStreams: running streams end too, at the event that crosses the budget, with their format's error event; not with unit Requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AtLimit {
    /// New ones are refused, running streams finish.
    #[default]
    RefuseNew,
    /// Running streams end too.
    StopStreams,
}
