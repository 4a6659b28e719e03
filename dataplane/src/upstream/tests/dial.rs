use crate::table::Origin;
use crate::upstream::connector::Offer;
use crate::upstream::dial::in_turn;
use crate::upstream::{AddressClass, Connector, ConnectorOptions, Target, UpstreamError};
use http::Uri;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

fn target(url: &str) -> Option<Target> {
    let parts = url.parse::<Uri>().ok()?.into_parts();
    let origin = Origin { scheme: parts.scheme?, authority: parts.authority? };
    Some(Target { origin, ca: None, connect: Some(Duration::from_secs(30)) })
}

async fn connect(connector: &Connector, url: &str) -> Result<(), UpstreamError> {
    let target = target(url).unwrap_or_else(|| panic!("{url}"));
    let trust = connector.trust(&target)?;
    connector.connect(&target, &trust, Offer::Both).await.map(|_| ())
}

/// Hosts that name this machine, or what else is refused, in the forms that URLs and resolvers know.
const HOSTS: [&str; 48] = [
    "127.0.0.1",
    "127.0.0.2",
    "127.1",
    "127.0.1",
    "0127.0.0.1.",
    "0177.0.0.1",
    "0177.0000.0000.0001",
    "017700000001",
    "0x7f.0.0.1",
    "0x7f.0x0.0x0.0x1",
    "0x7f.1",
    "0x7f000001",
    "0X7F000001",
    "2130706433",
    "127.0.0x1",
    "127.00.00.01",
    "127.65535",
    "0",
    "0.0.0.0",
    "0x0",
    "00000000",
    "0.0",
    "0.1",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::]",
    "[::0]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::FFFF:7F00:0001]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[::ffff:0.0.0.0]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
    "[fe80::1]",
    "169.254.169.254",
    "0xa9fea9fe",
    "0xA9.0xFE.0xA9.0xFE",
    "2852039166",
    "0251.0376.0251.0376",
    "169.254.43518",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
];

#[tokio::test]
async fn no_form_of_a_host_leads_to_this_machine_or_to_metadata() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connector = Connector::new(ConnectorOptions::default());
    let mut refused = 0;
    for host in HOSTS {
        let error = connect(&connector, &format!("http://{host}:{port}")).await.unwrap_err();
        match error {
            UpstreamError::Refused { .. } => refused += 1,
            // Some forms are no host to one system or another; then there is no way to anywhere.
            UpstreamError::Connect { message, .. } => assert!(message.starts_with("DNS:"), "{host}: {message}"),
            other => panic!("{host}: {other}"),
        }
    }
    assert!(refused > 40, "{refused} of {} were read as addresses", HOSTS.len());
    let nobody = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
    assert!(nobody.is_err(), "somebody connected");
}

#[tokio::test]
async fn a_refusal_names_the_flag_in_the_log_and_no_route_can_pass_it() {
    let connector = Connector::new(ConnectorOptions::default());
    let error = connect(&connector, "https://169.254.169.254").await.unwrap_err();
    assert!(
        matches!(error, UpstreamError::Refused { class: AddressClass::Metadata, .. }),
        "before TLS says anything: {error}"
    );
    let text = error.to_string();
    assert!(text.contains("169.254.169.254") && text.contains("--allow-cidr") && text.contains("metadata"), "{text}");
}

#[tokio::test]
async fn what_the_operator_allows_or_resolves_himself_passes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let allowing = ConnectorOptions { allow: vec!["127.0.0.1".parse().unwrap()], ..ConnectorOptions::default() };
    let allowing = Connector::new(allowing);
    for host in ["127.0.0.1", "2130706433"] {
        assert!(connect(&allowing, &format!("http://{host}:{port}")).await.is_ok(), "{host}");
    }
    assert!(connect(&allowing, &format!("http://127.0.0.2:{port}")).await.is_err());

    let resolving =
        ConnectorOptions { overrides: vec!["Model.example=127.0.0.1".parse().unwrap()], ..ConnectorOptions::default() };
    let resolving = Connector::new(resolving);
    assert!(connect(&resolving, &format!("http://model.EXAMPLE:{port}")).await.is_ok());
    let other = connect(&resolving, &format!("http://127.0.0.1:{port}")).await;
    assert!(matches!(other, Err(UpstreamError::Refused { .. })), "the word counts for its host alone");

    let denying = ConnectorOptions {
        overrides: vec!["model.example=127.0.0.1".parse().unwrap()],
        deny: vec!["127.0.0.0/8".parse().unwrap()],
        allow: Vec::new(),
    };
    assert!(connect(&Connector::new(denying), &format!("http://model.example:{port}")).await.is_ok());
}

#[tokio::test]
async fn a_dead_address_beside_a_live_one_is_passed_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // localhost has ::1 too where the system has IPv6, and nobody listens there.
    let loopback = vec!["127.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()];
    let connector = Connector::new(ConnectorOptions { allow: loopback, ..ConnectorOptions::default() });
    assert!(connect(&connector, &format!("http://localhost:{port}")).await.is_ok());
    drop(listener);
    let error = connect(&connector, &format!("http://localhost:{port}")).await.unwrap_err();
    assert!(matches!(&error, UpstreamError::Connect { message, .. } if message.starts_with("TCP:")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn connecting_is_bounded_by_the_target_with_tls() {
    // Listens, and never says a word of TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = ConnectorOptions { allow: vec!["127.0.0.1".parse().unwrap()], ..ConnectorOptions::default() };
    let connector = Connector::new(options);
    let mut target = target(&format!("https://127.0.0.1:{port}")).unwrap();
    target.connect = Some(Duration::from_secs(7));
    let began = tokio::time::Instant::now();
    let trust = connector.trust(&target).unwrap();
    let error = connector.connect(&target, &trust, Offer::Both).await.err().unwrap();
    assert_eq!(began.elapsed().as_secs(), 7);
    assert!(error.to_string().contains("within 7s"), "{error}");
}

#[test]
fn the_families_take_turns() {
    let addresses = |texts: &[&str]| -> Vec<SocketAddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
    let found = addresses(&["[2001:db8::1]:1", "[2001:db8::2]:1", "192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"]);
    let ordered = addresses(&["[2001:db8::1]:1", "192.0.2.1:1", "[2001:db8::2]:1", "192.0.2.2:1", "192.0.2.3:1"]);
    assert_eq!(in_turn(&found), ordered);
    assert_eq!(in_turn(&[]), Vec::new());
    let many: Vec<SocketAddr> = (1..=40).map(|n| SocketAddr::from(([192, 0, 2, n], 1))).collect();
    assert_eq!(in_turn(&many), many[..16]);
}
