//! The load generator: many clients, each with one connection, every byte of every answer checked.
//!
//! A run has three stages, warm-up, window and rest. At both ends of the window it prints a line, `begin` and `end`, and waits for a line on its
//! input: meanwhile the caller reads the proxy's clock. Then it prints its figures as JSON.

use super::content::{self, Plan, REQUEST};
use super::reader::{Reader, Wrong};
use serde::Serialize;
use std::io::Error;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Stdin};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::interval;

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The proxy.
    pub proxy: SocketAddr,
    /// Sent as bearer token.
    pub key: String,
    /// How each request is to be answered.
    pub plan: Plan,
    /// How many clients.
    pub clients: usize,
    /// Requests of each client before the window. With a paced or silent plan: plain requests, before any stream is opened.
    pub warmup: usize,
    /// Requests of each client in the window. Paced and silent plans have one stream a client.
    pub requests: usize,
    /// Length of the window of a paced plan.
    pub window: Duration,
}

/// Figures of the window, and the errors of the whole run.
#[derive(Debug, Default, Serialize, PartialEq)]
pub struct Figures {
    /// Requests that ended in the window; of paced plans those that ended behind it, all of them.
    pub requests: u64,
    /// Events (or plain answers) that arrived in the window.
    pub events: u64,
    /// Answers that broke off or were not the upstream's bytes, over the whole run.
    pub errors: u64,
    /// Events and end markers that did not arrive, over the whole run.
    pub lost: u64,
    /// Length of the window.
    pub seconds: f64,
    /// Half took no longer: of a paced plan the events from the upstream to here, of a plain one the requests to the end of their answers; 0 of others.
    pub p50_us: u64,
    /// 99 of 100 took no longer.
    pub p99_us: u64,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No connection to the proxy.
    #[error("can't connect to the proxy: {0}")]
    Connect(Error),
    /// The caller's end of a pipe is closed.
    #[error("nobody reads or writes the marks: {0}")]
    Marks(Error),
    /// A client ended by a bug of its own.
    #[error("a client ended unexpectedly: {0}")]
    Client(#[from] tokio::task::JoinError),
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("connection: {0}")]
    Io(#[from] Error),
    #[error("connection closed before the end")]
    Closed,
    #[error(transparent)]
    Wrong(#[from] Wrong),
}

/// Tells the caller of the window's ends, and waits until it has looked.
pub trait Marks {
    /// `name` is `begin` or `end`.
    fn mark(&mut self, name: &str) -> impl Future<Output = Result<(), Error>>;
}

/// Marks over standard output and input.
pub struct Pipes(BufReader<Stdin>);

impl Default for Pipes {
    fn default() -> Self {
        Self(BufReader::new(tokio::io::stdin()))
    }
}

impl Marks for Pipes {
    async fn mark(&mut self, name: &str) -> Result<(), Error> {
        let mut out = tokio::io::stdout();
        out.write_all(format!("{name}\n").as_bytes()).await?;
        out.flush().await?;
        if self.0.read_line(&mut String::new()).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

#[derive(Default)]
struct Tally {
    requests: AtomicU64,
    events: AtomicU64,
    errors: AtomicU64,
    lost: AtomicU64,
    latencies: Mutex<Vec<u64>>,
}

impl Tally {
    /// Nanoseconds of an event or a request.
    fn took(&self, ns: u64) {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(ns);
    }
}

/// Runs one load.
pub async fn run(options: Options, marks: &mut impl Marks) -> Result<Figures, LoadError> {
    let tally = Arc::new(Tally::default());
    let run = Run { options, tally };
    let mut clients = Vec::with_capacity(run.options.clients);
    for _ in 0..run.options.clients {
        clients.push(Client::open(&run.options).await.map_err(LoadError::Connect)?);
    }
    match run.options.plan {
        Plan::Stream { gap, .. } if !gap.is_zero() => run.paced(clients, gap, marks).await,
        Plan::Silent => run.silent(clients, marks).await,
        _ => run.counted(clients, marks).await,
    }
}

struct Run {
    options: Options,
    tally: Arc<Tally>,
}

impl Run {
    /// All clients send their requests one after the other; at the window's ends none is under way.
    async fn counted(self, clients: Vec<Client>, marks: &mut impl Marks) -> Result<Figures, LoadError> {
        let clients = self.stage(clients, self.options.plan, self.options.warmup).await?;
        self.latencies().clear();
        marks.mark("begin").await.map_err(LoadError::Marks)?;
        let before = self.snapshot();
        self.stage(clients, self.options.plan, self.options.requests).await?;
        let figures = self.figures(&before);
        marks.mark("end").await.map_err(LoadError::Marks)?;
        Ok(figures)
    }

    /// One stream a client; the window lies within them.
    async fn paced(self, clients: Vec<Client>, gap: Duration, marks: &mut impl Marks) -> Result<Figures, LoadError> {
        let clients = self.stage(clients, Plan::Json, self.options.warmup).await?;
        let mut streams = JoinSet::new();
        // One a millisecond, the timers' grain: all phases of the gap are taken.
        let mut tick = interval(Duration::from_millis(1));
        for client in clients {
            tick.tick().await;
            streams.spawn(client.repeat(self.options.plan, 1, Arc::clone(&self.tally)));
        }
        let mut settle = interval(gap * 20);
        settle.tick().await;
        settle.tick().await;
        self.latencies().clear();
        marks.mark("begin").await.map_err(LoadError::Marks)?;
        let before = self.snapshot();
        let mut window = interval(self.options.window);
        window.tick().await;
        window.tick().await;
        let mut figures = self.figures(&before);
        marks.mark("end").await.map_err(LoadError::Marks)?;
        while let Some(ended) = streams.join_next().await {
            ended?;
        }
        let after = self.figures(&before);
        (figures.requests, figures.errors, figures.lost) = (after.requests, after.errors, after.lost);
        Ok(figures)
    }

    /// One stream a client, all open at the window's end.
    async fn silent(self, mut clients: Vec<Client>, marks: &mut impl Marks) -> Result<Figures, LoadError> {
        let first = clients.split_off(clients.len().saturating_sub(64));
        let first = self.stage(first, Plan::Json, self.options.warmup).await?;
        clients.extend(first);
        marks.mark("begin").await.map_err(LoadError::Marks)?;
        let before = self.snapshot();
        let open = Arc::new(Barrier::new(clients.len() + 1));
        let mut streams = JoinSet::new();
        for client in clients {
            streams.spawn(client.hold(Arc::clone(&open), Arc::clone(&self.tally)));
        }
        open.wait().await;
        let figures = self.figures(&before);
        marks.mark("end").await.map_err(LoadError::Marks)?;
        streams.shutdown().await;
        Ok(figures)
    }

    /// `count` requests of each client, all at once; the clients that are left.
    async fn stage(&self, clients: Vec<Client>, plan: Plan, count: usize) -> Result<Vec<Client>, LoadError> {
        let mut running = JoinSet::new();
        for client in clients {
            running.spawn(client.repeat(plan, count, Arc::clone(&self.tally)));
        }
        let mut left = Vec::new();
        while let Some(client) = running.join_next().await {
            left.extend(client?);
        }
        Ok(left)
    }

    fn snapshot(&self) -> (Instant, u64, u64) {
        (Instant::now(), self.tally.requests.load(Relaxed), self.tally.events.load(Relaxed))
    }

    fn latencies(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.tally.latencies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn figures(&self, before: &(Instant, u64, u64)) -> Figures {
        let (now, requests, events) = self.snapshot();
        let mut latencies = self.latencies();
        latencies.sort_unstable();
        let at = |percent: usize| latencies.get(latencies.len() * percent / 100).map_or(0, |ns| ns / 1000);
        Figures {
            requests: requests - before.1,
            events: events - before.2,
            errors: self.tally.errors.load(Relaxed),
            lost: self.tally.lost.load(Relaxed),
            seconds: (now - before.0).as_secs_f64(),
            p50_us: at(50),
            p99_us: at(99),
        }
    }
}

/// A connection to the proxy.
struct Client {
    stream: TcpStream,
    key: String,
    buffer: Vec<u8>,
}

impl Client {
    async fn open(options: &Options) -> Result<Self, Error> {
        let stream = TcpStream::connect(options.proxy).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, key: options.key.clone(), buffer: vec![0; 64 * 1024] })
    }

    /// Sends `count` requests one after the other. `None`: one failed, and the connection with it; the others are lost too.
    async fn repeat(mut self, plan: Plan, count: usize, tally: Arc<Tally>) -> Option<Self> {
        for done in 0..count {
            let mut reader = Reader::new(plan);
            let outcome = self.exchange(plan, &mut reader, &tally).await;
            if settle(outcome, &reader, plan, count - done, &tally) {
                return None;
            }
            tally.requests.fetch_add(1, Relaxed);
        }
        Some(self)
    }

    /// Opens a silent stream, and holds it until this is dropped.
    async fn hold(mut self, open: Arc<Barrier>, tally: Arc<Tally>) {
        let mut reader = Reader::new(Plan::Silent);
        let outcome = self.exchange(Plan::Silent, &mut reader, &tally).await;
        settle(outcome, &reader, Plan::Silent, 1, &tally);
        open.wait().await;
        std::future::pending::<()>().await;
    }

    async fn exchange(&mut self, plan: Plan, reader: &mut Reader, tally: &Tally) -> Result<(), Broken> {
        let request = format!(
            "POST {} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {}\r\naccept: */*\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{REQUEST}",
            plan.target(),
            self.key,
            REQUEST.len()
        );
        let begun = Instant::now();
        self.stream.write_all(request.as_bytes()).await?;
        let is_paced = matches!(plan, Plan::Stream { gap, .. } if !gap.is_zero());
        let is_enough = |reader: &Reader| match plan {
            Plan::Silent => reader.seen() == plan.parts(),
            _ => reader.is_over(),
        };
        while !is_enough(reader) {
            let read = self.stream.read(&mut self.buffer).await?;
            if read == 0 {
                return Err(Broken::Closed);
            }
            let before = reader.seen().0;
            let now = content::now_ns();
            reader.push(&self.buffer[..read], |sent| {
                if is_paced {
                    tally.took(now.saturating_sub(sent));
                }
            })?;
            tally.events.fetch_add(u64::from(reader.seen().0 - before), Relaxed);
        }
        if plan == Plan::Json {
            tally.took(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        if plan == Plan::Silent || reader.is_whole() { Ok(()) } else { Err(Broken::Closed) }
    }
}

/// Counts what a failed request and those behind it lost. True: it failed.
fn settle(outcome: Result<(), Broken>, reader: &Reader, plan: Plan, requests: usize, tally: &Tally) -> bool {
    let Err(error) = outcome else { return false };
    if tally.errors.fetch_add(1, Relaxed) == 0 {
        eprintln!("load: first error: {error}");
    }
    let (events, markers) = plan.parts();
    let seen = reader.seen();
    tally.lost.fetch_add(u64::from(events + markers) * requests as u64 - u64::from(seen.0 + seen.1), Relaxed);
    true
}
