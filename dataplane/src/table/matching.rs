//! Which route serves a request: exact path over prefix, longer prefix over shorter, a model match over none, longer model pattern over shorter,
//! then the older object, then namespace/name.

use super::entry::RouteEntry;
use http::Method;
use relay_snapshot::{ModelPattern, ObjectId, PathRule};
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
    model: Option<ModelPattern>,
    route: Arc<RouteEntry>,
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
    Route(&'a Arc<RouteEntry>),
    /// The choice depends on the model: find it and ask again. The body may be read up to `body_max` bytes, the most that a candidate allows.
    NeedsModel {
        /// In bytes.
        body_max: u64,
    },
    /// No route matches.
    Nothing,
}

impl Candidate {
    fn order(&self) -> (u8, Reverse<usize>, i64, ObjectId) {
        let (rank, length) = match &self.model {
            Some(ModelPattern::Exact(name)) => (0, name.len()),
            Some(ModelPattern::Prefix(prefix)) => (1, prefix.len()),
            None => (2, 0),
        };
        (rank, Reverse(length), self.route.source.created, self.route.source.id.clone())
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
                let (map, path) = match &rule.path {
                    PathRule::Exact(path) => (&mut index.exact, path.as_str()),
                    PathRule::Prefix(path) => (&mut index.prefix, path.trim_end_matches('/')),
                };
                let list = map.entry(path.to_owned()).or_default();
                let models =
                    if rule.models.is_empty() { vec![None] } else { rule.models.iter().cloned().map(Some).collect() };
                list.extend(models.into_iter().map(|model| Candidate {
                    methods: rule.methods.clone(),
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

    /// The candidates of a path, in order.
    fn candidates<'a, 'p>(&'a self, path: &'p str) -> impl Iterator<Item = &'a Candidate> + use<'a, 'p> {
        let exact = self.exact.get(path).into_iter();
        let segments = std::iter::successors(Some(path.trim_end_matches('/')), |prefix| {
            prefix.rfind('/').map(|slash| &prefix[..slash])
        });
        exact.chain(segments.filter_map(move |prefix| self.prefix.get(prefix))).flatten()
    }

    /// Finds the route of a request.
    pub fn find(&self, method: &Method, path: &str, model: ModelNeed<'_>) -> Found<'_> {
        let of_method = |c: &&Candidate| c.methods.is_empty() || c.methods.iter().any(|m| m == method.as_str());
        for candidate in self.candidates(path).filter(of_method) {
            match model {
                ModelNeed::Unknown if candidate.model.is_some() => {
                    let body_max = self.candidates(path).filter(of_method).map(|c| c.route.body_max).max();
                    return Found::NeedsModel { body_max: body_max.unwrap_or_default() };
                }
                ModelNeed::Known(model) if !candidate.takes_model(model) => {}
                _ => return Found::Route(&candidate.route),
            }
        }
        Found::Nothing
    }
}
