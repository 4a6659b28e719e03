//! One question to one proxy: `GET /revision?after=R&wait=10s`.

use crate::brief::chain;
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// How long a proxy may wait with an answer while nothing changes.
pub(super) const WAIT: Duration = Duration::from_secs(10);
/// A proxy that is not there is noticed after this long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an answer may take, beyond the time that the proxy was asked to wait.
const MARGIN: Duration = Duration::from_secs(3);
/// An answer is some 60 bytes.
const BODY_MAX: usize = 4096;
/// A revision is 12 characters; another text of at most this length is one that is not known.
const REVISION_MAX: usize = 64;

pub(super) type HttpClient = Client<HttpConnector, Empty<Bytes>>;

/// What came of a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Poll {
    /// The proxy serves this revision; the empty text: none yet.
    Serves(String),
    /// No usable answer, and why.
    Failed(String),
}

#[derive(Deserialize)]
struct Answer {
    revision: String,
}

/// A client for all proxies.
pub(super) fn client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector)
}

/// Asks. With `after` the answer comes when the revision is another, or after [`WAIT`]; without it at once.
pub(super) async fn poll(client: &HttpClient, address: SocketAddr, after: Option<&str>) -> Poll {
    let wait = if after.is_some() { WAIT } else { Duration::ZERO };
    match timeout(wait + MARGIN, ask(client, address, after)).await {
        Ok(Ok(revision)) => Poll::Serves(revision),
        Ok(Err(error)) => Poll::Failed(error),
        Err(_) => Poll::Failed("no answer in time".to_owned()),
    }
}

async fn ask(client: &HttpClient, address: SocketAddr, after: Option<&str>) -> Result<String, String> {
    let path = match after {
        Some(revision) => format!("/revision?after={revision}&wait={}s", WAIT.as_secs()),
        None => "/revision".to_owned(),
    };
    let uri = Uri::builder().scheme("http").authority(address.to_string()).path_and_query(path).build();
    let request = Request::get(uri.map_err(told)?).body(Empty::new()).map_err(told)?;
    let response = client.request(request).await.map_err(told)?;
    if response.status() != StatusCode::OK {
        return Err(format!("answered {}", response.status()));
    }
    let body = Limited::new(response.into_body(), BODY_MAX).collect().await.map_err(|error| chain(&*error))?.to_bytes();
    let Answer { revision } = serde_json::from_slice(&body).map_err(told)?;
    // It goes into the next question's path.
    let sane = revision.len() <= REVISION_MAX && revision.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if sane { Ok(revision) } else { Err("answered with no revision".to_owned()) }
}

fn told(error: impl std::error::Error) -> String {
    chain(&error)
}
