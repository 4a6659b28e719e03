mod connector;
mod destinations;
mod dial;
mod gate;
mod gate_loom;
mod pool;
pub(crate) mod received;
mod tls;
mod upload;

use super::HostOverride;
use crate::reason::Reason;
use crate::upstream::UpstreamError;

#[test]
fn overrides_are_host_and_address() {
    assert!("provider.example=127.0.0.1".parse::<HostOverride>().is_ok());
    assert!("provider.example=::1".parse::<HostOverride>().is_ok());
    assert_eq!("A.example=127.0.0.1".parse::<HostOverride>(), "a.Example=127.0.0.1".parse::<HostOverride>());
    let error = "provider.example".parse::<HostOverride>().unwrap_err();
    assert!(error.contains("HOST=ADDRESS"), "{error}");
    let error = "a=b".parse::<HostOverride>().unwrap_err();
    assert!(error.contains("b is not an IP address"), "{error}");
}

#[test]
fn errors_have_their_reasons() {
    assert_eq!(UpstreamError::Reset.reason(), Reason::UpstreamReset);
    assert_eq!(UpstreamError::Protocol.reason(), Reason::UpstreamProtocol);
}
