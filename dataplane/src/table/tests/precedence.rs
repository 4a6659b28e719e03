mod letter;

use super::{caller, matching, route, snapshot, with_headers};
use crate::table::{Found, ModelNeed, Table};
use http::{HeaderMap, Method};
use relay_snapshot::{Match, PathRule, Route};

fn exact(path: &str) -> PathRule {
    PathRule::Exact(path.to_owned())
}

fn prefix(path: &str) -> PathRule {
    PathRule::Prefix(path.to_owned())
}

/// What of a request routes look at.
#[derive(Clone, Debug)]
struct Asked<'a> {
    method: Method,
    path: &'a str,
    headers: HeaderMap,
    model: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn new(method: Method, path: &'a str, model: Option<&'a str>) -> Self {
        Self { method, path, headers: HeaderMap::new(), model }
    }

    fn with(mut self, headers: &[(&'static str, &'static str)]) -> Self {
        let lines = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        self.headers.extend(lines.collect::<HeaderMap>());
        self
    }
}

/// Who serves it and what it matched of the path, the model looked for as a request does; and whether it was.
fn chosen(routes: &[Route], asked: &Asked<'_>) -> (Option<(String, String)>, bool) {
    let table = Table::new(&snapshot(routes.to_vec()), "r");
    let caller = caller(&table, "key-of-a").unwrap();
    let index = &caller.tenant.routes;
    let name = |found: Found<'_>| match found {
        Found::Route(chosen) => {
            Some((chosen.route.label.trim_start_matches("team/").to_owned(), chosen.matched.to_owned()))
        }
        Found::Nothing => None,
        Found::NeedsModel { .. } => panic!("asked again"),
    };
    let find = |model| index.find(&asked.method, asked.path, &asked.headers, model);
    match find(ModelNeed::Unknown) {
        Found::NeedsModel { .. } => (name(find(ModelNeed::Known(asked.model))), true),
        found => (name(found), false),
    }
}

fn find(routes: &[Route], method: &Method, path: &str, model: Option<&str>) -> (Option<String>, bool) {
    let (found, asked) = chosen(routes, &Asked::new(method.clone(), path, model));
    (found.map(|(name, _)| name), asked)
}

fn winner(routes: &[Route], path: &str, model: Option<&str>) -> Option<String> {
    find(routes, &Method::POST, path, model).0
}

#[test]
fn each_rule_decides_before_the_next() {
    let tiered = |rule| with_headers(rule, &[("x-tier", "gold")]);
    let ways: [(&str, i64, Match); 11] = [
        ("exact-model", 9, matching(exact("/v1/chat"), &[], &["m"])),
        ("exact", 9, matching(exact("/v1/chat"), &[], &[])),
        ("long-exact-model", 9, matching(prefix("/v1/chat"), &[], &["m-1"])),
        ("long-long-model", 9, matching(prefix("/v1/chat"), &[], &["m-*"])),
        ("long-short-model", 9, matching(prefix("/v1/chat"), &[], &["m*"])),
        (
            "long-two-headers",
            9,
            with_headers(matching(prefix("/v1/chat"), &[], &[]), &[("x-tier", "gold"), ("x-a", "1")]),
        ),
        ("long-header", 9, tiered(matching(prefix("/v1/chat"), &[], &[]))),
        ("long-older", 1, matching(prefix("/v1/chat/"), &[], &[])),
        ("long-a", 2, matching(prefix("/v1/chat"), &[], &[])),
        ("long-b", 2, matching(prefix("/v1/chat"), &[], &[])),
        ("short", 0, matching(prefix("/v1"), &[], &["m*"])),
    ];
    let mut routes: Vec<Route> = ways.map(|(name, created, rule)| route(name, created, vec![rule])).into();
    let mut order = Vec::new();
    let first = |routes: &[Route], path: &str, model: &str| {
        let asked = Asked::new(Method::POST, path, Some(model)).with(&[("X-Tier", "gold"), ("x-a", "1")]);
        chosen(routes, &asked).0.map(|(name, _)| name)
    };
    // The winner goes, and the next one takes its place.
    for (path, model) in
        [("/v1/chat", "m"), ("/v1/chat", "m"), ("/v1/chat", "m-1"), ("/v1/chat", "m-1"), ("/v1/chat", "m-1")]
    {
        let won = first(&routes, path, model).unwrap();
        routes.retain(|route| route.id.name != won);
        order.push(won);
    }
    while let Some(won) = first(&routes, "/v1/chat", "m-1") {
        routes.retain(|route| route.id.name != won);
        order.push(won);
    }
    let expected = [
        "exact-model",
        "exact",
        "long-exact-model",
        "long-long-model",
        "long-short-model",
        "long-two-headers",
        "long-header",
        "long-older",
        "long-a",
        "long-b",
        "short",
    ];
    assert_eq!(order, expected);
}

#[test]
fn prefixes_match_whole_segments() {
    let routes = [route("p", 0, vec![matching(prefix("/v1/chat/"), &[], &[])])];
    for (path, matches) in [
        ("/v1/chat", true),
        ("/v1/chat/", true),
        ("/v1/chat/x/y", true),
        ("/v1/chat//", true),
        ("/v1/chatter", false),
        ("/v1/cha", false),
        ("/v1", false),
        ("/", false),
        ("/x/v1/chat", false),
        ("*", false),
        ("", false),
    ] {
        assert_eq!(winner(&routes, path, None).is_some(), matches, "{path}");
    }
    let root = [route("root", 0, vec![matching(prefix("/"), &[], &[])])];
    for path in ["/", "/x", "/x/", "//"] {
        assert_eq!(winner(&root, path, None).as_deref(), Some("root"), "{path}");
    }
}

#[test]
fn the_model_is_looked_for_only_where_it_decides() {
    let routes = [
        route("exact", 0, vec![matching(exact("/a"), &[], &[])]),
        route("model", 0, vec![matching(prefix("/"), &["POST"], &["m"])]),
        route("any", 0, vec![matching(prefix("/"), &[], &[])]),
    ];
    assert_eq!(find(&routes, &Method::POST, "/a", Some("m")), (Some("exact".into()), false));
    assert_eq!(find(&routes, &Method::POST, "/b", Some("m")), (Some("model".into()), true));
    assert_eq!(find(&routes, &Method::POST, "/b", None), (Some("any".into()), true));
    assert_eq!(find(&routes, &Method::GET, "/b", Some("m")), (Some("any".into()), false));
}

#[test]
fn the_body_may_be_read_as_far_as_any_candidate_allows() {
    let mut long = route("long", 0, vec![matching(prefix("/"), &[], &["m"])]);
    long.body_max = 5000;
    let mut other = route("other", 0, vec![matching(exact("/y"), &[], &[])]);
    other.body_max = 9000;
    let table =
        Table::new(&snapshot(vec![route("short", 0, vec![matching(prefix("/x"), &[], &["m"])]), long, other]), "r");
    let caller = caller(&table, "key-of-a").unwrap();
    let found = caller.tenant.routes.find(&Method::POST, "/x", &HeaderMap::new(), ModelNeed::Unknown);
    assert!(matches!(found, Found::NeedsModel { body_max: 5000 }));
}

#[test]
fn every_header_of_a_match_must_be_there_with_its_whole_value() {
    let rule = matching(prefix("/"), &[], &[]);
    let routes = [
        route("gold", 5, vec![with_headers(rule.clone(), &[("x-tier", "Gold"), ("x-region", "eu west")])]),
        route("any", 0, vec![rule]),
    ];
    for (headers, expected) in [
        (&[("X-TIER", "Gold"), ("x-region", "eu west")][..], "gold"),
        (&[("x-tier", "silver"), ("x-tier", "Gold"), ("x-region", "eu west"), ("x-more", "1")], "gold"),
        (&[("x-tier", "Gold")], "any"),
        (&[("x-tier", "gold"), ("x-region", "eu west")], "any"),
        (&[("x-tier", "Gold, silver"), ("x-region", "eu west")], "any"),
        (&[("x-tier", "Golden"), ("x-region", "eu west")], "any"),
        (&[], "any"),
    ] {
        let found = chosen(&routes, &Asked::new(Method::GET, "/", None).with(headers)).0;
        assert_eq!(found.unwrap().0, expected, "{headers:?}");
    }
}

#[test]
fn a_match_whose_headers_are_not_there_asks_for_no_model() {
    let tiered = with_headers(matching(prefix("/"), &[], &["m"]), &[("x-tier", "gold")]);
    let mut long = route("tiered", 0, vec![tiered]);
    long.body_max = 5000;
    let routes = [long, route("any", 0, vec![matching(prefix("/"), &[], &[])])];
    let asked = Asked::new(Method::POST, "/x", Some("m"));
    assert_eq!(chosen(&routes, &asked), (Some(("any".into(), String::new())), false));
    assert_eq!(chosen(&routes, &asked.with(&[("x-tier", "gold")])), (Some(("tiered".into(), String::new())), true));
}

#[test]
fn what_was_matched_of_the_path_is_told() {
    let routes = [
        route("exact", 0, vec![matching(exact("/v1/chat/"), &[], &[])]),
        route("long", 0, vec![matching(prefix("/v1/chat"), &[], &[])]),
        route("short", 0, vec![matching(prefix("/v1/"), &[], &[])]),
        route("root", 0, vec![matching(prefix("/"), &[], &[])]),
    ];
    for (path, name, matched) in [
        ("/v1/chat/", "exact", "/v1/chat/"),
        ("/v1/chat", "long", "/v1/chat"),
        ("/v1/chat/x", "long", "/v1/chat"),
        ("/v1/", "short", "/v1"),
        ("/v1/x", "short", "/v1"),
        ("/v10", "root", ""),
    ] {
        let found = chosen(&routes, &Asked::new(Method::GET, path, None)).0;
        assert_eq!(found, Some((name.to_owned(), matched.to_owned())), "{path}");
        assert!(path.starts_with(matched));
    }
}
