//! Whole manifests, as users write them.

use crate::{
    ByteSize, CaRef, ClientGoneMode, FromNamespaces, HttpMethod, OnSuspend, Period, Provider, RelayRoute, RelayTenant,
    WireFormat,
};
use serde::de::DeserializeOwned;

fn read<T: DeserializeOwned>(yaml: &str) -> Result<T, String> {
    serde_saphyr::from_str(yaml).map_err(|error| error.to_string())
}

const ROUTE: &str = "
apiVersion: stream-relay.dev/v1alpha1
kind: RelayRoute
metadata: {name: openai, namespace: team-a}
spec:
  matches: [{path: {prefix: /v1}}]
  backends:
  - {name: openai, provider: OpenAI, credential: {secretRef: {name: openai, key: api-key}}}
";

const TENANT: &str = "
apiVersion: stream-relay.dev/v1alpha1
kind: RelayTenant
metadata: {name: team-a, namespace: team-a}
spec:
  apiKeys: [{name: ci, secretRef: {name: team-a-key, key: key}}]
";

const FULL_ROUTE: &str = "
apiVersion: stream-relay.dev/v1alpha1
kind: RelayRoute
metadata: {name: speech, namespace: team-a}
spec:
  tenants:
    selector: {matchLabels: {plan: paid}}
    namespaces: {from: Selector, selector: {matchExpressions: [{key: tier, operator: In, values: [gold]}]}}
  matches:
  - path: {prefix: /speech}
    methods: [POST, GET]
    models: ['gpt-4*', tts-1]
    headers: [{name: X-Tier, value: gold}, {name: x-region, value: eu west}]
  rewrite: {prefix: /cognitiveservices}
  backends:
  - name: azure
    provider: AzureSpeech
    url: https://eastus.tts.speech.microsoft.com
    credential: {secretRef: {name: azure, key: key}}
  - name: local
    provider: Custom
    url: http://[::1]:9000/base
    allowPlaintext: true
    credential: {secretRef: {name: local, key: key}, header: Authorization, scheme: Token}
    model: {map: {tts-1: local-tts, 'org/a.b:c': other}}
    headers: {set: [{name: X-Team, value: a}], remove: [x-trace, X-Debug]}
    weight: 0
    priority: 15
  - name: own-ca
    provider: Custom
    url: https://llm.internal
    model: {name: llama}
    tls: {caRef: {name: internal-ca}}
  format: AzureSpeech
  timeouts: {connect: 2s, firstByte: 5m, idle: 1m30s500ms, total: 1h}
  keepAlive: {interval: 15s}
  retries: {attempts: 0, statuses: [408, 429], budgetPercent: 0}
  hedge: {after: 800ms, maxPercent: 100}
  onClientGone: {mode: Drain, limit: 1m}
  body: {max: 1048576}
";

const FULL_TENANT: &str = "
apiVersion: stream-relay.dev/v1alpha1
kind: RelayTenant
metadata: {name: team-a, namespace: team-a}
spec:
  apiKeys:
  - {name: ci, secretRef: {name: team-a-key, key: key}, notAfter: '2027-01-31T12:00:00Z'}
  - {name: git, sha256: 0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef}
  suspended: true
  onSuspend: Cut
  allowedRoutes: {namespaces: {from: All}}
  limits: {requests: {amount: 5, per: Hour, burst: 2}}
";

#[test]
fn the_smallest_manifests_are_accepted() {
    let route: RelayRoute = read(ROUTE).unwrap();
    route.validate_cel().unwrap();
    assert_eq!(route.spec.backends[0].provider, Provider::OpenAI);
    read::<RelayTenant>(TENANT).unwrap().validate_cel().unwrap();
}

#[test]
fn manifests_with_every_field_are_accepted() {
    let route: RelayRoute = read(FULL_ROUTE).unwrap();
    route.validate_cel().unwrap();
    assert_eq!(route.spec.matches[0].methods, [HttpMethod::Post, HttpMethod::Get]);
    assert_eq!(route.spec.body.unwrap().max, Some(ByteSize("1048576".into())));
    let consent = route.spec.tenants.unwrap().namespaces.unwrap();
    assert_eq!(consent.from, Some(FromNamespaces::Selector));
    assert_eq!(route.spec.format, Some(WireFormat::AzureSpeech));
    assert_eq!(route.spec.retries.unwrap().statuses, Some(vec![408, 429]));
    assert_eq!(route.spec.on_client_gone.unwrap().mode, ClientGoneMode::Drain);
    assert_eq!(route.spec.backends[1].model.as_ref().unwrap().map.as_ref().unwrap()["org/a.b:c"], "other");
    let ca = &route.spec.backends[2].tls.as_ref().unwrap().ca_ref;
    assert_eq!((ca, ca.to_secret_key().key.as_str()), (&CaRef { name: "internal-ca".into(), key: None }, "ca.crt"));
    let tenant: RelayTenant = read(FULL_TENANT).unwrap();
    tenant.validate_cel().unwrap();
    assert_eq!(tenant.spec.on_suspend, Some(OnSuspend::Cut));
    assert_eq!(tenant.spec.api_keys[0].not_after.as_ref().unwrap().0.as_second(), 1_801_396_800);
    assert_eq!(tenant.spec.limits.unwrap().requests.unwrap().per, Some(Period::Hour));
}

#[test]
fn what_is_written_is_what_was_read() {
    let route: RelayRoute = read(FULL_ROUTE).unwrap();
    let again: RelayRoute = serde_json::from_value(serde_json::to_value(&route).unwrap()).unwrap();
    assert_eq!(route, again);
    let tenant: RelayTenant = read(FULL_TENANT).unwrap();
    let again: RelayTenant = serde_json::from_value(serde_json::to_value(&tenant).unwrap()).unwrap();
    assert_eq!(tenant, again);
}

#[test]
fn a_field_that_does_not_exist_is_refused_by_name() {
    let message = read::<RelayRoute>(&ROUTE.replace("provider:", "providr:")).unwrap_err();
    assert!(message.contains("providr"), "{message}");
    let message = read::<RelayTenant>(&TENANT.replace("spec:", "spec:\n  budgets: []")).unwrap_err();
    assert!(message.contains("budgets"), "{message}");
}

#[test]
fn null_is_the_same_as_absent() {
    let tenant: RelayTenant =
        read(&TENANT.replace("spec:", "spec:\n  limits: {requests: null}\n  suspended: null")).unwrap();
    tenant.validate_cel().unwrap();
    assert_eq!((tenant.spec.suspended, tenant.spec.limits.unwrap().requests), (None, None));
}
