//! The reference names everything that there is, in the words of the programs, and the documents lead to files that exist.

use clap::CommandFactory;
use relay_dataplane::cli::Cli;
use relay_dataplane::metrics::TABLE;
use relay_dataplane::reason::Reason;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Documents whose links must lead somewhere.
const DOCUMENTS: [&str; 10] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/reference.md",
    "docs/operations.md",
    "e2e/README.md",
    "e2e/cluster/README.md",
    "deploy/quickstart/README.md",
    "deploy/providers/README.md",
    "deploy/limits/README.md",
];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(document: &str) -> String {
    std::fs::read_to_string(top().join(document)).expect(document)
}

/// The row of a table whose first cell begins with `name` as code.
fn row<'a>(reference: &'a str, name: &str) -> Option<&'a str> {
    let begins = |line: &&str| {
        let code = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()).unwrap_or_default();
        code.split(' ').next() == Some(name)
    };
    reference.lines().find(begins)
}

/// Texts between backticks; the code of fenced blocks is not among them.
fn code_spans(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.lines().flat_map(|line| line.split('`').skip(1).step_by(2))).collect()
}

#[test]
fn the_table_of_metrics_is_that_of_the_program() {
    let reference = read("docs/reference.md");
    let between = reference.split("<!-- metrics -->").nth(1).and_then(|rest| rest.split("<!-- /metrics -->").next());
    let rows: Vec<&str> = between.expect("the two markers").lines().filter(|line| line.starts_with("| `")).collect();
    let wanted: Vec<String> = TABLE.iter().map(|(name, help)| format!("| `{name}` | {help} |")).collect();
    assert_eq!(rows, wanted, "docs/reference.md, between the markers");
}

/// A label selector is Kubernetes' own: its parts are explained once.
fn is_label_selector(node: &Value) -> bool {
    node["properties"]["matchLabels"].is_object() && node["properties"]["matchExpressions"].is_object()
}

/// Paths of all fields under `node`, and the texts that its enums allow.
fn fields(node: &Value, path: &str, found: &mut BTreeSet<String>) {
    found.extend(node["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
    if node["items"].is_object() {
        fields(&node["items"], &format!("{path}[]"), found);
    }
    if is_label_selector(node) {
        return;
    }
    for (name, child) in node["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        found.insert(path.clone());
        fields(child, &path, found);
    }
}

#[test]
fn every_field_of_both_kinds_is_explained() {
    let reference = read("docs/reference.md");
    let explained: BTreeSet<&str> = code_spans(&reference).into_iter().collect();
    for (file, definition) in relay_crds::definitions() {
        let schema = serde_json::to_value(&definition.spec.versions[0].schema).expect("a schema is JSON");
        let mut found = BTreeSet::new();
        fields(&schema["openAPIV3Schema"], "", &mut found);
        assert!(found.contains("spec") && found.len() > 30, "{file}: the walk finds only {found:?}");
        let top = ["apiVersion", "kind", "metadata", "spec", "status"];
        // Fields of spec have a row each, those of status share some, and the values of enums are named at their field.
        let named = |name: &str| {
            if name.starts_with("spec.") {
                row(&reference, name).is_some()
            } else if name.starts_with("status.") {
                let span = format!("`{name}`");
                reference.lines().any(|line| line.starts_with("| `status.") && line.contains(&span))
            } else {
                explained.contains(name)
            }
        };
        let missing: Vec<&String> = found.iter().filter(|name| !top.contains(&name.as_str()) && !named(name)).collect();
        assert!(missing.is_empty(), "{file}: docs/reference.md does not name {missing:?}");
    }
}

#[test]
fn every_reason_of_conditions_is_explained() {
    let reference = read("docs/reference.md");
    let source = read("crds/src/status.rs");
    let module = source.split("pub mod reason {").nth(1).and_then(|rest| rest.split("\n}").next()).expect("its module");
    let reasons: Vec<&str> =
        module.lines().filter_map(|line| line.trim().strip_prefix("pub const ")?.split('"').nth(1)).collect();
    assert!(reasons.contains(&"KeyConflict") && reasons.len() > 8, "the source was read wrongly: {reasons:?}");
    let table =
        reference.split("| reason | of |").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a table of them");
    for reason in reasons {
        assert!(row(table, reason).is_some(), "docs/reference.md has no row for the reason {reason}");
    }
}

/// The reason behind this one; a new variant does not compile until it stands here.
fn next(reason: Reason) -> Option<Reason> {
    Some(match reason {
        Reason::BadRequest => Reason::ConflictingCredentials,
        Reason::ConflictingCredentials => Reason::KeyMissing,
        Reason::KeyMissing => Reason::KeyUnknown,
        Reason::KeyUnknown => Reason::KeyExpired,
        Reason::KeyExpired => Reason::TenantSuspended,
        Reason::TenantSuspended => Reason::NoRoute,
        Reason::NoRoute => Reason::BodyTooLarge,
        Reason::BodyTooLarge => Reason::HeadersTooLarge,
        Reason::HeadersTooLarge => Reason::RequestTooSlow,
        Reason::RequestTooSlow => Reason::Overloaded,
        Reason::Overloaded => Reason::RequestsLimited,
        Reason::RequestsLimited => Reason::TokensLimited,
        Reason::TokensLimited => Reason::CharactersLimited,
        Reason::CharactersLimited => Reason::StreamsLimited,
        Reason::StreamsLimited => Reason::BudgetSpent,
        Reason::BudgetSpent => Reason::LimitsUnavailable,
        Reason::LimitsUnavailable => Reason::RouteNotReady,
        Reason::RouteNotReady => Reason::NoBackend,
        Reason::NoBackend => Reason::UpstreamConnect,
        Reason::UpstreamConnect => Reason::UpstreamReset,
        Reason::UpstreamReset => Reason::UpstreamProtocol,
        Reason::UpstreamProtocol => Reason::UpstreamError,
        Reason::UpstreamError => Reason::UpstreamStatus,
        Reason::UpstreamStatus => Reason::FirstByteTimeout,
        Reason::FirstByteTimeout => Reason::IdleTimeout,
        Reason::IdleTimeout => Reason::TotalTimeout,
        Reason::TotalTimeout => Reason::ClientStalled,
        Reason::ClientStalled => Reason::Draining,
        Reason::Draining => return None,
    })
}

#[test]
fn every_reason_of_answers_is_explained_with_its_status() {
    let reference = read("docs/reference.md");
    for reason in std::iter::successors(Some(Reason::BadRequest), |reason| next(*reason)) {
        let name = reason.name();
        let row = row(&reference, name).unwrap_or_else(|| panic!("docs/reference.md has no row for {name}"));
        let status = match reason {
            // The answer is the provider's, with its own status.
            Reason::UpstreamError | Reason::UpstreamStatus | Reason::ClientStalled => "none".to_owned(),
            _ => reason.status().as_u16().to_string(),
        };
        assert_eq!(row.split('|').nth(2).map(str::trim), Some(status.as_str()), "{row}");
    }
}

#[test]
fn every_flag_of_the_proxy_is_explained_in_the_words_of_its_help() {
    let reference = read("docs/reference.md");
    let command = Cli::command();
    let mut count = 0;
    for argument in command.get_arguments() {
        let Some(flag) = argument.get_long().map(|long| format!("--{long}")) else { continue };
        let row = row(&reference, &flag).unwrap_or_else(|| panic!("docs/reference.md has no row for {flag}"));
        let env = argument.get_env().unwrap_or_else(|| panic!("{flag} has no environment variable"));
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let defaults = argument.get_default_values().iter().map(|value| value.to_string_lossy());
        for part in [env.to_string_lossy(), help.as_str().into()].into_iter().chain(defaults) {
            assert!(row.contains(part.as_ref()), "{flag}: {part:?} is not in its row: {row}");
        }
        count += 1;
    }
    assert!(count > 8, "only {count} flags were found");
    for task in command.get_subcommands() {
        let named = format!("relay-dataplane {}", task.get_name());
        assert!(reference.contains(&named), "docs/reference.md does not name {named}");
    }
}

#[test]
fn links_between_documents_lead_to_files() {
    for document in DOCUMENTS {
        let folder = top().join(document).parent().map(Path::to_owned).expect("a folder");
        for target in read(document).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !target.contains("://") {
                assert!(folder.join(file).exists(), "{document} links to {target}, which is not there");
            }
        }
    }
}

#[test]
fn files_that_the_plan_of_the_house_names_exist() {
    let plan = read("ARCHITECTURE.md");
    let ends = [".rs", ".lua", ".md", ".toml", "/"];
    let named = code_spans(&plan).into_iter().filter(|span| ends.iter().any(|end| span.ends_with(end)));
    let named: BTreeSet<&str> = named.filter(|span| span.contains('/') && !span.starts_with(['/', '…'])).collect();
    assert!(named.len() > 40, "only {named:?}");
    let gone: Vec<&&str> = named.iter().filter(|file| !top().join(file).exists() && **file != "foo/tests.rs").collect();
    assert!(gone.is_empty(), "ARCHITECTURE.md names {gone:?}");
}
