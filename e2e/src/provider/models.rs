//! `GET /v1/models`, in OpenAI's shape or Anthropic's.

use http::StatusCode;
use serde_json::json;

use super::call::Call;
use super::family::Family;
use super::reply::Reply;

const NAMES: [&str; 4] = ["fake-ok", "gpt-4o", "claude-sonnet-4-5", "tts-1"];

pub(super) fn list(call: &Call, family: Family) -> Reply {
    let list = if family == Family::Anthropic {
        let model = |id| json!({"type": "model", "id": id, "display_name": id, "created_at": "2026-01-01T00:00:00Z"});
        json!({"data": NAMES.map(model), "has_more": false, "first_id": NAMES[0], "last_id": NAMES[3]})
    } else {
        let model = |id| json!({"id": id, "object": "model", "created": 1_767_225_600, "owned_by": "fake"});
        json!({"object": "list", "data": NAMES.map(model)})
    };
    call.good(family, Reply::json(StatusCode::OK, &list))
}
