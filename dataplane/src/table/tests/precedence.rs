use super::{matching, route, snapshot};
use crate::table::{Found, ModelNeed, Table};
use http::Method;
use proptest::prelude::*;
use relay_snapshot::{Match, ModelPattern, PathRule, Route};
use std::cmp::Reverse;

fn exact(path: &str) -> PathRule {
    PathRule::Exact(path.to_owned())
}

fn prefix(path: &str) -> PathRule {
    PathRule::Prefix(path.to_owned())
}

/// Who serves it, the model looked for as a request does; and whether it was.
fn find(routes: &[Route], method: &Method, path: &str, model: Option<&str>) -> (Option<String>, bool) {
    let table = Table::new(&snapshot(routes.to_vec()), "r");
    let caller = table.caller(b"key-of-a").unwrap();
    let index = &caller.tenant.routes;
    let name = |found: Found<'_>| match found {
        Found::Route(route) => Some(route.label.trim_start_matches("team/").to_owned()),
        Found::Nothing => None,
        Found::NeedsModel { .. } => panic!("asked again"),
    };
    match index.find(method, path, ModelNeed::Unknown) {
        Found::NeedsModel { .. } => (name(index.find(method, path, ModelNeed::Known(model))), true),
        found => (name(found), false),
    }
}

fn winner(routes: &[Route], path: &str, model: Option<&str>) -> Option<String> {
    find(routes, &Method::POST, path, model).0
}

#[test]
fn each_rule_decides_before_the_next() {
    let ways: [(&str, i64, Match); 9] = [
        ("exact-model", 9, matching(exact("/v1/chat"), &[], &["m"])),
        ("exact", 9, matching(exact("/v1/chat"), &[], &[])),
        ("long-exact-model", 9, matching(prefix("/v1/chat"), &[], &["m-1"])),
        ("long-long-model", 9, matching(prefix("/v1/chat"), &[], &["m-*"])),
        ("long-short-model", 9, matching(prefix("/v1/chat"), &[], &["m*"])),
        ("long-older", 1, matching(prefix("/v1/chat/"), &[], &[])),
        ("long-a", 2, matching(prefix("/v1/chat"), &[], &[])),
        ("long-b", 2, matching(prefix("/v1/chat"), &[], &[])),
        ("short", 0, matching(prefix("/v1"), &[], &["m*"])),
    ];
    let mut routes: Vec<Route> = ways.map(|(name, created, rule)| route(name, created, vec![rule])).into();
    let mut order = Vec::new();
    // The winner goes, and the next one takes its place.
    for (path, model) in
        [("/v1/chat", "m"), ("/v1/chat", "m"), ("/v1/chat", "m-1"), ("/v1/chat", "m-1"), ("/v1/chat", "m-1")]
    {
        let won = winner(&routes, path, Some(model)).unwrap();
        routes.retain(|route| route.id.name != won);
        order.push(won);
    }
    while let Some(won) = winner(&routes, "/v1/chat", Some("m-1")) {
        routes.retain(|route| route.id.name != won);
        order.push(won);
    }
    let expected = [
        "exact-model",
        "exact",
        "long-exact-model",
        "long-long-model",
        "long-short-model",
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
    let caller = table.caller(b"key-of-a").unwrap();
    let found = caller.tenant.routes.find(&Method::POST, "/x", ModelNeed::Unknown);
    assert!(matches!(found, Found::NeedsModel { body_max: 5000 }));
}

/// Which matches take a request, and in which order: the sentence of the contract, written down without an index.
fn by_the_letter(routes: &[Route], method: &str, path: &str, model: Option<&str>) -> Option<String> {
    let mut found = Vec::new();
    for route in routes {
        for rule in &route.matches {
            let path_rank = match &rule.path {
                PathRule::Exact(exact) if exact == path => Some((0, Reverse(0))),
                PathRule::Exact(_) => None,
                PathRule::Prefix(prefix) => {
                    let prefix = prefix.trim_end_matches('/');
                    let matches = path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
                    matches.then_some((1, Reverse(prefix.len())))
                }
            };
            let Some(path_rank) =
                path_rank.filter(|_| rule.methods.is_empty() || rule.methods.iter().any(|m| m == method))
            else {
                continue;
            };
            let patterns: Vec<_> =
                if rule.models.is_empty() { vec![None] } else { rule.models.iter().map(Some).collect() };
            for pattern in patterns {
                let model_rank = match (pattern, model) {
                    (None, _) => Some((2, Reverse(0))),
                    (Some(ModelPattern::Exact(name)), Some(model)) if name == model => Some((0, Reverse(name.len()))),
                    (Some(ModelPattern::Prefix(start)), Some(model)) if model.starts_with(start.as_str()) => {
                        Some((1, Reverse(start.len())))
                    }
                    _ => None,
                };
                if let Some(model_rank) = model_rank {
                    found.push((path_rank, model_rank, route.created, route.id.clone()));
                }
            }
        }
    }
    found.into_iter().min().map(|(.., id)| id.name)
}

fn paths() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["v1", "chat", "v", ""]), 0..4)
        .prop_map(|segments| format!("/{}", segments.join("/")))
}

fn rules() -> impl Strategy<Value = Match> {
    let models = prop::sample::subsequence(vec!["m", "m*", "m-*", "m-1", "*"], 0..3);
    let methods = prop::sample::subsequence(vec!["GET", "POST"], 0..2);
    (paths(), any::<bool>(), methods, models).prop_map(|(path, is_exact, methods, models)| {
        matching(if is_exact { exact(&path) } else { prefix(&path) }, &methods, &models)
    })
}

proptest! {
    #[test]
    fn the_index_does_what_the_letter_says_in_any_order(
        matches in prop::collection::vec((0_i64..3, prop::collection::vec(rules(), 1..3)), 0..8),
        path in paths(),
        method in prop::sample::select(vec![Method::GET, Method::POST]),
        model in prop::option::of(prop::sample::select(vec!["m", "m-1", "m-12", "n", ""])),
        turn in 0_usize..8,
    ) {
        let mut routes: Vec<Route> =
            matches.into_iter().enumerate().map(|(n, (created, matches))| route(&format!("r{n}"), created, matches)).collect();
        // Paths that end in a slash are prefixes with one, too: the index and the letter trim them alike.
        let path = if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path };
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let expected = by_the_letter(&routes, method.as_str(), &path, model);
        prop_assert_eq!(&find(&routes, &method, &path, model).0, &expected);
        let by = turn % routes.len().max(1);
        routes.rotate_left(by);
        prop_assert_eq!(&find(&routes, &method, &path, model).0, &expected);
        routes.reverse();
        prop_assert_eq!(&find(&routes, &method, &path, model).0, &expected);
    }
}
