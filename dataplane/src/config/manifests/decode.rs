//! From a tree to a typed object, with faults in the words of the person who wrote the manifest.

use super::node::{Node, Step};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

/// Why a tree is not an object of its kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) path: Vec<Step>,
    pub(super) message: String,
    /// The key at the end of `path` is wrong, not its value.
    pub(super) of_key: bool,
}

impl Fault {
    pub(super) fn at(path: &str, message: impl Into<String>) -> Self {
        Self { path: super::node::steps(path), message: message.into(), of_key: false }
    }
}

/// The keys of every object that this reads.
const OBJECT_KEYS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// Decodes a custom resource. Its status is left out: it says what another relay made of the object.
pub(super) fn object<T: DeserializeOwned>(node: &Node) -> Result<T, Fault> {
    only_keys(node, &OBJECT_KEYS)?;
    let mut value = node.to_json();
    if let Value::Object(fields) = &mut value {
        fields.remove("status");
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().iter().filter_map(step).collect();
        fault(path, &error.inner().to_string())
    })
}

/// Refuses a mapping with other keys.
pub(super) fn only_keys(node: &Node, known: &[&str]) -> Result<(), Fault> {
    match node.entries().iter().find(|(key, _)| !known.contains(&key.name.as_str())) {
        Some((key, _)) => Err(unknown(vec![Step::Key(key.name.clone())], &known.join(", "))),
        None => Ok(()),
    }
}

fn unknown(path: Vec<Step>, known: &str) -> Fault {
    Fault { path, message: format!("unknown field; the fields here are {known}"), of_key: true }
}

/// A path as it is written in messages of the API server.
pub(super) fn field(path: &[Step]) -> String {
    let part = |(position, step): (usize, &Step)| match step {
        Step::Index(index) => format!("[{index}]"),
        Step::Key(key) if key.contains(['.', '[', '"']) => format!("[\"{key}\"]"),
        Step::Key(key) if position == 0 => key.clone(),
        Step::Key(key) => format!(".{key}"),
    };
    path.iter().enumerate().map(part).collect()
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

/// Translates the words of serde: names of Rust's types mean nothing here, and found values are not repeated.
fn fault(mut path: Vec<Step>, error: &str) -> Fault {
    let (said, expected) = error.split_once(", expected ").unwrap_or((error, ""));
    let message = if said.starts_with("unknown field ") {
        return unknown(path, &listed(expected));
    } else if let Some(name) = said.strip_prefix("missing field ") {
        path.push(Step::Key(name.trim_matches('`').to_owned()));
        "this field is required".to_owned()
    } else if let Some(found) = said.strip_prefix("unknown variant ") {
        format!("{} is none of {}", found.trim_matches('`'), listed(expected))
    } else if let Some(found) = said.strip_prefix("invalid type: ") {
        mismatch(kind_of(found), expected)
    } else if said.starts_with("invalid value: ") {
        format!("must be {}", wanted(expected))
    } else {
        "this value can't be understood".to_owned()
    };
    Fault { path, message, of_key: false }
}

fn mismatch(found: &str, expected: &str) -> String {
    let wanted = wanted(expected);
    let cure = if wanted == "a text" && found != "a list" && found != "a mapping" { ": put it in quotes" } else { "" };
    format!("must be {wanted}, not {found}{cure}")
}

fn listed(expected: &str) -> String {
    expected.trim_start_matches("one of ").replace('`', "").replace(" or ", ", ")
}

fn wanted(expected: &str) -> &str {
    match expected {
        "a string" | "string" | "str" | "a borrowed string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a mapping",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        // A struct, or an enum's text.
        other if other.starts_with("struct ") => "a mapping",
        other if other.starts_with("enum ") || other.starts_with("string or") => "a text",
        // Types that say themselves what they want.
        other if other.starts_with("a ") || other.starts_with("an ") => other,
        _ => "something else",
    }
}

fn kind_of(found: &str) -> &'static str {
    match found.split(' ').next().unwrap_or_default() {
        "string" => "a text",
        "integer" | "floating" => "a number",
        "boolean" => "true or false",
        "sequence" => "a list",
        "map" => "a mapping",
        "null" | "unit" => "nothing",
        _ => "this",
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
