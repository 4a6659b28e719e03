//! A relay of plain hyper: its server, its pooled client, one thread, and nothing else. The yardstick for what the relay adds.

use http::{Request, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Relays all requests to one upstream until it is dropped.
pub async fn run(listener: TcpListener, upstream: SocketAddr) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build::<_, Incoming>(connector);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                eprintln!("bare: accept: {error}");
                return;
            }
        };
        // A socket that refuses is closed already.
        let _ = stream.set_nodelay(true);
        let client = client.clone();
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let client = client.clone();
            async move {
                *request.uri_mut() = at(upstream, request.uri())?;
                Ok::<_, anyhow::Error>(client.request(request).await?)
            }
        });
        tokio::spawn(async move {
            // An error closes the client's connection, where the load generator counts it.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn at(upstream: SocketAddr, uri: &Uri) -> Result<Uri, http::Error> {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    Uri::builder().scheme("http").authority(upstream.to_string()).path_and_query(target).build()
}
