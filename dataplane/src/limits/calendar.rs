//! When the windows of budgets begin and end: days and months of a time zone, with its daylight saving time.
//!
//! Which window a moment is in, Redis' clock decides, not this machine's; so Redis is told the windows around this machine's idea of now.

use arc_swap::ArcSwap;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use relay_snapshot::Calendar;
use std::fmt;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// The windows of one budget.
pub struct Windows {
    calendar: Calendar,
    zone: TimeZone,
    /// The spans around the last moment that was asked for: they hold until its window ends, and making them takes a microsecond or two.
    last: ArcSwap<Spans>,
}

/// A window and its neighbours, in order of time, each `(start, end)` in seconds since 1970, the end not included. One ends where the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spans {
    edges: [i64; 4],
}

impl Windows {
    /// Days or months of a time zone by its IANA name. The operator has checked the name; one that this build does not know counts as UTC.
    pub fn new(calendar: Calendar, zone: &str) -> Self {
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        let spans = spans(calendar, &zone, 0);
        Self { calendar, zone, last: ArcSwap::from_pointee(spans) }
    }

    /// The window that holds `now` (seconds since 1970), the one before and the one after.
    pub fn around(&self, now: i64) -> Spans {
        let last = **self.last.load();
        let (start, end) = last.all()[1];
        if (start..end).contains(&now) {
            return last;
        }
        let spans = spans(self.calendar, &self.zone, now);
        self.last.store(Arc::new(spans));
        spans
    }
}

impl fmt::Debug for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Windows").field("calendar", &self.calendar).field("zone", &self.zone).finish_non_exhaustive()
    }
}

impl Spans {
    /// Three spans, by where they begin and end: at these moments, in order.
    pub const fn new(edges: [i64; 4]) -> Self {
        Self { edges }
    }

    /// Where they begin and end.
    pub const fn edges(&self) -> [i64; 4] {
        self.edges
    }

    /// All three, in order of time.
    pub const fn all(&self) -> [(i64, i64); 3] {
        let [a, b, c, d] = self.edges;
        [(a, b), (b, c), (c, d)]
    }
}

/// The window that holds `now`, and its neighbours. Beyond the years that calendars know, the windows of 1970.
fn spans(calendar: Calendar, zone: &TimeZone, now: i64) -> Spans {
    let date = Timestamp::from_second(now).unwrap_or_default().to_zoned(zone.clone()).date();
    around(calendar, zone, date).unwrap_or(Spans::new([0; 4]))
}

/// The windows before, of, and after a date. A day begins at its first moment, which is not midnight where clocks are put forward then.
fn around(calendar: Calendar, zone: &TimeZone, date: Date) -> Option<Spans> {
    let (first, step) = match calendar {
        Calendar::Day => (date, 1.day()),
        Calendar::Month => (date.first_of_month(), 1.month()),
    };
    let begins = |date: Date| Some(date.to_zoned(zone.clone()).ok()?.start_of_day().ok()?.timestamp().as_second());
    let next = first.checked_add(step).ok()?;
    let edges = [first.checked_sub(step).ok()?, first, next, next.checked_add(step).ok()?];
    let [before, start, end, after] = edges.map(begins);
    Some(Spans::new([before?, start?, end?, after?]))
}
