use super::*;
use relay_snapshot::{KeyDigest, ObjectId, Tenant};

fn tenant(name: &str, keys: usize) -> Tenant {
    let key = |number| KeyDigest { name: format!("k{number}"), sha256: "ab".repeat(32) };
    Tenant { id: ObjectId::new("ns", name), suspended: false, requests: None, keys: (0..keys).map(key).collect() }
}

#[test]
fn a_set_has_32_pieces_with_the_hashes_of_its_index() {
    let prepared = build(&Snapshot { routes: vec![], tenants: vec![tenant("a", 1)] }).unwrap();
    let index = prepared.shards.index(1);
    assert_eq!(prepared.pieces.len(), 32);
    for (name, piece) in &prepared.pieces {
        assert_eq!(index.shards[name], piece.hash);
        assert_eq!(piece.kind == ShardKind::Secret, name.starts_with("relay-secrets-"));
    }
}

#[test]
fn a_shard_at_the_bound_is_written_and_one_beyond_it_is_named() {
    let bytes = |keys| {
        let shards = split(&Snapshot { routes: vec![], tenants: vec![tenant("a", keys)] }).unwrap();
        shards.secrets.values().map(String::len).max().unwrap()
    };
    let each = (bytes(1000) - bytes(500)) / 500;
    let fits = SHARD_MAX_BYTES / each - 100;
    let tenants = |keys| Snapshot { routes: vec![], tenants: vec![tenant("a", keys)] };
    assert!(build(&tenants(fits)).is_ok());
    match build(&tenants(fits + 400)) {
        Err(BuildError::TooLarge { name, bytes }) => {
            assert!(name.starts_with("relay-secrets-") && bytes > SHARD_MAX_BYTES);
        }
        other => panic!("{:?}", other.map(|prepared| prepared.pieces.len())),
    }
}
