use super::*;

const SLOW: &str = "Redis does not answer in time";

fn apart(count: u32) -> Apart {
    Apart { count, ready: 3, reason: SLOW.to_owned() }
}

/// A sharing that told so at `now`.
fn telling(said: Option<Apart>, now: Instant) -> Sharing {
    let mut sharing = Sharing::default();
    assert_eq!(sharing.take(said, now), None, "the first word is told at once");
    sharing
}

#[test]
fn what_most_proxies_say_is_the_reason() {
    assert_eq!(Apart::of([], 3), None);
    let said = ["refused", SLOW, SLOW];
    assert_eq!(Apart::of(said, 3), Some(apart(3)));
    assert_eq!(Apart::of(["b", "a"], 3).unwrap().reason, "a");
    assert_eq!(Apart::of(["a", "b"], 3).unwrap().reason, "a");
}

#[test]
fn the_message_says_what_the_tenant_chose_for_it() {
    let says = |choice| apart(1).message(choice);
    assert_eq!(says(Unavailable::Local), format!("1/3 proxies keep their own share of the limits: {SLOW}"));
    assert_eq!(says(Unavailable::Allow), format!("1/3 proxies let everything pass: {SLOW}"));
    assert_eq!(says(Unavailable::Deny), format!("1/3 proxies refuse what is limited: {SLOW}"));
}

#[test]
fn nothing_is_told_before_the_proxies_were_asked() {
    assert_eq!(*Sharing::default().told(), Told::Before);
    let now = Instant::now();
    assert_eq!(*telling(Some(apart(1)), now).told(), Told::Apart(apart(1)));
    assert_eq!(*telling(None, now).told(), Told::Shared);
}

#[test]
fn a_loss_is_told_when_it_lasted() {
    let begun = Instant::now();
    let mut sharing = telling(None, begun);
    assert_eq!(sharing.take(Some(apart(1)), begun), Some(begun + APPEARS));
    // Other words for it do not begin anew.
    let later = begun + APPEARS / 2;
    assert_eq!(sharing.take(Some(apart(3)), later), Some(begun + APPEARS));
    assert_eq!(*sharing.told(), Told::Shared);
    assert_eq!(sharing.take(Some(apart(2)), begun + APPEARS), None);
    assert_eq!(*sharing.told(), Told::Apart(apart(2)));
}

#[test]
fn a_loss_that_is_over_at_once_is_never_told() {
    let begun = Instant::now();
    let mut sharing = telling(None, begun);
    for second in 0..100 {
        let at = begun + Duration::from_secs(second);
        assert_eq!(sharing.take(Some(apart(3)), at), Some(at + APPEARS));
        assert_eq!(sharing.take(None, at + APPEARS / 3), None);
        assert_eq!(*sharing.told(), Told::Shared);
    }
}

#[test]
fn the_end_is_told_when_it_lasted() {
    let begun = Instant::now();
    let mut sharing = telling(Some(apart(3)), begun);
    assert_eq!(sharing.take(None, begun), Some(begun + STEADY));
    let (again, over) = (begun + STEADY / 2, begun + STEADY);
    assert_eq!(sharing.take(Some(apart(3)), again), None, "not over yet");
    assert_eq!(sharing.take(None, over), Some(over + STEADY));
    assert_eq!(sharing.take(None, over + STEADY), None);
    assert_eq!(*sharing.told(), Told::Shared);
}

#[test]
fn other_words_follow_each_other_slowly() {
    let begun = Instant::now();
    let mut sharing = telling(Some(apart(1)), begun);
    assert_eq!(sharing.take(Some(apart(2)), begun), Some(begun + STEADY));
    assert_eq!(sharing.take(Some(apart(3)), begun + STEADY), None);
    assert_eq!(*sharing.told(), Told::Apart(apart(3)));
    let next = begun + STEADY;
    assert_eq!(sharing.take(Some(apart(1)), next), Some(next + STEADY));
}

/// However proxies change their words, a fleet of tenants is written to at most so often.
#[test]
fn changes_are_bounded_in_number() {
    let begun = Instant::now();
    let mut sharing = telling(None, begun);
    let (mut told, mut changes) = (sharing.told().clone(), 0_u64);
    let minutes = 10;
    for step in 0..minutes * 60 * 10_u64 {
        // Gone for 3 s, there for 4 s, and another count every 100 ms.
        let said = (step % 70 < 30).then(|| apart(u32::try_from(step % 3).unwrap() + 1));
        sharing.take(said, begun + Duration::from_millis(step * 100));
        if *sharing.told() != told {
            told = sharing.told().clone();
            changes += 1;
        }
    }
    assert!(changes > 1 && changes <= minutes * 60 / STEADY.as_secs() + 1, "{changes}");
    assert!(matches!(told, Told::Apart(_)), "it flaps, and that is not sharing");
}
