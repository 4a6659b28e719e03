//! The plan of the house, proved from what Cargo resolves: who imports whom, and what may come in.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Who may import whom (ARCHITECTURE.md). relay-e2e may import all.
const MAY_IMPORT: [(&str, &[&str]); 6] = [
    ("relay-snapshot", &[]),
    ("relay-crds", &[]),
    ("relay-compile", &["relay-crds", "relay-snapshot"]),
    ("relay-operator", &["relay-compile", "relay-crds", "relay-snapshot"]),
    ("relay-dataplane", &["relay-compile", "relay-crds", "relay-snapshot"]),
    ("relay-e2e", &["relay-compile", "relay-crds", "relay-dataplane", "relay-operator", "relay-snapshot"]),
];

/// Crates of which there is one version, so that their types fit together; and crates that must not come in at all.
const ONE_VERSION: [&str; 10] = [
    "kube",
    "kube-runtime",
    "k8s-openapi",
    "hyper",
    "hyper-rustls",
    "hyper-util",
    "http",
    "rustls",
    "tokio",
    "serde_json",
];
const BANNED: [&str; 6] = ["ring", "openssl", "native-tls", "serde_yaml", "serde_yaml_ng", "reqwest"];

/// What the house is built with, each where its work is done.
const BUILT_WITH: [(&str, &[&str]); 10] = [
    ("kube", &["relay-crds", "relay-compile", "relay-operator", "relay-dataplane"]),
    ("k8s-openapi", &["relay-crds", "relay-compile", "relay-operator", "relay-dataplane"]),
    ("schemars", &["relay-crds"]),
    ("tokio", &["relay-operator", "relay-dataplane"]),
    ("hyper", &["relay-operator", "relay-dataplane"]),
    ("hyper-rustls", &["relay-dataplane"]),
    ("serde", &["relay-snapshot", "relay-crds", "relay-operator", "relay-dataplane"]),
    ("prometheus", &["relay-operator", "relay-dataplane"]),
    ("tracing", &["relay-operator", "relay-dataplane"]),
    ("redis", &["relay-dataplane"]),
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn members(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().expect("packages").iter().filter(|package| package["source"].is_null())
}

/// What a build really reaches (metadata also lists optional crates that nobody switches on): name, version and licence.
fn reached() -> Vec<(String, String, String)> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--edges", "normal,build,dev", "--prefix", "none"])
        .args(["--target", "x86_64-unknown-linux-gnu", "--no-dedupe", "--format", "{p}|{l}"])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    let lines: BTreeSet<&str> = lines.lines().filter(|line| !line.is_empty()).collect();
    let split = |line: &&str| {
        let (package, licence) = line.split_once('|').expect("the format");
        let mut words = package.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        (word(), word(), licence.to_owned())
    };
    lines.iter().map(split).collect()
}

#[test]
fn imports_go_one_way() {
    let metadata = metadata();
    let mut seen = BTreeSet::new();
    for package in members(&metadata) {
        let name = text(package, "name");
        let allowed = MAY_IMPORT.iter().find(|(known, _)| *known == name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{name} has no place in the plan of the house"));
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let import = text(dependency, "name");
            if import.starts_with("relay-") {
                assert!(allowed.contains(&import), "{name} must not import {import}");
            }
        }
        seen.insert(name.to_owned());
    }
    assert_eq!(seen, MAY_IMPORT.iter().map(|(name, _)| (*name).to_owned()).collect());
}

#[test]
fn each_package_stands_where_its_work_is_done() {
    let metadata = metadata();
    let find = |name: &str, package: &str| {
        let member = members(&metadata).find(|member| text(member, "name") == name).expect("a member");
        let mut own = member["dependencies"].as_array().expect("dependencies").iter();
        // Tests' and build scripts' have a kind.
        own.find(|own| own["kind"].is_null() && text(own, "name") == package).cloned()
    };
    for (package, users) in BUILT_WITH {
        for user in users {
            assert!(find(user, package).is_some(), "{user} does not import {package}");
        }
    }
    // kube-runtime comes as kube::runtime.
    let kube = find("relay-operator", "kube").expect("kube");
    assert!(kube["features"].as_array().expect("features").contains(&"runtime".into()), "{}", kube["features"]);
}

#[test]
fn the_contract_stays_small() {
    let metadata = metadata();
    let contract = members(&metadata).find(|p| text(p, "name") == "relay-snapshot").expect("relay-snapshot");
    for dependency in contract["dependencies"].as_array().expect("dependencies") {
        let name = text(dependency, "name");
        assert!(
            ["aws-lc-rs", "hex", "proptest", "serde", "serde_json", "thiserror"].contains(&name),
            "relay-snapshot imports {name}: the contract is serde and hashes only"
        );
    }
}

#[test]
fn there_is_one_of_each_and_nothing_banned() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, version, _) in reached() {
        versions.entry(name).or_default().insert(version);
    }
    for name in BANNED {
        assert!(!versions.contains_key(name), "{name} must not come in: {:?}", versions.get(name));
    }
    for name in ONE_VERSION {
        let found = versions.get(name).map_or(0, BTreeSet::len);
        assert_eq!(found, 1, "{name}: {:?}", versions.get(name));
    }
}

#[test]
fn every_licence_is_one_that_deny_toml_allows() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../deny.toml");
    let deny = std::fs::read_to_string(root).expect("deny.toml");
    let list = deny.split("allow = [").nth(1).and_then(|rest| rest.split(']').next()).expect("an allow list");
    let allowed: BTreeSet<&str> = list.split(',').map(|item| item.trim().trim_matches('"')).collect();
    for (name, version, licence) in reached() {
        // Every AND part needs an allowed choice; parentheses only group.
        let choices = licence.replace('/', " OR ").replace(['(', ')'], "");
        let fine = choices.split(" AND ").all(|part| part.split(" OR ").any(|one| allowed.contains(one.trim())));
        assert!(fine, "{name} {version}: licence {licence:?} is not in deny.toml");
    }
}
