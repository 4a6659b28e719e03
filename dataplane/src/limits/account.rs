//! The account of a tenant: what it has used, what is reserved, what is in flight. One state machine, twice: [`Account`] keeps it in memory, and
//! the script of [`script`] keeps it in Redis, for all proxies. Both give the same replies to the same calls at the same times, number for number.

mod call;
mod line;
mod memory;
mod rule;
pub mod script;
mod tenant;

#[cfg(test)]
mod tests;

pub use self::call::{Admitted, Call, Id, LATE, Open, Refreshed, Reply, TTL, WindowLevel};
pub use self::line::{COST_MAX, Level, Limit, Line, Standing};
pub use self::memory::Account;
pub use self::rule::{Backlog, Rule};
