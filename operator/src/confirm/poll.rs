//! One question to one proxy: `GET /revision?after=R&wait=10s`.

use crate::brief::chain;
use crate::programmed::Ack;
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
/// An answer is some 200 bytes.
const BODY_MAX: usize = 4096;
/// A revision is 12 characters; another text of at most this length is one that is not known.
const REVISION_MAX: usize = 64;
/// A reason is a few words; so many characters of it are passed on.
const REASON_MAX: usize = 200;

pub(super) type HttpClient = Client<HttpConnector, Empty<Bytes>>;

/// What came of a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Poll {
    /// The proxy's answer.
    Says(Ack),
    /// No usable answer, and why.
    Failed(String),
}

#[derive(Deserialize)]
struct Answer {
    revision: String,
    /// Proxies before limits were shared do not say.
    #[serde(default)]
    limits: Option<Limits>,
}

#[derive(Deserialize)]
struct Limits {
    /// `shared`, `local` or `none`; another word is one of a later proxy.
    mode: String,
    #[serde(default)]
    reason: String,
}

impl Limits {
    /// Why the limits are not shared, where they should be. A proxy without Redis (`none`) was made so.
    fn apart(self) -> Option<String> {
        if self.mode != "local" {
            return None;
        }
        // It goes into messages of conditions, whoever answered.
        let line: String = self.reason.chars().filter(|character| !character.is_control()).take(REASON_MAX).collect();
        Some(if line.is_empty() { "no reason was given".to_owned() } else { line })
    }
}

/// A client for all proxies.
pub(super) fn client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector)
}

/// Asks. With `after` the answer comes when the revision or the mode of the limits is another, or after [`WAIT`]; without it at once.
pub(super) async fn poll(client: &HttpClient, address: SocketAddr, after: Option<&str>) -> Poll {
    let wait = if after.is_some() { WAIT } else { Duration::ZERO };
    match timeout(wait + MARGIN, ask(client, address, after)).await {
        Ok(Ok(ack)) => Poll::Says(ack),
        Ok(Err(error)) => Poll::Failed(error),
        Err(_) => Poll::Failed("no answer in time".to_owned()),
    }
}

async fn ask(client: &HttpClient, address: SocketAddr, after: Option<&str>) -> Result<Ack, String> {
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
    let Answer { revision, limits } = serde_json::from_slice(&body).map_err(told)?;
    // It goes into the next question's path.
    let sane = revision.len() <= REVISION_MAX && revision.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if sane {
        Ok(Ack { revision, apart: limits.and_then(Limits::apart) })
    } else {
        Err("answered with no revision".to_owned())
    }
}

fn told(error: impl std::error::Error) -> String {
    chain(&error)
}
