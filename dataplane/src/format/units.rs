//! Cuts a stream into units, whatever pieces it comes in, and takes events apart.
//!
//! Source: WHATWG HTML, "Parsing an event stream".

use super::framing::Framing;
use memchr::{memchr, memchr2, memchr2_iter};
use std::borrow::Cow;

/// The longest unit that is kept to be read whole, in bytes. Of a longer one the beginning is kept, and names that begin lines still count.
pub(super) const MAX_UNIT: usize = 1 << 20;

/// The longest line that can carry a name, in bytes.
const MAX_NAME: usize = 128;

/// An event or a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unit<'a> {
    /// What its last `event:` says; empty for none.
    pub(super) name: &'a [u8],
    /// Its `data:` lines joined by LF, or the line; empty for none.
    pub(super) data: Cow<'a, [u8]>,
    /// Nothing is missing.
    pub(super) whole: bool,
}

impl<'a> Unit<'a> {
    /// The fields of one event, its empty line not among them.
    pub(super) fn of_event(lines: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut unit = Self { name: b"", data: Cow::Borrowed(b""), whole: true };
        let mut has_data = false;
        for line in lines {
            if let Some(value) = field(line, b"data") {
                if has_data {
                    let data = unit.data.to_mut();
                    data.push(b'\n');
                    data.extend_from_slice(value);
                } else {
                    unit.data = Cow::Borrowed(value);
                    has_data = true;
                }
            } else if let Some(name) = field(line, b"event") {
                unit.name = name;
            }
        }
        unit
    }

    /// The last of a stream, whose end is missing.
    pub(super) fn unfinished(framing: Framing, text: &'a [u8]) -> Self {
        match framing {
            Framing::Events => Self::of_event(lines(text)),
            Framing::Lines | Framing::Bytes => Self::of_line(text.trim_ascii()),
        }
    }

    const fn of_line(line: &'a [u8]) -> Self {
        Self { name: b"", data: Cow::Borrowed(line), whole: true }
    }

    fn is_empty(&self) -> bool {
        self.name.is_empty() && self.data.is_empty()
    }
}

/// The value of a field, if the line has this one.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(name)?;
    match rest.strip_prefix(b":") {
        Some(value) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        None => rest.is_empty().then_some(rest),
    }
}

/// The lines of a text, their ends (LF, CR or CR LF) left out.
fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        let end = memchr2(b'\n', b'\r', text).unwrap_or(text.len());
        let (line, rest) = text.split_at(end);
        let rest = rest.strip_prefix(b"\r\n").unwrap_or(rest.get(1..).unwrap_or_default());
        text = rest;
        Some(line)
    })
}

/// Gathers units from pieces.
#[derive(Debug)]
pub(super) struct Units {
    framing: Framing,
    /// The unfinished unit: at most [`MAX_UNIT`] bytes of it.
    held: Vec<u8>,
    /// What is still read of a unit that is longer.
    late: Option<Late>,
    scan: Scan,
    /// Nothing was read yet of a text: a byte order mark may come.
    fresh: bool,
}

impl Units {
    pub(super) fn new(framing: Framing) -> Self {
        Self { framing, held: Vec::new(), late: None, scan: Scan::default(), fresh: framing != Framing::Bytes }
    }

    /// Takes a piece and gives the units that end in it. `whole`: the piece ends where a unit ends.
    pub(super) fn push(&mut self, bytes: &[u8], whole: bool, on: &mut impl FnMut(&Unit<'_>)) {
        if whole && self.held.is_empty() {
            self.give(bytes, on);
            return;
        }
        let mut start = 0;
        while let Some(end) = self.scan.next_end(self.framing, bytes, start) {
            let unit = &bytes[start..end];
            if self.held.is_empty() {
                self.give(unit, on);
            } else {
                self.hold(unit);
                self.give_held(on);
            }
            start = end;
        }
        self.hold(&bytes[start..]);
        if whole {
            self.give_held(on);
            self.scan = Scan::default();
        }
    }

    /// The unfinished unit, if nothing of it is missing so far.
    pub(super) fn take_rest(&mut self, tail: &[u8]) -> Option<Vec<u8>> {
        self.hold(tail);
        let held = std::mem::take(&mut self.held);
        let fresh = std::mem::take(&mut self.fresh);
        self.late.take().is_none().then(|| if fresh { without_mark(&held).to_vec() } else { held })
    }

    /// Gives the units of a text that ends where a unit ends.
    fn give(&mut self, text: &[u8], on: &mut impl FnMut(&Unit<'_>)) {
        let text = if self.fresh && !text.is_empty() {
            self.fresh = false;
            without_mark(text)
        } else {
            text
        };
        match self.framing {
            Framing::Events => {
                let mut lines = lines(text).peekable();
                while lines.peek().is_some() {
                    let unit = Unit::of_event(lines.by_ref().take_while(|line| !line.is_empty()));
                    if !unit.is_empty() {
                        on(&unit);
                    }
                }
            }
            Framing::Lines => {
                for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
                    on(&Unit::of_line(line));
                }
            }
            Framing::Bytes if !text.is_empty() => on(&Unit::of_line(text)),
            Framing::Bytes => {}
        }
    }

    fn give_held(&mut self, on: &mut impl FnMut(&Unit<'_>)) {
        let held = std::mem::take(&mut self.held);
        match self.late.take() {
            None => self.give(&held, on),
            Some(late) => self.give(&held, &mut |unit| {
                let name = if late.name.is_empty() { unit.name } else { &late.name };
                on(&Unit { name, data: Cow::Borrowed(&unit.data), whole: false });
            }),
        }
    }

    /// Takes a piece of the unfinished unit.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        let room = MAX_UNIT - self.held.len();
        match bytes.split_at_checked(room) {
            None => self.held.extend_from_slice(bytes),
            Some((head, rest)) => {
                self.held.extend_from_slice(head);
                if !rest.is_empty() {
                    let in_line = !matches!(self.held.last(), Some(b'\n' | b'\r'));
                    self.late.get_or_insert_with(|| Late::new(in_line)).read(rest);
                }
            }
        }
    }
}

/// A byte order mark before the first line does not count.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text)
}

/// Where units end, over pieces.
#[derive(Debug)]
struct Scan {
    /// The current line has no byte yet: one more line end is an empty line.
    line_is_empty: bool,
    /// The last byte was CR: an LF behind it belongs to the same line end.
    after_cr: bool,
}

impl Default for Scan {
    fn default() -> Self {
        Self { line_is_empty: true, after_cr: false }
    }
}

impl Scan {
    /// Where the next unit ends that does so behind `from`; all before it was looked through already.
    fn next_end(&mut self, framing: Framing, bytes: &[u8], from: usize) -> Option<usize> {
        let rest = bytes.get(from..)?;
        match framing {
            Framing::Events => self.next_empty_line(rest).map(|end| from + end),
            Framing::Lines => memchr(b'\n', rest).map(|end| from + end + 1),
            Framing::Bytes => (!rest.is_empty()).then_some(bytes.len()),
        }
    }

    fn next_empty_line(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut next = 0;
        for at in memchr2_iter(b'\n', b'\r', bytes) {
            if at > next {
                *self = Self { line_is_empty: false, after_cr: false };
            }
            let is_lf = bytes.get(at) == Some(&b'\n');
            let is_second_half = is_lf && self.after_cr;
            self.after_cr = !is_lf;
            next = at + 1;
            if !is_second_half && std::mem::replace(&mut self.line_is_empty, true) {
                return Some(next);
            }
        }
        if bytes.len() > next {
            *self = Self { line_is_empty: false, after_cr: false };
        }
        None
    }
}

/// The names in the part of a unit that is not kept.
#[derive(Debug)]
struct Late {
    /// How the current line begins.
    line: Vec<u8>,
    name: Vec<u8>,
}

impl Late {
    /// `in_line`: it begins in the middle of a line, which then has no name.
    fn new(in_line: bool) -> Self {
        Self { line: if in_line { vec![b':'] } else { Vec::new() }, name: Vec::new() }
    }

    fn read(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, ends) = match part.split_last() {
                Some((b'\n' | b'\r', line)) => (line, true),
                _ => (part, false),
            };
            let room = MAX_NAME - self.line.len();
            self.line.extend_from_slice(&line[..line.len().min(room)]);
            if ends {
                if let Some(name) = field(&self.line, b"event") {
                    self.name = name.to_vec();
                }
                self.line.clear();
            }
        }
    }
}
