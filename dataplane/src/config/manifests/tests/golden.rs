//! What users read, to the letter.

use super::*;

mod handling;
mod limits;

fn route(from: &str, to: &str) -> String {
    assert!(ROUTE.contains(from), "{from}");
    ROUTE.replace(from, to)
}

#[track_caller]
fn prints(text: &str, expected: &str) {
    let output = printed_of(&[("a.yaml", text)]);
    assert_eq!(output, expected.trim_matches('\n'), "\n{output}\n");
}

#[test]
fn a_fault_of_meaning_and_what_follows_from_it() {
    prints(
        &route("    provider: OpenAI\n", "    provider: OpenAI\n    url: http://provider.test\n"),
        r"
error: spec.backends[0].url: url must be https://, or http:// together with allowPlaintext: true
 --> DIR/a.yaml:9:10
  |
9 |     url: http://provider.test
  |          ^
  = RelayRoute team-a/openai

warning: spec.backends[0].credential.secretRef.name: no Secret openai in namespace team-a, or it may not be read: create it there, or let the relay read it
  --> DIR/a.yaml:10:36
   |
10 |     credential: {secretRef: {name: openai, key: api-key}}
   |                                    ^
   = RelayRoute team-a/openai
",
    );
}

#[test]
fn an_unknown_field_is_shown_without_its_value() {
    prints(
        &route("    provider: OpenAI", "    provder: sk-canary"),
        r"
error: spec.backends[0].provder: unknown field; the fields here are name, provider, url, allowPlaintext, credential, model, headers, weight, priority, tls
 --> DIR/a.yaml:8:5
  |
8 |     provder…
  |     ^
  = RelayRoute team-a/openai
",
    );
}

#[test]
fn a_wrong_type() {
    prints(
        &route("[{path: {prefix: /v1}}]", "\n  - path: {prefix: 7}"),
        r"
error: spec.matches[0].path.prefix: must be a text, not a number: put it in quotes
 --> DIR/a.yaml:6:20
  |
6 |   - path: {prefix: 7}
  |                    ^
  = RelayRoute team-a/openai
",
    );
}

#[test]
fn a_word_that_is_none_of_the_words() {
    prints(
        &route("provider: OpenAI", "provider: OpenAi"),
        r"
error: spec.backends[0].provider: OpenAi is none of OpenAI, Anthropic, SiliconFlow, AzureOpenAI, AzureSpeech, Gemini, ElevenLabs, Custom
 --> DIR/a.yaml:8:15
  |
8 |     provider: OpenAi
  |               ^
  = RelayRoute team-a/openai
",
    );
}

#[test]
fn a_field_that_is_missing() {
    prints(
        &route("    provider: OpenAI\n", ""),
        r"
error: spec.backends[0].provider: this field is required
 --> DIR/a.yaml:7:5
  |
7 |   - name: openai
  |     ^
  = RelayRoute team-a/openai
",
    );
}

#[test]
fn text_that_is_no_yaml() {
    prints(
        &route("    provider: OpenAI", "    provider: [OpenAI"),
        r"
error: this is no YAML: illegal placement of ':' indicator
 --> DIR/a.yaml:9:15
  |
9 |     credential: {secretRef: {name: openai, key: api-key}}
  |               ^
",
    );
}

#[test]
fn a_key_that_comes_twice() {
    prints(
        &route("    provider: OpenAI\n", "    provider: OpenAI\n    provider: OpenAI\n"),
        r"
error: provider is set twice: remove one of the two
 --> DIR/a.yaml:9:5
  |
9 |     provider: OpenAI
  |     ^
",
    );
}

#[test]
fn an_object_that_comes_twice() {
    prints(
        &format!("{ROUTE}---\n{ROUTE}"),
        r"
error: metadata.name: this object is there already, at DIR/a.yaml:1:1: remove one of the two
  --> DIR/a.yaml:13:18
   |
13 | metadata: {name: openai, namespace: team-a}
   |                  ^
   = RelayRoute team-a/openai
",
    );
}

#[test]
fn a_wrong_version() {
    prints(
        &route("v1alpha1", "v1"),
        r"
error: apiVersion: must be stream-relay.dev/v1alpha1 for this kind
 --> DIR/a.yaml:1:13
  |
1 | apiVersion: stream-relay.dev/v1
  |             ^
  = RelayRoute
",
    );
}

#[test]
fn a_wrong_kind() {
    prints(
        &route("kind: RelayRoute", "kind: RelayRoutes"),
        r"
error: kind: stream-relay.dev has the kinds RelayRoute and RelayTenant: write one of them
 --> DIR/a.yaml:2:7
  |
2 | kind: RelayRoutes
  |       ^
  = RelayRoutes
",
    );
}

#[test]
fn a_wrong_name() {
    prints(
        &route("name: openai,", "name: OpenAI,"),
        r"
error: metadata.name: must be lower-case letters, digits, - and ., at most 253, with a letter or digit at both ends
 --> DIR/a.yaml:3:18
  |
3 | metadata: {name: OpenAI, namespace: team-a}
  |                  ^
  = RelayRoute
",
    );
}

#[test]
fn no_name() {
    prints(
        &route("{name: openai, namespace: team-a}", "{}"),
        r"
error: metadata.name: this field is required
 --> DIR/a.yaml:3:11
  |
3 | metadata: {}
  |           ^
  = RelayRoute
",
    );
}

#[test]
fn something_else() {
    prints(
        "replicas: 3\n",
        r"
warning: this is no Kubernetes object, it has no kind: add apiVersion and kind, or move it out of the folder
 --> DIR/a.yaml:1:1
",
    );
}

#[test]
fn a_variable_that_is_not_set() {
    prints(
        &SECRETS.replace("sk-canary-provider", "'${OPENAI_KEY}'"),
        r"
warning: stringData.api-key: the environment variable OPENAI_KEY is not set: set it before the start, with export OPENAI_KEY=…
 --> DIR/a.yaml:4:23
  = Secret team-a/openai
",
    );
}

#[test]
fn a_label_that_is_no_text() {
    prints(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels:\n    tier: 1\n",
        r"
error: metadata.labels.tier: must be a text: put it in quotes
 --> DIR/a.yaml:6:11
  |
6 |     tier: 1
  |           ^
  = Namespace a
",
    );
}

#[test]
fn a_scalar_of_the_wrong_form() {
    prints(
        &format!("{ROUTE}  timeouts: {{idle: 90x}}\n"),
        r"
warning: spec.backends[0].credential.secretRef.name: no Secret openai in namespace team-a, or it may not be read: create it there, or let the relay read it
 --> DIR/a.yaml:9:36
  |
9 |     credential: {secretRef: {name: openai, key: api-key}}
  |                                    ^
  = RelayRoute team-a/openai

error: spec.timeouts.idle: is not a duration: write it like 90s, 5m or 1h30m; 0s switches the timeout off
  --> DIR/a.yaml:10:20
   |
10 |   timeouts: {idle: 90x}
   |                    ^
   = RelayRoute team-a/openai
",
    );
}

#[test]
fn a_key_in_place_of_its_digest() {
    prints(
        &TENANT.replace("secretRef: {name: team-a-key, key: key}", "sha256: sk-canary"),
        r"
error: spec.apiKeys[0].sha256: must be 64 hex digits, the SHA-256 of the key's text; not the key itself
 --> DIR/a.yaml:5:32
  |
5 |   apiKeys: [{name: ci, sha256: …
  |                                ^
  = RelayTenant team-a/team-a
",
    );
}

#[test]
fn a_folder_without_manifests_or_routes() {
    let none = "error: the folder holds no *.yaml, *.yml or *.json file: put the manifests there\n --> DIR";
    assert_eq!(printed_of(&[("note.txt", "")]), none);
    let empty = "warning: the folder holds no RelayRoute, so that every request is answered 404: add one\n --> DIR";
    assert_eq!(printed_of(&[("a.yaml", "# nothing\n")]), empty);
}

#[test]
fn places_are_in_the_order_of_files_and_lines() {
    let dir = folder(&[
        ("b.yaml", "kind: RelayRoute\n"),
        ("a.yaml", &format!("a: 1\n---\n{}", route("provider:", "provder:"))),
    ]);
    let loaded = load(dir.path(), &nothing);
    let places: Vec<_> =
        loaded.diagnostics.iter().map(|d| (d.file.file_name().unwrap().to_str().unwrap(), d.line)).collect();
    assert_eq!(places, [("a.yaml", 1), ("a.yaml", 10), ("b.yaml", 1)]);
}

#[test]
fn the_quickstart_is_without_faults() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/quickstart");
    let loaded = load(&dir, &nothing);
    assert!(loaded.diagnostics.is_empty(), "{}", render(&loaded.diagnostics));
    assert!(loaded.counts.routes > 0 && loaded.snapshot.routes.iter().all(|route| route.ready));
}
