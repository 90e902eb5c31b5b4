//! What a connection may take of time and space, and pipelined answers.

use crate::client::Client;
use crate::site::Site;
use crate::support::{soon, until};
use core_executor::{CloseReason, ConnectionLimits, RefusedFor};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_millis(300);
const SLACK: Duration = Duration::from_millis(1000);
const OFF: ConnectionLimits = ConnectionLimits {
    first_byte_timeout: Duration::ZERO,
    head_timeout: Duration::ZERO,
    body_stall_timeout: Duration::ZERO,
    keep_alive: Duration::ZERO,
    write_stall_timeout: Duration::ZERO,
    max_head_size: 0,
    max_headers: 0,
    max_pipelined_requests: 0,
};

fn limited(limits: ConnectionLimits) -> Site {
    Site::with(|options| options.limits(limits))
}

fn about(limit: Duration, took: Duration) {
    assert!(
        took >= limit - Duration::from_millis(20) && took < limit + SLACK,
        "{took:?}"
    );
}

/// The connection is over for this reason, which was counted once and no other.
async fn ended(site: &Site, client: &mut Client, reason: CloseReason, counted: RefusedFor) {
    assert!(client.rest().await.is_empty());
    assert_eq!(site.heard.closed(client.addr()).reason, reason);
    for other in RefusedFor::ALL {
        let expected = u64::from(*other == counted);
        assert_eq!(site.metrics.refused(*other), expected, "{other:?}");
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")
}

#[tokio::test]
async fn a_silent_connection_is_closed_without_a_word() {
    let site = limited(ConnectionLimits {
        first_byte_timeout: LIMIT,
        ..OFF
    });
    let mut client = site.client().await;
    let begin = Instant::now();
    ended(
        &site,
        &mut client,
        CloseReason::Idle,
        RefusedFor::FirstByteTimeout,
    )
    .await;
    about(LIMIT, begin.elapsed());
}

#[tokio::test]
async fn empty_lines_are_no_first_byte() {
    let site = limited(ConnectionLimits {
        first_byte_timeout: LIMIT,
        ..OFF
    });
    let mut client = site.client().await;
    let begin = Instant::now();
    client.send("\r\n\r\n").await;
    ended(
        &site,
        &mut client,
        CloseReason::Idle,
        RefusedFor::FirstByteTimeout,
    )
    .await;
    about(LIMIT, begin.elapsed());
    let mut client = site.client().await;
    client.send("\r\n\r\n").await;
    assert_eq!(client.text("/hello").await, "hello");
}

#[tokio::test]
async fn half_a_head_gets_408_at_its_limit_also_after_other_requests() {
    let site = limited(ConnectionLimits {
        head_timeout: LIMIT,
        ..OFF
    });
    let mut client = site.idle_client().await;
    let begin = Instant::now();
    client.send("GET /hello HTTP/1.1\r\nHo").await;
    let answer = client.answer().await;
    about(LIMIT, begin.elapsed());
    assert_eq!(answer.status, 408);
    assert_eq!(answer.body, r#"{"message":"request head not received in time"}"#);
    assert!(answer.head.contains("connection: close\r\n"), "{}", answer.head);
    assert!(answer.head.contains("date: "), "{}", answer.head);
    ended(
        &site,
        &mut client,
        CloseReason::HeadTimeout,
        RefusedFor::HeadTimeout,
    )
    .await;
}

#[tokio::test]
async fn an_answer_that_is_owed_goes_out_before_the_refusal_behind_it() {
    for (behind, status) in [("GET / HT", 408), ("GET / HTTP/1.1\nHost: t\r\n\r\n", 400)] {
        let site = limited(ConnectionLimits {
            head_timeout: LIMIT,
            ..OFF
        });
        let mut client = site.client().await;
        client.send(get("/slow") + &get("/hello") + behind).await;
        tokio::time::sleep(LIMIT + SLACK / 4).await;
        site.stage.permits.add_permits(1);
        assert_eq!(client.answer().await.body, "slow");
        assert_eq!(client.answer().await.body, "hello");
        assert_eq!(client.answer().await.status, status);
        assert!(client.rest().await.is_empty());
        assert_eq!(site.heard.closed(client.addr()).requests, 2);
    }
}

#[tokio::test]
async fn a_body_that_stops_gets_408_and_its_handler_is_dropped() {
    let site = limited(ConnectionLimits {
        body_stall_timeout: LIMIT,
        ..OFF
    });
    for framing in [
        "Content-Length: 10\r\n\r\nhalf",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nha",
    ] {
        let before = site.stage.handlers_gone.count();
        let mut client = site.client().await;
        client
            .send(format!("POST /echo HTTP/1.1\r\nHost: t\r\n{framing}"))
            .await;
        let begin = Instant::now();
        assert_eq!(client.answer().await.status, 408);
        about(LIMIT, begin.elapsed());
        assert!(client.rest().await.is_empty());
        assert_eq!(site.heard.closed(client.addr()).reason, CloseReason::BodyStalled);
        until("the handler is gone", || {
            site.stage.handlers_gone.count() == before + 1
        });
    }
    assert_eq!(site.metrics.refused(RefusedFor::BodyStall), 2);
}

#[tokio::test]
async fn a_body_that_goes_on_may_take_any_time() {
    let site = limited(ConnectionLimits {
        body_stall_timeout: LIMIT,
        ..OFF
    });
    let mut client = site.client().await;
    client
        .send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 8\r\n\r\n")
        .await;
    for _ in 0..8 {
        tokio::time::sleep(LIMIT / 4).await;
        client.send("x").await;
    }
    assert_eq!(client.answer().await.body, "xxxxxxxx");
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_reset() {
    let site = limited(ConnectionLimits {
        write_stall_timeout: LIMIT,
        ..OFF
    });
    let mut client = site.busy_client("/big").await;
    client.raw(10).await;
    let begin = Instant::now();
    let closed = site.heard.closed(client.addr());
    assert!(begin.elapsed() < LIMIT * 2 + SLACK, "{:?}", begin.elapsed());
    assert_eq!(closed.reason, CloseReason::WriteStalled);
    assert_eq!(site.metrics.refused(RefusedFor::WriteStall), 1);
    let mut sink = vec![0; 1 << 20];
    let end = loop {
        use tokio::io::AsyncReadExt;
        match soon("the end", client.stream.read(&mut sink)).await {
            Ok(1..) => {}
            end => break end,
        }
    };
    let error = end.expect_err("a reset and no orderly end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn heads_are_bounded_to_the_byte_and_to_the_field() {
    let site = limited(ConnectionLimits {
        max_head_size: 1000,
        max_headers: 3,
        ..OFF
    });
    let head = |length: usize| {
        let fixed = get("/hello").len() + "A: \r\n".len();
        format!(
            "GET /hello HTTP/1.1\r\nHost: t\r\nA: {}\r\n\r\n",
            "a".repeat(length - fixed)
        )
    };
    let fields = |count| {
        format!(
            "GET /hello HTTP/1.1\r\nHost: t\r\n{}\r\n",
            "A: b\r\n".repeat(count)
        )
    };
    let long_target = get(&format!("/{}", "a".repeat(1000)));
    for (request, status) in [
        (head(1000), 200),
        (head(1001), 431),
        (fields(2), 200),
        (fields(3), 431),
        (long_target, 414),
    ] {
        let mut client = site.client().await;
        client.send(&request).await;
        assert_eq!(client.answer().await.status, status, "{request}");
        if status != 200 {
            assert!(client.rest().await.is_empty());
            let closed = site.heard.closed(client.addr());
            assert_eq!((closed.reason, closed.requests), (CloseReason::HeadTooLarge, 0));
        }
    }
    assert_eq!(site.metrics.refused(RefusedFor::HeadSize), 2);
    assert_eq!(site.metrics.refused(RefusedFor::HeaderCount), 1);
}

#[tokio::test]
async fn a_hundred_mebibytes_of_header_are_cut_before_64_kib_are_read() {
    let site = Site::open();
    let client = site.client().await;
    let peer = client.addr();
    let (reader, mut writer) = client.stream.into_split();
    let flood = tokio::spawn(async move {
        let piece = [b'a'; 64 * 1024];
        let _ = writer.write_all(b"GET /hello HTTP/1.1\r\nHost: t\r\nA: ").await;
        for _ in 0..1600 {
            if writer.write_all(&piece).await.is_err() {
                break;
            }
        }
        writer
    });
    let writer = soon("the cut", flood).await.unwrap();
    let closed = site.heard.closed(peer);
    assert_eq!((closed.reason, closed.requests), (CloseReason::HeadTooLarge, 0));
    assert!(closed.bytes_in < 64 * 1024, "{closed:?}");
    let mut client = Client::from_stream(reader.reunite(writer).unwrap());
    assert_eq!(client.answer().await.status, 431);
}

#[tokio::test]
async fn with_every_limit_off_a_slow_peer_is_served() {
    let site = limited(OFF);
    let mut client = site.client().await;
    tokio::time::sleep(LIMIT).await;
    for part in ["GET /hel", "lo HTTP/1.1\r\nHo", "st: t\r\n\r\n"] {
        client.send(part).await;
        tokio::time::sleep(LIMIT / 2).await;
    }
    assert_eq!(client.answer().await.body, "hello");
    let fields = "A: b\r\n".repeat(4000);
    client
        .send(format!("GET /hello HTTP/1.1\r\nHost: t\r\n{fields}\r\n"))
        .await;
    assert_eq!(client.answer().await.body, "hello");
    client.send(get("/hello").repeat(1000)).await;
    for _ in 0..1000 {
        assert_eq!(client.answer().await.body, "hello");
    }
    assert!(
        RefusedFor::ALL
            .iter()
            .all(|reason| site.metrics.refused(*reason) == 0)
    );
}

#[tokio::test]
async fn no_more_requests_are_taken_than_may_be_unanswered() {
    let site = limited(ConnectionLimits {
        max_pipelined_requests: 3,
        ..OFF
    });
    let mut client = site.client().await;
    client.send(get("/slow").repeat(200)).await;
    until("it is held up", || {
        site.metrics.refused(RefusedFor::Pipelined) == 1
    });
    until("the first handler runs", || site.stage.begun.count() > 0);
    assert_eq!(site.stage.begun.count(), 1);
    site.stage.permits.add_permits(200);
    for _ in 0..200 {
        assert_eq!(client.answer().await.body, "slow");
    }
    assert_eq!(client.text("/hello").await, "hello");
    let peer = client.addr();
    drop(client);
    assert_eq!(site.heard.closed(peer).reason, CloseReason::Finished);
}

#[tokio::test]
async fn requests_behind_the_limit_are_no_half_heads() {
    let site = limited(ConnectionLimits {
        head_timeout: LIMIT,
        keep_alive: LIMIT,
        max_pipelined_requests: 1,
        ..OFF
    });
    let mut client = site.client().await;
    client.send(get("/slow").repeat(3)).await;
    tokio::time::sleep(LIMIT * 2).await;
    site.stage.permits.add_permits(3);
    for _ in 0..3 {
        assert_eq!(client.answer().await.body, "slow");
    }
    let begin = Instant::now();
    assert!(client.rest().await.is_empty());
    about(LIMIT, begin.elapsed());
}

#[tokio::test]
async fn an_answer_never_waits_for_the_handler_behind_it() {
    let site = limited(OFF);
    let mut client = site.client().await;
    client
        .send(get("/hello").repeat(5) + &get("/slow") + &get("/hello"))
        .await;
    for _ in 0..5 {
        assert_eq!(client.answer().await.body, "hello");
    }
    site.stage.permits.add_permits(1);
    assert_eq!(client.answer().await.body, "slow");
    assert_eq!(client.answer().await.body, "hello");
}

#[tokio::test]
async fn answers_before_one_that_fails_are_not_lost() {
    for path in ["/broken", "/panic"] {
        let site = limited(OFF);
        let mut client = site.client().await;
        client.send(get("/hello").repeat(3) + &get(path)).await;
        for _ in 0..3 {
            assert_eq!(client.answer().await.body, "hello", "{path}");
        }
        client.rest().await;
    }
}

#[tokio::test]
async fn more_than_is_kept_back_is_written_in_order() {
    let site = limited(OFF);
    let mut client = site.client().await;
    let body = "b".repeat(30_000);
    let post = format!("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 30000\r\n\r\n{body}");
    client.send(post.repeat(8) + &get("/big") + &get("/hello")).await;
    for _ in 0..8 {
        assert_eq!(client.answer().await.body, body);
    }
    assert_eq!(client.answer().await.body.len(), crate::site::BIG);
    assert_eq!(client.answer().await.body, "hello");
}
