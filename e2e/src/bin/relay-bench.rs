//! The parts of the benchmark as a program; `e2e/bench/run` puts them together.

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use relay_e2e::bench::content::Plan;
use relay_e2e::bench::load::{self, Options, Pipes};
use relay_e2e::bench::{bare, upstream};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

/// Parts of the benchmark: a mock upstream, a bare hyper relay, and a load generator that checks every byte.
///
/// e2e/bench/run puts them together. All of them run on one thread.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    part: Part,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Answers requests as the plan in their target says; /_bench/connects tells how many connections carried any.
    Upstream {
        /// Address to listen on; it is printed.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Relays to an upstream with plain hyper and its pooled client.
    Bare {
        /// Address to listen on; it is printed.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Where requests go.
        #[arg(long)]
        upstream: SocketAddr,
    },
    /// Puts load on a proxy and prints figures as JSON. Prints `begin` and `end` at the ends of the measured window and waits for a line each time.
    Load(Load),
}

#[derive(Debug, Args)]
struct Load {
    /// The proxy.
    #[arg(long)]
    proxy: SocketAddr,
    /// Sent as bearer token.
    #[arg(long, default_value = "bench")]
    key: String,
    /// How requests are answered: json, silent, or stream.EVENTS.GAP_MS (gap 0: as fast as possible).
    #[arg(long)]
    plan: Plan,
    /// Clients, each with one connection.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Requests of each client before the window.
    #[arg(long, default_value_t = 10)]
    warmup: usize,
    /// Requests of each client in the window; paced and silent plans have one stream a client.
    #[arg(long, default_value_t = 100)]
    requests: usize,
    /// Length of the window of a paced plan, in milliseconds.
    #[arg(long, default_value_t = 2000)]
    window: u64,
    /// The longest that the whole run may take, in seconds.
    #[arg(long, default_value_t = 60)]
    limit: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().part {
        Part::Upstream { listen } => upstream::run(bind(listen).await?).await,
        Part::Bare { listen, upstream } => bare::run(bind(listen).await?, upstream).await,
        Part::Load(given) => load(given).await?,
    }
    Ok(())
}

async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("can't listen on {listen}"))?;
    println!("{}", listener.local_addr()?);
    Ok(listener)
}

async fn load(given: Load) -> anyhow::Result<()> {
    let Load { proxy, key, plan, clients, warmup, requests, window, limit } = given;
    let options = Options { proxy, key, plan, clients, warmup, requests, window: Duration::from_millis(window) };
    let mut marks = Pipes::default();
    let outcome = tokio::time::timeout(Duration::from_secs(limit), load::run(options, &mut marks)).await;
    let code = match outcome {
        Ok(Ok(figures)) => {
            println!("{}", serde_json::to_string(&figures)?);
            0
        }
        Ok(Err(error)) => {
            eprintln!("load: {error}");
            1
        }
        Err(_) => {
            eprintln!("load: not done within {limit} s: the proxy hangs, or --limit is too low for this load");
            1
        }
    };
    // A thread that still reads standard input would keep the runtime from ending.
    std::process::exit(code)
}
