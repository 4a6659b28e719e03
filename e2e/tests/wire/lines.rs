//! NDJSON: lines leave whole, and a stream that breaks off is told so in a line of its own.

use relay_snapshot::Provider::Custom;
use serde_json::Value;

use crate::config::{backend, route, snapshot};
use crate::house::{House, chat};
use crate::raw::{Answer, Client, End};
use crate::stub::{Stub, Then};

const PATH: &str = "/api/chat";
const LINE: &str = "{\"message\":{\"content\":\"a\"},\"done\":false}\n";
const DONE: &str =
    "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":3,\"eval_count\":4}";

fn head() -> String {
    "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n".to_owned()
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

async fn house(answer: String, then: Then) -> (House, Stub) {
    let stub = Stub::answering(answer, then).await;
    (House::new(&snapshot(vec![route("r", "/", vec![backend(Custom, stub.addr)])])).await, stub)
}

async fn through(chunks: &[&str], rest: &str) -> (Answer, House) {
    let body: String = chunks.iter().map(|text| chunk(text)).collect();
    let (house, _stub) = house(format!("{}{body}{rest}", head()), Then::Close).await;
    (house.post(PATH, &chat("m")).await, house)
}

#[tokio::test]
async fn lines_pass_unchanged_however_they_are_cut() {
    let all = format!("{LINE}\r\n\n{LINE}{DONE}\n");
    let bytewise: Vec<String> = all.chars().map(String::from).collect();
    let bytewise: Vec<&str> = bytewise.iter().map(String::as_str).collect();
    for chunks in [vec![all.as_str()], vec![&all[..50], &all[50..51], &all[51..]], bytewise] {
        let (answer, house) = through(&chunks, "0\r\n\r\n").await;
        assert_eq!((answer.text(), answer.end), (all.as_str(), End::Clean));
        house.ended(200, "Complete", None).await;
    }
}

#[tokio::test]
async fn lines_are_lines_by_any_of_their_names() {
    let text = "{\"done\":false}\n{\"done\":true}\n";
    let head = head().replace("x-ndjson", "jsonl");
    let (house, _stub) = house(format!("{head}{}0\r\n\r\n", chunk(text)), Then::Stay).await;
    let answer = house.post("/api/chat", &chat("m")).await;
    assert_eq!((answer.status, answer.text(), answer.end), (200, text, End::Clean));
    house.ended(200, "Complete", None).await;
}

#[tokio::test]
async fn a_last_line_without_its_end_is_the_end() {
    for rest in ["0\r\n\r\n", ""] {
        let (answer, house) = through(&[LINE, DONE], rest).await;
        assert_eq!((answer.text(), answer.end), (format!("{LINE}{DONE}").as_str(), End::Clean));
        house.ended(200, "Complete", None).await;
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_ends_with_a_line_that_says_so() {
    for (rest, reason) in [("0\r\n\r\n", "upstream_protocol"), ("", "upstream_reset")] {
        for half in ["", "{\"message\":{\"con"] {
            let chunks: Vec<&str> = [LINE, half].into_iter().filter(|text| !text.is_empty()).collect();
            let (answer, house) = through(&chunks, rest).await;
            assert_eq!(answer.end, End::Clean);
            let told = answer.text().strip_prefix(LINE).expect("what came before");
            let told: Value = serde_json::from_str(told.strip_suffix('\n').expect("a line")).expect("one JSON text");
            assert!(told["error"].is_string(), "{told}");
            house.ended(200, "UpstreamError", Some(reason)).await;
        }
    }
}

#[tokio::test]
async fn an_error_of_the_provider_is_not_followed_by_another() {
    let failed = "{\"error\":\"out of memory\"}\n";
    for rest in ["0\r\n\r\n", ""] {
        let (answer, house) = through(&[LINE, failed], rest).await;
        assert_eq!((answer.text(), answer.end), (format!("{LINE}{failed}").as_str(), End::Clean));
        house.ended(200, "UpstreamError", Some("upstream_error")).await;
    }
}

#[tokio::test]
async fn whole_lines_leave_at_once_and_half_a_line_waits() {
    let (house, _stub) = house(format!("{}{}", head(), chunk(&format!("{LINE}{{\"half"))), Then::Stay).await;
    let mut client: Client = house.open(PATH, &chat("m")).await;
    let text = client.read_text("\"done\":false}\n").await;
    assert!(!text.contains("half"), "{text}");
    drop(client);
    house.ended(200, "ClientGone", None).await;
}

#[tokio::test]
async fn a_line_too_long_to_hold_has_no_clean_end_inside() {
    let long = format!("{{\"message\":{{\"content\":\"{}", "x".repeat(70 << 10));
    let (answer, house) = through(&[LINE, &long], "").await;
    assert_ne!(answer.end, End::Clean);
    assert!(answer.body.len() > 70 << 10);
    house.ended(200, "UpstreamError", Some("upstream_reset")).await;
}
