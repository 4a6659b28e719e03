use super::*;
use relay_snapshot::shards::split;
use relay_snapshot::{KeyDigest, ObjectId, Snapshot, Tenant};

#[test]
fn a_set_has_32_pieces_with_the_hashes_of_its_index() {
    let keys = vec![KeyDigest { name: "k".into(), sha256: "ab".repeat(32), not_after: None }];
    let tenant = Tenant { keys, ..Tenant::new(ObjectId::new("ns", "a")) };
    let prepared = build(split(&Snapshot { routes: vec![], tenants: vec![tenant] }).unwrap());
    let index = prepared.shards.index(1);
    assert_eq!(prepared.pieces.len(), 32);
    for (name, piece) in &prepared.pieces {
        assert_eq!(index.shards[name], piece.hash);
        assert_eq!(piece.kind == ShardKind::Secret, name.starts_with("relay-secrets-"));
    }
}
