use super::super::build::build;
use super::*;
use proptest::prelude::*;
use relay_snapshot::shards::{shard_of, split};
use relay_snapshot::{KeyDigest, ObjectId, Snapshot, Tenant};

fn prepared(tenants: &[(&str, bool)]) -> Prepared {
    let key = KeyDigest { name: "k".into(), sha256: "ab".repeat(32), not_after: None };
    let tenant = |(name, suspended): &(&str, bool)| Tenant {
        suspended: *suspended,
        keys: vec![key.clone()],
        ..Tenant::new(ObjectId::new("ns", *name))
    };
    build(split(&Snapshot { routes: vec![], tenants: tenants.iter().map(tenant).collect() }).unwrap())
}

/// What is known after `prepared` was written as the `sequence`-th set.
fn after(prepared: &Prepared, sequence: u64) -> BTreeMap<String, Known> {
    let shard = |hash: &str| Known { version: 1, hash: hash.to_owned(), labelled: true, index: None };
    let mut known: BTreeMap<_, _> =
        prepared.pieces.iter().map(|(name, piece)| (name.clone(), shard(&piece.hash))).collect();
    let index = Known { index: Some(prepared.shards.index(sequence)), ..shard("") };
    known.insert(INDEX_NAME.to_owned(), index);
    known
}

#[test]
fn into_an_empty_cluster_everything_is_written() {
    let plan = plan(&prepared(&[("a", false)]), &BTreeMap::new(), 7000);
    assert_eq!(plan.shards.len(), 32);
    assert_eq!(plan.index.unwrap().sequence, 7000);
}

#[test]
fn what_is_as_wanted_is_not_written() {
    let wanted = prepared(&[("a", false)]);
    assert!(plan(&wanted, &after(&wanted, 3), 7000).is_empty());
}

#[test]
fn one_change_writes_one_shard_and_the_index() {
    let before = prepared(&[("a", false), ("b", false)]);
    let wanted = prepared(&[("a", true), ("b", false)]);
    let plan = plan(&wanted, &after(&before, 3), 7000);
    assert_eq!(plan.shards, [relay_snapshot::shards::config_name(shard_of(&ObjectId::new("ns", "a")))]);
    assert_eq!(plan.index, Some(wanted.shards.index(7000)));
}

#[test]
fn the_sequence_grows_even_where_the_clock_went_back() {
    let (before, wanted) = (prepared(&[]), prepared(&[("a", false)]));
    assert_eq!(plan(&wanted, &after(&before, 9000), 7000).index.unwrap().sequence, 9001);
}

#[test]
fn a_shard_that_somebody_changed_or_deleted_is_repaired_under_a_new_sequence() {
    let wanted = prepared(&[("a", false)]);
    let mut changed = after(&wanted, 3);
    changed.get_mut("relay-config-4").unwrap().hash = "other".into();
    let mut deleted = after(&wanted, 3);
    deleted.remove("relay-config-4");
    let mut unlabelled = after(&wanted, 3);
    unlabelled.get_mut("relay-config-4").unwrap().labelled = false;
    for known in [changed, deleted, unlabelled] {
        let plan = plan(&wanted, &known, 7000);
        assert_eq!(plan.shards, ["relay-config-4"]);
        assert_eq!(plan.index.unwrap().sequence, 7000);
    }
}

#[test]
fn an_index_that_is_gone_unreadable_or_of_another_format_is_written_alone() {
    let wanted = prepared(&[("a", false)]);
    let mut gone = after(&wanted, 3);
    gone.remove(INDEX_NAME);
    let mut unreadable = after(&wanted, 3);
    unreadable.get_mut(INDEX_NAME).unwrap().index = None;
    let mut foreign = after(&wanted, 3);
    foreign.get_mut(INDEX_NAME).unwrap().index.as_mut().unwrap().format = 99;
    for known in [gone, unreadable, foreign] {
        let plan = plan(&wanted, &known, 7000);
        assert_eq!((plan.shards.len(), plan.index.map(|index| index.sequence)), (0, Some(7000)));
    }
}

proptest! {
    #[test]
    fn a_plan_carried_out_leaves_nothing_to_do(
        before in prop::collection::btree_map("[a-e]", any::<bool>(), 0..5),
        wanted in prop::collection::btree_map("[a-e]", any::<bool>(), 0..5),
        lost in prop::collection::vec(0..32_usize, 0..4),
        clock in 0..20_000_u64,
    ) {
        let of = |tenants: &BTreeMap<String, bool>| {
            prepared(&tenants.iter().map(|(name, suspended)| (name.as_str(), *suspended)).collect::<Vec<_>>())
        };
        let wanted = of(&wanted);
        let mut known = after(&of(&before), 10_000);
        for number in lost {
            let name = known.keys().nth(number % known.len()).cloned().unwrap();
            known.remove(&name);
        }
        let sequence = known.get(INDEX_NAME).map(|known| known.index.as_ref().unwrap().sequence);
        let plan = plan(&wanted, &known, clock);
        for name in &plan.shards {
            known.insert(name.clone(), after(&wanted, 0)[name].clone());
        }
        if let Some(index) = plan.index {
            prop_assert!(Some(index.sequence) > sequence);
            known.insert(INDEX_NAME.to_owned(), after(&wanted, index.sequence)[INDEX_NAME].clone());
        }
        prop_assert!(super::plan(&wanted, &known, clock).is_empty());
    }
}
