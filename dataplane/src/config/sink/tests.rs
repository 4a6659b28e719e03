use super::*;

fn update(sequence: u64) -> Update {
    Update { snapshot: Snapshot::default(), revision: format!("r{sequence}"), sequence }
}

fn recording() -> (Sink, Arc<Mutex<Vec<u64>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    (Sink::new(Arc::new(move |update| record.lock().unwrap().push(update.sequence))), seen)
}

fn count(sink: &Sink, outcome: Outcome) -> u64 {
    sink.stats().iter().find(|(of, _)| *of == outcome).unwrap().1
}

#[test]
fn only_a_higher_sequence_is_taken() {
    assert_eq!(decide(None, 0), Outcome::Accepted);
    assert_eq!(decide(Some(3), 4), Outcome::Accepted);
    assert_eq!(decide(Some(3), 3), Outcome::Unchanged);
    assert_eq!(decide(Some(3), 2), Outcome::Stale);
    assert_eq!(decide(Some(u64::MAX), 0), Outcome::Stale);
}

#[test]
fn what_is_served_never_goes_back() {
    let (sink, seen) = recording();
    for sequence in [5, 3, 5, 7, 6, 7] {
        sink.offer(Source::Mount, update(sequence));
    }
    assert_eq!(*seen.lock().unwrap(), [5, 7]);
    assert_eq!((sink.sequence(), sink.revision()), (Some(7), "r7".into()));
    assert_eq!(
        (count(&sink, Outcome::Accepted), count(&sink, Outcome::Unchanged), count(&sink, Outcome::Stale)),
        (2, 2, 2)
    );
}

#[test]
fn sources_side_by_side_apply_in_ascending_order() {
    let (sink, seen) = recording();
    std::thread::scope(|scope| {
        for offset in 0..4 {
            let sink = sink.clone();
            scope.spawn(move || (0..500).for_each(|n| _ = sink.offer(Source::Watch, update(n * 4 + offset))));
        }
    });
    let seen = seen.lock().unwrap();
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    assert_eq!(seen.last(), Some(&1999));
}

#[test]
fn a_rejected_set_keeps_what_is_served_and_is_counted_by_reason() {
    let (sink, seen) = recording();
    sink.offer(Source::Watch, update(1));
    let error = AssembleError::Mismatch { name: "relay-config-3".into() };
    sink.reject(Source::Mount, Outcome::from(&error), &error);
    assert_eq!((sink.revision(), seen.lock().unwrap().len()), ("r1".into(), 1));
    assert_eq!(count(&sink, Outcome::Mismatch), 1);
}

#[test]
fn one_error_is_said_once_until_a_set_is_taken() {
    let mut state = State::default();
    assert!(complain(&mut state, Source::Mount, &"shard 3 is missing"));
    assert!(!complain(&mut state, Source::Mount, &"shard 3 is missing"));
    assert!(complain(&mut state, Source::Watch, &"shard 3 is missing"));
    let (sink, _) = recording();
    sink.reject(Source::Mount, Outcome::Missing, &"shard 3 is missing");
    sink.offer(Source::Mount, update(1));
    assert!(sink.state().complaints.is_empty());
}

#[test]
fn the_memory_of_complaints_is_bounded() {
    let mut state = State::default();
    for number in 0..10 * COMPLAINTS_MAX {
        complain(&mut state, Source::Watch, &number);
        assert!(state.complaints.len() <= COMPLAINTS_MAX);
    }
}

#[test]
fn the_stats_name_every_outcome_once() {
    let (sink, _) = recording();
    let names: BTreeSet<_> = sink.stats().iter().map(|(outcome, _)| outcome.name()).collect();
    assert_eq!(names.len(), Outcome::ALL.len());
    for (position, outcome) in Outcome::ALL.into_iter().enumerate() {
        assert_eq!(outcome as usize, position);
    }
}
