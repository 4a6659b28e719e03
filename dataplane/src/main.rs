//! The streaming proxy's program.

use relay_dataplane::cli::{Cli, LogFormat, Serve, Task};
use relay_dataplane::run::{self, StartError};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// How long tasks and threads have to end behind the drain.
const ENDING: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    match cli.task {
        Some(Task::Check { dir }) => check(&dir),
        Some(Task::Key) => key(),
        None => serve(cli.serve),
    }
}

fn serve(options: Serve) -> ExitCode {
    if let Err(error) = start_log(&options) {
        eprintln!("relay-dataplane: --log-level: {error}");
        return ExitCode::from(2);
    }
    // One provider of cryptography in the whole program; a second installation would be the error.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // Manifests are read on the runtime's threads, and a stack that overflows would end every stream.
    let stack = relay_dataplane::config::manifests::STACK_BYTES;
    let runtime = match tokio::runtime::Builder::new_multi_thread().thread_stack_size(stack).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("relay-dataplane: can't start threads: {error}");
            return ExitCode::from(3);
        }
    };
    let served = runtime.block_on(run::serve(options));
    // Without a bound, a DNS server that does not answer would hold the end up.
    runtime.shutdown_timeout(ENDING);
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay-dataplane: {error}");
            ExitCode::from(match error {
                StartError::NoSource | StartError::Redis(_) => 2,
                StartError::Manifests(_) => 1,
                _ => 3,
            })
        }
    }
}

fn start_log(options: &Serve) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter = EnvFilter::try_new(&options.log_level)?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match options.log_format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.init(),
    }
    Ok(())
}

fn check(dir: &Path) -> ExitCode {
    let (text, fine) = relay_dataplane::config::manifests::report(dir);
    print(&text);
    ExitCode::from(u8::from(!fine))
}

fn key() -> ExitCode {
    // 256 random bits, so that a plain SHA-256 of it can't be reversed by guessing.
    let key = format!("relay-{}", hex::encode(rand::random::<[u8; 32]>()));
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
    print(&format!("key:    {key}\nsha256: {}\n", hex::encode(digest)));
    ExitCode::SUCCESS
}

/// Without the panic of `print!` where a pager or `head` has read enough.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
