//! `relay-operator render`: what proxies would get for a folder of manifests, and what would be said about every object.

mod read;

use crate::cli::{OutputFormat, RenderArguments};
use read::{Fault, Manifests, read};
use relay_compile::{Compiled, Problem, Summary, Verdict, compile};
use relay_crds::KeyStatus;
use relay_snapshot::{Route, Tenant};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Why nothing was rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A file can't be read.
    #[error("can't read {}: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// There is nothing to say anything about: most likely the wrong files.
    #[error("no RelayRoute and no RelayTenant found in {0}")]
    Nothing(String),
    /// Standard output is closed.
    #[error("can't print: {0}")]
    Output(#[from] std::io::Error),
    /// The result has no form. The cause is left out, it could quote a secret.
    #[error("the result can't be printed")]
    Unprintable,
}

/// Renders to standard output, faults of files to standard error. Success is exit code 0, a refused object 1.
pub fn render(arguments: &RenderArguments) -> Result<ExitCode, RenderError> {
    let Rendered { text, faults, fine } = rendered(arguments)?;
    std::io::stdout().lock().write_all(text.as_bytes())?;
    for fault in &faults {
        eprintln!("{fault}");
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

struct Rendered {
    text: String,
    faults: Vec<Fault>,
    fine: bool,
}

fn rendered(arguments: &RenderArguments) -> Result<Rendered, RenderError> {
    let Manifests { inputs, faults } = read(&arguments.files)?;
    if inputs.routes.is_empty() && inputs.tenants.is_empty() && faults.is_empty() {
        let files: Vec<String> = arguments.files.iter().map(|file| file.display().to_string()).collect();
        return Err(RenderError::Nothing(files.join(", ")));
    }
    let compiled = compile(&inputs);
    let text = print(&compiled, arguments.output)?;
    let bad = |verdict: &Verdict| verdict.accepted.is_err() || (arguments.strict && verdict.resolved_refs.is_err());
    let fine = faults.is_empty() && !compiled.verdicts.values().any(bad);
    Ok(Rendered { text, faults, fine })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Output<'a> {
    revision: String,
    routes: &'a [Route],
    tenants: Vec<TenantOutput<'a>>,
    verdicts: Vec<VerdictOutput<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TenantOutput<'a> {
    #[serde(flatten)]
    tenant: &'a Tenant,
    keys: Vec<KeyStatus>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerdictOutput<'a> {
    object: String,
    accepted: bool,
    resolved_refs: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<ProblemOutput<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    providers: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    routes: Option<u32>,
}

#[derive(Serialize)]
struct ProblemOutput<'a> {
    reason: &'a str,
    field: &'a str,
    message: &'a str,
}

/// The types of the snapshot leave secrets out when they are serialised; keys of tenants are told by their ids.
fn print(compiled: &Compiled, format: OutputFormat) -> Result<String, RenderError> {
    let shards = relay_snapshot::shards::split(&compiled.snapshot).map_err(|_| RenderError::Unprintable)?;
    let tenants = compiled.snapshot.tenants.iter();
    let keys = |tenant: &Tenant| tenant.keys.iter().map(relay_compile::key_status).collect();
    let tenants = tenants.map(|tenant| TenantOutput { tenant, keys: keys(tenant) }).collect();
    let verdicts = compiled.verdicts.iter().map(|(key, verdict)| told(key.to_string(), verdict)).collect();
    let output = Output { revision: shards.revision, routes: &compiled.snapshot.routes, tenants, verdicts };
    match format {
        OutputFormat::Yaml => serde_saphyr::to_string(&output).map_err(|_| RenderError::Unprintable),
        OutputFormat::Json => match serde_json::to_string_pretty(&output) {
            Ok(text) => Ok(text + "\n"),
            Err(_) => Err(RenderError::Unprintable),
        },
    }
}

fn told(object: String, verdict: &Verdict) -> VerdictOutput<'_> {
    let problems = [&verdict.accepted, &verdict.resolved_refs];
    let (providers, routes) = match &verdict.summary {
        Summary::Route { providers } => (Some(providers.as_str()), None),
        Summary::Tenant { routes, .. } => (None, Some(*routes)),
    };
    VerdictOutput {
        object,
        accepted: verdict.accepted.is_ok(),
        resolved_refs: verdict.resolved_refs.is_ok(),
        problems: problems.into_iter().filter_map(|result| result.as_ref().err()).map(problem_of).collect(),
        providers,
        routes,
    }
}

fn problem_of(problem: &Problem) -> ProblemOutput<'_> {
    ProblemOutput { reason: problem.reason, field: &problem.field, message: &problem.message }
}

#[cfg(test)]
mod tests;
