//! One connection to Redis, of whichever kind.

use super::address::{Sentinel, Target};
use super::link::IN_FLIGHT;
use super::scripts::Scripts;
use ::redis::aio::MultiplexedConnection;
use ::redis::cluster_async::ClusterConnection;
use ::redis::{AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, FromRedisValue, RedisError, RedisResult};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use std::collections::HashSet;
use std::io;
use std::time::Duration;
use tokio::time::timeout;

/// How long an attempt to connect may take, with the handshake and all that is asked of Sentinels.
const CONNECT: Duration = Duration::from_secs(1);
/// How long one Sentinel, and then one server that it names, may take: the next one has its turn within [`CONNECT`].
const ONE_OF_SEVERAL: Duration = Duration::from_millis(400);

/// Clones use the same sockets: commands of all of them are in flight at once.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    /// One to each node that keys lead to.
    Cluster(ClusterConnection),
}

impl Connection {
    /// Sends a command and waits for its answer, without a bound. Cancel-safe: the command may or may not have been carried out.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::One(connection) => command.query_async(&mut connection.clone()).await,
            Self::Cluster(connection) => command.query_async(&mut connection.clone()).await,
        }
    }
}

/// A connection that has answered and taken a write: a replica, a full server or a user without rights is found out here, and not by a decision.
pub(super) async fn connect(target: &Target, scripts: &Scripts) -> RedisResult<Connection> {
    let attempt = async {
        match target {
            Target::One(client) => greeted(client, scripts).await,
            Target::Sentinel(sentinel) => master(sentinel, scripts).await,
            Target::Cluster(client) => scripts.greet(Connection::Cluster(client.get_async_connection().await?)).await,
        }
    };
    timeout(CONNECT, attempt).await.unwrap_or_else(|_| Err(timed_out()))
}

async fn greeted(client: &Client, scripts: &Scripts) -> RedisResult<Connection> {
    scripts.greet(Connection::One(plain(client).await?)).await
}

async fn plain(client: &Client) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        // Decisions and attempts have their own.
        .set_response_timeout(None)
        .set_connection_timeout(None)
        .set_pipeline_buffer_size(IN_FLIGHT);
    client.get_multiplexed_async_connection_with_config(&config).await
}

/// Asks all Sentinels at once, and believes the first whose answer takes a write: one that is cut off from the others may name a master that is
/// none any more (<https://redis.io/docs/latest/develop/reference/sentinel-clients/>).
async fn master(sentinel: &Sentinel, scripts: &Scripts) -> RedisResult<Connection> {
    let mut answers: FuturesUnordered<_> = sentinel.sentinels.iter().map(|info| ask(sentinel, info)).collect();
    let (mut tried, mut failed) = (HashSet::new(), unknown_master());
    while let Some(answer) = answers.next().await {
        let tried_one = match answer {
            Ok((host, port)) if tried.insert((host.clone(), port)) => {
                let client = sentinel.server(host, port).map_err(|_| unknown_master())?;
                timeout(ONE_OF_SEVERAL, greeted(&client, scripts)).await.unwrap_or_else(|_| Err(timed_out()))
            }
            Ok(_) => continue,
            Err(error) => Err(error),
        };
        match tried_one {
            Ok(connection) => return Ok(connection),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// The address of the master, as this Sentinel knows it. The password goes only to a Sentinel that asks for one.
async fn ask(sentinel: &Sentinel, info: &ConnectionInfo) -> RedisResult<(String, u16)> {
    let mut question = Cmd::new();
    question.arg("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&sentinel.master);
    let asked = async {
        let client = sentinel.sentinel(info, false).map_err(|_| unknown_master())?;
        let answer: RedisResult<Option<(String, u16)>> = question.query_async(&mut plain(&client).await?).await;
        match answer {
            Err(error) if error.code() == Some("NOAUTH") && info.redis_settings().password().is_some() => {
                let client = sentinel.sentinel(info, true).map_err(|_| unknown_master())?;
                question.query_async(&mut plain(&client).await?).await
            }
            answer => answer,
        }
    };
    let answer = timeout(ONE_OF_SEVERAL, asked).await.unwrap_or_else(|_| Err(timed_out()))?;
    answer.ok_or_else(unknown_master)
}

pub(super) fn timed_out() -> RedisError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}

fn unknown_master() -> RedisError {
    (ErrorKind::MasterNameNotFoundBySentinel, "no Sentinel knows this master").into()
}
