//! The mock upstream: answers each request as the plan in its target says.

use super::content::{self, END, JSON, Plan};
use super::http1;
use std::io::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, interval_at};

/// Where the number of connections is asked for: those that ever carried a request with a plan.
pub const CONNECTS: &str = "/_bench/connects";

const SSE_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Longest head and body of a request.
const MAX_REQUEST: usize = 64 * 1024;

/// Serves until it is dropped.
pub async fn run(listener: TcpListener) {
    let connects = Arc::new(AtomicU64::new(0));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let connects = Arc::clone(&connects);
                tokio::spawn(async move {
                    // Proxies close connections as they please; what got lost by it is the load generator's to find.
                    let _ = serve(stream, &connects).await;
                });
            }
            Err(error) => {
                eprintln!("upstream: accept: {error}");
                return;
            }
        }
    }
}

async fn serve(mut stream: TcpStream, connects: &AtomicU64) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::new();
    let mut is_new = true;
    while let Some(target) = next_target(&mut stream, &mut received).await? {
        if target == CONNECTS {
            answer(&mut stream, "text/plain", &connects.load(Ordering::Relaxed).to_string()).await?;
            continue;
        }
        if std::mem::take(&mut is_new) {
            connects.fetch_add(1, Ordering::Relaxed);
        }
        match Plan::of_target(&target) {
            None => stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await?,
            Some(Plan::Json) => answer(&mut stream, "application/json", JSON).await?,
            Some(Plan::Stream { events, gap }) => send_stream(&mut stream, events, gap).await?,
            Some(Plan::Silent) => {
                let mut out = SSE_HEAD.as_bytes().to_vec();
                push_chunked_event(&mut out);
                stream.write_all(&out).await?;
                // Returns when the proxy closes: its client went.
                stream.read_u8().await?;
            }
        }
    }
    Ok(())
}

/// The target of the next request, whose body is dropped. `None`: the proxy closed the connection.
async fn next_target(stream: &mut TcpStream, received: &mut Vec<u8>) -> Result<Option<String>> {
    loop {
        if let Some(length) = http1::head_length(received) {
            let head = String::from_utf8_lossy(&received[..length]).into_owned();
            let body: usize = http1::header(&head, "content-length")
                .map_or(Ok(0), str::parse)
                .map_err(|_| invalid("a length that is no number"))?;
            if http1::header(&head, "transfer-encoding").is_some() {
                return Err(invalid("a chunked request body"));
            }
            if received.len() >= length + body {
                received.drain(..length + body);
                return Ok(head.split(' ').nth(1).map(str::to_owned));
            }
        }
        if received.len() > MAX_REQUEST {
            return Err(invalid("a request that is too long"));
        }
        if stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
    }
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

async fn answer(stream: &mut TcpStream, kind: &str, body: &str) -> Result<()> {
    let text = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await
}

fn push_chunk(out: &mut Vec<u8>, chunk: &[u8]) {
    out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
    out.extend_from_slice(chunk);
    out.extend_from_slice(b"\r\n");
}

fn push_chunked_event(out: &mut Vec<u8>) {
    let mut event = Vec::with_capacity(content::EVENT);
    content::push_event(&mut event, content::now_ns());
    push_chunk(out, &event);
}

/// Each event is a chunk of its own, as providers send them. Without a gap all of them leave in as few writes as the socket takes.
async fn send_stream(stream: &mut TcpStream, events: u32, gap: Duration) -> Result<()> {
    let mut out = SSE_HEAD.as_bytes().to_vec();
    if gap.is_zero() {
        for _ in 0..events {
            push_chunked_event(&mut out);
        }
    } else {
        stream.write_all(&out).await?;
        let mut tick = interval_at(Instant::now(), gap);
        for _ in 0..events {
            tick.tick().await;
            out.clear();
            push_chunked_event(&mut out);
            stream.write_all(&out).await?;
        }
        out.clear();
    }
    push_chunk(&mut out, END);
    out.extend_from_slice(LAST_CHUNK);
    stream.write_all(&out).await
}
