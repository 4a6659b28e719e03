//! Whole manifests, as users write them.

use crate::{
    AtLimit, BudgetUnit, ByteSize, CaRef, ClientGoneMode, FromNamespaces, HttpMethod, OnRedisUnavailable, OnSuspend,
    Period, Provider, RelayRoute, RelayTenant, StreamsLimit, TokenCount, Usage, WireFormat,
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
  limits:
    requests: {unlimited: true}
    tokens: {amount: 1000000000, per: Day, burst: 1, count: Input}
    characters: {amount: 0, per: Minute}
    streams: {max: 1}
  usage: Ask
  maxOutput: 10000000
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
  limits:
    requests: {amount: 5, per: Hour, burst: 2}
    tokens: {amount: 100000, per: Minute, count: Output}
    characters: {amount: 5000, per: Second, burst: 10000}
    streams: {max: 1000000}
    onRedisUnavailable: Deny
  budgets:
  - {name: month, unit: Tokens, amount: 9007199254740991, per: Month, timeZone: America/Argentina/Buenos_Aires, atLimit: StopStreams}
  - {name: calls, unit: Requests, amount: 1, per: Day, timeZone: Etc/GMT+8, atLimit: RefuseNew}
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
    assert_eq!((route.spec.usage, route.spec.max_output), (Some(Usage::Ask), Some(10_000_000)));
    assert_eq!(route.spec.limits.unwrap().characters.unwrap().amount, Some(0));
    assert_eq!(route.spec.on_client_gone.unwrap().mode, ClientGoneMode::Drain);
    assert_eq!(route.spec.backends[1].model.as_ref().unwrap().map.as_ref().unwrap()["org/a.b:c"], "other");
    let ca = &route.spec.backends[2].tls.as_ref().unwrap().ca_ref;
    assert_eq!((ca, ca.to_secret_key().key.as_str()), (&CaRef { name: "internal-ca".into(), key: None }, "ca.crt"));
    let tenant: RelayTenant = read(FULL_TENANT).unwrap();
    tenant.validate_cel().unwrap();
    assert_eq!(tenant.spec.on_suspend, Some(OnSuspend::Cut));
    assert_eq!(tenant.spec.api_keys[0].not_after.as_ref().unwrap().0.as_second(), 1_801_396_800);
    let limits = tenant.spec.limits.unwrap();
    assert_eq!(limits.requests.unwrap().per, Some(Period::Hour));
    assert_eq!(limits.tokens.unwrap().count, Some(TokenCount::Output));
    assert_eq!(limits.streams, Some(StreamsLimit { max: 1_000_000 }));
    assert_eq!(limits.on_redis_unavailable, Some(OnRedisUnavailable::Deny));
    assert_eq!(
        (tenant.spec.budgets[0].amount, tenant.spec.budgets[0].at_limit),
        ((1 << 53) - 1, Some(AtLimit::StopStreams))
    );
    assert_eq!(tenant.spec.budgets[1].unit, BudgetUnit::Requests);
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
    let message = read::<RelayTenant>(&TENANT.replace("spec:", "spec:\n  quotas: []")).unwrap_err();
    assert!(message.contains("quotas"), "{message}");
}

#[test]
fn null_is_the_same_as_absent() {
    let tenant: RelayTenant =
        read(&TENANT.replace("spec:", "spec:\n  limits: {requests: null}\n  suspended: null")).unwrap();
    tenant.validate_cel().unwrap();
    assert_eq!((tenant.spec.suspended, tenant.spec.limits.unwrap().requests), (None, None));
}
