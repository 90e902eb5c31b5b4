//! How far a server reads ahead of a peer that asks and does not read.

use crate::site::Site;
use crate::support::soon;
use core_executor::{CloseReason, ConnectionLimits, RefusedFor};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const GET: &[u8] = b"GET /hello HTTP/1.1\r\nHost: t\r\n\r\n";

/// The default of `SERVER_MAX_PIPELINED_REQUESTS`; what the sockets between the two hold counts as read by the peer.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn at_most_sixteen_requests_are_read_ahead_of_the_peer() {
    let site = Site::with(|options| {
        options.limits(ConnectionLimits {
            write_stall_timeout: Duration::from_secs(1),
            ..ConnectionLimits::default()
        })
    });
    let mut client = site.client().await;
    client.get("/hello").await;
    let answer = client.answer().await;
    let length = (answer.head.len() + answer.body.len()) as u64;
    let peer = client.addr();
    let flood = GET.repeat(1000);
    let flooding = async {
        // 300 000 of them, if anybody took them.
        for _ in 0..300 {
            if client.stream.write_all(&flood).await.is_err() {
                return true;
            }
        }
        false
    };
    assert!(soon("the cut", flooding).await, "all of them were taken");
    let closed = site.heard.closed(peer);
    assert_eq!(closed.reason, CloseReason::WriteStalled);
    let answered = closed.bytes_out / length;
    assert!(
        answered <= closed.requests && closed.requests <= answered + 16,
        "{answered} answers of {} requests",
        closed.requests
    );
    assert!(site.stage.begun.count() as u64 <= answered + 16);
    assert_eq!(site.metrics.refused(RefusedFor::WriteStall), 1);
    assert_eq!(site.idle_client().await.text("/hello").await, "hello");
}
