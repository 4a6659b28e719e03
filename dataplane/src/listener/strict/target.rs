//! Request targets and hosts (RFC 9112, section 3.2; RFC 3986, section 3.2).

use super::violation::Violation;
use std::net::Ipv6Addr;

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// A path.
    Origin,
    /// `http://host/path`, as to a proxy.
    Absolute {
        /// `http` or `https`, in any case.
        scheme: &'a [u8],
        /// The host with its port.
        authority: &'a [u8],
    },
    /// The server itself.
    Asterisk,
}

impl<'a> Target<'a> {
    pub(super) fn of(method: &[u8], target: &'a [u8]) -> Result<Self, Violation> {
        if target == b"*" {
            return if method == b"OPTIONS" { Ok(Self::Asterisk) } else { Err(Violation::Target) };
        }
        if method == b"CONNECT" || !target.iter().all(|byte| may_stand(*byte)) {
            return Err(Violation::Target);
        }
        if target.first() == Some(&b'/') {
            return Ok(Self::Origin);
        }
        let colon = memchr::memchr(b':', target).ok_or(Violation::Target)?;
        let (scheme, rest) = target.split_at(colon);
        let rest = rest.strip_prefix(b"://").ok_or(Violation::Target)?;
        if !is_http(scheme) {
            return Err(Violation::Target);
        }
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let authority = &rest[..end];
        if is_host(authority) { Ok(Self::Absolute { scheme, authority }) } else { Err(Violation::Target) }
    }
}

fn is_http(scheme: &[u8]) -> bool {
    scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https")
}

/// Visible ASCII, but for what no path or query has and parsers disagree about. A fragment is never sent.
fn may_stand(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`')
}

/// Whether this is a host, with a port or without: a name of letters, digits and `-._~`, an IPv4 address, or an IPv6 address in brackets.
/// Stricter than RFC 3986, whose other characters no host name has.
pub(in crate::listener) fn is_host(value: &[u8]) -> bool {
    let port = if let Some(rest) = value.strip_prefix(b"[") {
        let Some(end) = memchr::memchr(b']', rest) else { return false };
        let address = std::str::from_utf8(&rest[..end]).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
        if address.is_none() {
            return false;
        }
        &rest[end + 1..]
    } else {
        let end = memchr::memchr(b':', value).unwrap_or(value.len());
        let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if end == 0 || !value[..end].iter().all(in_name) {
            return false;
        }
        &value[end..]
    };
    port.is_empty() || port.strip_prefix(b":").is_some_and(is_port)
}

fn is_port(digits: &[u8]) -> bool {
    digits.iter().all(u8::is_ascii_digit)
        && digits.len() <= 5
        && std::str::from_utf8(digits).ok().and_then(|text| text.parse::<u16>().ok()).is_some()
}

/// Whether both name the same host and port, where a port that is not written is the scheme's.
pub(in crate::listener) fn is_same(scheme: &[u8], one: &[u8], other: &[u8]) -> bool {
    let default: &[u8] = if scheme.eq_ignore_ascii_case(b"https") { b":443" } else { b":80" };
    let bare = |authority| <[u8]>::strip_suffix(authority, default).unwrap_or(authority);
    bare(one).eq_ignore_ascii_case(bare(other))
}
