use crate::drain::Cut;
use crate::serving::Serving;
use crate::table::Table;
use relay_snapshot::{KeyDigest, ObjectId, Snapshot, Tenant};

fn tenant(name: &str, suspended: bool, cut: bool) -> Tenant {
    let digest = "00".repeat(31) + if name == "a" { "0a" } else { "0b" };
    let keys = vec![KeyDigest { name: "key".into(), sha256: digest, not_after: None }];
    Tenant { suspended, cut, keys, ..Tenant::new(ObjectId::new("team", name)) }
}

fn swap(serving: &Serving, tenants: Vec<Tenant>) {
    serving.swap(Table::new(&Snapshot { routes: Vec::new(), tenants }, "r"), 1);
}

fn cut_of(serving: &Serving, name: &str) -> Cut {
    let table = serving.table();
    table.tenants.iter().find(|tenant| tenant.id.name == name).expect("it is served").cut().clone()
}

#[test]
fn a_reload_keeps_streams_and_the_suspension_ends_those_of_older_tables() {
    let serving = Serving::default();
    swap(&serving, vec![tenant("a", false, true), tenant("b", false, true)]);
    let (a, b) = (cut_of(&serving, "a"), cut_of(&serving, "b"));
    swap(&serving, vec![tenant("b", false, true), tenant("a", false, true)]);
    swap(&serving, vec![tenant("a", true, true), tenant("b", false, true)]);
    assert!(a.is_cancelled() && cut_of(&serving, "a").is_cancelled());
    assert!(!b.is_cancelled() && !cut_of(&serving, "b").is_cancelled());
}

#[test]
fn a_suspension_that_lets_streams_finish_ends_none_until_it_says_otherwise() {
    let serving = Serving::default();
    swap(&serving, vec![tenant("a", false, false)]);
    let a = cut_of(&serving, "a");
    swap(&serving, vec![tenant("a", true, false)]);
    assert!(!a.is_cancelled());
    swap(&serving, vec![tenant("a", true, true)]);
    assert!(a.is_cancelled());
}

#[test]
fn what_begins_behind_a_suspension_is_not_ended_by_it() {
    let serving = Serving::default();
    swap(&serving, vec![tenant("a", true, true)]);
    swap(&serving, vec![tenant("a", false, true)]);
    let a = cut_of(&serving, "a");
    assert!(!a.is_cancelled());
    swap(&serving, vec![tenant("a", true, true)]);
    assert!(a.is_cancelled());
}

#[test]
fn a_tenant_that_was_away_finds_its_streams_and_else_leaves_nothing() {
    let serving = Serving::default();
    swap(&serving, vec![tenant("a", false, true), tenant("b", false, true)]);
    let a = cut_of(&serving, "a");
    // Twice: what is served until a swap still holds it during the swap.
    swap(&serving, vec![]);
    swap(&serving, vec![]);
    assert_eq!(serving.cuts.lock().expect("no panic").len(), 1);
    assert!(!a.is_cancelled());
    swap(&serving, vec![tenant("a", true, true)]);
    assert!(a.is_cancelled());
}

#[test]
fn a_tenant_without_keys_is_ended_too() {
    let serving = Serving::default();
    swap(&serving, vec![tenant("a", false, true)]);
    let a = cut_of(&serving, "a");
    swap(&serving, vec![Tenant { keys: Vec::new(), ..tenant("a", true, true) }]);
    assert!(a.is_cancelled());
}
