//! The guard as hyper sees it.

use super::super::{Guard, Link, Violation};
use futures::FutureExt;
use http::{Method, Request, StatusCode};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

const SECONDS: Duration = Duration::from_secs(10);

/// A guard, its link, and the client's end.
fn guarded() -> (Guard<DuplexStream>, Arc<Link>, DuplexStream) {
    let (near, far) = duplex(1 << 20);
    let link = Arc::new(Link::default());
    (Guard::new(near, Arc::clone(&link), Instant::now() + SECONDS, SECONDS), link, far)
}

const HEAD: &str = "POST /v1/messages HTTP/1.1\r\nhost: relay\r\n";
const GOOD: &str = "GET / HTTP/1.1\r\nhost: relay\r\n\r\n";

async fn read(guard: &mut Guard<DuplexStream>, bytes: usize) -> String {
    let mut read = vec![0; bytes];
    guard.read_exact(&mut read).await.unwrap();
    String::from_utf8(read).unwrap()
}

fn asks(method: Method) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = "*".parse().unwrap();
    request
}

#[tokio::test]
async fn good_requests_pass_byte_for_byte_in_pieces_of_any_size() {
    let body = format!("{HEAD}transfer-encoding: chunked\r\n\r\n5;a\r\nab\r\n\0\r\n0\r\nx: y\r\n\r\n");
    let all = format!("{GOOD}{HEAD}content-length: 3\r\n\r\nabc{body}\r\n{GOOD}");
    for piece in [1, 2, 3, 7, 40, 1000] {
        let (mut guard, _link, mut client) = guarded();
        let sent = all.clone();
        tokio::spawn(async move {
            for piece in sent.as_bytes().chunks(piece) {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut read = String::new();
        guard.read_to_string(&mut read).await.unwrap();
        assert_eq!(read, all, "{piece}");
    }
}

#[tokio::test]
async fn a_refused_head_is_replaced_and_nothing_follows() {
    for (bad, method, path) in [
        (format!("{HEAD}content-length: 1\r\ncontent-length: 2\r\n\r\n"), Method::POST, "/v1/messages"),
        ("HEAD /x?y HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n".to_owned(), Method::HEAD, "/x"),
        ("nonsense\r\n".to_owned(), Method::GET, ""),
    ] {
        let (mut guard, link, mut client) = guarded();
        client.write_all(format!("{GOOD}{bad}{GOOD}").as_bytes()).await.unwrap();
        let stand_in = if method == Method::HEAD { Link::STAND_IN_HEAD } else { Link::STAND_IN };
        let seen = read(&mut guard, GOOD.len() + stand_in.len()).await;
        assert_eq!(seen, format!("{GOOD}{}", std::str::from_utf8(stand_in).unwrap()));
        let refused = link.refused(&asks(method.clone())).unwrap();
        assert_eq!((&refused.method, refused.path.as_str()), (&method, path));
        assert!(link.refused(&Request::new(())).is_none(), "no other request is taken for it");
        drop(client);
        assert!(guard.read_u8().now_or_never().is_none(), "nor the end");
    }
}

#[tokio::test]
async fn a_broken_body_fails_the_read_behind_what_was_good() {
    let (mut guard, link, mut client) = guarded();
    let good = format!("{HEAD}transfer-encoding: chunked\r\n\r\n2\r\nok\r\n");
    client.write_all(format!("{good}0x\r\n{GOOD}").as_bytes()).await.unwrap();
    assert_eq!(read(&mut guard, good.len()).await, good);
    for _ in 0..2 {
        assert_eq!(guard.read_u8().await.unwrap_err().kind(), ErrorKind::InvalidData);
    }
    assert!(link.refused(&asks(Method::GET)).is_none());
}

#[tokio::test(start_paused = true)]
async fn heads_have_their_time() {
    // Nothing at all: closed without a word.
    let (mut guard, _link, _client) = guarded();
    let begun = Instant::now();
    assert_eq!(guard.read_u8().await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(begun.elapsed(), SECONDS);
    // A byte each second does not help.
    let (mut guard, link, mut client) = guarded();
    let begun = Instant::now();
    tokio::spawn(async move {
        loop {
            if client.write_all(b"G").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    read(&mut guard, Link::STAND_IN.len()).await;
    assert_eq!(begun.elapsed(), SECONDS);
    assert_eq!(link.refused(&asks(Method::GET)).unwrap().violation, Violation::HeadTooSlow);
    // A further head may begin late, but then has its time too.
    let (mut guard, link, mut client) = guarded();
    client.write_all(GOOD.as_bytes()).await.unwrap();
    read(&mut guard, GOOD.len()).await;
    let begun = Instant::now();
    tokio::spawn(async move {
        tokio::time::sleep(SECONDS * 6).await;
        client.write_all(HEAD.as_bytes()).await.unwrap();
        std::future::pending::<()>().await;
    });
    read(&mut guard, Link::STAND_IN.len()).await;
    assert_eq!(begun.elapsed(), SECONDS * 7);
    assert_eq!(link.refused(&asks(Method::GET)).unwrap().path, "/v1/messages");
}

fn upgrade() -> String {
    format!("{HEAD}connection: upgrade\r\nupgrade: websocket\r\n\r\n")
}

/// One answered request to upgrade, of a proxy where nothing else happens.
fn answer(link: &Link, status: StatusCode) {
    let place = crate::listener::requests::UnderWay::default().enter(None);
    let left = link.answered(status, place);
    assert_eq!(left.is_none(), status == StatusCode::SWITCHING_PROTOCOLS, "a tunnel keeps its place");
}

#[tokio::test]
async fn an_accepted_upgrade_is_no_http_any_more() {
    let (mut guard, link, mut client) = guarded();
    client.write_all(upgrade().as_bytes()).await.unwrap();
    read(&mut guard, upgrade().len()).await;
    answer(&link, StatusCode::SWITCHING_PROTOCOLS);
    assert!(guard.read_u8().now_or_never().is_none());
    guard.write_all(b"HTTP/1.1 101 \r\n\r\n").await.unwrap();
    client.write_all(b"\0anything\n").await.unwrap();
    assert_eq!(read(&mut guard, 10).await, "\0anything\n");
}

#[tokio::test]
async fn a_refused_upgrade_goes_on_as_http() {
    let (mut guard, link, mut client) = guarded();
    for _ in 0..2 {
        client.write_all(upgrade().as_bytes()).await.unwrap();
        read(&mut guard, upgrade().len()).await;
        answer(&link, StatusCode::OK);
        client.write_all(GOOD.as_bytes()).await.unwrap();
        assert_eq!(read(&mut guard, GOOD.len()).await, GOOD);
    }
    client.write_all(b"\0").await.unwrap();
    read(&mut guard, Link::STAND_IN.len()).await;
}

#[tokio::test]
async fn what_comes_before_the_answer_to_an_upgrade_reaches_nobody() {
    // With the request, seen behind it, or in the socket when the answer is about to go.
    for (with, is_seen) in [(GOOD, true), ("", true), ("", false)] {
        for status in [StatusCode::SWITCHING_PROTOCOLS, StatusCode::OK] {
            let (mut guard, link, mut client) = guarded();
            client.write_all(format!("{}{with}", upgrade()).as_bytes()).await.unwrap();
            let mut seen = vec![0; 4096];
            assert_eq!(guard.read(&mut seen).await.unwrap(), upgrade().len());
            client.write_all(GOOD.as_bytes()).await.unwrap();
            assert!(!is_seen || guard.read_u8().now_or_never().is_none());
            answer(&link, status);
            if status == StatusCode::SWITCHING_PROTOCOLS {
                assert_eq!(guard.write(b"HTTP/1.1 101").await.unwrap_err().kind(), ErrorKind::InvalidData);
                assert_eq!(guard.read_u8().await.unwrap_err().kind(), ErrorKind::InvalidData);
            } else if is_seen {
                let seen = read(&mut guard, Link::STAND_IN.len()).await;
                assert!(seen.starts_with("GET * "), "{seen}");
                assert_eq!(link.refused(&asks(Method::GET)).unwrap().violation, Violation::BehindUpgrade);
            } else {
                assert_eq!(read(&mut guard, GOOD.len()).await, GOOD, "the connection was HTTP all the time");
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_to_an_upgrade_is_noticed() {
    let (mut guard, _link, mut client) = guarded();
    client.write_all(upgrade().as_bytes()).await.unwrap();
    read(&mut guard, upgrade().len()).await;
    drop(client);
    assert_eq!(guard.read(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_read_on_for_a_while_so_that_its_answer_arrives() {
    let (mut guard, _link, mut client) = guarded();
    client.write_all(b"\0").await.unwrap();
    read(&mut guard, Link::STAND_IN.len()).await;
    client.write_all(&vec![b'x'; 100_000]).await.unwrap();
    let begun = Instant::now();
    guard.shutdown().await.unwrap();
    assert_eq!(begun.elapsed(), super::super::LINGER);
    assert_eq!(guard.lingered, 100_000);
    // Another one ends at once.
    let (mut guard, _link, client) = guarded();
    drop(client);
    guard.shutdown().await.unwrap();
    assert_eq!(begun.elapsed(), super::super::LINGER);
}
