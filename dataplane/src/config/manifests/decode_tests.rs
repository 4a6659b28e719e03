use super::super::node::parse;
use super::*;
use relay_crds::{RelayRoute, RelayTenant};

fn route(spec: &str) -> Result<RelayRoute, Fault> {
    let text =
        format!("apiVersion: stream-relay.dev/v1alpha1\nkind: RelayRoute\nmetadata: {{name: a}}\nspec: {spec}\n");
    object(&parse(&text).unwrap()[0])
}

fn said(spec: &str) -> String {
    let fault = route(spec).err().unwrap_or_else(|| panic!("{spec} was read"));
    format!("{}: {}", field(&fault.path), fault.message)
}

const MATCHES: &str = "matches: [{path: {prefix: /v1}}]";

#[test]
fn a_whole_object_is_read_and_its_status_left_out() {
    let text = "apiVersion: stream-relay.dev/v1alpha1\nkind: RelayTenant\nmetadata: {name: a, labels: {x: 'y'}}\nspec: {apiKeys: [{name: ci, sha256: ab}], limits: ~}\nstatus: {conditions: nonsense}\n";
    let tenant: RelayTenant = object(&parse(text).unwrap()[0]).unwrap();
    assert_eq!(tenant.metadata.labels.unwrap()["x"], "y");
    assert_eq!((tenant.spec.limits, tenant.status), (None, None));
    assert_eq!(tenant.spec.api_keys[0].name, "ci");
}

#[test]
fn faults_name_the_field_and_the_cure() {
    for (spec, expected) in [
        (
            "{matches: [], backend: []}",
            "spec.backend: unknown field; the fields here are tenants, matches, rewrite, backends, format, timeouts, keepAlive, retries, hedge, onClientGone, limits, usage, maxOutput, body",
        ),
        ("{matches: []}", "spec.backends: this field is required"),
        (
            "{matches: [{path: {prefx: /v1}}], backends: []}",
            "spec.matches[0].path.prefx: unknown field; the fields here are prefix, exact",
        ),
        ("{matches: [{methods: [GET]}], backends: []}", "spec.matches[0].path: this field is required"),
        ("{matches: {path: x}, backends: []}", "spec.matches: must be a list, not a mapping"),
        ("{matches: [{path: /v1}], backends: []}", "spec.matches[0].path: must be a mapping, not a text"),
        (
            "{matches: [{path: {prefix: 1}}], backends: []}",
            "spec.matches[0].path.prefix: must be a text, not a number: put it in quotes",
        ),
        (
            "{matches: [{path: {prefix: yes}}], backends: []}",
            "spec.matches[0].path.prefix: must be a text, not true or false: put it in quotes",
        ),
        (
            "{matches: [{path: {prefix: /, exact: [x]}}], backends: []}",
            "spec.matches[0].path.exact: must be a text, not a list",
        ),
        (
            "{matches: [{path: {prefix: /}, headers: {x-a: '1'}}], backends: []}",
            "spec.matches[0].headers: must be a list, not a mapping",
        ),
        ("{matches: [], backends: [], rewrite: /v1}", "spec.rewrite: must be a mapping, not a text"),
        ("{matches: [], backends: [], keepAlive: {}}", "spec.keepAlive.interval: this field is required"),
        (
            "{matches: [], backends: [], retries: {attempts: -1}}",
            "spec.retries.attempts: must be a whole number from 0",
        ),
        (
            "{matches: [], backends: [], retries: {statuses: ['429']}}",
            "spec.retries.statuses[0]: must be a whole number from 0, not a text",
        ),
        (
            "{matches: [], backends: [], onClientGone: {mode: drain}}",
            "spec.onClientGone.mode: drain is none of Cancel, Drain",
        ),
        (
            "{matches: [], backends: [], hedge: {after: 1s, max: 5}}",
            "spec.hedge.max: unknown field; the fields here are after, maxPercent",
        ),
    ] {
        assert_eq!(said(spec), expected, "{spec}");
    }
    for (backend, expected) in [
        (
            "name: a, provider: Open",
            "spec.backends[0].provider: Open is none of OpenAI, Anthropic, SiliconFlow, AzureOpenAI, AzureSpeech, Gemini, ElevenLabs, Custom",
        ),
        ("name: a, provider: 7", "spec.backends[0].provider: must be a text, not a number: put it in quotes"),
        (
            "name: a, provider: OpenAI, allowPlaintext: 'yes'",
            "spec.backends[0].allowPlaintext: must be true or false, not a text",
        ),
        (
            "name: a, provider: OpenAI, credential: {secretRef: sk-canary}",
            "spec.backends[0].credential.secretRef: must be a mapping, not a text",
        ),
    ] {
        assert_eq!(said(&format!("{{{MATCHES}, backends: [{{{backend}}}]}}")), expected, "{backend}");
    }
    let rest = format!("{MATCHES}, backends: []");
    assert_eq!(
        said(&format!("{{{rest}, body: {{max: [1]}}}}")),
        "spec.body.max: must be a size in bytes, such as 10Mi or 1048576, not a list"
    );
    assert_eq!(said("7"), "spec: must be a mapping, not a number");
}

#[test]
fn numbers_out_of_range_and_odd_metadata_are_told() {
    let tenant = |spec: &str, metadata: &str| {
        let text = format!("kind: RelayTenant\nmetadata: {metadata}\nspec: {spec}\n");
        let fault = object::<RelayTenant>(&parse(&text).unwrap()[0]).err().unwrap();
        format!("{}: {}", field(&fault.path), fault.message)
    };
    let limits = |amount: &str| format!("{{apiKeys: [], limits: {{requests: {{amount: {amount}}}}}}}");
    for amount in ["-1", "99999999999"] {
        assert_eq!(tenant(&limits(amount), "{}"), "spec.limits.requests.amount: must be a whole number from 0");
    }
    assert_eq!(
        tenant(&limits("1.5"), "{}"),
        "spec.limits.requests.amount: must be a whole number from 0, not a number"
    );
    assert_eq!(
        tenant("{apiKeys: []}", "{labels: {a.b/c: 1}}"),
        "metadata.labels[\"a.b/c\"]: must be a text, not a number: put it in quotes"
    );
}

#[test]
fn only_an_unknown_field_is_a_fault_of_its_key() {
    assert!(route("{matches: [], backend: []}").err().unwrap().of_key);
    assert!(!route("{matches: 1, backends: []}").err().unwrap().of_key);
    let text = "kind: RelayRoute\nmetdata: {}\n";
    let fault = object::<RelayRoute>(&parse(text).unwrap()[0]).err().unwrap();
    assert_eq!((field(&fault.path).as_str(), fault.of_key), ("metdata", true));
    assert_eq!(fault.message, "unknown field; the fields here are apiVersion, kind, metadata, spec, status");
}

#[test]
fn a_time_is_that_of_kubernetes_and_a_fault_names_the_form() {
    let read = |time: &str| {
        let head = "apiVersion: stream-relay.dev/v1alpha1\nkind: RelayTenant\nmetadata: {name: a}\n";
        let text = format!("{head}spec:\n  apiKeys:\n  - name: ci\n    sha256: ab\n    notAfter: {time}\n");
        object::<RelayTenant>(&parse(&text).unwrap()[0])
    };
    for time in ["2027-01-31T12:00:00Z", "'2027-01-31T13:00:00.5+01:00'"] {
        let key = read(time).unwrap().spec.api_keys.remove(0);
        assert_eq!(key.not_after.unwrap().0.as_second(), 1_801_396_800, "{time}");
    }
    assert_eq!(read("null").unwrap().spec.api_keys[0].not_after, None);
    for (time, said) in [
        ("tomorrow", "must be a time of RFC 3339, such as 2027-01-31T00:00:00Z"),
        ("2027-01-31", "must be a time of RFC 3339, such as 2027-01-31T00:00:00Z"),
        ("2027-02-30T00:00:00Z", "must be a time of RFC 3339, such as 2027-01-31T00:00:00Z"),
        ("1801396800", "must be a text, not a number: put it in quotes"),
    ] {
        let fault = read(time).unwrap_err();
        assert_eq!((field(&fault.path).as_str(), fault.message.as_str()), ("spec.apiKeys[0].notAfter", said), "{time}");
    }
}
