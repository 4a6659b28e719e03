//! Routes: from what users write to what a proxy serves.

use crate::consent::Consent;
use crate::problem::{Problem, ensure_distinct, ensure_length};
use crate::{SecretData, backend, certificates, handling, identity, limits, matches, secrets, selector};
use kube::core::Selector;
use relay_crds as crds;
use relay_crds::RelayRoute;
use relay_snapshot::{Match, ObjectId, Route, SecretText};

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
    let at = |index: usize| format!("spec.backends[{index}]");
    let found: Vec<Found> =
        raw.spec.backends.iter().enumerate().map(|(index, raw)| Found::of(&at(index), raw, id, secrets)).collect();
    let refs = found.iter().find_map(Found::problem).map_or(Ok(()), Err);
    let accepted = parse(id, raw).map(|mut valid| {
        valid.route.ready = refs.is_ok();
        for (backend, found) in valid.route.backends.iter_mut().zip(found) {
            if let Some(credential) = &mut backend.credential {
                credential.secret = found.key.ok().flatten();
            }
            backend.ca = found.ca.ok().flatten();
        }
        valid
    });
    JudgedRoute { generation: raw.metadata.generation, providers: providers(raw), accepted, refs }
}

/// What the Secrets that a backend names hold; `None` where it names none.
struct Found {
    key: Result<Option<SecretText>, Problem>,
    ca: Result<Option<String>, Problem>,
}

impl Found {
    fn of(at: &str, raw: &crds::Backend, id: &ObjectId, secrets: &SecretData) -> Self {
        let key = raw.credential.as_ref().map(|credential| {
            let at = format!("{at}.credential.secretRef");
            secrets::text(&at, &id.namespace, &credential.secret_ref, secrets).map(SecretText::new)
        });
        let ca = raw.tls.as_ref().map(|tls| {
            let at = format!("{at}.tls.caRef");
            certificates::read(&at, &id.namespace, &tls.ca_ref.to_secret_key(), secrets)
        });
        Self { key: key.transpose(), ca: ca.transpose() }
    }

    fn problem(&self) -> Option<Problem> {
        self.key.as_ref().err().or(self.ca.as_ref().err()).cloned()
    }
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
    let matches = matches.map(|(index, raw)| matches::parse(&format!("spec.matches[{index}]"), raw));
    let matches: Vec<Match> = matches.collect::<Result<_, _>>()?;
    let rewrite_prefix = spec.rewrite.as_ref().map(|raw| handling::rewrite(raw, &matches)).transpose()?;
    ensure_length(spec.backends.len(), 1, 16, "spec.backends")?;
    let backends = spec.backends.iter().enumerate();
    let backends = backends.map(|(index, raw)| backend::parse(&format!("spec.backends[{index}]"), raw));
    let backends = backends.collect::<Result<Vec<_>, _>>()?;
    let names: Vec<&str> = backends.iter().map(|backend| backend.name.as_str()).collect();
    ensure_distinct(&names, "spec.backends", ".name")?;
    let route = Route {
        id: id.clone(),
        created: identity::created(&raw.metadata),
        tenants: Vec::new(),
        matches,
        backends,
        timeouts: handling::timeouts(spec.timeouts.as_ref())?,
        policy: handling::policy(spec, rewrite_prefix)?,
        body_max: handling::body_max(spec.body.as_ref())?,
        limits: limits::of_route(spec.limits.as_ref())?,
        ready: false,
    };
    Ok(ValidRoute { route, selector, consent })
}
