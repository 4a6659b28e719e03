//! A client of sessions.

use futures::{SinkExt, StreamExt};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::config::KEY;
use crate::house::House;
use crate::raw::LIMIT;

/// The headers of a good handshake.
pub(super) const HANDSHAKE: &str = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
pub(super) const PATH: &str = "/v1/realtime?model=";

/// A session's client.
pub(super) struct Talk {
    pub(super) socket: WebSocketStream<TcpStream>,
    pub(super) answer: Response<Option<Vec<u8>>>,
}

pub(super) fn bearer() -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {KEY}"))]
}

pub(super) async fn dial(house: &House, path: &str, headers: &[(&'static str, String)]) -> Result<Talk, Box<Error>> {
    let mut request = Request::get(format!("ws://relay{path}"))
        .header("host", "relay")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let tcp = TcpStream::connect(house.addr).await.expect("connects");
    let request = request.body(()).expect("a request");
    let dialled = timeout(LIMIT, tokio_tungstenite::client_async(request, tcp)).await.expect("in time");
    dialled.map(|(socket, answer)| Talk { socket, answer }).map_err(Box::new)
}

impl Talk {
    pub(super) async fn to(house: &House, model: &str) -> Self {
        dial(house, &format!("{PATH}{model}"), &bearer()).await.expect("a session")
    }

    pub(super) async fn say(&mut self, event: Value) {
        self.socket.send(Message::text(event.to_string())).await.expect("sends");
    }

    pub(super) async fn next(&mut self) -> Option<Result<Message, Error>> {
        timeout(LIMIT, self.socket.next()).await.expect("something comes")
    }

    pub(super) async fn event(&mut self) -> Value {
        let message = self.next().await.expect("open").expect("a message");
        serde_json::from_str(message.to_text().expect("text")).expect("JSON")
    }

    /// The event of this type; those before it.
    pub(super) async fn until(&mut self, kind: &str) -> (Value, Vec<Value>) {
        let mut before = Vec::new();
        loop {
            let event = self.event().await;
            if event["type"] == kind {
                return (event, before);
            }
            before.push(event);
        }
    }

    /// Asks for a response and hears it to its end: its text, and the last event.
    pub(super) async fn response(&mut self) -> (String, Value) {
        self.say(json!({"type": "response.create"})).await;
        let (done, before) = self.until("response.done").await;
        (before.iter().filter_map(|event| event["delta"].as_str()).collect(), done)
    }

    /// What comes behind the last event: the code of a Close frame, or none; and whether the connection then ended in order.
    pub(super) async fn close(&mut self) -> Option<u16> {
        match self.next().await {
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map(|frame| frame.code.into());
                while let Some(Ok(_)) = self.next().await {}
                code
            }
            Some(Ok(other)) => {
                assert!(other.is_close(), "{other:?}");
                None
            }
            Some(Err(_)) | None => None,
        }
    }

    /// The error event of the relay, and the code with which it closes.
    pub(super) async fn failure(&mut self) -> (Value, Option<u16>) {
        let (error, _) = self.until("error").await;
        (error, self.close().await)
    }

    pub(super) async fn leave(mut self) {
        self.socket.close(None).await.expect("closes");
        while let Some(Ok(_)) = self.next().await {}
    }
}
