//! Unix seconds as the dates of headers and bodies.

/// A time of the calendar, in UTC.
struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    /// 0 is Sunday.
    weekday: usize,
}

/// The calendar by Howard Hinnant's `civil_from_days`.
fn civil(unix: u64) -> Civil {
    let (days, second) = (unix / 86_400 + 719_468, unix % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    Civil {
        year: year_of_era + era * 400 + u64::from(month <= 2),
        month,
        day: day_of_year - (153 * shifted + 2) / 5 + 1,
        hour: second / 3600,
        minute: second / 60 % 60,
        second: second % 60,
        // 1970-01-01 was a Thursday.
        weekday: usize::try_from((unix / 86_400 + 4) % 7).unwrap_or_default(),
    }
}

/// RFC 3339, in UTC.
pub(super) fn rfc3339(unix: u64) -> String {
    let Civil { year, month, day, hour, minute, second, .. } = civil(unix);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// IMF-fixdate (RFC 9110, 5.6.7), as `retry-after` and `date` have it.
pub(super) fn imf_fixdate(unix: u64) -> String {
    let Civil { year, month, day, hour, minute, second, weekday } = civil(unix);
    let month = usize::try_from(month - 1).ok().and_then(|month| MONTHS.get(month)).unwrap_or(&MONTHS[0]);
    format!("{}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT", WEEKDAYS[weekday])
}

#[cfg(test)]
mod tests;
