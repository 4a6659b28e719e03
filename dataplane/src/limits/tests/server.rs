//! A redis-server of the test's own.

use super::{Limiter, RedisOptions, eventually};
use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue, RedisResult};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Killed when dropped. Nothing of it outlives the test.
pub(in crate::limits) struct RedisServer {
    child: Child,
    dir: TempDir,
    arguments: Vec<String>,
    url: String,
}

impl RedisServer {
    /// On a Unix socket in a folder of its own: no port that another test could take.
    pub(in crate::limits) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// On a Unix socket, with further arguments.
    pub(in crate::limits) async fn start_with(arguments: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let socket = dir.path().join("redis.sock").display().to_string();
        let url = format!("redis+unix://{socket}");
        let mut all = vec!["--port".into(), "0".into(), "--unixsocket".into(), socket];
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        Self::start_in(dir, all, url).await
    }

    /// On a free port of 127.0.0.1, with a password.
    pub(in crate::limits) async fn start_on_tcp(password: &str) -> Self {
        let port = free_port();
        let arguments = ["--bind", "127.0.0.1", "--port", &port.to_string(), "--requirepass", password];
        let url = format!("redis://:{password}@127.0.0.1:{port}");
        Self::start_in(TempDir::new().unwrap(), arguments.map(String::from).into(), url).await
    }

    /// Wherever the arguments say.
    pub(in crate::limits) async fn start_at(arguments: Vec<String>, url: String) -> Self {
        Self::start_in(TempDir::new().unwrap(), arguments, url).await
    }

    pub(in crate::limits) fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// The same, with what the folder holds.
    pub(in crate::limits) async fn start_in(dir: TempDir, arguments: Vec<String>, url: String) -> Self {
        let child = spawn(&dir, &arguments);
        let mut server = Self { child, dir, arguments, url };
        server.answers().await;
        server
    }

    pub(in crate::limits) fn url(&self) -> &str {
        &self.url
    }

    pub(in crate::limits) fn limiter(&self, options: RedisOptions) -> Limiter {
        Limiter::redis(&RedisOptions { url: self.url.clone().into(), ..options }).unwrap()
    }

    pub(in crate::limits) async fn connect(&self) -> MultiplexedConnection {
        Client::open(self.url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// Runs one command, such as `PTTL key`.
    pub(in crate::limits) async fn run<T: FromRedisValue>(&self, command: &str) -> T {
        self.try_run(command).await.unwrap()
    }

    /// The same of a server that may hang up.
    pub(in crate::limits) async fn try_run<T: FromRedisValue>(&self, command: &str) -> RedisResult<T> {
        let mut words = command.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        let client = Client::open(self.url.as_str())?;
        command.query_async(&mut client.get_multiplexed_async_connection().await?).await
    }

    /// How often Redis ran a command, by its name in `INFO commandstats`.
    pub(in crate::limits) async fn calls(&self, command: &str) -> u64 {
        let stats: String = self.run("INFO commandstats").await;
        let prefix = format!("cmdstat_{command}:calls=");
        let line = stats.lines().find_map(|line| line.strip_prefix(&prefix));
        line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
    }

    /// Sends a signal: `STOP` makes it hang, `CONT` ends that.
    pub(in crate::limits) fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// As the kernel's OOM killer would.
    pub(in crate::limits) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// At the same address, empty.
    pub(in crate::limits) async fn restart(&mut self) {
        self.child = spawn(&self.dir, &self.arguments);
        self.answers().await;
    }

    /// At the same address, with what it saved and with further arguments.
    pub(in crate::limits) fn restart_without_waiting(&mut self, arguments: &[&str]) {
        let mut all = self.arguments.clone();
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self.child = spawn(&self.dir, &all);
    }

    async fn answers(&mut self) {
        let client = Client::open(self.url.as_str()).unwrap();
        eventually("redis-server answers", async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                panic!("redis-server ended with {status}: {log}");
            }
            client.get_multiplexed_async_connection().await.is_ok()
        })
        .await;
    }
}

/// A free port of 127.0.0.1, below those that the kernel gives to clients: a server that is killed finds its own free again.
pub(in crate::limits) fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| rand::random_range(20_000..30_000));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

fn spawn(dir: &TempDir, arguments: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    // A Sentinel's file comes first, and it knows no persistence.
    if !arguments.iter().any(|argument| argument == "--sentinel") {
        command.args(["--save", "", "--appendonly", "no", "--logfile", "log"]);
        command.arg("--dir").arg(dir.path());
    }
    command.args(arguments);
    match command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            panic!("these tests need redis-server: install it with `apt-get install redis-server` (Debian, Ubuntu)")
        }
        Err(error) => panic!("redis-server does not start: {error}"),
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
