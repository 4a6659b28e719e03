//! From the units of an answer (events, pieces of audio, one JSON text) to the steps that put it on the wire,
//! with the pauses and the misbehaviour that the model name asks for. Pure: no clock, no socket.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::behaviour::{Behaviour, Fault, Stall};

/// One thing that the body does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Hand these bytes out.
    Send(Bytes),
    /// Let what was handed out reach the socket before anything else.
    Flush,
    /// Be silent for so long.
    Wait(Duration),
    /// Break the framing off.
    Cut,
    /// End, although less was sent than promised.
    Short,
    /// Put bytes on the wire that break its framing, in front of what is handed out next.
    Garble,
    /// Reset the connection.
    Reset,
}

/// The steps of one answer; their end is a clean end of the body.
pub(super) type Steps = Box<dyn Iterator<Item = Step> + Send>;

/// Where in an answer a unit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Before the first token.
    Head,
    /// A token or a piece of audio: pauses and faults count these.
    Token,
    /// After the last token.
    Tail,
}

/// The smallest thing that a client acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) kind: Kind,
    pub(super) bytes: Bytes,
}

/// What the family says in band when it fails; binary and JSON have neither, and are cut instead.
#[derive(Debug, Clone, Default)]
pub(super) struct InBand {
    pub(super) error: Option<Bytes>,
    pub(super) terminal: Option<Bytes>,
}

/// Iterator over the steps of an answer.
pub(super) struct Plan<I> {
    units: I,
    queue: VecDeque<Step>,
    in_band: InBand,
    gap: Duration,
    at: usize,
    fault: Option<Fault>,
    stall: Option<Stall>,
    flush: bool,
    seen: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    BeforeFault,
    AfterFault,
    Over,
}

impl<I: Iterator<Item = Unit>> Plan<I> {
    /// `count` is the number of token units in `units`; `gap` the pause between them.
    pub(super) fn new(units: I, count: usize, behaviour: &Behaviour, gap: Duration, in_band: InBand) -> Self {
        let mut plan = Self {
            units,
            queue: VecDeque::new(),
            in_band,
            gap,
            at: behaviour.at(count),
            fault: behaviour.fault,
            stall: behaviour.stall,
            flush: behaviour.writes.flush,
            seen: 0,
            state: State::BeforeFault,
        };
        plan.wait(behaviour.slow_body);
        if plan.fault == Some(Fault::ErrorFirst) {
            plan.fail();
        }
        plan
    }

    fn wait(&mut self, time: Duration) {
        if !time.is_zero() {
            self.queue.push_back(Step::Wait(time));
        }
    }

    fn refill(&mut self) {
        let Some(mut unit) = self.units.next() else {
            if self.fault == Some(Fault::CutAfterDone) {
                self.queue.push_back(Step::Cut);
            }
            self.state = State::Over;
            return;
        };
        if unit.kind == Kind::Token && self.seen > 0 {
            self.wait(self.gap);
        }
        if self.state == State::BeforeFault && unit.kind != Kind::Head && self.seen >= self.at {
            self.state = State::AfterFault;
            self.stall(&mut unit);
            self.strike(&unit);
            if self.state == State::Over {
                return;
            }
        }
        if unit.kind == Kind::Token {
            self.seen += 1;
        }
        self.queue.push_back(Step::Send(unit.bytes));
        if self.flush {
            self.queue.push_back(Step::Flush);
        }
    }

    /// Be silent before the unit or in the middle of it; its second half remains.
    fn stall(&mut self, unit: &mut Unit) {
        let Some(stall) = self.stall else { return };
        if stall.inside {
            self.queue.push_back(Step::Send(unit.bytes.split_to(unit.bytes.len() / 2)));
        }
        self.wait(stall.wait);
    }

    fn strike(&mut self, unit: &Unit) {
        let half = Step::Send(unit.bytes.slice(..unit.bytes.len() / 2));
        match self.fault {
            None | Some(Fault::CutAfterDone | Fault::ErrorFirst) => {}
            Some(Fault::Truncated) => self.state = State::Over,
            Some(Fault::HalfEvent) => self.over_with([half]),
            Some(Fault::Cut) => self.over_with([half, Step::Cut]),
            Some(Fault::ShortLength) => self.over_with([half, Step::Short]),
            // A byte of its own, so that there is a write to garble.
            Some(Fault::BadChunk) => {
                self.over_with([half, Step::Garble, Step::Send(Bytes::from_static(b"x")), Step::Cut]);
            }
            Some(Fault::Reset) => self.over_with([half, Step::Reset]),
            Some(Fault::ErrorMidway) => self.fail(),
            Some(Fault::ErrorThenDone) => {
                self.fail();
                self.queue.extend(self.in_band.terminal.take().map(Step::Send));
            }
        }
    }

    /// The error event and the end; where there is no way to say it in band, a cut.
    fn fail(&mut self) {
        let step = self.in_band.error.take().map_or(Step::Cut, Step::Send);
        self.over_with([step]);
    }

    fn over_with<const N: usize>(&mut self, steps: [Step; N]) {
        self.queue.extend(steps);
        self.state = State::Over;
    }
}

impl<I: Iterator<Item = Unit>> Iterator for Plan<I> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        loop {
            if let Some(step) = self.queue.pop_front() {
                return Some(step);
            }
            if self.state == State::Over {
                return None;
            }
            self.refill();
        }
    }
}

#[cfg(test)]
mod tests;
