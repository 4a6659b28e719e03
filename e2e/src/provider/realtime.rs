//! OpenAI Realtime: a WebSocket of JSON events. The model stands in the query and says how the session behaves, as elsewhere:
//!
//! - `split-SIZE`: messages in frames of SIZE bytes; `big-event`: one more, longer event in each response; `usage-never`: no usage.
//! - `stall`, `truncated` (closed between two messages, without a Close frame), `half-event` and `cut` (closed inside a frame), `reset`: at token N.
//! - `error-first`, `error-then-done`: an error event, and the session goes on; `error-midway`: and Close 1011.
//! - `close-CODE` behind all other words: the server closes with CODE behind the response; with `at-N`, in its middle.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::HeaderMap;
use http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::behaviour::{Fault, Usage};
use super::call::{Call, words};
use super::family::Family;
use super::problem::Problem;
use super::record::{Ended, Exchange};
use super::reply::{Played, Reply, set};
use super::script;
use super::serve::State;
use super::wire::Control;

/// Whether this module answers.
pub(super) fn is_asked_for(parts: &Parts) -> bool {
    parts.uri.path() == "/v1/realtime" && parts.extensions.get::<OnUpgrade>().is_some()
}

/// The model of the query.
pub(super) fn model(parts: &Parts) -> Option<&str> {
    parts.uri.query()?.split('&').find_map(|pair| pair.strip_prefix("model="))
}

/// Answers a handshake. On 101 the session runs as a task of its own, which ends with `state`.
pub(super) fn answer(
    state: &Arc<State>,
    call: &Call,
    model: &str,
    upgrade: OnUpgrade,
    exchange: Exchange,
    control: Arc<Control>,
) -> (Reply, Option<Exchange>) {
    let family = Family::OpenAi;
    let (model, close) = close_of(model);
    let played = match call.played(model) {
        Ok(played) => played,
        Err(problem) => return (family.error(call, &problem), Some(exchange)),
    };
    if let Some(status) = played.behaviour.failure.status {
        return (family.fail(call, status, played.behaviour.failure, played.behaviour.slow_first), Some(exchange));
    }
    let Some(accept) = accept(call.headers) else {
        return (family.error(call, &Problem::new(400, "no WebSocket handshake")), Some(exchange));
    };
    let mut reply = Reply::whole(http::StatusCode::SWITCHING_PROTOCOLS, "", Bytes::new());
    reply.headers = family.headers(call, Duration::ZERO);
    set(&mut reply.headers, "connection", "Upgrade");
    set(&mut reply.headers, "upgrade", "websocket");
    set(&mut reply.headers, "sec-websocket-accept", &accept);
    if offers(call.headers, "realtime") {
        set(&mut reply.headers, "sec-websocket-protocol", "realtime");
    }
    reply.delay = played.behaviour.slow_first;
    exchange.head(101);
    let over = state.sessions.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = over.cancelled() => {}
            () = run(upgrade, played, close, exchange, control) => {}
        }
    });
    (reply, None)
}

/// The name without its Close code, and that.
fn close_of(model: &str) -> (&str, Option<u16>) {
    let found = model.rsplit_once("-close-").and_then(|(rest, code)| Some((rest, code.parse().ok()?)));
    found.map_or((model, None), |(rest, code)| (rest, Some(code)))
}

fn accept(headers: &HeaderMap) -> Option<String> {
    let is = |name: &str, value: &str| {
        headers.get(name).is_some_and(|given| given.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
    };
    let asks = is("upgrade", "websocket") && is("connection", "upgrade") && is("sec-websocket-version", "13");
    headers.get("sec-websocket-key").filter(|_| asks).map(|key| derive_accept_key(key.as_bytes()))
}

fn offers(headers: &HeaderMap, protocol: &str) -> bool {
    let offered = headers.get("sec-websocket-protocol").and_then(|value| value.to_str().ok()).unwrap_or_default();
    offered.split(',').any(|one| one.trim() == protocol)
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// Why a session ends before the client closes it.
enum Over {
    /// The client is gone.
    Gone,
    /// As the model name told.
    Told,
}

impl From<Error> for Over {
    fn from(_: Error) -> Self {
        Self::Gone
    }
}

async fn run(upgrade: OnUpgrade, played: Played, close: Option<u16>, mut exchange: Exchange, control: Arc<Control>) {
    let Ok(upgraded) = upgrade.await else { return };
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    let mut session = Session { socket, played, close, events: 0, responses: 0, words: 0, control };
    let ended = match session.serve(&mut exchange).await {
        Ok(()) => Ended::Complete,
        Err(Over::Told) => Ended::Aborted,
        Err(Over::Gone) => Ended::ClientGone,
    };
    // The connection is closed before the log says so.
    drop(session);
    exchange.end(ended);
}

struct Session {
    socket: Socket,
    played: Played,
    close: Option<u16>,
    events: usize,
    responses: usize,
    /// Words that the client said.
    words: usize,
    control: Arc<Control>,
}

impl Session {
    /// Until the client has closed and knows it: `Ok`.
    async fn serve(&mut self, exchange: &mut Exchange) -> Result<(), Over> {
        let session = json!({"type": "session.created", "session": {"id": "sess_fake", "object": "realtime.session", "type": "realtime"}});
        self.send(exchange, session).await?;
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => self.take(exchange, text.as_str()).await?,
                Some(Ok(Message::Close(_))) => {
                    // The answer is queued by the library; it goes out with the end of the stream.
                    while self.socket.next().await.is_some() {}
                    return Ok(());
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(Over::Gone),
            }
        }
    }

    async fn take(&mut self, exchange: &mut Exchange, text: &str) -> Result<(), Over> {
        let event: Value = serde_json::from_str(text).unwrap_or_default();
        match event["type"].as_str().unwrap_or_default() {
            "session.update" => {
                self.send(exchange, json!({"type": "session.updated", "session": event["session"]})).await
            }
            "conversation.item.create" => {
                self.words += words(&event["item"]["content"]);
                self.send(exchange, json!({"type": "conversation.item.created", "item": event["item"]})).await
            }
            "response.create" => self.respond(exchange).await,
            "response.cancel" => Ok(()),
            other => {
                let message = format!("Unknown event type: {other}");
                self.fail(exchange, "invalid_request_error", &message, event["event_id"].clone()).await
            }
        }
    }

    async fn respond(&mut self, exchange: &mut Exchange) -> Result<(), Over> {
        let behaviour = self.played.behaviour.clone();
        if behaviour.fault == Some(Fault::ErrorFirst) {
            return self.fail(exchange, "server_error", "The server had an error.", Value::Null).await;
        }
        self.responses += 1;
        let id = format!("resp_fake{}", self.responses);
        self.send(exchange, json!({"type": "response.created", "response": {"id": id, "object": "realtime.response", "status": "in_progress"}})).await?;
        let at = behaviour.at.unwrap_or(self.played.tokens / 2);
        for i in 0..=self.played.tokens {
            if i == at {
                self.midway(exchange).await?;
            }
            if i == self.played.tokens {
                break;
            }
            if i > 0 {
                self.pause(self.played.gap).await?;
            }
            let delta = json!({"type": "response.output_text.delta", "response_id": id, "item_id": "item_fake", "output_index": 0, "content_index": 0, "delta": script::token(i)});
            self.send(exchange, delta).await?;
        }
        if let Some(size) = behaviour.text.big_event {
            let event = json!({"type": "response.output_text.done", "response_id": id, "text": script::text(self.played.tokens), "obfuscation": "x".repeat(size)});
            self.send(exchange, event).await?;
        }
        let usage = json!({
            "total_tokens": self.words + self.played.tokens,
            "input_tokens": self.words,
            "output_tokens": self.played.tokens,
            "input_token_details": {"text_tokens": self.words, "audio_tokens": 0, "cached_tokens": self.responses - 1},
        });
        let usage = if behaviour.usage == Usage::Never { Value::Null } else { usage };
        self.send(exchange, json!({"type": "response.done", "response": {"id": id, "object": "realtime.response", "status": "completed", "usage": usage}})).await?;
        if behaviour.fault == Some(Fault::CutAfterDone) {
            return self.leave().await;
        }
        match self.close {
            Some(code) if behaviour.at.is_none() => self.shut(code).await,
            _ => Ok(()),
        }
    }

    /// What goes wrong in the middle of a response.
    async fn midway(&mut self, exchange: &mut Exchange) -> Result<(), Over> {
        let behaviour = self.played.behaviour.clone();
        if let Some(stall) = behaviour.stall {
            self.pause(stall.wait).await?;
        }
        if let Some(code) = self.close.filter(|_| behaviour.at.is_some()) {
            return self.shut(code).await;
        }
        match behaviour.fault {
            Some(Fault::Truncated) => self.leave().await,
            Some(fault @ (Fault::HalfEvent | Fault::ShortLength | Fault::Cut | Fault::Reset)) => {
                // A text frame of 100 bytes, of which 20 come.
                let half = [&[0x81, 100][..], &[b' '; 20]].concat();
                let tcp = self.socket.get_mut();
                if tcp.write_all(&half).await.is_ok() && tcp.flush().await.is_ok() && fault == Fault::Reset {
                    self.control.reset();
                }
                self.leave().await
            }
            Some(Fault::BadChunk) => {
                // No frame: it has a reserved bit set (RFC 6455, 5.2).
                let tcp = self.socket.get_mut();
                if tcp.write_all(b"ZZ").await.is_ok() {
                    let _ = tcp.flush().await;
                }
                self.leave().await
            }
            Some(Fault::ErrorMidway) => {
                self.fail(exchange, "server_error", "The server had an error.", Value::Null).await?;
                self.shut(1011).await
            }
            Some(Fault::ErrorThenDone) => {
                self.fail(exchange, "server_error", "The server had an error.", Value::Null).await
            }
            Some(Fault::ErrorFirst | Fault::CutAfterDone) | None => Ok(()),
        }
    }

    /// Waits, unless the client leaves or closes.
    async fn pause(&mut self, time: Duration) -> Result<(), Over> {
        if time.is_zero() {
            return Ok(());
        }
        let wait = sleep(time);
        tokio::pin!(wait);
        loop {
            tokio::select! {
                () = &mut wait => return Ok(()),
                message = self.socket.next() => match message {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Over::Gone),
                    Some(Ok(_)) => {}
                },
            }
        }
    }

    /// Ends without a Close frame.
    async fn leave(&mut self) -> Result<(), Over> {
        self.socket.flush().await?;
        Err(Over::Told)
    }

    /// Closes with this code, and waits for the client to do the same.
    async fn shut(&mut self, code: u16) -> Result<(), Over> {
        let frame = CloseFrame { code: CloseCode::from(code), reason: "told to".into() };
        self.socket.close(Some(frame)).await?;
        while let Some(Ok(_)) = self.socket.next().await {}
        Err(Over::Told)
    }

    async fn fail(&mut self, exchange: &mut Exchange, kind: &str, message: &str, of: Value) -> Result<(), Over> {
        let error = json!({"type": kind, "code": null, "message": message, "param": null, "event_id": of});
        self.send(exchange, json!({"type": "error", "error": error})).await
    }

    /// Sends an event, in as many frames as the model name asks for.
    async fn send(&mut self, exchange: &mut Exchange, mut event: Value) -> Result<(), Over> {
        self.events += 1;
        event["event_id"] = format!("event_fake{}", self.events).into();
        let text = event.to_string();
        exchange.sent(text.len());
        let Some(size) = self.played.behaviour.writes.split else {
            return Ok(self.socket.send(Message::text(text)).await?);
        };
        let count = text.len().div_ceil(size);
        for (i, piece) in text.as_bytes().chunks(size).enumerate() {
            let opcode = OpCode::Data(if i == 0 { Data::Text } else { Data::Continue });
            let frame = Frame::message(Bytes::copy_from_slice(piece), opcode, i + 1 == count);
            self.socket.send(Message::Frame(frame)).await?;
        }
        Ok(())
    }
}
