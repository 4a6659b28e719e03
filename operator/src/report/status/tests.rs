use super::*;
use crate::history::{History, digests};
use crate::sharing::Apart;
use k8s_openapi::jiff::Timestamp;
use relay_compile::ObjectKey;
use relay_crds::KeyStatus;
use relay_snapshot::{ObjectId, Snapshot, Tenant, Unavailable};

fn time(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

fn standing() -> Standing {
    let id = ObjectId::new("ns", "a");
    let tenant = Tenant::new(id.clone());
    let history = History::seeded("7c21f0", digests(&Snapshot { routes: vec![], tenants: vec![tenant] }), |_| None);
    history.newest().unwrap().object(&ObjectKey { kind: Kind::Tenant, id }).unwrap().clone()
}

fn problem(reason: &'static str, field: &str) -> Problem {
    Problem { reason, field: field.into(), message: "is wrong: make it right".into() }
}

fn verdict() -> Verdict {
    let summary = Summary::Route { providers: "OpenAI".into() };
    Verdict { generation: Some(4), accepted: Ok(()), resolved_refs: Ok(()), summary }
}

fn facts<'a>(verdict: &'a Verdict, standing: Option<&'a Standing>, serving: u32, ready: u32) -> Facts<'a> {
    Facts {
        verdict,
        standing,
        serving: Serving { ready, serving },
        settling: false,
        trouble: None,
        sharing: &Told::Shared,
    }
}

/// `type status reason` of each condition.
fn told(status: &Status) -> Vec<String> {
    status.conditions().iter().map(|c| format!("{} {} {}", c.type_, c.status, c.reason)).collect()
}

fn message<'a>(status: &'a Status, type_: &str) -> &'a str {
    &status.condition(type_).unwrap().message
}

#[test]
fn served_by_every_proxy_is_ready() {
    let (verdict, standing) = (verdict(), standing());
    let status = status(&facts(&verdict, Some(&standing), 3, 3), None, &time(1));
    assert_eq!(
        told(&status),
        [
            "Accepted True Accepted",
            "ResolvedRefs True ResolvedRefs",
            "Programmed True Programmed",
            "Ready True Programmed"
        ]
    );
    assert_eq!(message(&status, "Programmed"), "3/3 proxies serve revision 7c21f0");
    assert_eq!(message(&status, "Ready"), "3/3 proxies serve revision 7c21f0");
    assert!(status.conditions().iter().all(|condition| condition.observed_generation == Some(4)));
    let Status::Route(route) = &status else { panic!("not a route") };
    assert_eq!(route.observed_generation, Some(4));
    assert_eq!(route.revision.as_deref(), Some("7c21f0"));
    assert_eq!(route.proxies.as_ref().unwrap().summary, "3/3");
    assert_eq!(route.providers.as_deref(), Some("OpenAI"));
}

#[test]
fn written_and_served_by_none_is_pending() {
    let (verdict, standing) = (verdict(), standing());
    let status = status(&facts(&verdict, Some(&standing), 0, 3), None, &time(1));
    assert_eq!(told(&status)[2..], ["Programmed Unknown Pending", "Ready Unknown Pending"]);
}

#[test]
fn served_by_some_is_partly_programmed_once_the_set_has_settled() {
    let (verdict, standing) = (verdict(), standing());
    let old = facts(&verdict, Some(&standing), 2, 3);
    let now = time(1);
    assert_eq!(
        told(&status(&old, None, &now))[2..],
        ["Programmed False PartiallyProgrammed", "Ready False PartiallyProgrammed"]
    );
    let young = Facts { settling: true, ..old };
    assert_eq!(told(&status(&young, None, &now))[2], "Programmed Unknown Pending");
}

#[test]
fn without_a_ready_proxy_it_is_not_programmed() {
    let (verdict, standing) = (verdict(), standing());
    let status = status(&facts(&verdict, Some(&standing), 0, 0), None, &time(1));
    assert_eq!(told(&status)[2..], ["Programmed False NoReadyProxies", "Ready False NoReadyProxies"]);
}

#[test]
fn a_refused_object_names_the_field_and_is_served_nowhere() {
    let refused = Verdict { accepted: Err(problem(reason::INVALID, "spec.backends[0].url")), ..verdict() };
    let status = status(&facts(&refused, None, 0, 3), None, &time(1));
    assert_eq!(
        told(&status),
        ["Accepted False Invalid", "ResolvedRefs True ResolvedRefs", "Programmed False Invalid", "Ready False Invalid"]
    );
    assert_eq!(message(&status, "Ready"), "spec.backends[0].url: is wrong: make it right");
    let Status::Route(route) = &status else { panic!("not a route") };
    assert_eq!((route.revision.clone(), route.proxies.clone()), (None, None));
}

#[test]
fn an_unresolved_object_keeps_its_place_and_is_not_ready() {
    let standing = standing();
    let missing = problem(reason::SECRET_NOT_FOUND, "spec.backends[0].credential.secretRef");
    let unresolved = Verdict { resolved_refs: Err(missing), ..verdict() };
    let status = status(&facts(&unresolved, Some(&standing), 3, 3), None, &time(1));
    assert_eq!(
        told(&status)[1..],
        ["ResolvedRefs False SecretNotFound", "Programmed True Programmed", "Ready False SecretNotFound"]
    );
}

#[test]
fn trouble_with_writing_is_told_to_those_it_keeps_waiting() {
    let (verdict, standing) = (verdict(), standing());
    let waiting = Facts { trouble: Some("relay-config-3 was not written"), ..facts(&verdict, Some(&standing), 1, 3) };
    assert!(message(&status(&waiting, None, &time(1)), "Programmed").ends_with("; relay-config-3 was not written"));
    let served = Facts { serving: Serving { ready: 3, serving: 3 }, ..waiting };
    assert_eq!(told(&status(&served, None, &time(1)))[2], "Programmed True Programmed");
}

#[test]
fn what_did_not_change_keeps_its_time_and_what_did_gets_the_new_one() {
    let (verdict, standing) = (verdict(), standing());
    let first = status(&facts(&verdict, Some(&standing), 0, 3), None, &time(1));
    let second = status(&facts(&verdict, Some(&standing), 3, 3), Some(&first), &time(2));
    let times: Vec<i64> =
        second.conditions().iter().map(|condition| condition.last_transition_time.0.as_second()).collect();
    assert_eq!(times, [1, 1, 2, 2]);
    let third = status(&facts(&verdict, Some(&standing), 3, 3), Some(&second), &time(3));
    assert_eq!(third, second, "nothing to write");
}

#[test]
fn conditions_of_others_stay() {
    let (verdict, standing) = (verdict(), standing());
    let Status::Route(mut before) = status(&facts(&verdict, Some(&standing), 3, 3), None, &time(1)) else {
        panic!("not a route")
    };
    let foreign = Condition { type_: "Audited".into(), ..before.conditions[0].clone() };
    before.conditions.insert(0, foreign.clone());
    let after = status(&facts(&verdict, Some(&standing), 3, 3), Some(&Status::Route(before)), &time(2));
    assert_eq!(after.conditions().len(), 5);
    assert_eq!(after.condition("Audited"), Some(&foreign));
}

#[test]
fn a_tenant_shows_its_keys_and_routes() {
    let standing = standing();
    let keys = vec![KeyStatus { name: "ci".into(), id: "0a1b2c3d".into(), not_after: None }];
    let verdict = Verdict { summary: Summary::Tenant { routes: 2, keys: keys.clone(), limited: None }, ..verdict() };
    let Status::Tenant(tenant) = status(&facts(&verdict, Some(&standing), 1, 1), None, &time(1)) else {
        panic!("not a tenant")
    };
    assert_eq!((tenant.routes, tenant.key_count, tenant.keys), (Some(2), Some(1), keys));
}

/// A tenant whose limits do so while Redis is away.
fn limited(on_unavailable: Option<Unavailable>) -> Verdict {
    Verdict { summary: Summary::Tenant { routes: 1, keys: vec![], limited: on_unavailable }, ..verdict() }
}

fn apart(count: u32) -> Told {
    Told::Apart(Apart { count, ready: 3, reason: "Redis does not answer in time".into() })
}

#[test]
fn a_tenant_with_limits_is_degraded_while_proxies_do_not_share_them_and_ready_all_the_same() {
    let (verdict, standing) = (limited(Some(Unavailable::Local)), standing());
    let shared = facts(&verdict, Some(&standing), 3, 3);
    let before = status(&shared, None, &time(1));
    assert_eq!(before.condition("Degraded"), None);
    let lost = status(&Facts { sharing: &apart(1), ..shared }, Some(&before), &time(2));
    assert_eq!(told(&lost)[3..], ["Ready True Programmed", "Degraded True LimitsNotShared"]);
    assert_eq!(
        message(&lost, "Degraded"),
        "1/3 proxies keep their own share of the limits: Redis does not answer in time"
    );
    let more = status(&Facts { sharing: &apart(3), ..shared }, Some(&lost), &time(3));
    assert!(message(&more, "Degraded").starts_with("3/3 proxies"));
    assert_eq!(more.condition("Degraded").unwrap().last_transition_time, time(2), "it is one and the same loss");
    assert_eq!(status(&shared, Some(&more), &time(4)), before, "removed when it is over");
}

#[test]
fn what_is_not_limited_is_never_degraded() {
    let (route, standing) = (verdict(), standing());
    for verdict in [route, limited(None)] {
        let facts = Facts { sharing: &apart(3), ..facts(&verdict, Some(&standing), 3, 3) };
        assert_eq!(status(&facts, None, &time(1)).condition("Degraded"), None);
    }
}

#[test]
fn a_degraded_tenant_stays_so_until_the_proxies_were_asked() {
    let (verdict, standing) = (limited(Some(Unavailable::Deny)), standing());
    let lost = Facts { sharing: &apart(2), ..facts(&verdict, Some(&standing), 3, 3) };
    let before = status(&lost, None, &time(1));
    assert_eq!(status(&Facts { sharing: &Told::Before, ..lost }, Some(&before), &time(2)), before);
    let first = status(&Facts { sharing: &Told::Before, ..lost }, None, &time(2));
    assert_eq!(first.condition("Degraded"), None);
}

#[test]
fn a_patch_removes_what_the_status_has_not() {
    let refused = Verdict {
        accepted: Err(problem(reason::KEY_CONFLICT, "spec.apiKeys[0]")),
        summary: Summary::Tenant { routes: 0, keys: vec![], limited: None },
        ..verdict()
    };
    let patch = status(&facts(&refused, None, 0, 3), None, &time(1)).patch("uid-1").unwrap();
    assert_eq!(patch["metadata"], json!({"uid": "uid-1"}));
    let fields = patch["status"].as_object().unwrap();
    for field in ["revision", "proxies", "keys"] {
        assert_eq!(fields.get(field), Some(&Value::Null), "{field}");
    }
    assert_eq!((&fields["keyCount"], &fields["routes"]), (&json!(0), &json!(0)));
}

#[test]
fn a_long_message_is_cut() {
    let long = Problem { message: "é".repeat(50_000), ..problem(reason::INVALID, "spec") };
    let refused = Verdict { accepted: Err(long), ..verdict() };
    let status = status(&facts(&refused, None, 0, 3), None, &time(1));
    assert_eq!(message(&status, "Accepted").chars().count(), MESSAGE_MAX);
}
