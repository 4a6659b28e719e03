use super::*;
use clap::CommandFactory;

fn parse(arguments: &[&str]) -> Cli {
    Cli::try_parse_from(std::iter::once("relay-operator").chain(arguments.iter().copied())).unwrap()
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn run_is_meant_when_no_subcommand_is_named() {
    let cli = parse(&["--config-namespace", "relay", "--watch-namespaces", "b, a,,a"]);
    assert!(cli.command.is_none());
    let options = cli.run.complete("host").unwrap();
    assert_eq!(options.config_namespace, "relay");
    assert_eq!(options.watch_namespaces, ["a", "b"]);
    assert_eq!(options.proxy_admin_port, 9090);
    assert!(options.identity.starts_with("host-"));
}

#[test]
fn run_takes_the_same_flags_by_name() {
    let cli = parse(&["run", "--config-namespace", "relay", "--identity", "me", "--log-format", "json"]);
    let Some(Command::Run(run)) = cli.command else { panic!("not run") };
    let options = run.complete("host").unwrap();
    assert_eq!((options.identity.as_str(), options.watch_namespaces.len()), ("me", 0));
    assert_eq!(cli.logs.log_format, LogFormat::Json);
}

#[test]
fn an_empty_config_namespace_is_none() {
    let cli = parse(&["--config-namespace", " "]);
    assert!(cli.run.complete("host").is_none());
}

#[test]
fn render_needs_files() {
    assert!(Cli::try_parse_from(["relay-operator", "render"]).is_err());
    let cli = parse(&["render", "a.yaml", "b", "-o", "json"]);
    let Some(Command::Render(render)) = cli.command else { panic!("not render") };
    assert_eq!((render.files.len(), render.output, render.strict), (2, OutputFormat::Json, false));
}
