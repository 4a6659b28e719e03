use std::time::Duration;

use bytes::Bytes;

use super::{InBand, Kind, Plan, Step, Unit};
use crate::provider::behaviour::Behaviour;

const GAP: Duration = Duration::from_millis(10);

fn unit(kind: Kind, text: &'static str) -> Unit {
    Unit { kind, bytes: Bytes::from_static(text.as_bytes()) }
}

/// A head, four tokens, a tail, as the plan of `name` sends them, in words.
fn played(name: &str, in_band: bool) -> String {
    let behaviour = Behaviour::parse(name).expect("a known name");
    let units = [
        unit(Kind::Head, "head"),
        unit(Kind::Token, "t1t1"),
        unit(Kind::Token, "t2t2"),
        unit(Kind::Token, "t3t3"),
        unit(Kind::Token, "t4t4"),
        unit(Kind::Tail, "tail"),
    ];
    let event = |text: &'static str| in_band.then(|| Bytes::from_static(text.as_bytes()));
    let in_band = InBand { error: event("error"), terminal: event("done") };
    let gap = behaviour.gap.unwrap_or_default();
    let words: Vec<_> = Plan::new(units.into_iter(), 4, &behaviour, gap, in_band).map(|step| word(&step)).collect();
    words.join(" ")
}

fn word(step: &Step) -> String {
    match step {
        Step::Send(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Step::Flush => "flush".to_owned(),
        Step::Wait(GAP) => "gap".to_owned(),
        Step::Wait(time) => format!("{time:?}"),
        Step::Cut => "CUT".to_owned(),
        Step::Reset => "RESET".to_owned(),
        Step::Short => "SHORT".to_owned(),
        Step::Garble => "GARBLE".to_owned(),
    }
}

#[test]
fn every_ending_is_what_its_row_says() {
    for (name, want) in [
        ("fake-ok", "head t1t1 t2t2 t3t3 t4t4 tail"),
        ("fake-gap-10ms", "head t1t1 gap t2t2 gap t3t3 gap t4t4 tail"),
        ("fake-slow-body-3s", "3s head t1t1 t2t2 t3t3 t4t4 tail"),
        ("fake-truncated", "head t1t1 t2t2"),
        ("fake-half-event", "head t1t1 t2t2 t3"),
        ("fake-cut", "head t1t1 t2t2 t3 CUT"),
        ("fake-cut-at-0", "head t1 CUT"),
        ("fake-cut-at-9", "head t1t1 t2t2 t3t3 t4t4 ta CUT"),
        ("fake-reset-at-1-gap-10ms", "head t1t1 gap t2 RESET"),
        ("fake-short-length", "head t1t1 t2t2 t3 SHORT"),
        ("fake-bad-chunk", "head t1t1 t2t2 t3 GARBLE x CUT"),
        ("fake-cut-after-done", "head t1t1 t2t2 t3t3 t4t4 tail CUT"),
        ("fake-error-first", "error"),
        ("fake-error-midway", "head t1t1 t2t2 error"),
        ("fake-error-then-done", "head t1t1 t2t2 error done"),
        ("fake-stall-2s", "head t1t1 t2t2 2s t3t3 t4t4 tail"),
        ("fake-stall-inside-2s-at-1", "head t1t1 t2 2s t2 t3t3 t4t4 tail"),
        ("fake-stall-2s-truncated", "head t1t1 t2t2 2s"),
        ("fake-flush-at-0-cut", "head flush t1 CUT"),
    ] {
        assert_eq!(played(name, true), want, "{name}");
    }
}

#[test]
fn an_error_that_cannot_be_said_in_band_is_a_cut() {
    assert_eq!(played("fake-error-midway", false), "head t1t1 t2t2 CUT");
    assert_eq!(played("fake-error-first", false), "CUT");
}
