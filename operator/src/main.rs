//! `relay-operator`: see `relay-operator --help`.

use anyhow::Context;
use clap::{CommandFactory, Parser, error::ErrorKind};
use relay_operator::cli::{Cli, Command, RunArguments};
use relay_operator::{logging, render, run};
use std::io::Write;
use std::process::ExitCode;

const BAD_INPUT: u8 = 1;
const USAGE: u8 = 2;
const CANNOT_START: u8 = 3;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let command = cli.command.unwrap_or(Command::Run(cli.run));
    let (outcome, code) = match command {
        Command::Run(arguments) => {
            if let Err(error) = logging::start(cli.logs.log_format, &cli.logs.log_level) {
                return usage(ErrorKind::ValueValidation, &format!("--log-level: {error}"));
            }
            (operate(arguments), CANNOT_START)
        }
        Command::Render(arguments) => (render::render(&arguments).map_err(Into::into), BAD_INPUT),
        Command::Crds => (print_crds(), BAD_INPUT),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("relay-operator: {error:#}");
            ExitCode::from(code)
        }
    }
}

fn operate(arguments: RunArguments) -> anyhow::Result<ExitCode> {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "relay-operator".to_owned());
    let Some(options) = arguments.complete(&host) else {
        let message = "--config-namespace (or RELAY_CONFIG_NAMESPACE) is required: the namespace of the proxies";
        return Ok(usage(ErrorKind::MissingRequiredArgument, message));
    };
    // Exactly one provider is linked; a second installation can't happen, and would not matter.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(run::run(options))?;
    Ok(ExitCode::SUCCESS)
}

fn usage(kind: ErrorKind, message: &str) -> ExitCode {
    // Nothing is left to be done where standard error is closed.
    let _ = Cli::command().error(kind, message).print();
    ExitCode::from(USAGE)
}

fn print_crds() -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    for (_, definition) in relay_crds::definitions() {
        writeln!(out, "---")?;
        out.write_all(relay_crds::to_yaml(&definition)?.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}
