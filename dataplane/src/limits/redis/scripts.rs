//! What Redis runs for the relay.

use super::connect::Connection;
use ::redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, ServerErrorKind, ToRedisArgs, cmd};
use std::time::Duration;

/// The key of the proxies that are there. The braces keep all the relay's keys of one form; it is in a slot of its own.
const PROXIES: &str = "relay:{proxies}";
/// How long a proxy counts without a word.
pub(in crate::limits) const PRESENT: Duration = Duration::from_secs(15);

/// A text that is loaded into Redis once and called by its digest.
pub(super) struct Script {
    code: &'static str,
    digest: String,
}

impl Script {
    fn new(code: &'static str) -> Self {
        Self { code, digest: ::redis::Script::new(code).get_hash().to_owned() }
    }
}

/// All of them.
pub(super) struct Scripts {
    pub(super) limits: Script,
    heartbeat: Script,
    /// This proxy, among all: random.
    proxy: String,
}

impl Scripts {
    pub(super) fn new(limits: &'static str) -> Self {
        Self {
            limits: Script::new(limits),
            heartbeat: Script::new(include_str!("heartbeat.lua")),
            proxy: format!("{:032x}", rand::random::<u128>()),
        }
    }

    /// Makes sure that the connection leads to a server that takes writes, and that decisions find their script there.
    pub(super) async fn greet(&self, connection: Connection) -> RedisResult<Connection> {
        // First: of a client that has not shown a password Redis hangs up on a text as long as the script, and does not say why.
        self.beat(&connection, PRESENT).await?;
        let mut load = cmd("SCRIPT");
        load.arg("LOAD").arg(self.limits.code);
        match connection.query::<String>(&load).await {
            // Where it is not allowed, the first decision brings the script.
            Err(error) if error.is_unrecoverable_error() => Err(error),
            _ => Ok(connection),
        }
    }

    /// Says that this proxy is there for so long; zero: no more. How many are.
    pub(super) async fn beat(&self, connection: &Connection, ttl: Duration) -> RedisResult<u32> {
        run(connection, &self.heartbeat, &[PROXIES], |call| {
            call.arg(&self.proxy).arg(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        })
        .await
    }
}

/// One round trip; one more where Redis has lost the script, or never had it: the text itself goes then.
pub(super) async fn run<T: FromRedisValue>(
    connection: &Connection,
    script: &Script,
    keys: &[impl ToRedisArgs],
    arguments: impl Fn(&mut Cmd),
) -> RedisResult<T> {
    let command = |name: &str, body: &str| {
        let mut call = cmd(name);
        call.arg(body).arg(keys.len()).arg(keys);
        arguments(&mut call);
        call
    };
    match connection.query(&command("EVALSHA", &script.digest)).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            connection.query(&command("EVAL", script.code)).await
        }
        reply => reply,
    }
}
