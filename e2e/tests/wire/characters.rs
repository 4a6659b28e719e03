//! Characters of speech: counted as the provider bills them, in the log and in the metrics, and the bytes as they came.

use relay_e2e::provider::script::sha256;
use relay_snapshot::Provider as Kind;
use serde_json::Value;

use crate::config::{KEY, backend, route, snapshot};
use crate::house::{House, SPEECH, headers, speech};
use crate::logged::Logged;
use crate::raw::Client;
use crate::stub::{Stub, Then};

const AZURE: &str = "/cognitiveservices/v1";
const SSML: &str = "content-type: application/ssml+xml\r\nuser-agent: test\r\nx-microsoft-outputformat: audio-24khz-48kbitrate-mono-mp3\r\n";

/// The one request's characters: in the log, and in the metric with its provider.
fn counted(house: &House, logged: &Logged) -> (Value, Vec<(String, u64)>) {
    let samples = house.samples("relay_characters_total").into_iter().map(|(labels, value)| {
        assert_eq!((labels["tenant"].as_str(), labels.len()), ("team/a", 3), "{labels:?}");
        assert!(labels["route"].starts_with("team/"), "{labels:?}");
        (labels["provider"].clone(), value)
    });
    (logged.request()["characters"].clone(), samples.collect())
}

fn billed(provider: &str, characters: u64) -> (Value, Vec<(String, u64)>) {
    (characters.into(), vec![(provider.to_owned(), characters)])
}

#[tokio::test]
async fn speech_of_openai_counts_its_input_and_goes_up_unchanged() {
    let body = speech("fake-bytes-10k").replace("Hello.", r"Hello, \u00e9\ud83d\ude00 \u8a9e");
    for chunked in [false, true] {
        let logged = Logged::begin();
        let (house, provider) = House::simple().await;
        let answer = if chunked {
            let mut client = Client::connect(house.addr).await;
            let head = format!("POST {SPEECH} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n{}", headers(KEY));
            client.write(format!("{head}transfer-encoding: chunked\r\n\r\n")).await;
            for piece in body.as_bytes().chunks(7) {
                client.write([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()).await;
            }
            client.write("0\r\n\r\n").await;
            client.answer().await
        } else {
            house.post(SPEECH, &body).await
        };
        assert_eq!(answer.status, 200);
        house.ended(200, "Complete", None).await;
        assert_eq!(counted(&house, &logged), billed("OpenAI", 11));
        assert_eq!(provider.requests()[0].request.body_sha256, sha256(body.as_bytes()));
        assert!(!logged.text().contains("Hello"), "{}", logged.text());
    }
}

#[tokio::test]
async fn ssml_of_azure_counts_without_speak_and_voice_and_han_twice() {
    let logged = Logged::begin();
    let (house, provider) = House::simple().await;
    let ssml =
        "<speak version='1.0' xml:lang='zh-CN'>\n<voice name='fake-bytes-10k' x='>'>你好, <break/>a</voice></speak>";
    let headers = format!("ocp-apim-subscription-key: {KEY}\r\n{SSML}");
    let answer = Client::request(house.addr, "POST", AZURE, &headers, ssml.as_bytes()).await.answer().await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    house.ended(200, "Complete", None).await;
    assert_eq!(counted(&house, &logged), billed("AzureSpeech", 1 + 4 + 2 + 8 + 1));
    assert_eq!(provider.requests()[0].request.body_sha256, sha256(ssml.as_bytes()));
}

#[tokio::test]
async fn elevenlabs_says_what_it_bills() {
    let logged = Logged::begin();
    let stub = Stub::answering(
        "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncharacter-cost: 27\r\ncontent-length: 5\r\n\r\naudio",
        Then::Stay,
    )
    .await;
    let house = House::new(&snapshot(vec![route("r", "/", vec![backend(Kind::ElevenLabs, stub.addr)])])).await;
    let answer = house.post("/v1/text-to-speech/voice/stream", r#"{"text":"Hello."}"#).await;
    assert_eq!((answer.status, answer.header("character-cost")), (200, Some("27")));
    house.ended(200, "Complete", None).await;
    assert_eq!(counted(&house, &logged), billed("ElevenLabs", 27));
}

#[tokio::test]
async fn what_was_not_answered_well_or_cannot_be_read_is_not_counted() {
    let failed = "HTTP/1.1 400 X\r\ncharacter-cost: 27\r\ncontent-length: 0\r\n\r\n";
    let audio = "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 5\r\n\r\naudio";
    for (kind, path, answer, encoding) in [
        (Kind::OpenAI, SPEECH, failed, ""),
        (Kind::AzureSpeech, AZURE, failed, ""),
        (Kind::ElevenLabs, "/v1/text-to-speech/voice", failed, ""),
        (Kind::OpenAI, SPEECH, audio, "content-encoding: gzip\r\n"),
        (Kind::OpenAI, "/v1/audio/other", audio, ""),
    ] {
        let logged = Logged::begin();
        let stub = Stub::answering(answer, Then::Stay).await;
        let house = House::new(&snapshot(vec![route("r", "/", vec![backend(kind, stub.addr)])])).await;
        let headers = format!("{}{encoding}", headers(KEY));
        let body = speech("m");
        Client::request(house.addr, "POST", path, &headers, body.as_bytes()).await.answer().await;
        house.ends(1).await;
        assert_eq!(counted(&house, &logged), (Value::Null, Vec::new()), "{kind:?} {path}");
        assert!(stub.seen()[0].ends_with(&body), "{kind:?} {path}");
    }
}

#[tokio::test]
async fn an_input_that_is_longer_than_the_route_allows_is_refused() {
    let stub = Stub::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Then::Stay).await;
    let mut small = route("r", "/", vec![backend(Kind::OpenAI, stub.addr)]);
    small.body_max = 64;
    let house = House::new(&snapshot(vec![small])).await;
    let mut client = Client::connect(house.addr).await;
    let head = format!("POST {SPEECH} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n{}", headers(KEY));
    client.write(format!("{head}transfer-encoding: chunked\r\n\r\n41\r\n{}\r\n0\r\n\r\n", "x".repeat(65))).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("x-relay-error")), (413, Some("body_too_large")));
    assert!(stub.seen().is_empty());
}
