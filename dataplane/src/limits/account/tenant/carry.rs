//! From the account that all proxies share to one proxy's part of it.

use super::{Cell, Tenant, Window};
use crate::limits::account::line::{Level, Limit, Line};
use crate::limits::account::rule::{Backlog, Bucket, Rule};

impl Tenant {
    /// Puts this proxy's part of a level in place of what is known of the line's bucket or budget; streams are left alone.
    pub(in crate::limits::account) fn carry(&mut self, now: u64, line: &Line, level: Level, proxies: u32) {
        let part = line.share(proxies);
        let proxies = proxies.max(1);
        match (line.limit, part.limit, level) {
            (Limit::Bucket(whole), Limit::Bucket(part), Level::Bucket(backlog)) => {
                let backlog = share_of_backlog(whole, part, backlog, proxies.into());
                self.put(&line.field, Bucket::new(part, backlog, now));
            }
            (Limit::Window { amount: whole, .. }, Limit::Window { amount, spans, .. }, Level::Window(level)) => {
                let left = whole.saturating_sub(level.used) / u64::from(proxies);
                let (start, end) = level.times(&spans);
                self.until(u64::try_from(end).unwrap_or_default());
                let window = Window { start, used: amount.saturating_sub(left) };
                self.cells.insert(line.field.clone(), Cell::Window(window));
            }
            _ => {}
        }
    }
}

/// What is left is divided, and rounded down; a debt is divided, and rounded up. A tick is another part of a second for each rule, and a token has
/// as many of them by both.
fn share_of_backlog(whole: Rule, part: Rule, backlog: Backlog, proxies: u128) -> Backlog {
    let left = whole.capacity().saturating_sub(backlog.0) / proxies;
    let debt = backlog.0.saturating_sub(whole.capacity()).div_ceil(proxies);
    Backlog(part.capacity().saturating_sub(left) + debt)
}
