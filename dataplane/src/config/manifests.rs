//! The proxy without a cluster: a folder of the same manifests, compiled by the same crate as in the operator.
//!
//! ```text
//! files -> documents (YAML with places) -> typed objects, Secrets, labels -> relay_compile::compile -> Update
//!             \________________________________\___________________________________\--> Diagnostics: file, line, field, cure
//! ```
//!
//! An error anywhere keeps the whole folder from being taken: the proxy does not start, and a running one keeps what it has. What is only
//! not resolved (a Secret that is missing, a variable that is not set) is a warning, as in a cluster: the object holds its place.

mod decode;
mod diagnostic;
mod documents;
mod files;
mod node;
mod secret;

pub use diagnostic::{Diagnostic, Severity, render};
pub use files::{FILE_MAX_BYTES, FILES_MAX, TOTAL_MAX_BYTES};
pub use node::STACK_BYTES;

use super::folder::Changes;
use super::{Outcome, Sink, Source, Update};
use decode::Fault;
use documents::Collected;
use notify::RecursiveMode;
use relay_compile::{Compiled, Problem};
use relay_snapshot::{Snapshot, shards};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Where the values of `${NAME}` come from.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;
/// The same, for a task of its own.
type SharedEnv = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What a folder holds.
pub struct Loaded {
    /// The accepted objects.
    pub snapshot: Snapshot,
    /// Digest of the content, 12 hex digits.
    pub revision: String,
    /// What is wrong, in the order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
    /// How much was found.
    pub counts: Counts,
}

/// How much a folder holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Counts {
    pub files: usize,
    pub routes: usize,
    pub tenants: usize,
    pub secrets: usize,
    pub namespaces: usize,
    /// Objects of other kinds.
    pub ignored: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, routes, tenants, secrets, namespaces, ignored } = self;
        write!(f, "files: {files}, routes: {routes}, tenants: {tenants}, secrets: {secrets}, ")?;
        write!(f, "namespaces: {namespaces}, ignored: {ignored}")
    }
}

impl Loaded {
    /// True when the folder must not be taken.
    pub fn failed(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    fn update(self, sequence: u64) -> Update {
        Update { snapshot: self.snapshot, revision: self.revision, sequence }
    }
}

/// Reads and compiles the folder. Blocking; takes a stack of [`STACK_BYTES`].
pub fn load(dir: &Path, env: Env<'_>) -> Loaded {
    let (sources, unread) = files::read_all(dir);
    let mut collected = Collected::default();
    for file in unread {
        collected.unread(file);
    }
    for source in &sources {
        collected.file(source, env);
    }
    let compiled = relay_compile::compile(&collected.inputs);
    judge(&mut collected, &compiled);
    // JSON of these types can't fail; were it to, the set would only be without a name.
    let revision = shards::split(&compiled.snapshot).map(|shards| shards.revision).unwrap_or_default();
    let counts = Counts {
        files: sources.len(),
        routes: collected.inputs.routes.len(),
        tenants: collected.inputs.tenants.len(),
        secrets: collected.inputs.secrets.len(),
        namespaces: collected.inputs.namespaces.len(),
        ignored: collected.ignored,
    };
    let mut diagnostics = collected.diagnostics();
    if counts.routes == 0 && diagnostics.is_empty() {
        diagnostics.push(without_routes(dir));
    }
    Loaded { snapshot: compiled.snapshot, revision, diagnostics, counts }
}

fn without_routes(dir: &Path) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        file: dir.to_owned(),
        line: 0,
        column: 0,
        object: String::new(),
        field: String::new(),
        message: "the folder holds no RelayRoute, so that every request is answered 404: add one".to_owned(),
        source_line: None,
    }
}

/// Turns the verdicts into diagnostics at the place of their field.
fn judge(collected: &mut Collected, compiled: &Compiled) {
    // What is missing may stand in a file that was not read: one fault, not two.
    let complete = collected.diagnostics.iter().all(|diagnostic| diagnostic.severity != Severity::Error);
    for (key, verdict) in &compiled.verdicts {
        let Some(origin) = collected.origins.get(key) else { continue };
        let mut tell = |severity, problem: &Problem| {
            collected.diagnostics.push(origin.diagnostic(severity, &Fault::at(&problem.field, &problem.message)));
        };
        if let Err(problem) = &verdict.accepted {
            tell(Severity::Error, problem);
        }
        if let Err(problem) = &verdict.resolved_refs
            && complete
        {
            tell(Severity::Warning, problem);
        }
    }
}

/// The text that `relay-dataplane check` prints, and whether the folder would be taken. Blocking.
pub fn report(dir: &Path) -> (String, bool) {
    let loaded = load(dir, &variable);
    let fine = !loaded.failed();
    (format!("{}\n{}: {}\n", render(&loaded.diagnostics), dir.display(), loaded.counts), fine)
}

/// Reads the folder for the first time, prints what is wrong to stderr, and hands the set to `sink` if there is no error. Blocking.
// All that there is to say about the error was printed.
#[allow(clippy::result_unit_err)]
pub fn start(dir: &Path, sink: &Sink) -> Result<(), ()> {
    let loaded = load(dir, &variable);
    if !loaded.diagnostics.is_empty() {
        eprintln!("{}", render(&loaded.diagnostics));
    }
    if loaded.failed() {
        return Err(());
    }
    sink.offer(Source::Manifests, loaded.update(1));
    Ok(())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Reads the folder again at every change, and hands each new set to `sink`. Ends with `shutdown`.
pub async fn run(dir: PathBuf, sink: Sink, shutdown: CancellationToken) {
    run_with(dir, Arc::new(variable), sink, shutdown).await;
}

async fn run_with(dir: PathBuf, env: SharedEnv, sink: Sink, shutdown: CancellationToken) {
    // The watch stands before the first read, so that nothing is lost between the two.
    let Some(mut changes) = shutdown.run_until_cancelled(Changes::of(dir.clone(), RecursiveMode::Recursive)).await
    else {
        return;
    };
    let mut reload = Reload { sink, warnings: None, failed: false };
    loop {
        let (path, env) = (dir.clone(), Arc::clone(&env));
        match tokio::task::spawn_blocking(move || load(&path, &*env)).await {
            Ok(loaded) => reload.take(loaded),
            // Only a runtime that is shutting down drops the task.
            Err(_) => return,
        }
        if shutdown.run_until_cancelled(changes.next()).await.is_none() {
            return;
        }
    }
}

struct Reload {
    sink: Sink,
    /// Those that were told; `None` before the first read.
    warnings: Option<Vec<Diagnostic>>,
    failed: bool,
}

impl Reload {
    fn take(&mut self, loaded: Loaded) {
        if loaded.failed() {
            self.failed = true;
            self.sink.reject(Source::Manifests, Outcome::Invalid, &format_args!("\n{}", render(&loaded.diagnostics)));
            return;
        }
        let served = self.sink.sequence();
        let same = served.is_some() && loaded.revision == self.sink.revision();
        // `start` has printed the warnings of a set that it took.
        let told = self.warnings.as_ref().map_or(same, |told| *told == loaded.diagnostics);
        if !told && !loaded.diagnostics.is_empty() {
            warn!("\n{}", render(&loaded.diagnostics));
        }
        self.warnings = Some(loaded.diagnostics.clone());
        if same && std::mem::take(&mut self.failed) {
            info!(revision = loaded.revision, "the manifests are without errors again, and as they are served");
        }
        let served = served.unwrap_or_default();
        self.sink.offer(Source::Manifests, loaded.update(if same { served } else { served + 1 }));
        self.failed = false;
    }
}

#[cfg(test)]
mod tests;
