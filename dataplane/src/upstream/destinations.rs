//! Which addresses the relay connects to.

/// What an address is that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressClass {
    /// This machine: 127.0.0.0/8, `::1` (RFC 1122, RFC 4291).
    #[error("loopback")]
    Loopback,
    /// This link: 169.254.0.0/16, fe80::/10 (RFC 3927, RFC 4291).
    #[error("link-local")]
    LinkLocal,
    /// A cloud's service that hands out credentials of the machine.
    #[error("cloud metadata")]
    Metadata,
    /// No address: 0.0.0.0/8, `::` (RFC 1122, RFC 4291). Linux connects to this machine.
    #[error("unspecified")]
    Unspecified,
    /// Many machines: 224.0.0.0/4, ff00::/8, 255.255.255.255.
    #[error("multicast or broadcast")]
    Multicast,
    /// 240.0.0.0/4 (RFC 1112).
    #[error("reserved")]
    Reserved,
    /// In a range that the operator of the relay denies, such as the cluster's own.
    #[error("denied by --deny-cidr")]
    Denied,
}
