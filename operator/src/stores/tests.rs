use super::*;

fn ended<T: Mirrored>(mirror: &Mirror<T>) {
    if let Some(source) = mirror.source(0) {
        source.apply(Event::Init);
        source.apply(Event::InitDone);
    }
}

#[test]
fn a_fleet_that_was_only_denied_is_not_taken_for_an_empty_one() {
    let stores = Stores::new(1);
    ended(&stores.routes);
    ended(&stores.tenants);
    ended(&stores.namespaces);
    ended(&stores.secrets);
    assert!(!stores.complete(), "every list stands for a denial");
    stores.routes.note_answer();
    assert!(!stores.complete(), "no tenant was read");
    stores.tenants.note_answer();
    assert!(stores.complete());
}
