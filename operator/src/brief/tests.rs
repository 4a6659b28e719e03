use super::*;

#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Layer {
    text: &'static str,
    source: Option<Box<Layer>>,
}

fn layers(texts: &[&'static str]) -> Layer {
    let [text, rest @ ..] = texts else { panic!("no text") };
    Layer { text, source: (!rest.is_empty()).then(|| Box::new(layers(rest))) }
}

#[test]
fn causes_are_told_once() {
    assert_eq!(
        chain(&layers(&["client error", "tcp connect error", "refused"])),
        "client error: tcp connect error: refused"
    );
    assert_eq!(chain(&layers(&["outer: inner", "inner"])), "outer: inner");
}

#[test]
fn a_status_is_told_by_code_reason_and_message() {
    let status = kube::error::Status::failure("no such thing", "NotFound").with_code(404);
    assert_eq!(brief(&kube::Error::Api(status.boxed())), "404 NotFound: no such thing");
}

#[test]
fn an_answer_that_is_not_readable_is_not_quoted() {
    let parsed = serde_json::from_str::<u8>(r#""canary-value""#);
    let text = brief(&kube::Error::SerdeError(parsed.unwrap_err()));
    assert!(text.contains("line 1") && !text.contains("canary"), "{text}");
}
