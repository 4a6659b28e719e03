//! What users read of limits and budgets.

use super::super::{ROUTE, SECRETS, TENANT, printed_of};
use crate::config::manifests::{load, render};
use relay_snapshot::Unavailable;
use std::path::Path;

#[track_caller]
fn prints(manifest: &str, expected: &str) {
    let output = printed_of(&[("a.yaml", manifest), ("b.yaml", SECRETS)]);
    assert_eq!(output, expected.trim_matches('\n'), "\n{output}\n");
}

#[test]
fn a_time_zone_that_there_is_not() {
    prints(
        &format!("{TENANT}  budgets:\n  - {{name: a, unit: Tokens, amount: 5, per: Month, timeZone: Europe/Bonn}}\n"),
        r"
error: spec.budgets[0].timeZone: is not a time zone: write its IANA name, such as UTC or Europe/Berlin
 --> DIR/a.yaml:7:62
  |
7 |   - {name: a, unit: Tokens, amount: 5, per: Month, timeZone: Europe/Bonn}
  |                                                              ^
  = RelayTenant team-a/team-a
",
    );
}

#[test]
fn a_budget_of_requests_that_would_end_streams() {
    prints(
        &format!(
            "{TENANT}  budgets:\n  - {{name: calls, unit: Requests, amount: 5, per: Day, atLimit: StopStreams}}\n"
        ),
        r"
error: spec.budgets[0].atLimit: atLimit: StopStreams goes with unit Tokens or Characters, which running streams go on using: write atLimit: RefuseNew for Requests
 --> DIR/a.yaml:7:65
  |
7 |   - {name: calls, unit: Requests, amount: 5, per: Day, atLimit: StopStreams}
  |                                                                 ^
  = RelayTenant team-a/team-a
",
    );
}

#[test]
fn a_limit_of_tokens_without_a_period() {
    prints(
        &format!("{ROUTE}  limits: {{tokens: {{amount: 5}}}}\n"),
        r"
error: spec.limits.tokens: amount and per go together, burst goes with them: for example {amount: 100, per: Minute, burst: 20}
  --> DIR/a.yaml:10:20
   |
10 |   limits: {tokens: {amount: 5}}
   |                    ^
   = RelayRoute team-a/openai
",
    );
}

#[test]
fn a_unit_that_nothing_counts() {
    prints(
        &format!("{TENANT}  budgets: [{{name: a, unit: Euros, amount: 5, per: Day}}]\n"),
        r"
error: spec.budgets[0].unit: Euros is none of Tokens, Characters, Requests
 --> DIR/a.yaml:6:29
  |
6 |   budgets: [{name: a, unit: Euros, amount: 5, per: Day}]
  |                             ^
  = RelayTenant team-a/team-a
",
    );
}

#[test]
fn an_amount_below_0() {
    prints(
        &format!("{TENANT}  budgets: [{{name: a, unit: Tokens, amount: -5, per: Day}}]\n"),
        r"
error: spec.budgets[0].amount: must be a whole number from 0
 --> DIR/a.yaml:6:45
  |
6 |   budgets: [{name: a, unit: Tokens, amount: -5, per: Day}]
  |                                             ^
  = RelayTenant team-a/team-a
",
    );
}

#[test]
fn the_examples_of_limits_are_without_faults_and_use_every_kind() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/limits");
    let loaded = load(&dir, &|name| Some(format!("canary-{name}-0123456789")));
    assert!(loaded.diagnostics.is_empty(), "{}", render(&loaded.diagnostics));
    let [paid, trial] = &loaded.snapshot.tenants[..] else { panic!("two tenants") };
    let limits = &paid.limits;
    assert!(limits.tokens.is_some() && limits.characters.is_some() && limits.streams.is_some());
    assert!(trial.limits.budgets.iter().any(|budget| budget.stops_streams));
    assert_eq!(trial.on_unavailable, Unavailable::Deny);
    let limited = loaded.snapshot.routes.iter().find(|route| !route.limits.is_empty()).unwrap();
    assert!(limited.ready && limited.policy.ask_usage && limited.policy.max_output == 16_384);
}
