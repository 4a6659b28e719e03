//! Realtime: a WebSocket through the relay, with a client that speaks it and one that shows the bytes.

use std::io::Write;
use std::sync::{Arc, Mutex};

use futures::{SinkExt, StreamExt};
use http::{Request, Response};
use relay_e2e::provider::{Ended, Provider, script};
use relay_snapshot::{ModelRewrite, PathRule, Provider as Kind, Snapshot, Timeouts};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::config::{self, CREDENTIAL, KEY, backend, matching, route, snapshot};
use crate::house::{House, eventually, wait_for};
use crate::raw::{Client, LIMIT};
use crate::stub::{Stub, Tap, Then};

const PATH: &str = "/v1/realtime?model=";

/// A session's client.
struct Talk {
    socket: WebSocketStream<TcpStream>,
    answer: Response<Option<Vec<u8>>>,
}

fn bearer() -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {KEY}"))]
}

async fn dial(house: &House, path: &str, headers: &[(&'static str, String)]) -> Result<Talk, Box<Error>> {
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
    async fn to(house: &House, model: &str) -> Self {
        dial(house, &format!("{PATH}{model}"), &bearer()).await.expect("a session")
    }

    async fn say(&mut self, event: Value) {
        self.socket.send(Message::text(event.to_string())).await.expect("sends");
    }

    async fn next(&mut self) -> Option<Result<Message, Error>> {
        timeout(LIMIT, self.socket.next()).await.expect("something comes")
    }

    async fn event(&mut self) -> Value {
        let message = self.next().await.expect("open").expect("a message");
        serde_json::from_str(message.to_text().expect("text")).expect("JSON")
    }

    /// The event of this type; those before it.
    async fn until(&mut self, kind: &str) -> (Value, Vec<Value>) {
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
    async fn response(&mut self) -> (String, Value) {
        self.say(json!({"type": "response.create"})).await;
        let (done, before) = self.until("response.done").await;
        (before.iter().filter_map(|event| event["delta"].as_str()).collect(), done)
    }

    /// What comes behind the last event: the code of a Close frame, or none; and whether the connection then ended in order.
    async fn close(&mut self) -> Option<u16> {
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
    async fn failure(&mut self) -> (Value, Option<u16>) {
        let (error, _) = self.until("error").await;
        (error, self.close().await)
    }

    async fn leave(mut self) {
        self.socket.close(None).await.expect("closes");
        while let Some(Ok(_)) = self.next().await {}
    }
}

/// What is logged while it lives, on this thread.
struct Logged {
    text: Arc<Mutex<Vec<u8>>>,
    _here: tracing::subscriber::DefaultGuard,
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Logged {
    fn begin() -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&text);
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || Sink(Arc::clone(&sink)))
            .finish();
        Self { text, _here: tracing::subscriber::set_default(subscriber) }
    }

    fn text(&self) -> String {
        String::from_utf8(self.text.lock().expect("no panic").clone()).expect("UTF-8")
    }

    /// The fields of the one request's line.
    fn request(&self) -> Value {
        let text = self.text();
        let lines = text.lines().filter(|line| line.contains("relay::request"));
        let lines: Vec<Value> = lines.map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 1, "{text}");
        lines[0]["fields"].clone()
    }
}

async fn timed(timeouts: Timeouts) -> (House, Provider) {
    let provider = crate::house::provider().await;
    let mut route = route("r", "/", vec![backend(Kind::OpenAI, provider.addr())]);
    route.timeouts = timeouts;
    (House::new(&snapshot(vec![route])).await, provider)
}

fn active(house: &House) -> Vec<u64> {
    house.samples("relay_active_streams").into_iter().map(|(_, value)| value).collect()
}

#[tokio::test]
async fn a_session_passes_and_its_tokens_are_summed() {
    let logged = Logged::begin();
    let (house, provider) = House::simple().await;
    let mut talk = Talk::to(&house, "fake-tokens-20").await;
    assert_eq!(talk.answer.headers()["x-relay-revision"], "aaaaaaaaaaaa");
    assert!(talk.answer.headers().contains_key("x-request-id"));
    assert!(!talk.answer.headers().contains_key("openai-organization"));
    assert_eq!(talk.event().await["type"], "session.created");
    assert_eq!(active(&house), [1]);
    assert!(house.proxy.metrics.active_connections.get() == 1);
    let words = json!([{"type": "input_text", "text": "one two three"}]);
    talk.say(
        json!({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": words}}),
    )
    .await;
    talk.until("conversation.item.created").await;
    for _ in 0..3 {
        let (text, done) = talk.response().await;
        assert_eq!((text, &done["response"]["status"]), (script::text(20), &"completed".into()));
    }
    talk.leave().await;
    house.ended(101, "Complete", None).await;
    assert_eq!(active(&house), Vec::<u64>::new());
    let line = logged.request();
    assert_eq!((&line["kind"], &line["code"], &line["end"]), (&"websocket".into(), &101.into(), &"Complete".into()));
    // Three responses of 20 tokens for 3 words; the second had 1 token in the cache, the third 2.
    assert_eq!((&line["tokens_in"], &line["tokens_out"], &line["tokens_cached"]), (&9.into(), &60.into(), &3.into()));
    assert_eq!((&line["messages_in"], &line["messages_out"]), (&4.into(), &(2 + 3 * 22).into()));
    let sent = provider.requests()[0].outcome.bytes_sent;
    assert!(line["bytes_out"].as_u64() > Some(sent) && line["bytes_in"].as_u64() > Some(100), "{line}");
    let seen = wait_for(&provider, |requests| requests[0].outcome.ended.is_some()).await;
    assert_eq!(seen[0].outcome.ended, Some(Ended::Complete));
    assert!(!logged.text().contains(KEY) && !logged.text().contains(CREDENTIAL));
}

#[tokio::test]
async fn the_key_comes_by_header_or_by_subprotocol_and_never_goes_up() {
    let protocol = format!("realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1");
    for (headers, chosen, offered) in [
        (bearer(), None, None),
        (vec![("api-key", KEY.to_owned())], None, None),
        (
            vec![("sec-websocket-protocol", protocol.clone())],
            Some("realtime"),
            Some("realtime, openai-beta.realtime-v1"),
        ),
        (
            [bearer(), vec![("sec-websocket-protocol", "realtime".to_owned())]].concat(),
            Some("realtime"),
            Some("realtime"),
        ),
        (
            [bearer(), vec![("sec-websocket-protocol", protocol)]].concat(),
            Some("realtime"),
            Some("realtime, openai-beta.realtime-v1"),
        ),
    ] {
        let logged = Logged::begin();
        let (house, provider) = House::simple().await;
        let beta = vec![
            ("openai-beta", "realtime=v1".to_owned()),
            ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits".to_owned()),
            ("x-forwarded-for", "192.0.2.1".to_owned()),
        ];
        let headers = [headers, beta].concat();
        let mut talk = dial(&house, &format!("{PATH}fake-ok"), &headers).await.expect("a session");
        let protocol = talk.answer.headers().get("sec-websocket-protocol").map(|value| value.to_str().expect("ASCII"));
        assert_eq!(protocol, chosen);
        assert!(!talk.answer.headers().contains_key("sec-websocket-extensions"));
        talk.until("session.created").await;
        talk.leave().await;
        house.ended(101, "Complete", None).await;
        let up = &provider.requests()[0].request;
        assert_eq!((up.query.as_str(), up.header("openai-beta")), ("model=fake-ok", Some("realtime=v1")));
        assert_eq!((up.header("sec-websocket-protocol"), up.header("sec-websocket-extensions")), (offered, None));
        assert_eq!(
            (up.header("authorization"), up.header("x-forwarded-for")),
            (Some(&*format!("Bearer {CREDENTIAL}")), None)
        );
        assert!(!format!("{up:?}").contains(KEY), "{up:?}");
        assert!(!logged.text().contains(KEY), "{}", logged.text());
    }
}

#[tokio::test]
async fn messages_in_many_frames_and_long_ones_pass_unchanged_and_are_read() {
    for (model, tokens) in
        [("fake-split-7-tokens-9", 9), ("fake-split-70k-big-event-900k-tokens-3", 3), ("fake-big-event-2m-tokens-5", 5)]
    {
        let logged = Logged::begin();
        let (house, _provider) = House::simple().await;
        let mut talk = Talk::to(&house, model).await;
        let (text, _) = talk.response().await;
        assert_eq!(text, script::text(tokens));
        talk.leave().await;
        house.ended(101, "Complete", None).await;
        assert_eq!(logged.request()["tokens_out"], tokens, "{model}");
    }
}

#[tokio::test]
async fn an_upstream_that_vanishes_is_told_in_an_error_event_and_close_1011() {
    for (model, reason) in [
        ("fake-truncated-at-3", "upstream_protocol"),
        ("fake-half-event-at-3", "upstream_protocol"),
        ("fake-reset-at-3", "upstream_reset"),
        ("fake-cut-after-done", "upstream_protocol"),
    ] {
        let (house, _provider) = House::simple().await;
        let mut talk = Talk::to(&house, model).await;
        talk.say(json!({"type": "response.create"})).await;
        let (error, code) = talk.failure().await;
        assert_eq!((&error["error"]["code"], code), (&reason.into(), Some(1011)), "{model}");
        assert_eq!((&error["error"]["type"], &error["error"]["event_id"]), (&"server_error".into(), &Value::Null));
        assert!(error["error"]["message"].is_string() && error["event_id"].is_string(), "{error}");
        house.ended(101, "UpstreamError", Some(reason)).await;
    }
}

#[tokio::test]
async fn a_connection_that_breaks_under_an_idle_session_is_told_too() {
    let provider = crate::house::provider().await;
    let tap = Tap::to(provider.addr()).await;
    let house = House::new(&config::simple(tap.addr)).await;
    let mut talk = Talk::to(&house, "fake-ok").await;
    talk.until("session.created").await;
    tap.cut().await;
    let (error, code) = talk.failure().await;
    assert!(error["error"]["code"].as_str().is_some_and(|code| code.starts_with("upstream_")));
    assert_eq!(code, Some(1011));
    assert_eq!(house.ends(1).await, ["101 UpstreamError"]);
}

#[tokio::test]
async fn errors_and_closes_of_the_provider_pass_and_are_counted() {
    for (model, kind, code, end, reason) in [
        ("fake-error-midway", "error", 1011, "UpstreamError", Some("upstream_error")),
        ("fake-ok-close-1000", "response.done", 1000, "Complete", None),
        ("fake-ok-close-1001", "response.done", 1001, "Complete", None),
        ("fake-error-then-done-close-1000", "response.done", 1000, "Complete", Some("upstream_error")),
        ("fake-ok-close-1008", "response.done", 1008, "UpstreamError", Some("upstream_error")),
        ("fake-ok-close-4000", "response.done", 4000, "UpstreamError", Some("upstream_error")),
        ("fake-at-3-close-1000", "response.created", 1000, "UpstreamError", Some("upstream_protocol")),
    ] {
        let (house, _provider) = House::simple().await;
        let mut talk = Talk::to(&house, model).await;
        talk.say(json!({"type": "response.create"})).await;
        talk.until(kind).await;
        if kind == "response.created" {
            for _ in 0..3 {
                assert_eq!(talk.event().await["type"], "response.output_text.delta");
            }
        }
        assert_eq!(talk.close().await, Some(code), "{model}");
        house.ended(101, end, reason).await;
    }
}

#[tokio::test]
async fn a_mistake_of_the_client_is_no_error_of_the_provider() {
    let (house, _provider) = House::simple().await;
    let mut talk = Talk::to(&house, "fake-ok").await;
    talk.say(json!({"type": "nonsense"})).await;
    talk.until("error").await;
    assert_eq!(talk.response().await.0, script::text(16));
    talk.leave().await;
    house.ended(101, "Complete", None).await;
}

#[tokio::test]
async fn a_client_that_goes_is_gone_and_so_is_its_upstream() {
    let provider = crate::house::provider().await;
    let tap = Tap::to(provider.addr()).await;
    let house = House::new(&config::simple(tap.addr)).await;
    for (model, count) in [("fake-ok", 1), ("fake-stall-at-3", 2), ("fake-tokens-1000000", 3)] {
        let mut talk = Talk::to(&house, model).await;
        talk.say(json!({"type": "response.create"})).await;
        talk.until("response.output_text.delta").await;
        drop(talk);
        assert_eq!(house.ends(count).await, vec!["101 ClientGone"; count]);
        wait_for(&provider, |requests| requests.iter().all(|one| one.outcome.ended == Some(Ended::ClientGone))).await;
        let mut open = tap.open().await;
        while open > 0 {
            tokio::task::yield_now().await;
            open = tap.open().await;
        }
    }
    assert_eq!(house.reasons(), Vec::<String>::new());
}

#[tokio::test]
async fn a_client_that_closes_in_the_middle_of_a_response_has_left() {
    let (house, _provider) = House::simple().await;
    let mut talk = Talk::to(&house, "fake-stall-at-3").await;
    talk.say(json!({"type": "response.create"})).await;
    talk.until("response.output_text.delta").await;
    talk.leave().await;
    house.ended(101, "ClientGone", None).await;
}

#[tokio::test]
async fn silence_of_both_sides_ends_a_session_and_so_does_its_total_time() {
    for (timeouts, code, end) in [
        (Timeouts { first_byte_ms: 0, idle_ms: 300, ..Timeouts::default() }, "idle_timeout", "IdleTimeout"),
        (
            Timeouts { first_byte_ms: 0, idle_ms: 0, total_ms: 300, ..Timeouts::default() },
            "total_timeout",
            "TotalTimeout",
        ),
    ] {
        let (house, provider) = timed(timeouts).await;
        let mut talk = Talk::to(&house, "fake-ok").await;
        talk.until("session.created").await;
        let (error, closed) = talk.failure().await;
        assert_eq!((&error["error"]["code"], closed), (&code.into(), Some(1011)));
        house.ended(101, end, Some(code)).await;
        wait_for(&provider, |requests| requests[0].outcome.ended == Some(Ended::ClientGone)).await;
    }
}

#[tokio::test]
async fn the_drain_waits_for_sessions_and_then_cuts_them() {
    let (house, _provider) = House::simple().await;
    let mut talk = Talk::to(&house, "fake-tokens-5").await;
    talk.until("session.created").await;
    house.proxy.drain.unready.cancel();
    // A lame duck still takes them.
    let mut late = Talk::to(&house, "fake-tokens-5").await;
    late.until("session.created").await;
    house.proxy.drain.closing.cancel();
    assert_eq!(talk.response().await.0, script::text(5));
    late.leave().await;
    assert!(!house.accepting.is_finished());
    house.proxy.drain.cut.cancel();
    let (error, code) = talk.failure().await;
    assert_eq!((&error["error"]["code"], code), (&"draining".into(), Some(1012)));
    drop(talk);
    assert_eq!(house.ends(2).await, ["101 Complete", "101 Drained"]);
    timeout(LIMIT, house.accepting).await.expect("the listener ends").expect("without a panic");
}

#[tokio::test]
async fn what_is_no_handshake_or_has_no_route_is_refused_and_reaches_nobody() {
    let good = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let path = format!("{PATH}m");
    let key = format!("authorization: Bearer {KEY}\r\n");
    for (path, headers, status, code) in [
        (&*path, good.to_owned(), 401, "key_missing"),
        (&path, format!("{good}sec-websocket-protocol: openai-insecure-api-key.wrong\r\n"), 401, "key_unknown"),
        (
            &path,
            format!("{good}{key}sec-websocket-protocol: openai-insecure-api-key.wrong\r\n"),
            400,
            "conflicting_credentials",
        ),
        (&path, key.clone() + &good.replace("13", "8"), 400, "bad_request"),
        (&path, key.clone() + &good.replace("dGhl", ""), 400, "bad_request"),
        (&path, key.clone() + good + "content-length: 3\r\n", 400, "bad_request"),
        (&path, key.clone() + good + "transfer-encoding: chunked\r\n", 400, "bad_request"),
        ("/v1/chat/completions", key.clone() + good, 400, "bad_request"),
        ("/v1/messages", key.clone() + good, 400, "bad_request"),
        ("/nowhere", key.clone() + good, 404, "no_route"),
    ] {
        let (house, provider) = House::simple().await;
        let mut client = Client::connect(house.addr).await;
        client.send("GET", path, &headers, b"").await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("x-relay-error")), (status, Some(code)), "{path} {headers}");
        assert_eq!(answer.header("sec-websocket-version"), (status == 400).then_some("13"));
        assert_eq!(provider.requests().len(), 0);
    }
}

#[tokio::test]
async fn other_upgrades_are_ignored() {
    let (house, provider) = House::simple().await;
    let headers = crate::house::headers(KEY) + "connection: upgrade\r\nupgrade: h2c\r\nsec-websocket-protocol: x\r\n";
    let mut client = Client::connect(house.addr).await;
    client.send("POST", crate::house::CHAT, &headers, crate::house::chat("fake-ok").as_bytes()).await;
    assert_eq!(client.next_answer().await.status, 200);
    let up = &provider.requests()[0].request;
    assert_eq!((up.header("upgrade"), up.header("sec-websocket-protocol")), (None, None));
}

#[tokio::test]
async fn an_answer_other_than_101_passes_and_nothing_behind_the_handshake_goes_up() {
    for (model, status) in [("fake-403", 403), ("fake-429", 429), ("fake-nonsense", 404)] {
        let (house, provider) = House::simple().await;
        let mut client = Client::connect(house.addr).await;
        let handshake = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let behind = format!("GET /v1/models HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {KEY}\r\n\r\n");
        client
            .write(format!(
                "GET {PATH}{model} HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {KEY}\r\n{handshake}\r\n{behind}"
            ))
            .await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")));
        assert!(answer.json()["error"]["message"].is_string());
        assert_eq!(house.ends(1).await, [format!("{status} Complete")]);
        assert_eq!(provider.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_101_that_does_not_answer_the_handshake_is_a_broken_upstream() {
    let accept = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let good = format!("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n{accept}");
    for answer in [
        good.replace("s3pP", "s3pQ"),
        good.replace(accept, ""),
        good.replace("upgrade: websocket", "upgrade: h2c"),
        format!("{good}sec-websocket-extensions: permessage-deflate\r\n"),
    ] {
        let stub = Stub::answering(format!("{answer}\r\n"), Then::Stay).await;
        let house = House::new(&config::simple(stub.addr)).await;
        let refused = dial(&house, &format!("{PATH}m"), &bearer()).await;
        let Err(error) = refused else { unreachable!("a session with {answer}") };
        assert!(matches!(&*error, Error::Http(answer) if answer.status() == 502), "{error:?}");
        house.ended(502, "UpstreamError", Some("upstream_protocol")).await;
    }
}

#[tokio::test]
async fn frames_that_break_the_rules_pass_all_the_same() {
    let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-protocol: other\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let frames = b"\x81\x02{}\xf3\x05wrong\x81\x02{}";
    let stub = Stub::answering([head.as_bytes(), frames].concat(), Then::Close).await;
    let house = House::new(&config::simple(stub.addr)).await;
    let mut client = Client::connect(house.addr).await;
    let headers = format!(
        "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nauthorization: Bearer {KEY}\r\n"
    );
    client.send("GET", &format!("{PATH}m"), &headers, b"").await;
    let bytes = client.read_text("\u{2}{}").await;
    assert!(bytes.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{bytes}");
    assert!(!bytes.contains("sec-websocket-protocol"), "{bytes}");
    let bytes = client.read_until(|bytes| bytes.ends_with(frames)).await;
    assert!(bytes.ends_with(frames));
    // Nobody knows where a word of the relay could stand.
    client.read_to_end().await;
    assert!(client.read_until(|bytes| bytes.ends_with(frames)).await.ends_with(frames));
    house.ended(101, "UpstreamError", Some("upstream_protocol")).await;
}

#[tokio::test]
async fn the_model_of_the_query_chooses_the_route_and_is_rewritten() {
    let (one, two) = (crate::house::named("one").await, crate::house::named("two").await);
    let mut small = route("small", "/v1", vec![backend(Kind::OpenAI, one.addr())]);
    small.matches = vec![matching(PathRule::Prefix("/v1".into()), &["small*"])];
    small.backends[0].model = ModelRewrite::To("fake-tokens-2".into());
    let large = route("large", "/v1", vec![backend(Kind::OpenAI, two.addr())]);
    let house = House::new(&snapshot(vec![small, large])).await;
    let mut talk = Talk::to(&house, "small%2D1&x=y").await;
    assert_eq!(talk.response().await.0, script::text(2));
    talk.leave().await;
    let mut talk = Talk::to(&house, "fake-tokens-3").await;
    assert_eq!(talk.response().await.0, script::text(3));
    talk.leave().await;
    assert_eq!(one.requests()[0].request.query, "model=fake-tokens-2&x=y");
    assert_eq!(two.requests().len(), 1);
    let twice = dial(&house, &format!("{PATH}a&model=b"), &bearer()).await.err().expect("refused");
    assert!(matches!(&*twice, Error::Http(answer) if answer.status() == 400), "{twice:?}");
}

#[tokio::test]
async fn sessions_count_towards_the_requests_limit() {
    let provider = crate::house::provider().await;
    let snapshot = Snapshot { tenants: vec![config::limited("a", 1, 86_400, 1)], ..config::simple(provider.addr()) };
    let house = House::new(&snapshot).await;
    let talk = Talk::to(&house, "fake-ok").await;
    assert_eq!(talk.answer.headers()["x-ratelimit-remaining-requests"], "0");
    let refused = dial(&house, &format!("{PATH}fake-ok"), &bearer()).await.err().expect("refused");
    assert!(matches!(&*refused, Error::Http(answer) if answer.status() == 429), "{refused:?}");
    drop(talk);
    assert_eq!(house.ends(2).await, ["101 ClientGone", "429 LimitReached"]);
}

#[tokio::test]
async fn a_dead_backend_is_passed_over() {
    let provider = crate::house::provider().await;
    let dead = { std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address") };
    let backends = vec![backend(Kind::OpenAI, dead), backend(Kind::OpenAI, provider.addr())];
    let house = House::new(&snapshot(vec![route("r", "/", backends)])).await;
    for _ in 0..2 {
        Talk::to(&house, "fake-ok").await.leave().await;
    }
    assert_eq!(house.ends(2).await, ["101 Complete"; 2]);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_its_upstream_back() {
    let (house, provider) = House::simple().await;
    let mut talk = Talk::to(&house, "fake-tokens-1000000").await;
    talk.say(json!({"type": "response.create"})).await;
    talk.until("response.output_text.delta").await;
    let sent = || provider.requests()[0].outcome.bytes_sent;
    let mut before = 0;
    while sent() != before {
        before = sent();
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }
    assert!(before < 32 << 20, "{before} bytes are held");
    drop(talk);
    assert_eq!(house.ends(1).await, ["101 ClientGone"]);
    eventually("the provider knows", || provider.live() == 0).await;
}
