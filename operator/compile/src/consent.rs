//! Which tenants a route serves: those where both sides consent.

use crate::Problem;
use crate::problem::ensure;
use crate::route::JudgedRoute;
use crate::selector;
use crate::tenant::JudgedTenant;
use kube::core::{Selector, SelectorExt};
use relay_crds::{FromNamespaces, NamespaceConsent, rules};
use relay_snapshot::ObjectId;
use std::collections::BTreeMap;

type Labels = BTreeMap<String, String>;

/// The label that the API server puts on every namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The namespaces that one side consents to.
pub(crate) enum Consent {
    Same,
    All,
    Selected(Selector),
}

impl Consent {
    /// Parses the consent in field `at`; absent means the own namespace.
    pub(crate) fn parse(at: &str, raw: Option<&NamespaceConsent>) -> Result<Self, Problem> {
        let Some(raw) = raw else { return Ok(Self::Same) };
        let from = raw.from.unwrap_or_default();
        let both = (from == FromNamespaces::Selector) == raw.selector.is_some();
        ensure(both, at, ".selector", rules::CONSENT_SELECTOR.1)?;
        Ok(match (from, &raw.selector) {
            (FromNamespaces::All, _) => Self::All,
            (FromNamespaces::Selector, Some(raw)) => Self::Selected(selector::parse(&format!("{at}.selector"), raw)?),
            // The rule above leaves only Same here.
            (FromNamespaces::Selector | FromNamespaces::Same, _) => Self::Same,
        })
    }

    fn covers(&self, own: &str, other: &str, labels: &NamespaceLabels) -> bool {
        match self {
            Self::Same => own == other,
            Self::All => true,
            Self::Selected(selector) => labels.match_with(other, selector),
        }
    }
}

/// The labels of every namespace that holds an object.
pub(crate) struct NamespaceLabels(BTreeMap<String, Labels>);

impl NamespaceLabels {
    /// Labels as known, completed by the name that every namespace carries.
    pub(crate) fn new<'a>(known: &BTreeMap<String, Labels>, objects: impl Iterator<Item = &'a ObjectId>) -> Self {
        let mut labels: BTreeMap<String, Labels> = BTreeMap::new();
        for id in objects {
            if !labels.contains_key(&id.namespace) {
                let mut own = known.get(&id.namespace).cloned().unwrap_or_default();
                own.insert(NAME_LABEL.to_owned(), id.namespace.clone());
                labels.insert(id.namespace.clone(), own);
            }
        }
        Self(labels)
    }

    fn match_with(&self, namespace: &str, selector: &Selector) -> bool {
        self.0.get(namespace).is_some_and(|labels| selector.matches(labels))
    }
}

/// Gives every accepted route its tenants, and returns how many routes serve each tenant.
pub(crate) fn join(
    routes: &mut BTreeMap<ObjectId, JudgedRoute>,
    tenants: &BTreeMap<ObjectId, JudgedTenant>,
    labels: &NamespaceLabels,
) -> BTreeMap<ObjectId, u32> {
    let mut served: BTreeMap<ObjectId, u32> = BTreeMap::new();
    for (route_id, route) in routes {
        let Ok(route) = &mut route.accepted else { continue };
        for (tenant_id, tenant) in tenants {
            let Ok(tenant) = &tenant.accepted else { continue };
            let route_consents = route.consent.covers(&route_id.namespace, &tenant_id.namespace, labels)
                && route.selector.as_ref().is_none_or(|selector| selector.matches(&tenant.labels));
            if route_consents && tenant.consent.covers(&tenant_id.namespace, &route_id.namespace, labels) {
                route.route.tenants.push(tenant_id.clone());
                *served.entry(tenant_id.clone()).or_default() += 1;
            }
        }
    }
    served
}
