//! Which addresses the relay connects to. A route names a host, and DNS may give it any address: what counts is the address itself, in the moment of
//! connecting.

use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What an address is that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressClass {
    /// A cloud's service that hands out credentials of the machine.
    #[error("cloud metadata")]
    Metadata,
    /// This machine: 127.0.0.0/8, `::1` (RFC 1122, RFC 4291).
    #[error("loopback")]
    Loopback,
    /// This link: 169.254.0.0/16, fe80::/10 (RFC 3927, RFC 4291).
    #[error("link-local")]
    LinkLocal,
    /// No address: 0.0.0.0/8, `::` (RFC 1122, RFC 4291). Linux takes it for this machine.
    #[error("unspecified")]
    Unspecified,
    /// Many machines: 224.0.0.0/4, ff00::/8, 255.255.255.255.
    #[error("multicast or broadcast")]
    Multicast,
    /// 240.0.0.0/4 (RFC 1112, section 4).
    #[error("reserved")]
    Reserved,
    /// In a range that the operator of the relay denies, such as the cluster's own.
    #[error("in a range of --deny-cidr")]
    Denied,
}

/// A range of addresses, `10.0.0.0/8`; an address alone is the range of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr(IpNet);

impl FromStr for Cidr {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.map(Self)
            .map_err(|_| format!("{text} is not a range of addresses: write 127.0.0.0/8, fd00::/8 or an address"))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The rule for all destinations: what is allowed passes, then what is denied or special does not, and the rest passes. Private ranges pass, since
/// models inside a cluster or a company are reached by them.
#[derive(Clone, Debug, Default)]
pub(super) struct Destinations {
    pub(super) allow: Vec<Cidr>,
    pub(super) deny: Vec<Cidr>,
}

impl Destinations {
    /// Whether the relay may connect to this address. IPv6 addresses that carry one of IPv4 are judged by both.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), AddressClass> {
        let carried = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => carried(v6).map(IpAddr::V4),
        };
        let is_in = |list: &[Cidr]| {
            let has = |ip: IpAddr| list.iter().any(|cidr| cidr.0.contains(&ip));
            has(address) || carried.is_some_and(has)
        };
        if is_in(&self.allow) {
            return Ok(());
        }
        if is_in(&self.deny) {
            return Err(AddressClass::Denied);
        }
        class(address).or_else(|| carried.and_then(class)).map_or(Ok(()), Err)
    }
}

/// Services of clouds that tell the machine's credentials to whoever can reach them: the common one; AWS over IPv6; Google over IPv6; Alibaba; Oracle;
/// Azure's host.
const METADATA: [IpAddr; 6] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
];

fn class(address: IpAddr) -> Option<AddressClass> {
    if METADATA.contains(&address) {
        return Some(AddressClass::Metadata);
    }
    match address {
        IpAddr::V4(v4) => match v4.octets() {
            [0, ..] => Some(AddressClass::Unspecified),
            [127, ..] => Some(AddressClass::Loopback),
            [169, 254, ..] => Some(AddressClass::LinkLocal),
            [224..=239, ..] | [255, 255, 255, 255] => Some(AddressClass::Multicast),
            [240..=255, ..] => Some(AddressClass::Reserved),
            _ => None,
        },
        IpAddr::V6(v6) if v6.is_unspecified() => Some(AddressClass::Unspecified),
        IpAddr::V6(v6) if v6.is_loopback() => Some(AddressClass::Loopback),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(AddressClass::LinkLocal),
        IpAddr::V6(v6) if v6.is_multicast() => Some(AddressClass::Multicast),
        IpAddr::V6(_) => None,
    }
}

/// The IPv4 address behind an IPv6 one, by which a translator or tunnel, or the machine itself, would deliver.
#[expect(clippy::match_same_arms, reason = "each form of an address stands with its source")]
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // Both are addresses of IPv6 itself.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // RFC 4291, section 2.5.5: compatible and mapped; RFC 2765: translated.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => v4(high, low),
        // RFC 6052 and RFC 8215: NAT64, the well-known prefix and those for local use.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => v4(high, low),
        // RFC 3056: 6to4.
        [0x2002, high, low, ..] => v4(high, low),
        // RFC 4380: Teredo, with the bits turned.
        [0x2001, 0, _, _, _, _, high, low] => v4(!high, !low),
        // RFC 5214: ISATAP.
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => v4(high, low),
        _ => None,
    }
}
