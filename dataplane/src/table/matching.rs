//! Which route serves a request: exact path over prefix, longer prefix over shorter, a model match over none, longer model pattern over shorter,
//! then more headers, then the older object, then namespace/name.

use super::entry::RouteEntry;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use relay_snapshot::{HeaderRule, ModelPattern, ObjectId, PathRule};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

/// The routes of one tenant, by path. A look-up costs one hash for the path and one for each of its leading segments.
#[derive(Default)]
pub struct RouteIndex {
    exact: HashMap<String, Vec<Candidate>>,
    /// By prefix without trailing slash; the root is "".
    prefix: HashMap<String, Vec<Candidate>>,
}

struct Candidate {
    methods: Vec<String>,
    /// All of them must be there.
    headers: Arc<[(HeaderName, HeaderValue)]>,
    model: Option<ModelPattern>,
    route: Arc<RouteEntry>,
}

/// The route of a request.
#[derive(Clone, Copy)]
pub struct Chosen<'a> {
    /// It serves the request.
    pub route: &'a Arc<RouteEntry>,
    /// What it matched of the path: the whole segments of its prefix, without slash at the end (the root is empty), or the whole path. A rewrite replaces
    /// it.
    pub matched: &'a str,
}

/// What is known of the request's model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelNeed<'a> {
    /// Not looked for yet.
    Unknown,
    /// Looked for: this one, or none.
    Known(Option<&'a str>),
}

/// Result of a look-up.
pub enum Found<'a> {
    /// This route serves the request.
    Route(Chosen<'a>),
    /// The choice depends on the model: find it and ask again. The body may be read up to `body_max` bytes, the most that a candidate allows.
    NeedsModel {
        /// In bytes.
        body_max: u64,
    },
    /// No route matches.
    Nothing,
}

impl Candidate {
    fn order(&self) -> (u8, Reverse<usize>, Reverse<usize>, i64, ObjectId) {
        let (rank, length) = match &self.model {
            Some(ModelPattern::Exact(name)) => (0, name.len()),
            Some(ModelPattern::Prefix(prefix)) => (1, prefix.len()),
            None => (2, 0),
        };
        let source = &self.route.source;
        (rank, Reverse(length), Reverse(self.headers.len()), source.created, source.id.clone())
    }

    /// Whether it takes part in requests of this method with these headers. A header that comes several times needs one line with the value.
    fn takes(&self, method: &Method, headers: &HeaderMap) -> bool {
        let has = |(name, value): &(HeaderName, HeaderValue)| headers.get_all(name).iter().any(|line| line == value);
        (self.methods.is_empty() || self.methods.iter().any(|known| known == method.as_str()))
            && self.headers.iter().all(has)
    }

    fn takes_model(&self, model: Option<&str>) -> bool {
        match (&self.model, model) {
            (None, _) => true,
            (Some(ModelPattern::Exact(name)), Some(model)) => name == model,
            (Some(ModelPattern::Prefix(prefix)), Some(model)) => model.starts_with(prefix.as_str()),
            (Some(_), None) => false,
        }
    }
}

impl RouteIndex {
    pub(super) fn new(routes: &[Arc<RouteEntry>]) -> Self {
        let mut index = Self::default();
        for route in routes {
            for rule in &route.source.matches {
                // What can't be a header is in no request.
                let Some(headers) = rule.headers.iter().map(header).collect::<Option<Arc<[_]>>>() else { continue };
                let (map, path) = match &rule.path {
                    PathRule::Exact(path) => (&mut index.exact, path.as_str()),
                    PathRule::Prefix(path) => (&mut index.prefix, path.trim_end_matches('/')),
                };
                let list = map.entry(path.to_owned()).or_default();
                let models =
                    if rule.models.is_empty() { vec![None] } else { rule.models.iter().cloned().map(Some).collect() };
                list.extend(models.into_iter().map(|model| Candidate {
                    methods: rule.methods.clone(),
                    headers: Arc::clone(&headers),
                    model,
                    route: Arc::clone(route),
                }));
            }
        }
        for list in index.exact.values_mut().chain(index.prefix.values_mut()) {
            list.sort_by_cached_key(Candidate::order);
        }
        index
    }

    /// The candidates of a path with what they match of it, in order.
    fn candidates<'a, 'p>(&'a self, path: &'p str) -> impl Iterator<Item = (&'a str, &'a Candidate)> + use<'a, 'p> {
        let exact = self.exact.get_key_value(path).into_iter();
        let segments = std::iter::successors(Some(path.trim_end_matches('/')), |prefix| {
            prefix.rfind('/').map(|slash| &prefix[..slash])
        });
        let lists = exact.chain(segments.filter_map(move |prefix| self.prefix.get_key_value(prefix)));
        lists.flat_map(|(matched, list)| list.iter().map(move |candidate| (matched.as_str(), candidate)))
    }

    /// Finds the route of a request.
    pub fn find(&self, method: &Method, path: &str, headers: &HeaderMap, model: ModelNeed<'_>) -> Found<'_> {
        let candidates = || self.candidates(path).filter(|(_, candidate)| candidate.takes(method, headers));
        for (matched, candidate) in candidates() {
            match model {
                ModelNeed::Unknown if candidate.model.is_some() => {
                    let body_max = candidates().map(|(_, candidate)| candidate.route.body_max).max();
                    return Found::NeedsModel { body_max: body_max.unwrap_or_default() };
                }
                ModelNeed::Known(model) if !candidate.takes_model(model) => {}
                _ => return Found::Route(Chosen { route: &candidate.route, matched }),
            }
        }
        Found::Nothing
    }
}

fn header(rule: &HeaderRule) -> Option<(HeaderName, HeaderValue)> {
    Some((rule.name.parse().ok()?, rule.value.parse().ok()?))
}
