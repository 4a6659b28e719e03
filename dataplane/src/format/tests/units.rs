use crate::format::Framing;
use crate::format::units::{MAX_UNIT, Unit, Units};
use proptest::prelude::*;

/// Name, data, whether it is whole.
type Owned = (String, String, bool);

fn owned(unit: &Unit<'_>) -> Owned {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(unit.name), text(&unit.data), unit.whole)
}

fn cut(framing: Framing, pieces: &[(&[u8], bool)]) -> Vec<Owned> {
    let (mut units, mut found) = (Units::new(framing), Vec::new());
    for (piece, whole) in pieces {
        units.push(piece, *whole, &mut |unit| found.push(owned(unit)));
    }
    found
}

/// The events of a stream by the letter of WHATWG HTML, "Interpreting an event stream", but that a name alone makes an event, as SDKs have it.
fn by_the_letter(stream: &str) -> Vec<Owned> {
    let stream = stream.strip_prefix('\u{FEFF}').unwrap_or(stream).replace("\r\n", "\n").replace('\r', "\n");
    let (mut found, mut name, mut data) = (Vec::new(), String::new(), Vec::new());
    // What stands behind the last line end is no line.
    let lines: Vec<_> = stream.split('\n').collect();
    for line in &lines[..lines.len() - 1] {
        if line.is_empty() {
            if !name.is_empty() || data.iter().any(|line: &String| !line.is_empty()) || data.len() > 1 {
                found.push((std::mem::take(&mut name), data.join("\n"), true));
            }
            data.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut name),
            "data" => data.push(value.to_owned()),
            _ => {}
        }
    }
    found
}

fn streams() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "data: 1",
        "data:2",
        "data",
        "data:",
        "data:  3",
        "event: a",
        "event:b",
        "event",
        "event: ",
        ": comment",
        ":",
        "id: 7",
        "retry: 1",
        "datax: 1",
        " data: 1",
        "",
        "",
        "",
        "",
        "\u{FEFF}",
        "é",
    ]);
    let end = prop::sample::select(vec!["\n", "\r", "\r\n", "\n\n", "\r\n\r\n", "\r\r"]);
    let mark = prop::sample::select(vec!["", "\u{FEFF}"]);
    (mark, prop::collection::vec((line, end), 0..24))
        .prop_map(|(mark, lines)| lines.iter().fold(mark.to_owned(), |text, (line, end)| text + line + end))
}

proptest! {
    #[test]
    fn events_are_those_of_the_letter_however_they_come(stream in streams(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).chain([0, stream.len()]).collect();
        ends.sort_unstable();
        let pieces: Vec<_> = ends.windows(2).map(|pair| (&stream.as_bytes()[pair[0]..pair[1]], false)).collect();
        prop_assert_eq!(cut(Framing::Events, &pieces), by_the_letter(&stream));
        let bytes: Vec<_> = stream.as_bytes().chunks(1).map(|byte| (byte, false)).collect();
        prop_assert_eq!(cut(Framing::Events, &bytes), by_the_letter(&stream));
    }
}

#[test]
fn what_is_whole_is_not_kept_and_what_is_not_waits() {
    let event = |name: &str, data: &str| (name.to_owned(), data.to_owned(), true);
    let pieces: [(&[u8], bool); 6] = [
        (b"data: 1\n\ndata: 2\n\n", true),
        (b"event: a\nda", false),
        (b"ta: 3\n\ndata: 4", false),
        (b"\r", false),
        (b"\n\r", true),
        (b"\ndata: 5\r\n\r\n", true),
    ];
    let found = [event("", "1"), event("", "2"), event("a", "3"), event("", "4"), event("", "5")];
    assert_eq!(cut(Framing::Events, &pieces), found);
    let lines: [(&[u8], bool); 4] = [(b"{1}\n{2}\r\n\n", true), (b"{", false), (b"3}", false), (b"\n", true)];
    assert_eq!(cut(Framing::Lines, &lines), [event("", "{1}"), event("", "{2}"), event("", "{3}")]);
}

#[test]
fn of_a_unit_too_long_to_keep_the_beginning_and_the_names_are_left() {
    let fill = "x".repeat(MAX_UNIT);
    for (text, name, length) in [
        (format!("event: a\ndata: {fill}\n\n"), "a", MAX_UNIT - 15),
        (format!("data: {fill}\nevent: a\n\n"), "a", MAX_UNIT - 6),
        (format!("event: a\ndata: {fill}\nevent: b\n\n"), "b", MAX_UNIT - 15),
        (format!("data: {fill}event: a\n\n"), "", MAX_UNIT - 6),
        (format!("data: {fill}\n: {fill}\r\nevent: {}\r\n\r\n", "a".repeat(100)), &"a".repeat(100), MAX_UNIT - 6),
    ] {
        for size in [1000, 64 << 10] {
            let pieces: Vec<_> = text.as_bytes().chunks(size).map(|piece| (piece, false)).collect();
            let found = cut(Framing::Events, &pieces);
            assert_eq!(found.len(), 1);
            assert_eq!((found[0].0.as_str(), found[0].1.len(), found[0].2), (name, length, false));
        }
    }
    let line = format!("{fill}{fill}\n{{}}\n");
    let pieces: Vec<_> = line.as_bytes().chunks(64 << 10).map(|piece| (piece, false)).collect();
    let found = cut(Framing::Lines, &pieces);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].1.len(), found[0].2, found[1].1.as_str()), (MAX_UNIT, false, "{}"));
}
