//! YAML as a tree that remembers where everything stands.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_saphyr::{Error, Location, Spanned};
use std::fmt;

/// A place in a file: line and column from 1, columns in characters. All 0: the file as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A value and where it begins. No `Debug`: it may be of a Secret.
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) value: Value,
}

pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; the parser refuses a key that comes twice.
    Map(Vec<(Key, Node)>),
}

pub(super) struct Key {
    pub(super) mark: Mark,
    pub(super) name: String,
}

/// A step from a value to a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// Why a text is no YAML. The message quotes no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) mark: Mark,
    pub(super) message: String,
}

/// A file may hold this many documents, and the values of a large fleet.
const DOCUMENTS_MAX: usize = 100_000;
const NODES_MAX: usize = 4_000_000;
/// Values lie in each other no deeper.
pub(super) const DEPTH_MAX: usize = 64;
/// The stack that the deepest of them takes, in bytes, with much to spare; a thread's usual 2 MiB are not enough without optimisation.
pub const STACK_BYTES: usize = 8 << 20;
/// What aliases may unfold to, over the whole file.
const ALIASED_MAX: usize = 100_000;

/// The documents of a text that are not empty.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, Fault> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_documents: DOCUMENTS_MAX,
            max_nodes: NODES_MAX,
            max_events: 2 * NODES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: ALIASED_MAX },
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| fault(&error))
}

/// Only texts that quote no value; what the file holds may be a Secret.
fn fault(error: &Error) -> Fault {
    let mark = error.location().map(Mark::from).unwrap_or_default();
    let message = match error.without_snippet() {
        Error::AliasError { error, .. } => return fault(error),
        Error::ExternalMessage { msg, .. } => format!("this is no YAML: {msg}"),
        Error::Eof { .. } => "this is no YAML: the file ends too early".to_owned(),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("{key} is set twice: remove one of the two"),
        Error::DuplicateMappingKey { key: None, .. } => "a key is set twice: remove one of the two".to_owned(),
        Error::UnknownAnchor { .. } => "there is no anchor of this name above: define it with &NAME".to_owned(),
        Error::Budget { .. } | Error::AliasReplayLimitExceeded { .. } => {
            "the file holds too much or is nested too deeply: split it".to_owned()
        }
        Error::NonFiniteFloat { .. } => "a number must be finite: put it in quotes if it is text".to_owned(),
        _ => "this is no value that a manifest can hold: put it in quotes if it is text".to_owned(),
    };
    Fault { mark, message }
}

impl From<Location> for Mark {
    fn from(location: Location) -> Self {
        let narrow = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Self { line: narrow(location.line()), column: narrow(location.column()) }
    }
}

impl Node {
    /// The value of a key of a mapping.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.entries().iter().find(|(key, _)| key.name == name).map(|(_, node)| node)
    }

    /// The entries of a mapping; none of anything else.
    pub(super) fn entries(&self) -> &[(Key, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Where the part at the end of `path` stands, or the last part on the way that exists.
    pub(super) fn find(&self, path: &[Step]) -> Mark {
        let next = match (path.first(), &self.value) {
            (Some(Step::Key(name)), Value::Map(_)) => self.get(name),
            (Some(Step::Index(index)), Value::List(items)) => items.get(*index),
            _ => None,
        };
        next.map_or(self.mark, |node| node.find(path.get(1..).unwrap_or_default()))
    }

    /// Where the key at the end of `path` stands, for faults of the key itself.
    pub(super) fn find_key(&self, path: &[Step]) -> Option<Mark> {
        match (path, &self.value) {
            ([Step::Key(name)], Value::Map(entries)) => {
                entries.iter().find(|(key, _)| key.name == *name).map(|(key, _)| key.mark)
            }
            ([Step::Key(name), rest @ ..], _) => self.get(name)?.find_key(rest),
            ([Step::Index(index), rest @ ..], Value::List(items)) => items.get(*index)?.find_key(rest),
            _ => None,
        }
    }

    /// The last line on which a part of this value begins.
    pub(super) fn last_line(&self) -> usize {
        let inner = match &self.value {
            Value::List(items) => items.last().map(Self::last_line),
            Value::Map(entries) => entries.last().map(|(_, node)| node.last_line()),
            _ => None,
        };
        self.mark.line.max(inner.unwrap_or_default())
    }

    /// The same value as JSON. A key whose value is null is left out: it means the same as one that is absent, as it does in a cluster.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => serde_json::Value::Bool(*value),
            Value::Number(number) => serde_json::Value::Number(number.clone()),
            Value::Text(text) => serde_json::Value::String(text.clone()),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                let set = entries.iter().filter(|(_, node)| !matches!(node.value, Value::Null));
                set.map(|(key, node)| (key.name.clone(), node.to_json())).collect()
            }
        }
    }
}

/// Reads `spec.backends[0].url` and `labels["a.b/c"]`. What it does not understand ends the path: a place further out is still a place.
pub(super) fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let quoted = inner.strip_prefix('"').and_then(|text| text.split_once("\"]"));
            let (step, tail) = match (quoted, inner.split_once(']')) {
                (Some((key, tail)), _) => (Step::Key(key.to_owned()), tail),
                (None, Some((index, tail))) if index.parse::<usize>().is_ok() => {
                    (Step::Index(index.parse().unwrap_or_default()), tail)
                }
                _ => return steps,
            };
            steps.push(step);
            rest = tail;
        } else {
            let text = rest.strip_prefix('.').unwrap_or(rest);
            let end = text.find(['.', '[']).unwrap_or(text.len());
            if end == 0 {
                return steps;
            }
            steps.push(Step::Key(text[..end].to_owned()));
            rest = &text[end..];
        }
    }
    steps
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { mark: spanned.referenced.into(), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        // JSON has no other numbers than finite ones.
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            entries.push((Key { mark: key.referenced.into(), name: key.value }, access.next_value()?));
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
