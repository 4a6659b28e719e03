//! OpenAI Realtime as HTTP sees it: a request that asks to go on as a WebSocket.

use super::family::Family;
use super::{Rules, is_openai, opaque};
use relay_snapshot::WireFormat;

pub(super) const RULES: Rules = Rules {
    name: WireFormat::OpenAIRealtime,
    is_spoken: |provider, path| is_openai(provider) && path.ends_with("/realtime"),
    family: Some(Family::OpenAI),
    allows_upgrade: true,
    ..opaque::RULES
};
