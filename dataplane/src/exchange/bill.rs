//! What a request is charged for, whichever way it ended.

use crate::format::{Seen, Usage, Weight};
use crate::reason::StreamEnd;
use crate::upstream::Sent;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// What came of a request at its provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answered {
    /// No head of an answer.
    #[default]
    Not,
    /// With a status other than 2xx.
    Badly,
    /// With 2xx, or a tunnel.
    Well,
}

/// What is known of what a request costs, while it runs.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// What came of it.
    pub answered: Answered,
    /// Tokens of its prompt by their weight, where its body was read whole; else what [`sent`](Self::sent) weighs.
    pub prompt: Option<u64>,
    /// Characters that its provider bills: what the answer's head tells, else what the body asks for.
    pub characters: u64,
    /// What went up of its body.
    pub sent: Option<Arc<Sent>>,
    /// What the provider told, and what it did not.
    pub seen: Seen,
}

/// What a request is charged for in the end. The same numbers are settled, counted and logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// Each number that is known or estimated.
    pub usage: Usage,
    /// The provider did not tell the input.
    pub estimates_input: bool,
    /// The provider did not tell the output, or not all of it.
    pub estimates_output: bool,
}

impl Cost {
    /// The table. From top to bottom, the first row that fits:
    ///
    /// | the request | is charged for |
    /// |---|---|
    /// | answered 2xx, failed before it had content, and nothing was told | nothing |
    /// | answered 2xx | what the provider told; where it did not: the prompt's weight, and that of the text behind its last count |
    /// | answered otherwise | nothing |
    /// | given up by the client, the relay, a bound or a spent budget while a provider had something of it | the prompt's weight, and the characters that it asks for |
    /// | all others: refused, never sent, failed at the upstream | nothing |
    pub fn bill(&self, end: StreamEnd) -> Bill {
        match self.answered {
            Answered::Well => {
                let seen = &self.seen;
                let fails_for_nothing = seen.error && !seen.content && seen.usage == Usage::default();
                if fails_for_nothing { Bill::default() } else { self.so_far() }
            }
            Answered::Not if is_given_up(end) && self.has_reached() => Bill {
                usage: Usage { input: self.prompt(), characters: some(self.characters), ..Usage::default() },
                estimates_input: self.prompt().is_some(),
                estimates_output: false,
            },
            Answered::Not | Answered::Badly => Bill::default(),
        }
    }

    /// Of an answer that is under way, as if it ended here.
    pub fn so_far(&self) -> Bill {
        let told = self.seen.usage;
        let uncounted = self.seen.uncounted;
        let prompt = told.input.is_none().then(|| self.prompt()).flatten();
        let estimates_output = !uncounted.is_none();
        let output = told.output.or(estimates_output.then_some(0));
        Bill {
            usage: Usage {
                input: told.input.or(prompt),
                output: output.map(|output| output.saturating_add(uncounted.tokens())),
                characters: some(self.characters),
                ..told
            },
            estimates_input: prompt.is_some(),
            estimates_output,
        }
    }

    /// Tokens of the prompt, by their weight; `None`: it is none.
    fn prompt(&self) -> Option<u64> {
        let passed = || self.sent.as_ref().map(|sent| sent.weight());
        self.prompt.or_else(|| passed().map(Weight::tokens)).filter(|tokens| *tokens > 0)
    }

    fn has_reached(&self) -> bool {
        self.sent.as_ref().is_some_and(|sent| sent.has_reached())
    }
}

impl Bill {
    /// Whether any of its tokens are not the provider's own count.
    pub const fn is_estimated(&self) -> bool {
        self.estimates_input || self.estimates_output
    }
}

fn some(count: u64) -> Option<u64> {
    (count > 0).then_some(count)
}

/// Whether it was somebody else than the provider who ended it.
const fn is_given_up(end: StreamEnd) -> bool {
    match end {
        StreamEnd::ClientGone
        | StreamEnd::FirstByteTimeout
        | StreamEnd::IdleTimeout
        | StreamEnd::TotalTimeout
        | StreamEnd::Drained
        | StreamEnd::Suspended
        // By a budget while it waited: what a limit refuses reaches no provider.
        | StreamEnd::LimitReached => true,
        StreamEnd::Complete | StreamEnd::Refused | StreamEnd::UpstreamError => false,
    }
}
