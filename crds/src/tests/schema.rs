//! The definitions as they are installed.

use crate::{definitions, to_yaml};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::cel::{compile_schema, estimate_rule_cost};
use serde_json::{Value, json};
use std::path::Path;

fn root(definition: &CustomResourceDefinition) -> Value {
    let schema = definition.spec.versions[0].schema.as_ref().unwrap();
    serde_json::to_value(schema.open_api_v3_schema.as_ref().unwrap()).unwrap()
}

/// Calls `visit` with the path and the schema of every node: fields, items and values of maps.
pub(super) fn each_node(definition: &CustomResourceDefinition, visit: &mut dyn FnMut(&[String], &Value)) {
    fn walk(node: &Value, path: &mut Vec<String>, visit: &mut dyn FnMut(&[String], &Value)) {
        visit(path, node);
        let fields = node["properties"].as_object().into_iter().flatten().map(|(name, field)| (name.clone(), field));
        let items = [("[]", &node["items"]), ("{}", &node["additionalProperties"])];
        let items = items.into_iter().filter(|(_, node)| node.is_object()).map(|(name, node)| (name.to_owned(), node));
        for (name, child) in fields.chain(items) {
            path.push(name);
            walk(child, path, visit);
            path.pop();
        }
    }
    walk(&root(definition), &mut Vec::new(), visit);
}

#[test]
fn the_generated_files_are_fresh() {
    for (name, definition) in definitions() {
        let committed =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("generated").join(name)).unwrap();
        let fresh = to_yaml(&definition).unwrap();
        assert!(committed == fresh, "{name} is not fresh: run cargo run -p relay-crds -- --out crds/generated");
    }
}

#[test]
fn the_yaml_says_what_the_definition_says() {
    for (_, definition) in definitions() {
        let read: CustomResourceDefinition = serde_saphyr::from_str(&to_yaml(&definition).unwrap()).unwrap();
        assert_eq!(read, definition);
    }
}

#[test]
fn every_field_is_described() {
    for (_, definition) in definitions() {
        each_node(&definition, &mut |path, node| {
            let is_field = path.last().is_some_and(|name| name != "[]" && name != "{}");
            let described = node["description"].as_str().is_some_and(|text| text.len() > 8);
            assert!(described || !is_field, "{} has no description", path.join("."));
        });
    }
}

#[test]
fn the_schema_is_structural_and_has_no_null() {
    for (_, definition) in definitions() {
        each_node(&definition, &mut |path, node| {
            let at = path.join(".");
            for word in ["nullable", "$ref", "oneOf", "anyOf", "allOf", "not", "x-kubernetes-preserve-unknown-fields"] {
                assert!(node.get(word).is_none(), "{word} in {at}");
            }
            let typed = node["type"].is_string() != (node["x-kubernetes-int-or-string"] == json!(true));
            assert!(typed, "{at} has no type");
            assert!(node["enum"].as_array().is_none_or(|allowed| allowed.iter().all(Value::is_string)), "null in {at}");
            let known = [Value::Null, json!("int64"), json!("date-time")];
            assert!(
                known.contains(&node["format"]),
                "{at} has a format that Kubernetes does not know: {}",
                node["format"]
            );
        });
    }
}

fn is_bounded(node: &Value) -> bool {
    match node["type"].as_str() {
        // The API server knows how long a time is.
        Some("string") => node["maxLength"].is_u64() || node["enum"].is_array() || node["format"] == json!("date-time"),
        Some("array") => node["maxItems"].is_u64(),
        Some("integer") => node["maximum"].is_number(),
        Some("object") if node["additionalProperties"].is_object() => {
            node["maxProperties"].is_u64() && is_bounded(&node["additionalProperties"])
        }
        Some(_) => true,
        None => node["maxLength"].is_u64(),
    }
}

/// The API server multiplies the cost of a rule by all lengths that it depends on, and takes the worst where there is no bound.
#[test]
fn all_that_rules_read_is_bounded() {
    for (_, definition) in definitions() {
        let mut bounded_lists = vec![];
        let mut rules = 0;
        each_node(&definition, &mut |path, node| {
            if node["type"] == json!("array") {
                bounded_lists.push((path.to_vec(), is_bounded(node)));
            }
            if node["x-kubernetes-validations"].is_null() {
                return;
            }
            rules += 1;
            let at = path.join(".");
            let around = bounded_lists.iter().filter(|(list, _)| path.starts_with(list));
            assert!(around.clone().all(|(_, bounded)| *bounded), "a list around {at} is not bounded");
            let fields = node["properties"].as_object().into_iter().flatten().map(|(_, field)| field);
            assert!(
                [node, &node["items"]].into_iter().chain(fields).all(|part| part.is_null() || is_bounded(part)),
                "{at}"
            );
        });
        assert!(rules > 0);
    }
}

#[test]
fn every_rule_compiles_in_its_place_within_the_budget() {
    for (_, definition) in definitions() {
        each_node(&definition, &mut |path, node| {
            let compiled = compile_schema(node);
            assert!(!compiled.has_errors(), "{}: {:?}", path.join("."), compiled.compilation_errors());
            for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
                let warnings = estimate_rule_cost(rule["rule"].as_str().unwrap(), &compiled);
                assert!(warnings.is_empty(), "{}: {warnings:?}", path.join("."));
            }
        });
    }
}

#[test]
fn lists_that_people_merge_have_keys() {
    let merged = |path: &str, node: &Value| match path {
        "spec.backends" | "spec.apiKeys" | "spec.budgets" | "status.keys" => {
            node["x-kubernetes-list-type"] == json!("map") && node["x-kubernetes-list-map-keys"] == json!(["name"])
        }
        "status.conditions" => node["x-kubernetes-list-map-keys"] == json!(["type"]),
        "spec.matches.[].headers" | "spec.backends.[].headers.set" => {
            node["x-kubernetes-list-map-keys"] == json!(["name"])
        }
        "spec.matches.[].methods"
        | "spec.matches.[].models"
        | "spec.backends.[].headers.remove"
        | "spec.retries.statuses" => node["x-kubernetes-list-type"] == json!("set"),
        _ => true,
    };
    let mut lists = vec![];
    for (_, definition) in definitions() {
        each_node(&definition, &mut |path, node| {
            if node["type"] == json!("array") {
                let path = path.join(".");
                assert!(merged(&path, node), "{path}");
                lists.push(path);
            }
        });
    }
    for name in [
        "spec.backends",
        "spec.apiKeys",
        "spec.budgets",
        "spec.matches.[].methods",
        "spec.matches.[].models",
        "spec.matches.[].headers",
        "spec.backends.[].headers.set",
        "spec.backends.[].headers.remove",
        "spec.retries.statuses",
        "status.conditions",
        "status.keys",
    ] {
        assert!(lists.iter().any(|path| path == name), "{name} is gone");
    }
}

#[test]
fn kubectl_finds_both_kinds_and_shows_their_state() {
    for ((_, definition), (short, own)) in definitions().into_iter().zip([("rr", "Backends"), ("rtn", "Keys")]) {
        let names = &definition.spec.names;
        assert_eq!(names.short_names.as_deref(), Some(&[short.to_owned()][..]));
        assert_eq!(names.categories.as_deref(), Some(&["relay".to_owned()][..]));
        assert_eq!((definition.spec.scope.as_str(), definition.spec.group.as_str()), ("Namespaced", crate::GROUP));
        let version = &definition.spec.versions[0];
        assert_eq!((version.name.as_str(), version.served, version.storage), (crate::VERSION, true, true));
        assert!(version.subresources.as_ref().is_some_and(|subresources| subresources.status.is_some()));
        let columns: Vec<&str> =
            version.additional_printer_columns.iter().flatten().map(|column| column.name.as_str()).collect();
        for name in ["Ready", "Proxies", own, "Reason", "Age"] {
            assert!(columns.contains(&name), "{columns:?}");
        }
    }
}
