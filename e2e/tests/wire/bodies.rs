//! Bodies of requests and the odd shapes of answers.

use relay_e2e::provider::{Ended, script};
use relay_snapshot::{ModelPattern, Provider};

use crate::config::{self, KEY, backend, route};
use crate::house::{CHAT, House, chat, headers, not_streamed, provider};
use crate::raw::{Client, End};
use crate::stub::{Stub, Then};

/// A chat whose body has this many bytes.
fn chat_of(bytes: usize) -> Vec<u8> {
    let mut body = chat("fake-tokens-2").replace("one", "");
    let missing = bytes - body.len();
    body = body.replace(" two", &format!("{} two", "x".repeat(missing)));
    assert_eq!(body.len(), bytes);
    body.into_bytes()
}

async fn house_with_max(max: u64) -> (House, relay_e2e::provider::Provider) {
    let provider = provider().await;
    let mut snapshot = config::simple(provider.addr());
    for route in &mut snapshot.routes {
        route.body_max = max;
    }
    (House::new(&snapshot).await, provider)
}

#[tokio::test]
async fn a_body_may_be_as_long_as_the_route_allows_and_not_a_byte_longer() {
    for chunked in [false, true] {
        let (house, provider) = house_with_max(50_000).await;
        for (bytes, status) in [(50_000, 200), (50_001, 413), (50_000, 200)] {
            let body = chat_of(bytes);
            let mut client = Client::connect(house.addr).await;
            let headers = format!("{}connection: close\r\n", headers(KEY));
            if chunked {
                client
                    .write(format!(
                        "POST {CHAT} HTTP/1.1\r\nhost: relay\r\n{headers}transfer-encoding: chunked\r\n\r\n"
                    ))
                    .await;
                for piece in body.chunks(20_000) {
                    client.write([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()).await;
                }
                client.write("0\r\n\r\n").await;
            } else {
                client.send("POST", CHAT, &headers, &body).await;
            }
            let answer = client.answer().await;
            let reason = (status == 413).then_some("body_too_large");
            assert_eq!((answer.status, answer.header("x-relay-error")), (status, reason), "{bytes} {chunked}");
        }
        // What a provider saw of the one too long, it did not take for a request.
        assert_eq!(provider.requests().iter().filter(|one| one.outcome.status == Some(200)).count(), 2);
        assert!(provider.requests().iter().all(|one| one.request.body_bytes <= 50_000));
        assert!(
            chunked || provider.requests().len() == 2,
            "a declared length is refused before the provider sees a byte"
        );
        assert_eq!(house.ends(3).await, ["200 Complete", "200 Complete", "413 Refused"]);
        assert_eq!(house.reasons(), ["body_too_large"]);
    }
}

#[tokio::test]
async fn a_body_that_breaks_http_is_the_clients_fault() {
    let (house, provider) = House::simple().await;
    let mut client = Client::connect(house.addr).await;
    let headers = headers(KEY);
    client
        .write(format!(
            "POST {CHAT} HTTP/1.1\r\nhost: relay\r\n{headers}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\nZZ\r\n"
        ))
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (400, Some("bad_request")));
    house.ended(400, "Refused", Some("bad_request")).await;
    assert!(provider.requests().iter().all(|one| one.outcome.status != Some(200)));
}

#[tokio::test]
async fn a_client_that_asks_whether_to_go_on_is_told_so() {
    let (house, provider) = House::simple().await;
    let body = chat("fake-tokens-3");
    let mut client = Client::connect(house.addr).await;
    let (headers, length) = (headers(KEY), body.len());
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\nexpect: 100-continue\r\n{headers}content-length: {length}\r\n\r\n"
    );
    client.write(head).await;
    client.read_text("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.write(body).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.chat().0), (200, script::text(3)));
    assert_eq!(provider.requests()[0].request.header("expect"), None);
}

#[tokio::test]
async fn a_client_that_asks_is_not_told_to_go_on_where_it_is_refused() {
    let (house, _provider) = house_with_max(100).await;
    for (headers, status) in [(String::new(), 401), (headers(KEY), 413)] {
        let mut client = Client::connect(house.addr).await;
        client
            .write(format!(
                "POST {CHAT} HTTP/1.1\r\nhost: relay\r\nexpect: 100-continue\r\n{headers}content-length: 1000\r\n\r\n"
            ))
            .await;
        let seen = client.read_text("\r\n\r\n").await;
        assert!(seen.starts_with(&format!("HTTP/1.1 {status} ")), "{seen}");
    }
}

#[tokio::test]
async fn a_client_that_was_told_to_go_on_may_send_all_before_it_reads_that_it_is_refused() {
    let provider = provider().await;
    let mut snapshot = config::simple(provider.addr());
    snapshot.routes[0].matches[0].models = vec![ModelPattern::Exact("other".into())];
    let house = House::new(&snapshot).await;
    let body = chat("m") + &" ".repeat(8 << 20);
    let mut client = Client::connect(house.addr).await;
    let (headers, length) = (headers(KEY), body.len());
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\nexpect: 100-continue\r\n{headers}");
    client.write(format!("{head}content-length: {length}\r\n\r\n")).await;
    client.read_text("HTTP/1.1 100 Continue\r\n\r\n").await;
    client.write(body).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (404, Some("no_route")));
}

#[tokio::test]
async fn head_requests_get_the_head_alone() {
    let answers = [
        ("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1234\r\n\r\n", Some("1234")),
        ("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n", None),
    ];
    for (upstream, length) in answers {
        let stub = Stub::answering(upstream, Then::Stay).await;
        let house =
            House::new(&config::snapshot(vec![route("r", "/", vec![backend(Provider::OpenAI, stub.addr)])])).await;
        for path in [CHAT, "/v1/models"] {
            let answer = Client::request(house.addr, "HEAD", path, &headers(KEY), b"").await.answer().await;
            assert_eq!(
                (answer.status, answer.end, answer.header("content-length")),
                (200, End::Clean, length),
                "{path}"
            );
            assert!(answer.body.is_empty());
        }
        assert_eq!(house.ends(2).await, vec!["200 Complete"; 2]);
        assert_eq!(house.proxy.upstreams.idle(), 1);
        assert!(stub.seen()[0].starts_with("HEAD "));
    }
}

#[tokio::test]
async fn answers_without_a_body_are_complete() {
    for status in ["204 No Content", "304 Not Modified"] {
        let stub =
            Stub::answering(format!("HTTP/1.1 {status}\r\ncontent-type: text/event-stream\r\n\r\n"), Then::Stay).await;
        let house =
            House::new(&config::snapshot(vec![route("r", "/", vec![backend(Provider::OpenAI, stub.addr)])])).await;
        let mut client = house.open(CHAT, &chat("m")).await;
        let head = client.read_text("\r\n\r\n").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}");
        drop(client);
        assert_eq!(house.ends(1).await, [format!("{} Complete", &status[..3])]);
    }
}

#[tokio::test]
async fn an_upstream_may_end_its_answer_by_closing() {
    let stub = Stub::answering("HTTP/1.0 200 OK\r\ncontent-type: audio/mpeg\r\n\r\nall of it", Then::Close).await;
    let house = House::new(&config::snapshot(vec![route("r", "/", vec![backend(Provider::OpenAI, stub.addr)])])).await;
    let answer = house.post("/v1/audio/speech", "{}").await;
    assert_eq!((answer.status, answer.end, answer.text()), (200, End::Clean, "all of it"));
    house.ended(200, "Complete", None).await;
    assert_eq!(house.proxy.upstreams.idle(), 0);
}

#[tokio::test]
async fn an_upstream_may_answer_before_it_has_the_whole_request() {
    let early = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    let upstream = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut tcp, _) = listener.accept().await.expect("a connection");
        tcp.read_u8().await.expect("a byte of the request");
        tcp.write_all(early.as_bytes()).await.expect("answers");
        tcp.read_to_end(&mut Vec::new()).await
    });
    let house = House::new(&config::snapshot(vec![route("r", "/", vec![backend(Provider::OpenAI, addr)])])).await;
    let mut client = Client::connect(house.addr).await;
    let headers = headers(KEY);
    client.write(format!("POST {CHAT} HTTP/1.1\r\nhost: relay\r\n{headers}content-length: 1000\r\n\r\n{{")).await;
    let answer = client.next_answer().await;
    assert_eq!((answer.status, answer.text()), (400, "{}"));
    drop(client);
    house.ended(400, "Complete", None).await;
    assert!(upstream.await.is_ok());
}

#[tokio::test]
async fn uploads_pass_unchanged() {
    let (house, provider) = House::simple().await;
    let body: Vec<u8> = script::audio(0, 5 << 20).to_vec();
    let headers = format!("x-api-key: {KEY}\r\ncontent-type: multipart/form-data; boundary=x\r\n");
    Client::request(house.addr, "POST", "/v1/audio/transcriptions", &headers, &body).await.answer().await;
    let requests = provider.requests();
    assert_eq!(
        (requests[0].request.body_bytes, &requests[0].request.body_sha256),
        (body.len(), &script::sha256(&body))
    );
    assert_eq!(requests[0].request.header("content-type"), Some("multipart/form-data; boundary=x"));
}

#[tokio::test]
async fn requests_without_a_body_have_none_upstream() {
    let (house, provider) = House::simple().await;
    let key = format!("x-api-key: {KEY}\r\n");
    let answer = Client::request(house.addr, "GET", "/v1/models", &key, b"").await.answer().await;
    assert_eq!((answer.status, answer.json()["object"].as_str()), (200, Some("list")));
    let request = &provider.requests()[0].request;
    assert_eq!((request.header("content-length"), request.header("transfer-encoding")), (None, None));
    assert_eq!(provider.requests()[0].outcome.ended, Some(Ended::Complete));
}

#[tokio::test]
async fn one_connection_serves_many_requests_in_order() {
    let (house, _provider) = House::simple().await;
    let mut client = Client::connect(house.addr).await;
    let headers = headers(KEY);
    for n in 1..=5 {
        client.send("POST", CHAT, &headers, chat(&format!("fake-tokens-{n}")).as_bytes()).await;
        assert_eq!(client.next_answer().await.chat().0, script::text(n));
    }
    // Two at once: the second waits in the socket.
    for _ in 0..2 {
        client.send("POST", CHAT, &headers, not_streamed(&chat("fake-tokens-1")).as_bytes()).await;
    }
    for _ in 0..2 {
        assert_eq!(client.next_answer().await.json()["choices"][0]["message"]["content"], script::text(1));
    }
    drop(client);
    assert_eq!(house.ends(7).await, vec!["200 Complete"; 7]);
}
