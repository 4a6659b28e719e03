use crate::upstream::destinations::Destinations;
use crate::upstream::{AddressClass, Cidr};
use std::net::IpAddr;

use AddressClass::{Denied, LinkLocal, Loopback, Metadata, Multicast, Reserved, Unspecified};

fn cidrs(texts: &[&str]) -> Vec<Cidr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn check(rule: &Destinations, address: &str) -> Result<(), AddressClass> {
    rule.check(address.parse::<IpAddr>().unwrap_or_else(|_| panic!("{address}")))
}

/// Every special range at both ends, and each in every form of IPv6 that carries IPv4.
const REFUSED: [(&str, AddressClass); 62] = [
    ("127.0.0.0", Loopback),
    ("127.0.0.1", Loopback),
    ("127.1.2.3", Loopback),
    ("127.255.255.255", Loopback),
    ("::1", Loopback),
    ("::ffff:127.0.0.1", Loopback),
    ("::ffff:7f00:1", Loopback),
    ("::127.0.0.1", Loopback),
    ("::ffff:0:127.0.0.1", Loopback),
    ("64:ff9b::127.0.0.1", Loopback),
    ("64:ff9b::7f00:1", Loopback),
    ("64:ff9b:1::127.0.0.1", Loopback),
    ("2002:7f00:1::", Loopback),
    ("2002:7f00:1::1", Loopback),
    ("2002:7fff:ffff:1:2:3:4:5", Loopback),
    ("2001:0:4136:e378:8000:63bf:80ff:fffe", Loopback),
    ("2001:db8::5efe:127.0.0.1", Loopback),
    ("2001:db8::200:5efe:127.0.0.1", Loopback),
    ("169.254.0.0", LinkLocal),
    ("169.254.1.1", LinkLocal),
    ("169.254.170.2", LinkLocal),
    ("169.254.255.255", LinkLocal),
    ("fe80::", LinkLocal),
    ("fe80::1", LinkLocal),
    ("febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", LinkLocal),
    ("::ffff:169.254.1.1", LinkLocal),
    ("::169.254.1.1", LinkLocal),
    ("64:ff9b::169.254.1.1", LinkLocal),
    ("2002:a9fe:101::", LinkLocal),
    ("fe80::5efe:8.8.8.8", LinkLocal),
    ("169.254.169.254", Metadata),
    ("::ffff:169.254.169.254", Metadata),
    ("::ffff:a9fe:a9fe", Metadata),
    ("::169.254.169.254", Metadata),
    ("64:ff9b::169.254.169.254", Metadata),
    ("64:ff9b:1:2:3::a9fe:a9fe", Metadata),
    ("2002:a9fe:a9fe::1", Metadata),
    ("fd00:ec2::254", Metadata),
    ("fd20:ce::254", Metadata),
    ("100.100.100.200", Metadata),
    ("::ffff:100.100.100.200", Metadata),
    ("2002:6464:64c8::", Metadata),
    ("192.0.0.192", Metadata),
    ("168.63.129.16", Metadata),
    ("0.0.0.0", Unspecified),
    ("0.0.0.1", Unspecified),
    ("0.255.255.255", Unspecified),
    ("::", Unspecified),
    ("::2", Unspecified),
    ("::ffff:0.0.0.0", Unspecified),
    ("::ffff:0:0:0", Unspecified),
    ("64:ff9b::", Unspecified),
    ("2002::", Unspecified),
    ("224.0.0.1", Multicast),
    ("239.255.255.255", Multicast),
    ("255.255.255.255", Multicast),
    ("::ffff:255.255.255.255", Multicast),
    ("ff00::", Multicast),
    ("ff02::1", Multicast),
    ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Multicast),
    ("240.0.0.1", Reserved),
    ("64:ff9b::255.255.255.254", Reserved),
];

#[test]
fn special_addresses_are_refused_in_every_form() {
    let rule = Destinations::default();
    for (address, class) in REFUSED {
        assert_eq!(check(&rule, address), Err(class), "{address}");
    }
}

/// Beside each special range, and the private ones: a model in the cluster or the company is an upstream like others.
const PASSING: [&str; 24] = [
    "1.0.0.0",
    "8.8.8.8",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.199",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.16.0.1",
    "192.168.1.1",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "::ffff:10.0.0.1",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
    "2001:0:4136:e378:8000:63bf:f7f7:f7f7",
    "2001:4860:4860::8888",
    "fd00::1",
    "fd00:ec2::253",
    "fe00::1",
    "fec0::1",
    "2606:4700::5efe:8.8.8.8",
];

#[test]
fn all_other_addresses_pass() {
    let rule = Destinations::default();
    for address in PASSING {
        assert_eq!(check(&rule, address), Ok(()), "{address}");
    }
}

#[test]
fn the_operator_denies_more_and_allows_parts_of_all() {
    let rule = Destinations {
        allow: cidrs(&["127.0.0.1", "10.96.0.10/32", "fe80::/64"]),
        deny: cidrs(&["10.96.0.0/12", "fd00::/8", "203.0.113.7"]),
    };
    for address in ["127.0.0.1", "::ffff:127.0.0.1", "10.96.0.10", "64:ff9b::10.96.0.10", "fe80::1", "10.95.255.255"] {
        assert_eq!(check(&rule, address), Ok(()), "{address}");
    }
    for address in ["10.96.0.11", "::ffff:10.111.0.1", "2002:a60:b::", "fd12::1", "203.0.113.7"] {
        assert_eq!(check(&rule, address), Err(Denied), "{address}");
    }
    assert_eq!(check(&rule, "127.0.0.2"), Err(Loopback));
    assert_eq!(check(&rule, "fe80:1::1"), Err(LinkLocal));
}

#[test]
fn ranges_are_written_with_or_without_a_length() {
    assert_eq!("10.0.0.0/8".parse::<Cidr>().unwrap().to_string(), "10.0.0.0/8");
    assert_eq!("10.0.0.1".parse::<Cidr>().unwrap().to_string(), "10.0.0.1/32");
    assert_eq!("::1".parse::<Cidr>().unwrap().to_string(), "::1/128");
    for wrong in ["", "10", "10.0.0.0/33", "localhost", "10.0.0.0/8 ", "127.1/8"] {
        let error = wrong.parse::<Cidr>().unwrap_err();
        assert!(error.contains("127.0.0.0/8"), "{error}");
    }
}
