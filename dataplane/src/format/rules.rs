//! What a wire format says of itself: one [`Rules`] per format, in the format's own file.

use super::characters::Characters;
use super::family::Family;
use super::framing::Framing;
use super::tokens::Tokens;
use super::units::Unit;
use super::usage::{Parts, Usage};
use super::weight::Weight;
use crate::reason::Reason;
use bytes::Bytes;
use relay_snapshot::{Provider, WireFormat};

/// A wire format's answers to everything that the relay asks of one.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an answer of its own; they are constants")]
pub(super) struct Rules {
    /// Its name in a route's `format`.
    pub(super) name: WireFormat,
    /// Whether requests to this provider and path have it, where the route does not say.
    pub(super) is_spoken: fn(Provider, &str) -> bool,
    /// Whose error bodies its clients read; `None`: whatever the path says.
    pub(super) family: Option<Family>,
    /// How its streams are cut into units; `Bytes`: it has none that are looked into.
    pub(super) framing: Framing,
    /// Whether its streams have an end of their own, so that its absence means that they were cut.
    pub(super) has_terminal: bool,
    /// Whether its clients take comments between events.
    pub(super) takes_comments: bool,
    /// Whether it begins with an HTTP upgrade.
    pub(super) allows_upgrade: bool,
    /// Whether the upstream is asked not to compress.
    pub(super) wants_identity: bool,
    /// Where the characters stand that its provider bills.
    pub(super) characters: Characters,
    /// Whether a request is answered by a stream, by the path that goes up and its whole body, uncompressed; `false` where nobody can tell.
    pub(super) streams: fn(&str, &[u8]) -> bool,
    /// What can be told of tokens without its provider's word.
    pub(super) tokens: Tokens,
    /// Reads one unit of a stream: where it ends, where it fails, what is only lead-in, where usage stands.
    pub(super) read: fn(&mut Reading, &Unit<'_>),
    /// Reads a whole JSON body, as it comes where no stream was asked for.
    pub(super) read_body: fn(&mut Reading, &[u8]),
    /// Whether clients take this last unit of a stream although its end is missing.
    pub(super) takes_unfinished: fn(&Unit<'_>) -> bool,
    /// What tells a client, between two units, that the stream failed; `None`: only breaking the framing does.
    pub(super) failure: Option<fn(&Failure<'_>) -> Bytes>,
}

/// Why a stream fails, for those who read it.
pub(super) struct Failure<'a> {
    pub(super) reason: Reason,
    pub(super) message: &'a str,
    pub(super) request_id: &'a str,
    /// The number of this event, in formats that number them; `None`: unknown.
    pub(super) sequence: Option<u64>,
}

/// What the units of a stream told so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "any of them may go by without the others")]
pub struct Seen {
    /// The format's own end went by. What comes after it is not missed.
    pub terminal: bool,
    /// A clean end of the framing, if it comes now, is the stream's end although the format's own end did not go by.
    pub finished: bool,
    /// An error of the provider went by, in the stream.
    pub error: bool,
    /// Something went by that a client shows: neither comment, ping nor lead-in. An error is none.
    pub content: bool,
    /// Tokens, as the provider counts them; no characters, which are not in what is read.
    pub usage: Usage,
    /// Text of the model's that the provider's last count of output, if any, does not cover.
    pub uncounted: Weight,
}

/// What is known of a stream while it is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    pub(super) seen: Seen,
    /// Alternatives that began and that ended: one bit each, by their index.
    begun: u64,
    ended: u64,
    /// Words of the format itself went by.
    native: bool,
    /// The last number of an event.
    pub(super) sequence: Option<u64>,
    /// Counts of which a format's usage is the sum.
    pub(super) parts: Parts,
}

impl Reading {
    /// An alternative went by, perhaps with its end. Where one has a number, those with lower numbers are awaited too.
    pub(super) fn saw_choice(&mut self, index: u64, ended: bool) {
        let index = index.min(63);
        self.begun |= u64::MAX >> (63 - index);
        if ended {
            self.ended |= 1 << index;
        }
        self.seen.finished = self.begun == self.ended;
    }

    /// Whether an alternative ended, so that the next units matter.
    pub(super) const fn has_ended(&self) -> bool {
        self.ended > 0
    }

    /// A unit went by that is, or is not, in the format's own words. A stream that never speaks them has an end of its own that nobody knows:
    /// it is not waited for.
    pub(super) fn saw_words(&mut self, native: bool) {
        self.native |= native;
        self.seen.finished = !self.native;
    }

    /// Whether words of the format itself went by.
    pub(super) const fn is_native(&self) -> bool {
        self.native
    }
}
