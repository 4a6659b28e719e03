use super::Target;
use crate::limits::{LimiterError, RedisOptions};
use ::redis::{Client, ConnectionAddr};
use rcgen::generate_simple_self_signed;

fn open(url: &str) -> Result<Target, LimiterError> {
    Target::new(&RedisOptions::new(url.to_owned()))
}

fn one(url: &str) -> Client {
    match open(url).unwrap() {
        Target::One(client) => client,
        _ => panic!("{url} is one server"),
    }
}

/// Address, user, password and database.
fn parts(client: &Client) -> (String, Option<&str>, Option<&str>, i64) {
    let info = client.get_connection_info();
    let settings = info.redis_settings();
    (info.addr().to_string(), settings.username(), settings.password(), settings.db())
}

#[test]
fn one_server_is_named_by_host_or_socket() {
    for (url, expected) in [
        ("redis://redis", ("redis:6379", None, None, 0)),
        ("valkey://:p%40ss@redis:7000/3", ("redis:7000", None, Some("p@ss"), 3)),
        ("redis://user:pass@[::1]:6380", ("::1:6380", Some("user"), Some("pass"), 0)),
        ("redis+unix:///run/redis.sock", ("/run/redis.sock", None, None, 0)),
    ] {
        let client = one(url);
        let (addr, user, password, db) = parts(&client);
        assert_eq!((&*addr, user, password, db), expected, "{url}");
    }
}

#[test]
fn flags_win_over_the_url() {
    let options = RedisOptions {
        username: Some("bob".into()),
        password: Some(String::from("new").into()),
        ..RedisOptions::new(String::from("redis://alice:old@redis"))
    };
    let Ok(Target::One(client)) = Target::new(&options) else { panic!("one server") };
    assert_eq!(parts(&client), ("redis:6379".into(), Some("bob"), Some("new"), 0));
}

#[test]
fn tls_checks_certificates_and_cannot_be_told_not_to() {
    let client = one("rediss://redis");
    let ConnectionAddr::TcpTls { insecure, tls_params, .. } = client.get_connection_info().addr() else {
        panic!("TLS")
    };
    assert!(!insecure && tls_params.is_some());
    assert_eq!(open("rediss://redis/#insecure").err(), Some(LimiterError::Url));
}

#[test]
fn a_file_of_certificates_is_believed_instead_of_the_system() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.crt");
    let with_ca = |url: &str| {
        Target::new(&RedisOptions { ca: Some(path.clone()), ..RedisOptions::new(url.to_owned()) }).map(|_| ())
    };
    assert_eq!(with_ca("rediss://redis"), Err(LimiterError::Ca), "there is none");
    std::fs::write(&path, "no certificate").unwrap();
    assert_eq!(with_ca("rediss://redis"), Err(LimiterError::Ca));
    std::fs::write(&path, generate_simple_self_signed(["redis".into()]).unwrap().cert.pem()).unwrap();
    assert_eq!(with_ca("rediss://redis"), Ok(()));
    assert_eq!(with_ca("rediss+sentinel://a,b/master"), Ok(()));
    assert_eq!(with_ca("valkeys+cluster://a,b"), Ok(()));
}

#[test]
fn sentinels_are_asked_by_their_own_port_and_the_master_has_the_credentials() {
    let url = "redis+sentinel://user:p%2Fss@one,two:7000,[::1]/my-master/2";
    let Ok(Target::Sentinel(sentinel)) = open(url) else { panic!("Sentinels") };
    let addresses: Vec<String> = sentinel.sentinels.iter().map(|info| info.addr().to_string()).collect();
    assert_eq!(addresses, ["one:26379", "two:7000", "::1:26379"]);
    assert_eq!(sentinel.master, "my-master");
    let server = sentinel.server("10.0.0.1".into(), 6380).unwrap();
    assert_eq!(parts(&server), ("10.0.0.1:6380".into(), Some("user"), Some("p/ss"), 2));
    let without = sentinel.sentinel(&sentinel.sentinels[0], false).unwrap();
    assert_eq!(parts(&without), ("one:26379".into(), None, None, 0));
    let with = sentinel.sentinel(&sentinel.sentinels[0], true).unwrap();
    assert_eq!(parts(&with), ("one:26379".into(), Some("user"), Some("p/ss"), 0));
}

#[test]
fn what_is_no_address_is_refused() {
    let many = vec!["h"; 65].join(",");
    for url in [
        "redis+sentinel://host",
        "redis+sentinel:///master",
        "redis+sentinel://host,/master",
        "redis+sentinel://host/bad name",
        "redis+sentinel://host/master/db",
        "redis+cluster://",
        "redis+cluster://host/1",
        "redis+cluster://host:port",
        "redis+other://host",
        "http+sentinel://host/master",
        "redis+unix://relative",
        &format!("redis+cluster://{many}"),
    ] {
        assert_eq!(open(url).err(), Some(LimiterError::Url), "{url}");
    }
    assert!(open("redis+cluster://user:pass@one,two:7000/0").is_ok());
}

#[test]
fn what_is_logged_of_it_has_no_password() {
    for url in ["redis://u:s3cret@h", "redis+sentinel://u:s3cret@h/m", "redis+cluster://u:s3cret@h"] {
        assert!(!open(url).unwrap().describe().contains("s3cret"), "{url}");
    }
}
