//! What a Secret holds: base64 under `data`, text under `stringData`, and values of the environment.

use super::Env;
use super::decode::Fault;
use super::node::{Node, Step, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;

/// The values by key; `stringData` wins over `data`, as in a cluster.
#[derive(Default)]
pub(super) struct Data {
    pub(super) values: BTreeMap<String, Vec<u8>>,
    /// Values that can't be read.
    pub(super) faults: Vec<Fault>,
    /// Values that the environment does not hold: their keys are left out, and what refers to them is not ready.
    pub(super) unset: Vec<Fault>,
}

/// Reads the Secret. No fault quotes a value.
pub(super) fn read(node: &Node, env: Env<'_>) -> Data {
    let mut data = Data::default();
    for (section, read) in [("data", decoded as fn(&str, Env<'_>) -> Found), ("stringData", plain)] {
        let Some(fields) = node.get(section) else { continue };
        if !matches!(fields.value, Value::Map(_) | Value::Null) {
            data.faults.push(Fault::at(section, "must be a mapping from keys to values"));
        }
        for (key, value) in fields.entries() {
            let found = match &value.value {
                Value::Text(text) => read(text, env),
                // Kubernetes takes null for an empty value.
                Value::Null => Found::Value(Vec::new()),
                _ => Found::Fault("must be a text: put it in quotes".to_owned()),
            };
            let fault = |message| Fault {
                path: vec![Step::Key(section.to_owned()), Step::Key(key.name.clone())],
                message,
                of_key: false,
            };
            match found {
                Found::Value(value) => _ = data.values.insert(key.name.clone(), value),
                Found::Fault(message) => data.faults.push(fault(message)),
                Found::Unset(message) => data.unset.push(fault(message)),
            }
        }
    }
    data
}

enum Found {
    Value(Vec<u8>),
    Fault(String),
    Unset(String),
}

fn decoded(text: &str, _: Env<'_>) -> Found {
    if variable(text).is_some() {
        return Found::Fault("data holds base64: put a value of the environment under stringData".to_owned());
    }
    // As Kubernetes does it: line breaks within base64 mean nothing.
    let bare: String = text.chars().filter(|c| !matches!(c, '\n' | '\r')).collect();
    match STANDARD.decode(bare.as_bytes()) {
        Ok(value) => Found::Value(value),
        Err(_) => Found::Fault("this is no base64: encode it, or put it under stringData as it is".to_owned()),
    }
}

fn plain(text: &str, env: Env<'_>) -> Found {
    if let Some(name) = variable(text) {
        let cure = format!("set it before the start, with export {name}=…");
        let unset = || Found::Unset(format!("the environment variable {name} is not set: {cure}"));
        return env(name).map_or_else(unset, |value| Found::Value(value.into_bytes()));
    }
    if text.replace("$${", "").contains("${") {
        let cure = "write ${NAME} as the whole value, or $${ for the two characters themselves";
        return Found::Fault(format!("only a whole value can come from the environment: {cure}"));
    }
    Found::Value(text.replace("$${", "${").into_bytes())
}

/// The name in a text that is `${NAME}` and nothing else.
fn variable(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (plain && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())).then_some(name)
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
