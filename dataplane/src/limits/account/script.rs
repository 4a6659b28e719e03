//! The account in Redis: the script, its arguments and its replies.
//!
//! A call is `EVALSHA sha 4 KEYS... ARGV...`; the reply is an array of whole numbers. What runs it does not need to know more.

use super::call::{Admitted, Call, Id, Open, Refreshed, Reply, TTL, WindowLevel};
use super::line::{Level, Limit, Line, Standing};
use super::rule::{Backlog, Rule};
use crate::limits::plan::Used;
use relay_snapshot::ObjectId;

/// The script; its proof of exactness is in it.
pub const SOURCE: &str = concat!(include_str!("lua/account.lua"), include_str!("lua/reservations.lua"));

/// A reply that the script never gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Redis gave a reply that the script for limits does not give")]
pub struct Malformed;

/// The keys of a tenant's account, in the script's order. The braces make the tenant the hash tag: all are in one slot of a cluster.
pub fn keys(tenant: &ObjectId) -> [String; 4] {
    ["state", "open", "held", "late"].map(|part| format!("relay:{{{tenant}}}:{part}"))
}

/// The script's arguments for a call. `now`, in microseconds since 1970, is for tests: `None` is Redis' own time, the same for all proxies.
pub fn arguments(call: &Call<'_>, now: Option<u64>) -> Vec<String> {
    let mut arguments = Arguments(Vec::with_capacity(64));
    let (name, id) = match call {
        Call::Admit { id, .. } => ("admit", Some(id)),
        Call::Settle { id, .. } => ("settle", Some(id)),
        Call::Refresh { .. } => ("refresh", None),
        Call::Charge { id, .. } => ("charge", Some(id)),
    };
    arguments.text(name);
    arguments.text(&now.map(|now| now.to_string()).unwrap_or_default());
    arguments.0.extend(id.map(Id::to_string));
    match *call {
        Call::Admit { lines, .. } => {
            arguments.number(TTL.as_secs());
            arguments.number(lines.iter().any(Line::is_held).into());
            for line in lines {
                arguments.line(line, line.cost);
            }
        }
        Call::Settle { lines, used, .. } => arguments.truths(lines, used),
        Call::Refresh { open, windows } => {
            arguments.number(TTL.as_secs());
            arguments.number(open.len() as u64);
            for open in open {
                arguments.open(open);
            }
            for line in windows.iter().filter(|line| matches!(line.limit, Limit::Window { .. })) {
                arguments.line(line, 0);
            }
        }
        Call::Charge { lines, used, .. } => {
            for line in lines {
                arguments.line(line, line.truth(used));
            }
        }
    }
    arguments.0
}

/// Reads the script's reply to a call.
pub fn reply(call: &Call<'_>, numbers: &[i64]) -> Result<Reply, Malformed> {
    let mut numbers = Numbers(numbers.iter());
    let reply = match *call {
        Call::Admit { lines, .. } => {
            let (allowed, now) = (numbers.flag()?, numbers.number()?);
            let standings = lines.iter().map(|line| numbers.standing(line)).collect::<Result<_, _>>()?;
            Reply::Admitted(Admitted { allowed, now, standings })
        }
        Call::Settle { .. } => Reply::Settled(numbers.flag()?),
        Call::Refresh { open, windows } => {
            let known = open.iter().map(|_| numbers.flag()).collect::<Result<_, _>>()?;
            let windows = windows.iter().map(|line| match line.limit {
                Limit::Window { .. } => numbers.window().map(Some),
                _ => Ok(None),
            });
            Reply::Refreshed(Refreshed { known, windows: windows.collect::<Result<_, _>>()? })
        }
        Call::Charge { .. } => Reply::Charged(numbers.flag()?),
    };
    numbers.end().map(|()| reply)
}

/// Of the script's reply to [`Call::Admit`]: whether the request may begin.
pub fn admits(numbers: &[i64]) -> bool {
    numbers.first() == Some(&1)
}

struct Arguments(Vec<String>);

impl Arguments {
    fn text(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }

    fn number(&mut self, number: u64) {
        self.0.push(number.to_string());
    }

    fn line(&mut self, line: &Line, cost: u64) {
        self.text(&line.field);
        let kind = match line.limit {
            Limit::Never => "N",
            Limit::Bucket(_) => "B",
            Limit::Streams { of_route: false, .. } => "T",
            Limit::Streams { of_route: true, .. } => "S",
            Limit::Window { .. } => "W",
        };
        // Lower case: charged for good.
        self.0.push(if line.is_held() { kind.to_owned() } else { kind.to_lowercase() });
        self.number(cost);
        match line.limit {
            Limit::Never => {}
            Limit::Bucket(rule) => {
                for number in [rule.amount(), rule.period(), rule.burst()] {
                    self.number(number.into());
                }
            }
            Limit::Streams { max, .. } => self.number(max.into()),
            Limit::Window { amount, stops, spans } => {
                self.number(amount);
                self.number(stops.into());
                self.0.extend(spans.edges().map(|edge| edge.to_string()));
            }
        }
    }

    fn truths(&mut self, lines: &[Line], used: Used) {
        for line in lines.iter().filter(|line| line.is_held()) {
            self.text(&line.field);
            self.number(line.truth(used));
        }
    }

    fn open(&mut self, open: &Open<'_>) {
        self.0.push(open.id.to_string());
        self.number(open.adopt.into());
        if open.adopt {
            self.number(open.lines.len() as u64);
            for line in open.lines {
                self.line(line, line.cost);
                self.number(line.truth(open.seen));
            }
        } else {
            self.number(open.lines.iter().filter(|line| line.is_held()).count() as u64);
            self.truths(open.lines, open.seen);
        }
    }
}

struct Numbers<'a>(std::slice::Iter<'a, i64>);

impl Numbers<'_> {
    fn number(&mut self) -> Result<u64, Malformed> {
        self.0.next().and_then(|number| u64::try_from(*number).ok()).ok_or(Malformed)
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.number()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn window(&mut self) -> Result<WindowLevel, Malformed> {
        let (used, span) = (self.number()?, self.number()?);
        let span = usize::try_from(span).ok().filter(|span| *span < 3).ok_or(Malformed)?;
        Ok(WindowLevel { used, span })
    }

    fn standing(&mut self, line: &Line) -> Result<Standing, Malformed> {
        let ok = self.flag()?;
        let level = match line.limit {
            Limit::Window { .. } => Level::Window(self.window()?),
            Limit::Bucket(rule) => Level::Bucket(self.backlog(rule)?),
            Limit::Streams { .. } => {
                let held = self.number()?;
                self.number()?;
                Level::Streams(held)
            }
            Limit::Never => {
                self.number()?;
                self.number()?;
                Level::Never
            }
        };
        Ok(Standing { ok, level })
    }

    /// Full again in seconds, and parts of 1/(1e6 * amount) second.
    fn backlog(&mut self, rule: Rule) -> Result<Backlog, Malformed> {
        let (seconds, parts) = (self.number()?, self.number()?);
        Ok(Backlog(u128::from(seconds) * 1_000_000 * u128::from(rule.amount()) + u128::from(parts)))
    }

    fn end(mut self) -> Result<(), Malformed> {
        self.0.next().map_or(Ok(()), |_| Err(Malformed))
    }
}
