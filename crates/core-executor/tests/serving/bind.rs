//! Binding: real ports, names, both families, and errors that name the address.

use crate::client::Client;
use crate::site::Site;
use core_executor::{BindError, BoundListener};
use std::error::Error;

#[test]
fn port_zero_reports_the_real_one() {
    let listener = BoundListener::bind("127.0.0.1", 0).unwrap();
    assert_ne!(listener.local_addr().port(), 0);
    assert!(listener.local_addr().ip().is_loopback());
}

#[test]
fn a_busy_port_is_named() {
    let first = BoundListener::bind("127.0.0.1", 0).unwrap();
    let port = first.local_addr().port();
    let error = BoundListener::bind("127.0.0.1", port).unwrap_err();
    assert!(matches!(error, BindError::Listen { .. }));
    assert_eq!(error.to_string(), format!("cannot listen on 127.0.0.1:{port}"));
    assert!(error.source().unwrap().to_string().contains("in use"));
    drop(first);
    drop(BoundListener::bind("127.0.0.1", port).expect("free again at once"));
}

#[test]
fn an_address_that_is_not_ours_is_named() {
    let error = BoundListener::bind("192.0.2.1", 7).unwrap_err();
    assert_eq!(error.to_string(), "cannot listen on 192.0.2.1:7");
    let error = BoundListener::bind("2001:db8::1", 7).unwrap_err();
    assert_eq!(error.to_string(), "cannot listen on [2001:db8::1]:7");
}

#[test]
fn a_host_without_an_address_is_named() {
    for host in ["", "not a host", "[::1", "127.0.0.1:80"] {
        let error = BoundListener::bind(host, 0).unwrap_err();
        assert!(matches!(error, BindError::Resolve { .. }), "{host}: {error:?}");
        assert_eq!(error.to_string(), format!("`{host}` cannot be resolved"));
    }
}

#[tokio::test]
async fn localhost_is_served() {
    let site = Site::on("localhost", 1, |options| options);
    assert!(site.addr().ip().is_loopback());
    assert_eq!(site.client().await.text("/hello").await, "hello");
}

#[tokio::test]
async fn the_sixth_version_is_served_with_and_without_brackets() {
    if let Err(error) = std::net::TcpListener::bind("[::1]:0") {
        eprintln!("SKIPPED: this machine has no IPv6 loopback ({error})");
        return;
    }
    for host in ["::1", "[::1]"] {
        let site = Site::on(host, 1, |options| options);
        assert!(site.addr().is_ipv6());
        assert_eq!(site.client().await.text("/hello").await, "hello");
    }
}

#[tokio::test]
async fn a_connection_made_before_serving_is_served() {
    let listener = BoundListener::bind("127.0.0.1", 0).unwrap();
    let mut client = Client::connect(listener.local_addr()).await;
    client.get("/").await;
    let executor = core_executor::RuntimeExecutor::with_threads(1).unwrap();
    let service = tower::service_fn(|_| async {
        Ok(http::Response::new(http_body_util::Full::new(
            bytes::Bytes::from("early"),
        )))
    });
    let options = core_executor::ServeOptions::new("early");
    let _server = core_executor::serve(listener, service, options, &executor.spawner()).unwrap();
    assert_eq!(client.answer().await.body, "early");
}

#[tokio::test]
async fn an_executor_that_stopped_serves_nothing_and_lets_the_port_go() {
    let executor = core_executor::RuntimeExecutor::with_threads(1).unwrap();
    let spawner = executor.spawner();
    executor.stop_and_wait(std::time::Duration::ZERO).await;
    let listener = BoundListener::bind("127.0.0.1", 0).unwrap();
    let addr = listener.local_addr();
    let service = tower::service_fn(|_| async {
        Ok(http::Response::new(
            http_body_util::Full::new(bytes::Bytes::new()),
        ))
    });
    let options = core_executor::ServeOptions::new("late");
    assert!(core_executor::serve(listener, service, options, &spawner).is_err());
    assert!(std::net::TcpStream::connect(addr).is_err());
}
