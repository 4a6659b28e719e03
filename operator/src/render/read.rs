//! Manifests from files. Faults name file, line and column; of Secrets they say nothing else.

use super::RenderError;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::core::TypeMeta;
use kube::{Resource, ResourceExt};
use relay_compile::Inputs;
use relay_crds::{GROUP, RelayRoute, RelayTenant, VERSION};
use relay_snapshot::ObjectId;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where an object without a namespace goes, as `kubectl apply` has it.
const DEFAULT_NAMESPACE: &str = "default";

const UNREADABLE_LIST: &str = "the List is not readable";

/// What lists hold, of whatever kinds.
#[derive(serde::Deserialize)]
struct List {
    #[serde(default)]
    items: Vec<serde_json::Value>,
}

/// What the files say.
#[derive(Default)]
pub(super) struct Manifests {
    pub(super) inputs: Inputs,
    pub(super) faults: Vec<Fault>,
}

/// A document that is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) file: String,
    /// From 1; 0 where it is not known.
    pub(super) line: u64,
    pub(super) column: u64,
    pub(super) message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// Reads files, folders (their YAML and JSON files, those of folders within too; hidden ones are left out) and standard input (`-`).
pub(super) fn read(paths: &[PathBuf]) -> Result<Manifests, RenderError> {
    let mut manifests = Manifests::default();
    for path in paths {
        let unreadable = |cause| RenderError::Unreadable { path: path.clone(), cause };
        if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().lock().read_to_string(&mut text).map_err(unreadable)?;
            manifests.add("standard input", &text);
            continue;
        }
        for file in files(path).map_err(unreadable)? {
            let text = std::fs::read_to_string(&file).map_err(unreadable)?;
            manifests.add(&file.display().to_string(), &text);
        }
    }
    Ok(manifests)
}

fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    collect(path, &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let manifest = |path: &Path| path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
    for entry in folder.read_dir()? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // The type of the entry itself: a link to a folder is not followed, it could lead around in a circle.
        if entry.file_type()?.is_dir() {
            collect(&path, found)?;
        } else if manifest(&path) && path.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

impl Manifests {
    /// Takes the documents of one text.
    pub(super) fn add(&mut self, file: &str, text: &str) {
        for document in documents(text) {
            if let Err(fault) = self.take(&document) {
                self.faults.push(fault);
            }
        }
        for fault in self.faults.iter_mut().filter(|fault| fault.file.is_empty()) {
            file.clone_into(&mut fault.file);
        }
    }

    fn take(&mut self, text: &str) -> Result<(), Fault> {
        let Some(TypeMeta { api_version, kind }) = parse(text, true)? else { return Ok(()) };
        if (api_version.as_str(), kind.as_str()) == ("v1", "List") {
            return self.take_list(text);
        }
        match (api_version.as_str(), kind.as_str()) {
            ("v1", "Secret") => {
                let secret: Option<Secret> = parse(text, false)?;
                self.inputs.secrets.extend(secret.map(|secret| (placed(&secret), values(secret))));
            }
            ("v1", "Namespace") => {
                let namespace: Option<Namespace> = parse(text, true)?;
                let labels =
                    |namespace: Namespace| (namespace.name_any(), namespace.metadata.labels.unwrap_or_default());
                self.inputs.namespaces.extend(namespace.map(labels));
            }
            (version, kind) if version.split('/').next() == Some(GROUP) => self.take_own(text, version, kind)?,
            _ => {}
        }
        Ok(())
    }

    /// Takes the items of a `kind: List`, as `kubectl get -o yaml` prints it. Of their faults only the item is known: the rest would need a second parser.
    fn take_list(&mut self, text: &str) -> Result<(), Fault> {
        // Nothing is quoted: there may be Secrets in it.
        let list: Option<List> =
            parse(text, false).map_err(|fault| Fault { message: UNREADABLE_LIST.to_owned(), ..fault })?;
        for (number, item) in list.map(|list| list.items).unwrap_or_default().into_iter().enumerate() {
            // JSON is YAML.
            if let Err(fault) = self.take(&item.to_string()) {
                self.faults.push(Fault::whole(text, format!("items[{number}]: {}", fault.message)));
            }
        }
        Ok(())
    }

    fn take_own(&mut self, text: &str, version: &str, kind: &str) -> Result<(), Fault> {
        let served = format!("{GROUP}/{VERSION}");
        match kind {
            _ if version != served => {
                return Err(Fault::whole(
                    text,
                    format!("apiVersion {version} is not known: this operator reads {served}"),
                ));
            }
            "RelayRoute" => self.inputs.routes.extend(parse::<RelayRoute>(text, true)?.map(in_namespace).map(Arc::new)),
            "RelayTenant" => {
                self.inputs.tenants.extend(parse::<RelayTenant>(text, true)?.map(in_namespace).map(Arc::new));
            }
            _ => return Err(Fault::whole(text, format!("kind {kind} is not known: RelayRoute and RelayTenant are"))),
        }
        Ok(())
    }
}

impl Fault {
    /// A fault of a whole document: at its first line that is not empty.
    fn whole(text: &str, message: String) -> Self {
        let line = text.lines().position(|line| !line.trim().is_empty()).unwrap_or(0);
        Self { file: String::new(), line: line as u64 + 1, column: 1, message }
    }
}

/// The documents of a text, each with as many empty lines before it that lines are counted as in the whole text.
fn documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for (number, line) in text.lines().enumerate() {
        let rest = line.strip_prefix("---").filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '#']));
        if let Some(rest) = rest {
            documents.push("\n".repeat(number) + rest + "\n");
        } else if let Some(document) = documents.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    documents
}

/// Reads a document; `None` where it is empty. With `tell` a fault quotes the parser.
fn parse<T: DeserializeOwned>(text: &str, tell: bool) -> Result<Option<T>, Fault> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options::<Option<T>>(text, options).map_err(|error| {
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        let message = if tell { one_line(&error.to_string()) } else { "the Secret is not readable".to_owned() };
        Fault { file: String::new(), line, column, message }
    })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn placed(object: &impl ResourceExt) -> ObjectId {
    ObjectId::new(object.namespace().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()), object.name_any())
}

fn in_namespace<K: Resource>(mut object: K) -> K {
    object.meta_mut().namespace.get_or_insert_with(|| DEFAULT_NAMESPACE.to_owned());
    object
}

/// `stringData` wins over `data`, as the API server has it.
fn values(secret: Secret) -> BTreeMap<String, Vec<u8>> {
    let data = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
    let text = secret.string_data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
    data.chain(text).collect()
}

#[cfg(test)]
mod tests;
