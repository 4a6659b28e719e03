//! What the provider says is what the client reads, byte for byte.

use relay_e2e::provider::{Provider, script};

use crate::config::{self, CREDENTIAL};
use crate::house::{CHAT, House, MESSAGES, SPEECH, chat, headers, message, not_streamed, provider, speech};
use crate::raw::{Answer, Client, End};
use crate::stub::{Stub, Then};

/// The same request to a provider and, through a relay, to another that is as young: their answers are equal, when both began within one second,
/// which stands in the answers.
async fn twins(path: &str, body: &str) -> (Answer, Answer, House) {
    loop {
        let (direct, (house, relayed)) = (provider().await, House::simple().await);
        let straight = Client::request(direct.addr(), "POST", path, &headers(CREDENTIAL), body.as_bytes()).await;
        let (straight, through) = (straight.answer().await, house.post(path, body).await);
        if second(&direct) == second(&relayed) {
            return (straight, through, house);
        }
    }
}

fn second(provider: &Provider) -> u64 {
    provider.requests()[0].request.started_ms / 1000
}

async fn is_unchanged(path: &str, body: &str) {
    let (straight, through, house) = twins(path, body).await;
    assert_eq!((straight.status, straight.end), (200, End::Clean), "{body}");
    assert_eq!((through.status, through.end), (200, End::Clean), "{body}");
    assert!(straight.body == through.body, "{body}: {:?}\n{:?}", straight.body, through.body);
    for name in ["content-type", "content-encoding", "content-length", "transfer-encoding"] {
        assert_eq!(straight.header(name), through.header(name), "{name} of {body}");
    }
    house.ended(200, "Complete", None).await;
}

#[tokio::test]
async fn event_streams_pass_unchanged_however_they_are_written() {
    let ways = [
        "fake-ok",
        "fake-crlf",
        "fake-cr",
        "fake-bom",
        "fake-comments",
        "fake-comments-crlf-bytewise",
        "fake-bytewise",
        "fake-crlf-bytewise",
        "fake-cr-bytewise",
        "fake-flush",
        "fake-split-7",
        "fake-tokens-2000-split-64k",
        "fake-big-event",
        "fake-big-event-split-1000",
        "fake-big-event-crlf-at-15",
        "fake-usage-every-chunk",
        "fake-gzip",
        "fake-gzip-bytewise",
    ];
    for model in ways {
        is_unchanged(CHAT, &chat(model)).await;
        is_unchanged(MESSAGES, &message(model)).await;
    }
}

#[tokio::test]
async fn whole_json_passes_unchanged_with_its_length() {
    for model in ["fake-ok", "fake-tokens-50000", "fake-bytewise", "fake-gzip", "fake-half-event"] {
        is_unchanged(CHAT, &not_streamed(&chat(model))).await;
        is_unchanged(MESSAGES, &not_streamed(&message(model))).await;
    }
}

#[tokio::test]
async fn audio_passes_unchanged() {
    for (model, bytes) in
        [("fake-bytes-3m", 3 << 20), ("fake-bytes-100001-chunk-1000-flush", 100_001), ("fake-ok", 64 << 10)]
    {
        let (house, _provider) = House::simple().await;
        let answer = house.post(SPEECH, &speech(model)).await;
        assert_eq!((answer.status, answer.end), (200, End::Clean));
        assert_eq!(answer.header("content-type"), Some("audio/pcm"));
        assert_eq!(answer.sha256(), script::audio_sha256(bytes), "{model}");
        house.ended(200, "Complete", None).await;
        assert_eq!(house.samples("relay_requests_total")[0].0["provider"], "OpenAI");
    }
}

#[tokio::test]
async fn audio_of_azure_passes_unchanged_with_and_without_a_length() {
    for (format, has_length) in [("riff-24khz-16bit-mono-pcm", true), ("audio-24khz-48kbitrate-mono-mp3", false)] {
        let (house, provider) = House::simple().await;
        let ssml = "<speak version='1.0'><voice name='fake-bytes-200k'>Hello</voice></speak>";
        let key = config::KEY;
        let headers = format!(
            "ocp-apim-subscription-key: {key}\r\ncontent-type: application/ssml+xml\r\nuser-agent: test\r\nx-microsoft-outputformat: {format}\r\n"
        );
        let client = Client::request(house.addr, "POST", "/cognitiveservices/v1", &headers, ssml.as_bytes()).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.end), (200, End::Clean), "{}", String::from_utf8_lossy(&answer.body));
        assert_eq!(answer.header("content-length").is_some(), has_length);
        assert_eq!(answer.sha256(), script::audio_sha256(200 << 10));
        house.ended(200, "Complete", None).await;
        assert_eq!(provider.requests()[0].request.header("ocp-apim-subscription-key"), Some(CREDENTIAL));
    }
}

#[tokio::test]
async fn speech_in_events_passes_unchanged() {
    let body = speech("fake-bytes-300k-chunk-100k")
        .replace("\"response_format\"", "\"stream_format\":\"sse\",\"response_format\"");
    is_unchanged(SPEECH, &body).await;
}

#[tokio::test]
async fn errors_of_the_provider_pass_with_their_status() {
    let models =
        ["fake-429", "fake-429-after-2s", "fake-500", "fake-503", "fake-529", "fake-html-502", "fake-400", "fake-404"];
    for model in models {
        for (path, body) in [(CHAT, chat(model)), (MESSAGES, message(model))] {
            let (straight, through, house) = twins(path, &body).await;
            assert_eq!((through.status, through.end), (straight.status, End::Clean), "{model}");
            assert_eq!(through.body, straight.body, "{model}");
            for name in ["content-type", "content-length", "retry-after"] {
                assert_eq!(through.header(name), straight.header(name), "{name} of {model}");
            }
            assert_eq!(through.header("x-relay-error"), None, "{model}");
            let failed = through.status == 429 || through.status >= 500;
            house.ended(through.status, "Complete", failed.then_some("upstream_status")).await;
        }
    }
}

#[tokio::test]
async fn events_leave_at_once_while_the_provider_holds_the_rest() {
    let (house, provider) = House::simple().await;
    for (path, body) in [(CHAT, chat("fake-stall-at-2")), (MESSAGES, message("fake-stall-at-2"))] {
        let mut client = house.open(path, &body).await;
        let text = client.read_text(script::word(1)).await;
        assert!(!text.contains(&script::token(2)), "{text}");
        assert_eq!(provider.live(), 1);
        drop(client);
        let gone = |requests: &[relay_e2e::provider::Recorded]| requests.iter().all(|one| one.outcome.ended.is_some());
        crate::house::wait_for(&provider, gone).await;
    }
}

#[tokio::test]
async fn what_came_of_an_unfinished_event_waits_for_its_end() {
    let (house, provider) = House::simple().await;
    let mut client = house.open(CHAT, &chat("fake-stall-inside-at-2")).await;
    let text = client.read_text(script::word(1)).await;
    assert!(text.trim_end().ends_with('}') || text.ends_with("\n\n\r\n"), "{text:?}");
    let whole_events = text.matches("data: ").count();
    assert_eq!(text.matches("\n\n").count(), whole_events, "{text}");
    assert_eq!(provider.live(), 1);
}

#[tokio::test]
async fn audio_leaves_as_it_comes() {
    let (house, provider) = House::simple().await;
    let mut client = house.open(SPEECH, &speech("fake-bytes-64k-chunk-1000-stall-at-3")).await;
    let three = script::audio(0, 3000);
    client.read_until(|bytes| bytes.windows(1000).any(|part| part == &three[2000..])).await;
    assert_eq!(provider.live(), 1);
}

/// What an upstream says, as the client reads it.
async fn through(answer: impl Into<Vec<u8>>) -> Answer {
    let stub = Stub::answering(answer, Then::Stay).await;
    let backend = config::backend(relay_snapshot::Provider::OpenAI, stub.addr);
    let house = House::new(&config::snapshot(vec![config::route("r", "/", vec![backend])])).await;
    let answer = house.chat("m").await;
    house.ended(200, "Complete", None).await;
    answer
}

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const DONE: &str = "e\r\ndata: [DONE]\n\n\r\n";

#[tokio::test]
async fn early_hints_are_no_answer() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n";
    let answer = through(format!("{hints}{hints}{STREAM}{DONE}0\r\n\r\n")).await;
    assert_eq!((answer.text(), answer.end, answer.header("link")), ("data: [DONE]\n\n", End::Clean, None));
}

#[tokio::test]
async fn trailers_are_dropped() {
    let answer = through(format!("{STREAM}{DONE}0\r\nx-checksum: 1\r\n\r\n")).await;
    assert_eq!((answer.text(), answer.end, answer.header("x-checksum")), ("data: [DONE]\n\n", End::Clean, None));
}

#[tokio::test]
async fn data_of_many_lines_and_events_without_data_pass_unchanged() {
    let sse = "\u{FEFF}: c\nretry: 10\n\nevent: a\n\ndata: 1\ndata:2\ndata\n\nid\r\n\r\ndata: 3\r\rdata: [DONE]\n\n";
    // The last chunk of a whole stream, and every byte in a chunk of its own.
    let whole = format!("{:x}\r\n{sse}\r\n", sse.len()).into_bytes();
    let bytewise = sse.bytes().flat_map(|byte| [b'1', b'\r', b'\n', byte, b'\r', b'\n']).collect();
    for chunks in [whole, bytewise] {
        let answer = through([STREAM.as_bytes(), &chunks, b"0\r\n\r\n"].concat()).await;
        assert_eq!((answer.text(), answer.end), (sse, End::Clean));
    }
}
