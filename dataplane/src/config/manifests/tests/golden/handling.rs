//! What users read of headers, rewrites, certificates, and of how requests are handled.

use super::super::{ROUTE, SECRETS, TENANT, printed_of};

/// What is printed for the route with `more` at its end, and its Secret.
#[track_caller]
fn prints(more: &str, expected: &str) {
    let output = printed_of(&[("a.yaml", &format!("{ROUTE}{more}")), ("b.yaml", SECRETS)]);
    assert_eq!(output, expected.trim_matches('\n'), "\n{output}\n");
}

#[test]
fn a_header_that_the_relay_sets_itself_without_its_value() {
    prints(
        "    headers:\n      set:\n      - {name: Authorization, value: Bearer sk-canary}\n",
        r"
error: spec.backends[0].headers.set[0].name: headers must not name the header of the backend's credential: the relay sets it from credential.secretRef; remove it from headers
  --> DIR/a.yaml:12:16
   |
12 |       - {name: …
   |                ^
   = RelayRoute team-a/openai
",
    );
}

#[test]
fn a_status_that_is_no_error() {
    prints(
        "  retries: {statuses: [429, 200]}\n",
        r"
error: spec.retries.statuses[1]: must be the status of an error, 400 to 599
  --> DIR/a.yaml:10:29
   |
10 |   retries: {statuses: [429, 200]}
   |                             ^
   = RelayRoute team-a/openai
",
    );
}

#[test]
fn a_hedge_without_a_second_backend() {
    prints(
        "  hedge: {after: 1s}\n",
        r"
error: spec.hedge: hedge asks a second backend: add one to backends, or remove hedge
  --> DIR/a.yaml:10:10
   |
10 |   hedge: {after: 1s}
   |          ^
   = RelayRoute team-a/openai
",
    );
}

#[test]
fn a_keep_alive_that_is_too_short() {
    prints(
        "  keepAlive: {interval: 100ms}\n",
        r"
error: spec.keepAlive.interval: keepAlive.interval must be 1s to 1h: write it like 15s, or leave keepAlive out for none
  --> DIR/a.yaml:10:25
   |
10 |   keepAlive: {interval: 100ms}
   |                         ^
   = RelayRoute team-a/openai
",
    );
}

#[test]
fn certificates_that_are_none() {
    let ca =
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: ca, namespace: team-a}\nstringData: {ca.crt: sk-canary}\n";
    let more = format!("    tls: {{caRef: {{name: ca}}}}\n{ca}");
    prints(
        &more,
        r"
warning: spec.backends[0].tls.caRef.key: the value of key ca.crt in Secret ca has no certificate: put PEM there, from BEGIN CERTIFICATE to END CERTIFICATE
  --> DIR/a.yaml:10:18
   |
10 |     tls: {caRef: …
   |                  ^
   = RelayRoute team-a/openai
",
    );
}

#[test]
fn a_day_without_a_time() {
    let tenant = TENANT.replace("name: ci,", "name: ci, notAfter: 2027-01-31,");
    let output = printed_of(&[("a.yaml", &tenant)]);
    let expected = r"
error: spec.apiKeys[0].notAfter: must be a time of RFC 3339, such as 2027-01-31T00:00:00Z
 --> DIR/a.yaml:5:34
  |
5 |   apiKeys: [{name: ci, notAfter: 2027-01-31, secretRef: {name: team-a-key, key: key}}]
  |                                  ^
  = RelayTenant team-a/team-a
";
    assert_eq!(output, expected.trim_matches('\n'), "\n{output}\n");
}
