//! The program around the library.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::client::{LIMIT, OPENAI, chat, post};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-provider"));
    command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn it_says_where_it_listens_and_leaves_on_sigterm() {
    let mut child = program()
        .args(["--identity", "blue", "--key", "k"])
        .env("PROVIDER_LISTEN", "127.0.0.1:0")
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let line = timeout(LIMIT, lines.next_line()).await.expect("soon").expect("readable").expect("a line");
    let addr = line.strip_prefix("listening on ").and_then(|addr| addr.parse().ok()).expect("an address");
    let answer = post(addr, "/v1/chat/completions", OPENAI, &chat("gpt-4o")).await;
    assert_eq!((answer.status, answer.header("x-fake-identity")), (200, Some("blue")));
    let wrong = post(addr, "/v1/chat/completions", &OPENAI.replace(" k\r", " x\r"), &chat("gpt-4o")).await;
    assert_eq!(wrong.status, 401);
    let pid = child.id().expect("still runs").to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill").success());
    assert!(timeout(LIMIT, child.wait()).await.expect("soon").expect("waits").success());
}

#[tokio::test]
async fn a_taken_port_is_told_with_the_cure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("an address").to_string();
    let out = timeout(LIMIT, program().args(["--listen", &addr]).output()).await.expect("soon").expect("runs");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && said.contains(&addr) && said.contains("--listen"), "{said}");
}

#[tokio::test]
async fn a_folder_without_a_certificate_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let out = timeout(LIMIT, program().args(["--listen", "127.0.0.1:0", "--tls", path]).output()).await;
    let out = out.expect("soon").expect("runs");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && said.contains("tls.crt") && said.contains("--tls"), "{said}");
}

#[tokio::test]
async fn the_help_has_the_table() {
    let out = program().arg("--help").output().await.expect("runs");
    let help = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(help.contains("slow-first[-TIME]") && help.contains("cut-after-done"), "{help}");
}
