use super::Windows;
use relay_snapshot::Calendar;

fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_second()
}

fn around(calendar: Calendar, zone: &str, now: &str) -> Vec<(i64, i64)> {
    Windows::new(calendar, zone).around(at(now)).all().into()
}

fn days(zone: &str, now: &str, edges: [&str; 4]) {
    let [a, b, c, d] = edges.map(at);
    assert_eq!(around(Calendar::Day, zone, now), [(a, b), (b, c), (c, d)], "{zone} {now}");
}

#[test]
fn a_day_is_from_midnight_to_midnight_of_its_time_zone() {
    let edges = ["2024-02-28T00:00:00Z", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z", "2024-03-02T00:00:00Z"];
    days("UTC", "2024-02-29T00:00:00Z", edges);
    days("UTC", "2024-02-29T23:59:59Z", edges);
    let edges = ["2024-02-28T16:00:00Z", "2024-02-29T16:00:00Z", "2024-03-01T16:00:00Z", "2024-03-02T16:00:00Z"];
    days("Asia/Shanghai", "2024-03-01T12:00:00Z", edges);
}

#[test]
fn a_day_has_23_or_25_hours_when_clocks_are_changed() {
    let edges = ["2024-03-29T23:00:00Z", "2024-03-30T23:00:00Z", "2024-03-31T22:00:00Z", "2024-04-01T22:00:00Z"];
    days("Europe/Berlin", "2024-03-31T12:00:00Z", edges);
    let edges = ["2024-10-25T22:00:00Z", "2024-10-26T22:00:00Z", "2024-10-27T23:00:00Z", "2024-10-28T23:00:00Z"];
    days("Europe/Berlin", "2024-10-27T12:00:00Z", edges);
}

#[test]
fn a_day_without_midnight_begins_at_its_first_moment() {
    // In Beirut clocks went from 24:00 to 01:00.
    let edges = ["2024-03-29T22:00:00Z", "2024-03-30T22:00:00Z", "2024-03-31T21:00:00Z", "2024-04-01T21:00:00Z"];
    days("Asia/Beirut", "2024-03-31T12:00:00Z", edges);
}

#[test]
fn a_month_ends_where_the_next_begins() {
    let [a, b, c, d] =
        ["2024-01-01T05:00:00Z", "2024-02-01T05:00:00Z", "2024-03-01T05:00:00Z", "2024-04-01T04:00:00Z"].map(at);
    assert_eq!(around(Calendar::Month, "America/New_York", "2024-03-01T04:59:59Z"), [(a, b), (b, c), (c, d)]);
    assert_eq!(around(Calendar::Month, "America/New_York", "2024-03-01T05:00:00Z")[1], (c, d));
}

#[test]
fn what_is_kept_of_the_last_answer_changes_no_other() {
    let windows = Windows::new(Calendar::Day, "Europe/London");
    let hours = (0..2000).chain((0..2000).rev());
    for now in hours.map(|hour| at("2024-10-01T00:00:00Z") + hour * 3600) {
        let fresh = Windows::new(Calendar::Day, "Europe/London").around(now);
        assert_eq!(windows.around(now), fresh);
        let [before, span, after] = fresh.all();
        assert!((span.0..span.1).contains(&now));
        assert_eq!((before.1, span.1), (span.0, after.0));
    }
}

#[test]
fn an_unknown_time_zone_counts_as_utc() {
    let now = "2024-03-01T12:00:00Z";
    assert_eq!(around(Calendar::Day, "Nowhere/Land", now), around(Calendar::Day, "UTC", now));
}
