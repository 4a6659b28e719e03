//! Routes: from what users write to what a proxy serves.

use crate::backend;
use crate::consent::Consent;
use crate::lexical::has_length;
use crate::problem::{Problem, ensure, ensure_distinct, ensure_length};
use crate::{SecretData, identity, secrets, selector};
use kube::core::Selector;
use relay_crds as crds;
use relay_crds::{RelayRoute, ScalarError, rules};
use relay_snapshot::{Match, ModelPattern, ObjectId, PathRule, Policy, Route, SecretText, Timeouts};

/// The default of `timeouts.firstByte` and `timeouts.idle`, in milliseconds.
const TIMEOUT_MS: u64 = 120_000;
/// The default of `body.max`, in bytes.
const BODY_MAX: u64 = 10 << 20;

/// A route that is valid in itself.
pub(crate) struct ValidRoute {
    /// What proxies get; its tenants are still to be put in.
    pub route: Route,
    /// The tenants' labels that the route consents to; `None`: any.
    pub selector: Option<Selector>,
    /// The tenants' namespaces that the route consents to.
    pub consent: Consent,
}

/// A route and what is to be said about it.
pub(crate) struct JudgedRoute {
    pub generation: Option<i64>,
    pub providers: String,
    pub accepted: Result<ValidRoute, Problem>,
    pub refs: Result<(), Problem>,
}

/// Judges the route of one id.
pub(crate) fn judge(id: &ObjectId, objects: &[&RelayRoute], secrets: &SecretData) -> JudgedRoute {
    let raw = match identity::only(id, objects) {
        Ok(raw) => raw,
        Err(problem) => {
            return JudgedRoute { generation: None, providers: String::new(), accepted: Err(problem), refs: Ok(()) };
        }
    };
    let found: Vec<Result<Option<SecretText>, Problem>> =
        raw.spec.backends.iter().enumerate().map(|(index, raw)| secret(index, raw, id, secrets)).collect();
    let refs = found.iter().find_map(|found| found.as_ref().err().cloned()).map_or(Ok(()), Err);
    let accepted = parse(id, raw).map(|mut valid| {
        valid.route.ready = refs.is_ok();
        for (backend, found) in valid.route.backends.iter_mut().zip(found) {
            if let Some(credential) = &mut backend.credential {
                credential.secret = found.ok().flatten();
            }
        }
        valid
    });
    JudgedRoute { generation: raw.metadata.generation, providers: providers(raw), accepted, refs }
}

/// The key of a backend; `None` where it names none.
fn secret(
    index: usize,
    raw: &crds::Backend,
    id: &ObjectId,
    secrets: &SecretData,
) -> Result<Option<SecretText>, Problem> {
    let Some(credential) = &raw.credential else { return Ok(None) };
    let at = format!("spec.backends[{index}].credential.secretRef");
    secrets::text(&at, &id.namespace, &credential.secret_ref, secrets).map(|text| Some(SecretText::new(text)))
}

fn providers(raw: &RelayRoute) -> String {
    let mut names: Vec<&str> = Vec::new();
    for backend in &raw.spec.backends {
        let name = backend::provider(backend.provider).name();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(",")
}

/// Parses a route, field by field in the order of the documentation; the first fault is told.
fn parse(id: &ObjectId, raw: &RelayRoute) -> Result<ValidRoute, Problem> {
    let spec = &raw.spec;
    let tenants = spec.tenants.as_ref();
    let consent = Consent::parse("spec.tenants.namespaces", tenants.and_then(|tenants| tenants.namespaces.as_ref()))?;
    let selector = tenants.and_then(|tenants| tenants.selector.as_ref());
    let selector = selector.map(|raw| selector::parse("spec.tenants.selector", raw)).transpose()?;
    ensure_length(spec.matches.len(), 1, 16, "spec.matches")?;
    let matches = spec.matches.iter().enumerate();
    let matches = matches.map(|(index, raw)| parse_match(&format!("spec.matches[{index}]"), raw));
    let matches: Vec<Match> = matches.collect::<Result<_, _>>()?;
    ensure_length(spec.backends.len(), 1, 16, "spec.backends")?;
    let backends = spec.backends.iter().enumerate();
    let backends = backends.map(|(index, raw)| backend::parse(&format!("spec.backends[{index}]"), raw));
    let backends = backends.collect::<Result<Vec<_>, _>>()?;
    let names: Vec<&str> = backends.iter().map(|backend| backend.name.as_str()).collect();
    ensure_distinct(&names, "spec.backends", ".name")?;
    let timeouts = spec.timeouts.as_ref();
    let timeouts = Timeouts {
        first_byte_ms: timeout("spec.timeouts.firstByte", timeouts.and_then(|raw| raw.first_byte.as_ref()))?,
        idle_ms: timeout("spec.timeouts.idle", timeouts.and_then(|raw| raw.idle.as_ref()))?,
        ..Timeouts::default()
    };
    let body_max = body_max(spec.body.as_ref().and_then(|body| body.max.as_ref()))?;
    let created = identity::created(&raw.metadata);
    let route = Route {
        id: id.clone(),
        created,
        tenants: Vec::new(),
        matches,
        backends,
        timeouts,
        body_max,
        policy: Policy::default(),
        ready: false,
    };
    Ok(ValidRoute { route, selector, consent })
}

fn parse_match(at: &str, raw: &crds::RouteMatch) -> Result<Match, Problem> {
    let path = parse_path(&format!("{at}.path"), &raw.path)?;
    let field = format!("{at}.methods");
    ensure_length(raw.methods.len(), 0, 8, &field)?;
    ensure_distinct(&raw.methods, &field, "")?;
    let field = format!("{at}.models");
    ensure_length(raw.models.len(), 0, 32, &field)?;
    for (index, model) in raw.models.iter().enumerate() {
        let field = format!("{field}[{index}]");
        // One rule for empty and misplaced stars, since the API server's also covers both.
        ensure(!model.is_empty() && !without_last(model).contains('*'), &field, "", rules::MODEL_FORM.1)?;
        ensure(has_length(model, 1, 256), &field, "", "must have at most 256 characters")?;
    }
    ensure_distinct(&raw.models, &field, "")?;
    // Sets, on which the order says nothing: an apply that merges them in another order is no new revision.
    let mut methods: Vec<String> = raw.methods.iter().map(|method| method_name(*method).to_owned()).collect();
    methods.sort();
    let mut models = raw.models.clone();
    models.sort();
    Ok(Match { path, methods, models: models.iter().map(|model| pattern(model)).collect(), headers: Vec::new() })
}

fn without_last(text: &str) -> &str {
    let mut characters = text.chars();
    characters.next_back();
    characters.as_str()
}

fn pattern(model: &str) -> ModelPattern {
    match model.strip_suffix('*') {
        Some(prefix) => ModelPattern::Prefix(prefix.to_owned()),
        None => ModelPattern::Exact(model.to_owned()),
    }
}

const fn method_name(method: crds::HttpMethod) -> &'static str {
    match method {
        crds::HttpMethod::Get => "GET",
        crds::HttpMethod::Head => "HEAD",
        crds::HttpMethod::Post => "POST",
        crds::HttpMethod::Put => "PUT",
        crds::HttpMethod::Patch => "PATCH",
        crds::HttpMethod::Delete => "DELETE",
        crds::HttpMethod::Options => "OPTIONS",
    }
}

fn parse_path(at: &str, raw: &crds::PathMatch) -> Result<PathRule, Problem> {
    let (path, leaf) = match (&raw.prefix, &raw.exact) {
        (Some(prefix), None) => (prefix, ".prefix"),
        (None, Some(exact)) => (exact, ".exact"),
        _ => return Err(Problem::invalid(at, rules::PATH_ONE_OF.1)),
    };
    ensure(is_path(path), at, leaf, rules::PATH_FORM.1)?;
    ensure(has_length(path, 1, 1024), at, leaf, "must have at most 1024 characters")?;
    Ok(match raw.prefix {
        Some(_) if path.len() > 1 => PathRule::Prefix(path.trim_end_matches('/').to_owned()),
        Some(_) => PathRule::Prefix(path.clone()),
        None => PathRule::Exact(path.clone()),
    })
}

/// The rule [`rules::PATH_FORM`].
fn is_path(path: &str) -> bool {
    let byte = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'%');
    path.starts_with('/')
        && path.bytes().all(byte)
        && !path.contains("//")
        && !path.split('/').any(|segment| segment == "." || segment == "..")
}

fn timeout(field: &str, raw: Option<&crds::Duration>) -> Result<u64, Problem> {
    let Some(raw) = raw else { return Ok(TIMEOUT_MS) };
    let message = |error| match error {
        ScalarError::Form => "is not a duration: write it like 90s, 5m or 1h30m; 0s switches the timeout off",
        ScalarError::Bound => rules::DURATION_BOUND.1,
    };
    let duration = raw.parse().map_err(|error| Problem::invalid(field, message(error)))?;
    // At most 24 h by the parser, so that the conversion holds.
    Ok(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn body_max(raw: Option<&crds::ByteSize>) -> Result<u64, Problem> {
    let message = |error| match error {
        ScalarError::Form => "is not a size in bytes: write it like 10Mi, 500k or 1048576",
        ScalarError::Bound => rules::BODY_BOUND.1,
    };
    raw.map_or(Ok(BODY_MAX), |raw| raw.parse().map_err(|error| Problem::invalid("spec.body.max", message(error))))
}
