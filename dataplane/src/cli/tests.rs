use super::{Cli, ConfigSource};
use clap::CommandFactory;
use clap::error::ErrorKind;
use std::ffi::OsString;
use std::path::PathBuf;

/// What is read from `args`, where the variables of the arguments `set` are set: each to the value of a variable that every process has.
fn read(args: &[&str], set: &[&'static str]) -> Result<Option<ConfigSource>, ErrorKind> {
    let mut command = Cli::command();
    for id in ["config_dir", "manifests", "config_namespace"] {
        let variable = if set.contains(&id) { "PATH" } else { "RELAY_TEST_THAT_NOBODY_SETS" };
        command = command.mut_arg(id, |arg| arg.env(variable));
    }
    let args = ["relay-dataplane"].iter().chain(args).map(OsString::from);
    Cli::read_with(command, args).map(|cli| cli.serve.source()).map_err(|error| error.kind())
}

fn cluster(dir: &str, namespace: Option<&str>) -> ConfigSource {
    ConfigSource::Cluster { dir: dir.into(), namespace: namespace.map(str::to_owned) }
}

fn manifests(dir: &str) -> ConfigSource {
    ConfigSource::Manifests(PathBuf::from(dir))
}

#[test]
fn a_flag_goes_before_a_variable() {
    assert_eq!(read(&["--manifests", "m"], &["config_dir"]), Ok(Some(manifests("m"))));
    assert_eq!(read(&["--manifests", "m"], &["config_dir", "config_namespace"]), Ok(Some(manifests("m"))));
    assert_eq!(read(&["--manifests", "m"], &["config_namespace"]), Ok(Some(manifests("m"))));
    assert_eq!(read(&["--config-dir", "c"], &["manifests"]), Ok(Some(cluster("c", None))));
    assert_eq!(read(&["--config-dir", "c"], &["config_dir", "manifests"]), Ok(Some(cluster("c", None))));
    assert_eq!(
        read(&["--config-namespace", "n", "--config-dir", "c"], &["manifests"]),
        Ok(Some(cluster("c", Some("n"))))
    );
}

#[test]
fn two_flags_or_two_variables_contradict_each_other() {
    assert_eq!(read(&["--manifests", "m", "--config-dir", "c"], &[]), Err(ErrorKind::ArgumentConflict));
    assert_eq!(read(&[], &["manifests", "config_dir"]), Err(ErrorKind::ArgumentConflict));
    assert!(read(&["check", "m"], &["manifests", "config_dir"]).is_ok(), "it does not serve");
}

#[test]
fn a_namespace_goes_with_the_folder_of_a_cluster() {
    for args in [&["--config-namespace", "n"][..], &["--config-namespace", "n", "--manifests", "m"]] {
        assert_eq!(read(args, &[]), Err(ErrorKind::ArgumentConflict));
    }
    assert_eq!(
        read(&["--config-namespace", "n", "--manifests", "m"], &["config_dir"]),
        Err(ErrorKind::ArgumentConflict),
        "a flag is not left out in silence"
    );
    assert_eq!(read(&["--config-dir", "c", "--config-namespace", "n"], &[]), Ok(Some(cluster("c", Some("n")))));
    assert_eq!(read(&[], &[]), Ok(None));
}
