//! A client that shows the bytes as they are.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use relay_e2e::provider::{Config, Provider, Recorded};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Real time that no condition of these tests needs; only a broken one waits so long.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// How the connection ended for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The framing said that this is all.
    Clean,
    /// FIN before that, or bytes that are no framing.
    Cut,
    /// ECONNRESET before that.
    Reset,
}

/// A response, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) end: End,
}

impl Answer {
    pub(crate) fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body()).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body()).expect("JSON")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(given, _)| *given == name).map(|(_, value)| value)
    }

    /// The `data:` of every event, in order.
    pub(crate) fn data(&self) -> Vec<String> {
        self.text().lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect()
    }

    /// The `data:` of every event that is JSON.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.data().iter().filter_map(|data| serde_json::from_str(data).ok()).collect()
    }
}

pub(crate) async fn provider() -> Provider {
    Provider::start(Config::default()).await.expect("a free port")
}

/// Waits for a condition of the log, but not for ever.
pub(crate) async fn wait_for(provider: &Provider, holds: impl FnMut(&[Recorded]) -> bool) -> Vec<Recorded> {
    timeout(LIMIT, provider.wait_for(holds)).await.expect("the condition comes true")
}

/// The body of a streamed chat request.
pub(crate) fn chat(model: &str) -> String {
    format!(r#"{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"one two three"}}]}}"#)
}

/// Streams a chat with this model to the end.
pub(crate) async fn stream(provider: &Provider, model: &str) -> Answer {
    post(provider.addr(), "/v1/chat/completions", OPENAI, &chat(model)).await
}

pub(crate) const OPENAI: &str = "authorization: Bearer k\r\ncontent-type: application/json\r\n";
pub(crate) const ANTHROPIC: &str =
    "x-api-key: k\r\nanthropic-version: 2023-06-01\r\ncontent-type: application/json\r\n";

pub(crate) async fn post(addr: SocketAddr, path: &str, headers: &str, body: &str) -> Answer {
    send(addr, "POST", path, headers, body).await
}

pub(crate) async fn get(addr: SocketAddr, path: &str) -> Answer {
    send(addr, "GET", path, OPENAI, "").await
}

pub(crate) async fn send(addr: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let mut tcp = open(addr, method, path, headers, body).await;
    let mut bytes = Vec::new();
    // No time limit here: with a paused clock it would run out at once.
    let failed = tcp.read_to_end(&mut bytes).await.err().map(|error| error.kind());
    assert!(matches!(failed, None | Some(ErrorKind::ConnectionReset)), "{failed:?}");
    take_apart(&bytes, if failed.is_some() { End::Reset } else { End::Cut })
}

/// Sends a request and leaves the answer in the socket.
pub(crate) async fn open(addr: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
    let mut tcp = TcpStream::connect(addr).await.expect("connects");
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: fake\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    tcp.write_all(request.as_bytes()).await.expect("sends");
    tcp
}

/// `broken` is the end where the framing is not whole.
fn take_apart(bytes: &[u8], broken: End) -> Answer {
    let split = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head");
    let head = String::from_utf8(bytes[..split].to_vec()).expect("an ASCII head");
    let mut answer = Answer {
        status: head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status"),
        head,
        chunks: Vec::new(),
        end: broken,
    };
    let rest = &bytes[split + 4..];
    if let Some(length) = answer.header("content-length") {
        let length: usize = length.parse().expect("a length");
        assert!(rest.len() <= length, "more than the content-length");
        if rest.len() == length && broken == End::Cut {
            answer.end = End::Clean;
        }
        answer.chunks.push(rest.to_vec());
    } else {
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"), "{}", answer.head);
        let (chunks, whole) = chunks(rest);
        answer.chunks = chunks;
        if whole && broken == End::Cut {
            answer.end = End::Clean;
        }
    }
    answer
}

/// The chunks, and whether the last one says that there are no more.
fn chunks(mut rest: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut chunks = Vec::new();
    // What is no chunk size is the end of what can be read.
    while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&rest[..line]).expect("a line");
        let Ok(size) = usize::from_str_radix(size, 16) else { return (chunks, false) };
        rest = &rest[line + 2..];
        if size == 0 {
            assert_eq!(rest, b"\r\n", "the end of the last chunk");
            return (chunks, true);
        }
        chunks.push(rest[..size].to_vec());
        assert_eq!(&rest[size..size + 2], b"\r\n");
        rest = &rest[size + 2..];
    }
    assert_eq!(rest, b"", "half a chunk size");
    (chunks, false)
}
