use super::*;
use relay_snapshot::{KeyDigest, Limits, Match, ObjectId, PathRule, Policy, Route, Tenant, Timeouts};

/// Names whose objects live in shard 0.
fn names(count: usize) -> Vec<ObjectId> {
    let all = (0..).map(|number| ObjectId::new("ns", format!("o{number:05}")));
    all.filter(|id| shard_of(id) == 0).take(count).collect()
}

fn tenant(id: &ObjectId, keys: usize) -> Tenant {
    let key = |number| KeyDigest { name: format!("k{number:05}"), sha256: "ab".repeat(32), not_after: None };
    Tenant { keys: (0..keys).map(key).collect(), ..Tenant::new(id.clone()) }
}

fn route(id: &ObjectId, path: usize, tenants: &[&ObjectId]) -> Route {
    let rule = Match { path: PathRule::Exact("/".repeat(path)), methods: vec![], models: vec![], headers: Vec::new() };
    Route {
        id: id.clone(),
        created: 0,
        tenants: tenants.iter().map(|id| (*id).clone()).collect(),
        matches: vec![rule],
        backends: vec![],
        timeouts: Timeouts { first_byte_ms: 1, idle_ms: 1, ..Default::default() },
        body_max: 1,
        policy: Policy::default(),
        limits: Limits::default(),
        ready: true,
    }
}

fn key(kind: Kind, id: &ObjectId) -> ObjectKey {
    ObjectKey { kind, id: id.clone() }
}

fn compiled(routes: Vec<Route>, tenants: Vec<Tenant>) -> Compiled {
    let verdict = |summary| Verdict { generation: Some(1), accepted: Ok(()), resolved_refs: Ok(()), summary };
    let mut verdicts = BTreeMap::new();
    for route in &routes {
        verdicts.insert(key(Kind::Route, &route.id), verdict(Summary::Route { providers: String::new() }));
    }
    for tenant in &tenants {
        let served = routes.iter().filter(|route| route.tenants.contains(&tenant.id)).count();
        let summary = Summary::Tenant { routes: u32::try_from(served).unwrap(), keys: vec![], limited: None };
        verdicts.insert(key(Kind::Tenant, &tenant.id), verdict(summary));
    }
    Compiled { snapshot: Snapshot { routes, tenants }, verdicts }
}

fn refused(compiled: &Compiled) -> Vec<ObjectKey> {
    let out = compiled.verdicts.iter().filter(|(_, verdict)| verdict.accepted.is_err());
    out.map(|(key, _)| key.clone()).collect()
}

/// How many keys of a tenant fill half a shard and a little more.
const OVER_HALF: usize = SHARD_MAX_BYTES / 2 / 90;

#[test]
fn what_fits_is_left_as_it_is() {
    let ids = names(2);
    let mut set = compiled(vec![route(&ids[0], 5, &[&ids[1]])], vec![tenant(&ids[1], 3)]);
    let before = set.snapshot.clone();
    let fitted = fit(&mut set, || unreachable!("ages are looked up only where a shard is too large")).unwrap();
    assert_eq!((fitted.left_out, &set.snapshot), (0, &before));
    assert!(fitted.shards == split(&before).unwrap());
    assert_eq!(refused(&set), []);
}

#[test]
fn an_object_larger_than_a_shard_stays_out_alone() {
    let ids = names(3);
    let mut set = compiled(
        vec![route(&ids[0], 5, &[&ids[1], &ids[2]])],
        vec![tenant(&ids[1], 3 * OVER_HALF), tenant(&ids[2], 3)],
    );
    let fitted = fit(&mut set, BTreeMap::new).unwrap();
    assert_eq!(fitted.left_out, 1);
    assert_eq!(refused(&set), [key(Kind::Tenant, &ids[1])]);
    let problem = set.verdicts[&key(Kind::Tenant, &ids[1])].accepted.clone().unwrap_err();
    assert_eq!(problem.reason, reason::INVALID);
    assert_eq!(problem.to_string(), "spec: the object makes shard 0 larger than 524288 bytes: use fewer keys");
    assert_eq!(
        set.verdicts[&key(Kind::Tenant, &ids[1])].summary,
        Summary::Tenant { routes: 0, keys: vec![], limited: None }
    );
    let tenants: Vec<_> = set.snapshot.tenants.iter().map(|tenant| &tenant.id).collect();
    assert_eq!(tenants, [&ids[2]]);
    assert_eq!(set.snapshot.routes[0].tenants, [ids[2].clone()], "no route names a tenant that is not there");
    assert!(fitted.shards == split(&set.snapshot).unwrap());
    assert!(fitted.shards.secrets.values().all(|text| text.len() <= SHARD_MAX_BYTES));
}

#[test]
fn a_route_too_large_for_its_config_map_is_told_and_its_tenants_lose_it() {
    let ids = names(3);
    let routes = vec![route(&ids[0], SHARD_MAX_BYTES, &[&ids[2]]), route(&ids[1], 5, &[&ids[2]])];
    let mut set = compiled(routes, vec![tenant(&ids[2], 1)]);
    assert_eq!(fit(&mut set, BTreeMap::new).unwrap().left_out, 1);
    let problem = set.verdicts[&key(Kind::Route, &ids[0])].accepted.clone().unwrap_err();
    assert!(problem.message.ends_with("use fewer matches, models or tenants"), "{}", problem.message);
    assert_eq!(
        set.verdicts[&key(Kind::Tenant, &ids[2])].summary,
        Summary::Tenant { routes: 1, keys: vec![], limited: None }
    );
}

#[test]
fn the_largest_goes_first_then_the_youngest_then_the_last_by_name() {
    let ids = names(4);
    let out = |keys: [usize; 4], created: [i64; 4]| {
        let mut set = compiled(vec![], ids.iter().zip(keys).map(|(id, keys)| tenant(id, keys)).collect());
        let ages: BTreeMap<_, _> = ids.iter().zip(created).map(|(id, at)| (key(Kind::Tenant, id), at)).collect();
        fit(&mut set, || ages).unwrap();
        let out: Vec<usize> =
            refused(&set).iter().map(|key| ids.iter().position(|id| *id == key.id).unwrap()).collect();
        out
    };
    let half = OVER_HALF;
    assert_eq!(out([half, half + 9, half, 1], [9, 1, 5, 9]), [0, 1], "the largest, then the youngest of the rest");
    assert_eq!(out([half, 1, half + 9, 1], [9, 1, 1, 9]), [2], "the largest, whatever its age");
    assert_eq!(out([half, 1, half, 1], [9, 1, 1, 9]), [0], "the youngest of two");
    assert_eq!(out([half, 1, half, 1], [5, 1, 5, 9]), [2], "the last by name of two that are alike");
}

#[test]
fn the_order_of_objects_does_not_matter_to_the_choice() {
    let ids = names(40);
    let tenants: Vec<Tenant> = ids.iter().enumerate().map(|(n, id)| tenant(id, 150 + n % 7)).collect();
    let mut set = compiled(vec![], tenants.clone());
    let mut again = compiled(vec![], tenants.into_iter().rev().collect());
    let left_out = fit(&mut set, BTreeMap::new).unwrap().left_out;
    fit(&mut again, BTreeMap::new).unwrap();
    assert!(left_out > 0 && left_out < 40, "{left_out}");
    assert_eq!(refused(&set), refused(&again));
}
