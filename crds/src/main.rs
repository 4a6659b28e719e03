//! Prints the CustomResourceDefinitions, or writes them to a folder: `relay-crds [--out DIR]`.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let written = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => print_all(),
        ["--out", folder] => write_all(std::path::Path::new(folder)),
        _ => {
            eprintln!(
                "usage: relay-crds [--out DIR]\nPrints both definitions as YAML, or writes one file each into DIR."
            );
            return ExitCode::from(2);
        }
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay-crds: {error}");
            ExitCode::from(1)
        }
    }
}

fn print_all() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (_, definition) in relay_crds::definitions() {
        writeln!(out, "---")?;
        out.write_all(relay_crds::to_yaml(&definition)?.as_bytes())?;
    }
    Ok(())
}

fn write_all(folder: &std::path::Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, definition) in relay_crds::definitions() {
        std::fs::write(folder.join(name), relay_crds::to_yaml(&definition)?)?;
    }
    Ok(())
}
