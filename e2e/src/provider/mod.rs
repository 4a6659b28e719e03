//! The fake provider: a server that speaks as the real ones do (OpenAI Chat Completions, Responses and Audio Speech,
//! Azure OpenAI, SiliconFlow, Anthropic Messages, Gemini, Ollama, ElevenLabs, Azure Speech), knows what it will say,
//! remembers what it received, and misbehaves on demand.
//!
//! - The `model` name decides how it behaves: [`behaviour`]. A name without `fake-` gets a good answer.
//! - The text and the audio are the same every time: [`script`].
//! - What arrived and how each answer ended: [`record`], here by [`Provider::requests`], over HTTP at `/_fake/`:
//!   `GET /_fake/requests?after=N`, `DELETE /_fake/requests`, `GET /_fake/live` (`{"live":N}`), `GET /_fake/health`,
//!   `GET /_fake/script?tokens=N`, `GET /_fake/audio-sha256?bytes=N`.
//!
//! It is a test tool: it records credentials and shows them to everyone. Never give it a real one.

mod azure;
pub mod behaviour;
mod body;
mod call;
mod chat;
mod control;
mod dates;
mod elevenlabs;
mod family;
mod gemini;
mod in_band;
mod messages;
mod models;
mod ollama;
mod plan;
mod problem;
mod realtime;
pub mod record;
mod reply;
mod responses;
pub mod script;
mod serve;
mod server;
mod speech;
mod sse;
mod target;
pub mod tls;
mod wire;
mod writes;

pub use record::{Ended, Recorded};
pub use serve::MAX_BODY;
pub use server::{Config, Provider};
