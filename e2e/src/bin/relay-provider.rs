//! The fake provider as a program.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use relay_e2e::provider::tls::{Alpn, Tls};
use relay_e2e::provider::{Config, Provider, behaviour};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A fake LLM and speech provider: OpenAI, Azure OpenAI, SiliconFlow, Anthropic, Gemini, Ollama, ElevenLabs, Azure Speech.
///
/// The model name of a request decides how it is answered (table below). What it received, credentials included,
/// stands at /_fake/requests: never give it a real key.
#[derive(Debug, Parser)]
#[command(version, after_long_help = behaviour::table_text())]
struct Args {
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, env = "PROVIDER_LISTEN", default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// API key to accept; may be given more than once. Without it any key that is not empty is accepted.
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
    /// Say this in the header x-fake-identity of every response.
    #[arg(long, value_name = "NAME", env = "PROVIDER_IDENTITY")]
    identity: Option<String>,
    /// Tokens of an answer whose model name does not say.
    #[arg(long, default_value_t = 16, value_parser = tokens)]
    tokens: usize,
    /// Gap between tokens where the model name does not say, such as 20ms.
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = time)]
    gap: Duration,
    /// How long running streams may go on after SIGTERM.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = time)]
    grace: Duration,
    /// Serve TLS, h2 and HTTP/1.1, with tls.crt and tls.key of this folder.
    #[arg(long, value_name = "DIR", env = "PROVIDER_TLS")]
    tls: Option<PathBuf>,
    /// What to log, to stderr: error, warn, info, debug (each request), or a tracing filter.
    #[arg(long, env = "PROVIDER_LOG", default_value = "info")]
    log: String,
}

fn time(text: &str) -> Result<Duration, String> {
    behaviour::duration(text).ok_or_else(|| "write a duration such as 50ms, 5s or 2m".to_owned())
}

fn tokens(text: &str) -> Result<usize, String> {
    let tokens = text.parse().ok().filter(|tokens| *tokens <= behaviour::MAX_TOKENS);
    tokens.ok_or_else(|| format!("write a number up to {}", behaviour::MAX_TOKENS))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let filter = EnvFilter::try_new(&args.log).context("--log")?;
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi).with_writer(std::io::stderr).init();
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM handler")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT handler")?;
    let Args { listen, keys, identity, tokens, gap, grace, tls, log: _ } = args;
    let tls = tls.map(|folder| Tls::from_folder(&folder, Alpn::Both)).transpose().context("--tls")?;
    let provider = Provider::start(Config { listen, keys, identity, tokens, gap, grace, keep: 0, tls })
        .await
        .with_context(|| format!("cannot listen on {listen} (choose another address with --listen)"))?;
    println!("listening on {}", provider.addr());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    provider.stop().await;
    Ok(())
}
