//! From files to the objects that they hold, each with its place.

use super::Env;
use super::decode::{self, Fault, field};
use super::diagnostic::{Diagnostic, Severity};
use super::files::{Source, Unread};
use super::node::{self, Mark, Node, Step, Value};
use super::secret;
use kube::Resource;
use relay_compile::{Inputs, Kind, ObjectKey};
use relay_crds::{GROUP, RelayRoute, RelayTenant, VERSION};
use relay_snapshot::ObjectId;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing::debug;

/// What the files hold.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) inputs: Inputs,
    /// Routes and tenants, for faults that are found later.
    pub(super) origins: BTreeMap<ObjectKey, Origin>,
    /// Objects that are not read further, such as those of other controllers.
    pub(super) ignored: usize,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Every object by kind and id, for those that come twice.
    places: BTreeMap<(String, ObjectId), String>,
    /// First and last lines of Secrets, by file.
    secret_lines: Vec<(PathBuf, usize, usize)>,
}

/// Where an object stands.
pub(super) struct Origin {
    source: Arc<Source>,
    node: Node,
    /// Kind, namespace and name, as far as they are known.
    object: String,
    /// Its lines must not be shown.
    secret: bool,
}

const SECRET_KEYS: [&str; 7] = ["apiVersion", "kind", "metadata", "data", "stringData", "type", "immutable"];

impl Origin {
    /// A fault of this object. The line is shown as far as it can't hold a secret.
    pub(super) fn diagnostic(&self, severity: Severity, fault: &Fault) -> Diagnostic {
        let key = if fault.of_key { self.node.find_key(&fault.path) } else { None };
        let mark = key.unwrap_or_else(|| self.node.find(&fault.path));
        let line = if self.secret { None } else { self.source.line(mark.line) };
        let shown = line.map(|line| match (fault.of_key, fault.path.last()) {
            // What stands in the wrong place may be a key.
            (true, Some(Step::Key(key))) => cut(line, mark.column - 1 + key.chars().count()),
            _ if may_be_secret(&fault.path) => cut(line, mark.column.saturating_sub(1)),
            _ => line.to_owned(),
        });
        Diagnostic {
            severity,
            file: self.source.path.clone(),
            line: mark.line,
            column: mark.column,
            object: self.object.clone(),
            field: field(&fault.path),
            message: fault.message.clone(),
            source_line: shown,
        }
    }

    fn place(&self) -> String {
        format!("{}:{}:{}", self.source.path.display(), self.node.mark.line, self.node.mark.column)
    }
}

fn cut(line: &str, end: usize) -> String {
    let shown: String = line.chars().take(end).collect();
    if line.chars().count() > end { format!("{shown}…") } else { shown }
}

/// Fields in whose place a key is written by mistake.
fn may_be_secret(path: &[Step]) -> bool {
    let last = path.iter().rev().find_map(|step| match step {
        Step::Key(key) => Some(key.as_str()),
        Step::Index(_) => None,
    });
    let in_header = path.iter().any(|step| matches!(step, Step::Key(key) if key == "headers"));
    in_header || last.is_some_and(|last| ["apiKeys", "sha256", "secretRef", "credential", "key"].contains(&last))
}

impl Collected {
    pub(super) fn unread(&mut self, unread: Unread) {
        self.whole_file(&unread.path, unread.mark, unread.message, None);
    }

    /// What is wrong, by place. A line that an object shares with a Secret, as in JSON of one line, is not shown.
    pub(super) fn diagnostics(mut self) -> Vec<Diagnostic> {
        for diagnostic in &mut self.diagnostics {
            let shared = |(file, first, last): &(PathBuf, usize, usize)| {
                *file == diagnostic.file && (*first..=*last).contains(&diagnostic.line)
            };
            if diagnostic.source_line.is_some() && self.secret_lines.iter().any(shared) {
                diagnostic.source_line = None;
            }
        }
        self.diagnostics.sort_by(|a, b| a.place().cmp(&b.place()));
        self.diagnostics
    }

    /// Reads all documents of a file.
    pub(super) fn file(&mut self, source: &Arc<Source>, env: Env<'_>) {
        match node::parse(&source.text) {
            Ok(nodes) => nodes.into_iter().for_each(|node| self.document(source, node, env)),
            Err(fault) => {
                let hidden = source.may_be_secret(fault.mark.line);
                let line = if hidden { None } else { source.line(fault.mark.line).map(str::to_owned) };
                self.whole_file(&source.path, fault.mark, fault.message, line);
            }
        }
    }

    fn whole_file(&mut self, path: &Path, mark: Mark, message: String, source_line: Option<String>) {
        self.diagnostics.push(Diagnostic {
            severity: Severity::Error,
            file: path.to_owned(),
            line: mark.line,
            column: mark.column,
            object: String::new(),
            field: String::new(),
            message,
            source_line,
        });
    }

    fn document(&mut self, source: &Arc<Source>, node: Node, env: Env<'_>) {
        let text = |key: &str| node.get(key).and_then(Node::text).unwrap_or_default().to_owned();
        let (api, kind) = (text("apiVersion"), text("kind"));
        let ours = api.split('/').next() == Some(GROUP);
        let mut origin = Origin { source: Arc::clone(source), object: kind.clone(), secret: kind == "Secret", node };
        match kind.as_str() {
            "List" if api == "v1" => self.list(origin, env),
            "RelayRoute" | "RelayTenant" if api != format!("{GROUP}/{VERSION}") => {
                self.error(&origin, &Fault::at("apiVersion", format!("must be {GROUP}/{VERSION} for this kind")));
            }
            "RelayRoute" => {
                if let Some((id, route)) = self.relay::<RelayRoute>(&mut origin) {
                    self.inputs.routes.push(Arc::new(route));
                    self.origins.insert(ObjectKey { kind: Kind::Route, id }, origin);
                }
            }
            "RelayTenant" => {
                if let Some((id, tenant)) = self.relay::<RelayTenant>(&mut origin) {
                    self.inputs.tenants.push(Arc::new(tenant));
                    self.origins.insert(ObjectKey { kind: Kind::Tenant, id }, origin);
                }
            }
            "Secret" if api == "v1" => self.secret(origin, env),
            "Namespace" if api == "v1" => self.namespace(origin),
            _ if ours => {
                let message = format!("{GROUP} has the kinds RelayRoute and RelayTenant: write one of them");
                self.error(&origin, &Fault::at("kind", message));
            }
            "" => {
                self.ignored += 1;
                // It may be anything, values of a Secret included.
                origin.secret = true;
                let message = "this is no Kubernetes object, it has no kind: add apiVersion and kind, or move it out of the folder";
                self.diagnostics.push(origin.diagnostic(Severity::Warning, &Fault::at("", message)));
            }
            _ => {
                self.ignored += 1;
                debug!(kind, api, file = %source.path.display(), "ignored: not a kind that the relay reads");
            }
        }
    }

    fn list(&mut self, origin: Origin, env: Env<'_>) {
        let source = Arc::clone(&origin.source);
        let Value::Map(entries) = origin.node.value else { return };
        for (key, node) in entries {
            if let ("items", Value::List(items)) = (key.name.as_str(), node.value) {
                for item in items {
                    self.document(&source, item, env);
                }
            }
        }
    }

    fn relay<K>(&mut self, origin: &mut Origin) -> Option<(ObjectId, K)>
    where
        K: DeserializeOwned + Resource,
    {
        let id = self.identify(origin, true)?;
        match decode::object::<K>(&origin.node) {
            Ok(mut object) => {
                object.meta_mut().namespace = Some(id.namespace.clone());
                Some((id, object))
            }
            Err(fault) => {
                self.error(origin, &fault);
                None
            }
        }
    }

    fn secret(&mut self, mut origin: Origin, env: Env<'_>) {
        self.secret_lines.push((origin.source.path.clone(), origin.node.mark.line, origin.node.last_line()));
        let Some(id) = self.identify(&mut origin, true) else { return };
        if let Err(fault) = decode::only_keys(&origin.node, &SECRET_KEYS) {
            self.error(&origin, &fault);
        }
        let data = secret::read(&origin.node, env);
        data.faults.iter().for_each(|fault| self.error(&origin, fault));
        for fault in &data.unset {
            self.diagnostics.push(origin.diagnostic(Severity::Warning, fault));
        }
        self.inputs.secrets.insert(id, data.values);
    }

    fn namespace(&mut self, mut origin: Origin) {
        let Some(id) = self.identify(&mut origin, false) else { return };
        let mut labels = BTreeMap::new();
        let fields = origin.node.get("metadata").and_then(|metadata| metadata.get("labels"));
        for (key, value) in fields.map(Node::entries).unwrap_or_default() {
            let Some(text) = value.text() else {
                let path = ["metadata", "labels", &key.name].map(|key| Step::Key(key.to_owned())).to_vec();
                self.error(
                    &origin,
                    &Fault { path, message: "must be a text: put it in quotes".to_owned(), of_key: false },
                );
                continue;
            };
            labels.insert(key.name.clone(), text.to_owned());
        }
        // The API server gives every namespace this label.
        labels.insert("kubernetes.io/metadata.name".to_owned(), id.name.clone());
        self.inputs.namespaces.insert(id.name, labels);
    }

    /// Reads the object's name, and refuses an object that was there before.
    fn identify(&mut self, origin: &mut Origin, namespaced: bool) -> Option<ObjectId> {
        let id = match identity(&origin.node, namespaced) {
            Ok(id) => id,
            Err(fault) => {
                self.error(origin, &fault);
                return None;
            }
        };
        let kind = std::mem::take(&mut origin.object);
        origin.object = if namespaced { format!("{kind} {id}") } else { format!("{kind} {}", id.name) };
        if let Some(first) = self.places.get(&(kind.clone(), id.clone())) {
            let message = format!("this object is there already, at {first}: remove one of the two");
            self.error(origin, &Fault::at("metadata.name", message));
            return None;
        }
        self.places.insert((kind, id.clone()), origin.place());
        Some(id)
    }

    fn error(&mut self, origin: &Origin, fault: &Fault) {
        self.diagnostics.push(origin.diagnostic(Severity::Error, fault));
    }
}

fn identity(node: &Node, namespaced: bool) -> Result<ObjectId, Fault> {
    let part = |key: &str| node.get("metadata").and_then(|metadata| metadata.get(key));
    let text = |node: &Node, at: &str| {
        node.text().map(str::to_owned).ok_or_else(|| Fault::at(at, "must be a text: put it in quotes"))
    };
    let Some(name) = part("name") else {
        return Err(Fault::at("metadata.name", "this field is required"));
    };
    let name = text(name, "metadata.name")?;
    if name.len() > 253 || !name.split('.').all(is_label) {
        let message = "must be lower-case letters, digits, - and ., at most 253, with a letter or digit at both ends";
        return Err(Fault::at("metadata.name", message));
    }
    let namespace = match part("namespace").filter(|node| namespaced && !matches!(node.value, Value::Null)) {
        Some(node) => text(node, "metadata.namespace")?,
        None => "default".to_owned(),
    };
    if !is_label(&namespace) {
        let message = "must be lower-case letters, digits and -, at most 63, with a letter or digit at both ends";
        return Err(Fault::at("metadata.namespace", message));
    }
    Ok(ObjectId { namespace, name })
}

/// A label of RFC 1123, as Kubernetes asks of names.
fn is_label(text: &str) -> bool {
    let end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let inner = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    text.len() <= 63 && inner && end(text.bytes().next()) && end(text.bytes().last())
}
