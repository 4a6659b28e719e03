use crate::balance::Complaint::{self, Limit, Provider, Request};
use crate::balance::complaint;

fn of(text: &str) -> Option<Complaint> {
    complaint(text.as_bytes())
}

#[test]
fn providers_in_trouble_are_told_from_bad_requests() {
    for (event, expected) in [
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, Provider),
        (r#"{"type":"error","error":{"type":"api_error","message":"m"}}"#, Provider),
        (r#"{"type":"error","error":{"type":"rate_limit_error","message":"m"}}"#, Limit),
        (r#"{"type":"error","error":{"type":"invalid_request_error","message":"m"}}"#, Request),
        (r#"{"error":{"message":"m","type":"server_error","param":null,"code":null}}"#, Provider),
        (r#"{"error":{"message":"m","type":"requests","code":"rate_limit_exceeded"}}"#, Limit),
        (r#"{"error":{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}}"#, Request),
        (r#"{"error":{"message":"m","type":"invalid_request_error","code":"context_length_exceeded"}}"#, Request),
        (r#"{"error":{"object":"error","message":"m","type":"InternalServerError","code":500}}"#, Provider),
        (r#"{"error":{"object":"error","message":"m","type":"BadRequestError","code":400}}"#, Request),
        (r#"{"error":{"message":"m","code":"503"}}"#, Provider),
        (r#"{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}"#, Provider),
        (r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}"#, Limit),
        (r#"{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}"#, Request),
        (r#"{"type":"error","code":"server_error","message":"m","sequence_number":1}"#, Provider),
        (r#"{"type":"response.failed","response":{"error":{"code":"server_error","message":"m"}}}"#, Provider),
        (r#"{"type":"response.failed","response":{"error":{"code":"invalid_prompt","message":"m"}}}"#, Request),
        (r#"{"error":"model runner has unexpectedly stopped"}"#, Provider),
        (r#"{"error":{"message":"nothing known"}}"#, Request),
    ] {
        assert_eq!(of(&format!("event: error\r\ndata: {event}\r\n\r\n")), Some(expected), "{event}");
        assert_eq!(of(&format!(": ping\n\ndata:{event}\n\ndata: [DONE]\n\n")), Some(expected), "{event}");
        assert_eq!(of(&format!("{event}\n")), Some(expected), "as a line, {event}");
    }
}

#[test]
fn what_carries_no_error_complains_of_nothing() {
    for text in [
        "",
        ": ping\n\n",
        "data: [DONE]\n\n",
        "data: {\"choices\":[]}\n\n",
        "data: {\"type\":\"response.created\",\"response\":{\"error\":null}}\n\n",
        "data: {\"error\":null,\"id\":1}\n\n",
        "data: {\"error\":{\"type\":\"server_er",
    ] {
        assert_eq!(of(text), None, "{text}");
    }
}
