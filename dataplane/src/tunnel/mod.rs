//! WebSockets, on routes whose format has them: bytes pass unchanged both ways while a reader of frames looks on.
//!
//! ```text
//! handshake   what the client asks for, what goes up, what the answer must be
//! pump        moves bytes, with bounds on memory, silence and time
//!   session     looks on: responses, tokens, Close frames, where the client can be told something
//!     lookout     one side's messages
//!       frames      RFC 6455, section 5
//! ending      what is counted, and what the client is told
//! ```

mod ending;
mod frames;
mod handshake;
mod lookout;
mod pump;
mod session;
#[cfg(test)]
mod tests;

pub use handshake::{Handshake, HandshakeError, NotAccepted, VERSION, is_asked_for, protocol_keys, strip};

use crate::drain::{Cut, Drain, begun};
use crate::exchange::{Answered, Exchange, Kind, Tunnelled};
use crate::reason::{Reason, StreamEnd};
use crate::relay::Deadline;
use crate::upstream::Switched;
use ending::Over;
use http::StatusCode;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use pump::{Bounds, Pump};
use std::time::Duration;

/// How long the client's connection may take to be handed over behind the 101.
const HAND_OVER: Duration = Duration::from_secs(10);

/// Two connections that are about to become one session.
pub struct Tunnel {
    /// The client's connection, once the 101 is written.
    pub client: OnUpgrade,
    /// The upstream's.
    pub upstream: Switched,
    /// The longest silence of both sides; `None`: without bound.
    pub idle: Option<Duration>,
    /// When it must be over.
    pub deadline: Deadline,
}

impl Tunnel {
    /// Runs the session as a task of its own, which the drain waits for and cuts; so does the suspension of its tenant. A client that takes nothing for
    /// `write_stall` is gone.
    pub fn start(self, mut exchange: Exchange, drain: &Drain, tenant: Cut, write_stall: Duration) {
        exchange.code = Some(StatusCode::SWITCHING_PROTOCOLS.as_u16());
        exchange.kind = Kind::WebSocket;
        exchange.cost.answered = Answered::Well;
        exchange.goes_out();
        let cut = drain.cut.clone();
        drain.tunnels.spawn(self.run(exchange, cut, tenant, write_stall));
    }

    async fn run(self, mut exchange: Exchange, cut: Cut, tenant: Cut, write_stall: Duration) {
        let handed_over = tokio::select! {
            client = tokio::time::timeout(HAND_OVER, self.client) => client,
            () = cut.cancelled() => {
                exchange.reason = Some(Reason::Draining);
                return exchange.end(StreamEnd::Drained);
            }
        };
        // Without it, the client left before it had its 101.
        let Ok(Ok(client)) = handed_over else { return };
        let bounds = Bounds { idle: self.idle, deadline: self.deadline.at(), write_stall };
        let mut pump = Pump::new(TokioIo::new(client), self.upstream, bounds);
        let limit = exchange.stop().cloned();
        let stop = async {
            tokio::select! {
                () = cut.cancelled() => Over::Drained,
                () = tenant.cancelled() => Over::Suspended,
                () = begun(limit.as_ref()) => Over::Limit,
            }
        };
        let over = pump.run(stop, |seen| exchange.progress(seen)).await;
        let (end, reason) = over.verdict(&pump.session);
        exchange.reason = exchange.reason.or(reason);
        let session = &pump.session;
        let is_there = !matches!(over, Over::ClientGone | Over::ClientStalled);
        let message = exchange.spends().filter(|_| over == Over::Limit);
        let farewell =
            if is_there { over.farewell(session, pump.place(), &exchange.request_id, message) } else { Vec::new() };
        exchange.tunnelled(Tunnelled {
            bytes_in: pump.bytes_in,
            bytes_out: pump.bytes_out + farewell.len() as u64,
            messages_in: session.messages_in,
            messages_out: session.messages_out,
        });
        exchange.cost.seen = session.seen();
        if !is_there {
            return exchange.end(end);
        }
        let leaving = pump.take_leave(&farewell).await;
        exchange.end(end);
        leaving.linger().await;
    }
}
