//! The index against the sentence of the contract, for any routes and requests.

use super::{Asked, chosen, exact, prefix};
use crate::table::tests::{matching, route, with_headers};
use http::Method;
use proptest::prelude::*;
use relay_snapshot::{HeaderRule, Match, ModelPattern, PathRule, Route};
use std::cmp::Reverse;

/// Which matches take a request, and in which order: the sentence of the contract, written down without an index.
fn by_the_letter(routes: &[Route], asked: &Asked<'_>) -> Option<(String, String)> {
    let (method, path, model) = (asked.method.as_str(), asked.path, asked.model);
    let has = |rule: &HeaderRule| asked.headers.get(&rule.name).is_some_and(|value| value == &rule.value);
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
            let of_method = rule.methods.is_empty() || rule.methods.iter().any(|known| known == method);
            let Some(path_rank) = path_rank.filter(|_| of_method && rule.headers.iter().all(has)) else { continue };
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
                    let more_headers = Reverse(rule.headers.len());
                    found.push((path_rank, model_rank, more_headers, route.created, route.id.clone()));
                }
            }
        }
    }
    found.into_iter().min().map(|((kind, Reverse(length)), .., id)| {
        let matched = if kind == 0 { path } else { &path[..length] };
        (id.name, matched.to_owned())
    })
}

fn paths() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["v1", "chat", "v", ""]), 0..4)
        .prop_map(|segments| format!("/{}", segments.join("/")))
}

fn rules() -> impl Strategy<Value = Match> {
    let models = prop::sample::subsequence(vec!["m", "m*", "m-*", "m-1", "*"], 0..3);
    let methods = prop::sample::subsequence(vec!["GET", "POST"], 0..2);
    let headers = prop::sample::subsequence(vec![("x-a", "1"), ("x-b", "1"), ("x-c", "1")], 0..3);
    (paths(), any::<bool>(), methods, models, headers).prop_map(|(path, is_exact, methods, models, headers)| {
        with_headers(matching(if is_exact { exact(&path) } else { prefix(&path) }, &methods, &models), &headers)
    })
}

proptest! {
    #[test]
    fn the_index_does_what_the_letter_says_in_any_order(
        matches in prop::collection::vec((0_i64..3, prop::collection::vec(rules(), 1..3)), 0..8),
        path in paths(),
        method in prop::sample::select(vec![Method::GET, Method::POST]),
        model in prop::option::of(prop::sample::select(vec!["m", "m-1", "m-12", "n", ""])),
        headers in prop::sample::subsequence(vec![("x-a", "1"), ("x-b", "1"), ("x-c", "2"), ("x-d", "1")], 0..5),
        turn in 0_usize..8,
    ) {
        let mut routes: Vec<Route> =
            matches.into_iter().enumerate().map(|(n, (created, matches))| route(&format!("r{n}"), created, matches)).collect();
        // Paths that end in a slash are prefixes with one, too: the index and the letter trim them alike.
        let path = if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path };
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let asked = Asked::new(method, &path, model).with(&headers);
        let expected = by_the_letter(&routes, &asked);
        prop_assert_eq!(&chosen(&routes, &asked).0, &expected);
        let by = turn % routes.len().max(1);
        routes.rotate_left(by);
        prop_assert_eq!(&chosen(&routes, &asked).0, &expected);
        routes.reverse();
        prop_assert_eq!(&chosen(&routes, &asked).0, &expected);
    }
}
