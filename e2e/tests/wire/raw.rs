//! A client that shows the bytes as they are.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use relay_e2e::provider::script;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Real time that no condition of these tests needs; only a broken one waits so long.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// How an answer ended for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The framing said that this is all.
    Clean,
    /// FIN before that.
    Cut,
    /// ECONNRESET before that.
    Reset,
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In order, names as they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

impl Answer {
    /// The value of a header that came at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} came twice: {:?}", self.headers);
        value
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn sha256(&self) -> String {
        script::sha256(&self.body)
    }

    /// The text that a Chat Completions client would show, and the last `data:`.
    pub(crate) fn chat(&self) -> (String, String) {
        let data = self.text().lines().filter_map(|line| line.strip_prefix("data: "));
        let (mut text, mut last) = (String::new(), String::new());
        for data in data {
            data.clone_into(&mut last);
            if let Ok(event) = serde_json::from_str::<Value>(data) {
                text += event["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
            }
        }
        (text, last)
    }

    /// The last event of a stream: its `event:` and its `data:`.
    pub(crate) fn last_event(&self) -> (Option<&str>, Value) {
        let event = self.text().trim_end().rsplit("\n\n").next().expect("an event");
        let name = event.lines().find_map(|line| line.strip_prefix("event: "));
        let data = event.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
        let json = serde_json::from_str(data);
        assert!(json.is_ok(), "half an event: {event:?}");
        (name, json.unwrap_or_default())
    }
}

/// A connection, and what came in of it so far.
pub(crate) struct Client {
    tcp: TcpStream,
    bytes: Vec<u8>,
    head_only: bool,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let tcp = TcpStream::connect(addr).await.expect("connects");
        Self { tcp, bytes: Vec::new(), head_only: false }
    }

    /// Connects and sends one request; the server closes behind its answer.
    pub(crate) async fn request(addr: SocketAddr, method: &str, path: &str, headers: &str, body: &[u8]) -> Self {
        let mut client = Self::connect(addr).await;
        client.send(method, path, &format!("connection: close\r\n{headers}"), body).await;
        client
    }

    /// Sends a request with a content-length.
    pub(crate) async fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) {
        self.head_only = method == "HEAD";
        let length = match (method, body.len()) {
            ("GET" | "HEAD", 0) => String::new(),
            (_, length) => format!("content-length: {length}\r\n"),
        };
        let head = format!("{method} {path} HTTP/1.1\r\nhost: relay\r\n{headers}{length}\r\n");
        self.write([head.as_bytes(), body].concat()).await;
    }

    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(LIMIT, self.tcp.write_all(bytes.as_ref())).await.expect("in time").expect("sends");
    }

    /// Sends as far as the other side takes it.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        timeout(LIMIT, self.tcp.write_all(bytes)).await.expect("in time")
    }

    /// Reads until what came in shows it; the connection may stay open.
    pub(crate) async fn read_until(&mut self, shows: impl Fn(&[u8]) -> bool) -> &[u8] {
        while !shows(&self.bytes) {
            let read = timeout(LIMIT, self.tcp.read_buf(&mut self.bytes)).await;
            let seen = String::from_utf8_lossy(&self.bytes).into_owned();
            assert!(read.is_ok(), "nothing more came behind {seen:?}");
            assert!(matches!(read, Ok(Ok(1..))), "closed behind {seen:?}");
        }
        &self.bytes
    }

    /// Reads until this text came in.
    pub(crate) async fn read_text(&mut self, text: &str) -> String {
        let bytes = self.read_until(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes())).await;
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// Reads to the end of the connection. No time limit is needed where the clock is paused, nor would it hold.
    pub(crate) async fn read_to_end(&mut self) -> Option<ErrorKind> {
        self.tcp.read_to_end(&mut self.bytes).await.err().map(|error| error.kind())
    }

    /// Everything until the server closes, which is one answer.
    pub(crate) async fn answer(mut self) -> Answer {
        let failed = timeout(LIMIT, self.read_to_end()).await.expect("the connection ends");
        assert!(matches!(failed, None | Some(ErrorKind::ConnectionReset)), "{failed:?}");
        let broken = if failed.is_some() { End::Reset } else { End::Cut };
        let (answer, rest) = take_apart(&self.bytes, broken, self.head_only).expect("a whole head");
        assert_eq!(rest, self.bytes.len(), "bytes behind the answer");
        answer
    }

    /// Everything until the server closes, as it is.
    pub(crate) async fn whole(mut self) -> String {
        let failed = timeout(LIMIT, self.read_to_end()).await.expect("the connection ends");
        assert_eq!(failed, None);
        String::from_utf8(self.bytes).expect("UTF-8")
    }

    /// One whole answer on a connection that stays open.
    pub(crate) async fn next_answer(&mut self) -> Answer {
        let head_only = self.head_only;
        let whole =
            |bytes: &[u8]| take_apart(bytes, End::Cut, head_only).is_some_and(|(answer, _)| answer.end == End::Clean);
        self.read_until(whole).await;
        let (answer, used) = take_apart(&self.bytes, End::Cut, head_only).expect("an answer");
        self.bytes.drain(..used);
        answer
    }

    /// Whether nothing more comes and the server closes.
    pub(crate) async fn closes(mut self) -> bool {
        timeout(LIMIT, self.read_to_end()).await.is_ok_and(|_| self.bytes.is_empty())
    }
}

/// The answer as far as it came, and where it ends; none without a whole head. `broken` is the end where the framing is not whole.
fn take_apart(bytes: &[u8], broken: End, head_only: bool) -> Option<(Answer, usize)> {
    let split = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..split]).expect("an ASCII head");
    let (status_line, fields) = head.split_once("\r\n").unwrap_or((head, ""));
    let status: u16 = status_line.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    if (100..200).contains(&status) {
        let (answer, used) = take_apart(&bytes[split + 4..], broken, head_only)?;
        return Some((answer, split + 4 + used));
    }
    let headers: Vec<(String, String)> = fields
        .split("\r\n")
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: Vec::new(), end: broken };
    let rest = &bytes[split + 4..];
    let (body, used, whole) = if head_only {
        (Vec::new(), 0, true)
    } else if let Some(length) = answer.header("content-length") {
        let length: usize = length.parse().expect("a length");
        let used = rest.len().min(length);
        (rest[..used].to_vec(), used, used == length)
    } else {
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"), "{head}");
        chunks(rest)
    };
    answer.body = body;
    if whole {
        answer.end = End::Clean;
    }
    Some((answer, split + 4 + used))
}

/// The data of the chunks, how many bytes they took, and whether the last one says that there are no more.
fn chunks(bytes: &[u8]) -> (Vec<u8>, usize, bool) {
    let (mut body, mut at) = (Vec::new(), 0);
    while let Some(line) = bytes[at..].windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&bytes[at..at + line]).expect("a chunk size");
        let size = usize::from_str_radix(size, 16).expect("a chunk size");
        let data = at + line + 2;
        let Some(chunk) = bytes.get(data..data + size) else {
            body.extend_from_slice(&bytes[data..]);
            return (body, bytes.len(), false);
        };
        let Some(end) = bytes.get(data + size..data + size + 2) else { return (body, bytes.len(), false) };
        assert_eq!(end, b"\r\n", "behind a chunk");
        body.extend_from_slice(chunk);
        at = data + size + 2;
        if size == 0 {
            return (body, at, true);
        }
    }
    (body, bytes.len(), false)
}
