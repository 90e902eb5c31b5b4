//! What holds a connection of HTTP/2 open is bounded, and what floods it ends it.

use crate::client::Client;
use crate::http2::{H2Client, PREFACE, SETTINGS, frame, get, whole};
use crate::site::Site;
use crate::support::{soon, until};
use core_executor::{CloseReason, ConnectionLimits, RefusedFor};
use futures_util::FutureExt;
use h2::Reason;
use http::{HeaderValue, Request};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

const SECOND: Duration = Duration::from_secs(1);

fn site(change: impl FnOnce(&mut ConnectionLimits)) -> Site {
    let mut limits = ConnectionLimits::default();
    change(&mut limits);
    Site::with(|options| options.limits(limits))
}

/// A frame: type, flags, stream and payload (RFC 9113 §4.1).
fn get_hello() -> Vec<u8> {
    get("/hello")
}

/// Waits for the end, however it comes, and says when it came.
async fn end_of(client: &mut Client) -> Duration {
    let begin = Instant::now();
    let mut scrap = [0; 4096];
    while let Ok(1..) = soon("bytes or an end", client.stream.read(&mut scrap)).await {}
    begin.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_preface_that_does_not_come_to_its_end() {
    let site = site(|limits| limits.head_timeout = SECOND);
    for length in [1, 16, 23] {
        let mut client = site.client().await;
        client.send(&PREFACE[..length]).await;
        let took = end_of(&mut client).await;
        assert!(SECOND <= took && took < 2 * SECOND, "{length}: {took:?}");
        assert_eq!(site.heard.closed(client.addr()).reason, CloseReason::HeadTimeout);
    }
    assert_eq!(site.metrics.refused(RefusedFor::HeadTimeout), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_idle_connection_gets_goaway_at_its_limit() {
    let site = site(|limits| limits.keep_alive = SECOND);
    let mut client = H2Client::connect(&site).await;
    assert_eq!(client.text("/hello").await, "hello");
    let (begin, addr) = (Instant::now(), client.addr);
    assert!(client.ended().await.is_ok(), "GOAWAY without an error");
    let took = begin.elapsed();
    assert!(
        SECOND <= took + Duration::from_millis(50) && took < 2 * SECOND,
        "{took:?}"
    );
    assert_eq!(site.heard.closed(addr).reason, CloseReason::Idle);

    // One that has never asked, and does not answer the ping behind the GOAWAY.
    let mut silent = site.client().await;
    silent.send([PREFACE, SETTINGS].concat()).await;
    let took = end_of(&mut silent).await;
    assert!(SECOND <= took && took < 3 * SECOND, "{took:?}");
    assert_eq!(site.heard.closed(silent.addr()).reason, CloseReason::Idle);
    assert_eq!(site.metrics.refused(RefusedFor::Idle), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_with_a_request_under_way_is_not_idle() {
    let site = site(|limits| limits.keep_alive = Duration::from_millis(200));
    let mut client = H2Client::connect(&site).await;
    let (slow, _) = client.ask("/slow", false).await;
    tokio::time::sleep(SECOND).await;
    site.stage.permits.add_permits(1);
    assert_eq!(whole(soon("an answer", slow).await.unwrap()).await, b"slow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_that_opens_no_window_is_reset_at_the_limit() {
    let site = site(|limits| limits.write_stall_timeout = SECOND);
    let mut client = H2Client::connect(&site).await;
    let (big, _) = client.ask("/big", false).await;
    let _unread = soon("an answer", big).await.unwrap();
    let begin = Instant::now();
    let addr = client.addr;
    let waiting = tokio::task::spawn_blocking(move || (site.heard.closed(addr), site));
    // The client's own task goes on meanwhile.
    let (closed, _site) = waiting.await.unwrap();
    let took = begin.elapsed();
    assert_eq!(closed.reason, CloseReason::WriteStalled);
    assert!(SECOND / 2 <= took && took < 2 * SECOND, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_that_does_not_read_its_socket_is_reset_at_the_limit() {
    let site = site(|limits| limits.write_stall_timeout = SECOND);
    let mut client = site.client().await;
    // A window of 2^31-1 for the stream and the connection, so that only the socket can be full.
    let settings = frame(4, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
    let window = frame(8, 0, 0, &0x7fff_0000_u32.to_be_bytes());
    let get_big = [&[0x82, 0x86, 0x04, 4], &b"/big"[..], &[0x01, 1], b"t"].concat();
    let request = frame(1, 5, 1, &get_big);
    client
        .send([PREFACE, &settings, &window, &request].concat())
        .await;
    let begin = Instant::now();
    let closed = site.heard.closed(client.addr());
    let took = begin.elapsed();
    assert_eq!(closed.reason, CloseReason::WriteStalled);
    assert!(SECOND <= took && took < 3 * SECOND, "{took:?}");
    assert_eq!(site.metrics.refused(RefusedFor::WriteStall), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn fields_past_the_limit_get_431_and_leave_the_connection() {
    let site = site(|limits| limits.max_head_size = 4096);
    let mut client = H2Client::connect(&site).await;
    let large = HeaderValue::from_bytes(&[b'x'; 5000]).unwrap();
    let request = Request::get("http://localhost/hello")
        .header("x-large", large)
        .body(())
        .unwrap();
    client.requests = client.requests.clone().ready().await.unwrap();
    let (answer, _) = client.requests.send_request(request, true).unwrap();
    assert_eq!(soon("an answer", answer).await.unwrap().status(), 431);
    assert_eq!(client.text("/hello").await, "hello");
    assert_eq!(site.metrics.refused(RefusedFor::HeadSize), 1);
    // What comes with a length of its own, in names, values and 32 bytes each (RFC 9113 §6.5.2).
    let others = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", "/hello"),
    ];
    let others: usize = others
        .iter()
        .map(|(name, value)| name.len() + value.len() + 32)
        .sum();
    let room = 4096 - others - "x-large".len() - 32;
    for (length, status) in [(room, 200), (room + 1, 431), (9000, 431)] {
        let large = HeaderValue::from_bytes(&vec![b'x'; length]).unwrap();
        let request = Request::get("http://localhost/hello").header("x-large", large);
        client.requests = client.requests.clone().ready().await.unwrap();
        let request = request.body(()).unwrap();
        let (answer, _) = client.requests.send_request(request, true).unwrap();
        assert_eq!(
            soon("an answer", answer).await.unwrap().status(),
            status,
            "{length}"
        );
    }
    assert_eq!(site.stage.begun.count(), 2, "handlers that have begun");
    assert_eq!(
        site.metrics.refused(RefusedFor::HeadSize),
        2,
        "h2 alone sees the last one"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_body_that_stops_gets_408_and_leaves_the_other_streams() {
    let limit = Duration::from_millis(300);
    let site = site(|limits| limits.body_stall_timeout = limit);
    let mut client = H2Client::connect(&site).await;
    let (other, _) = client.ask("/slow", false).await;
    until("the other request is under way", || site.stage.begun.count() == 1);
    for (round, begun) in (1..).zip([&b""[..], b"half"]) {
        let (answer, mut body) = client.ask("/echo", true).await;
        if !begun.is_empty() {
            body.send_data(begun.into(), false).unwrap();
        }
        let begin = Instant::now();
        let answer = soon("an answer", answer).await.unwrap();
        let took = begin.elapsed();
        assert!(
            limit <= took + Duration::from_millis(20) && took < limit + SECOND,
            "{took:?}"
        );
        assert_eq!(answer.status(), 408);
        assert_eq!(
            String::from_utf8(whole(answer).await).unwrap(),
            r#"{"message":"request body not received in time"}"#
        );
        until("the handler is gone", || {
            site.stage.handlers_gone.count() == round
        });
        // Nothing more of the body is wanted (RFC 9113 §8.1).
        let reset = std::future::poll_fn(|cx| body.poll_reset(cx));
        let reset = soon("a reset of the stream", reset).await.unwrap();
        assert_eq!(reset, Reason::NO_ERROR);
        assert_eq!(site.metrics.refused(RefusedFor::BodyStall), round as u64);
    }
    site.stage.permits.add_permits(1);
    assert_eq!(whole(soon("an answer", other).await.unwrap()).await, b"slow");
    assert_eq!(
        site.heard.closed(client.leave().await).reason,
        CloseReason::Finished
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_body_that_goes_on_or_is_not_waited_for_may_take_any_time() {
    let limit = Duration::from_millis(300);
    let site = site(|limits| limits.body_stall_timeout = limit);
    let mut client = H2Client::connect(&site).await;
    // Its handler does not read its body.
    let (unread, _body) = client.ask("/slow", true).await;
    let (echo, mut body) = client.ask("/echo", true).await;
    for _ in 0..8 {
        tokio::time::sleep(limit / 4).await;
        body.send_data("x".into(), false).unwrap();
    }
    body.send_data("".into(), true).unwrap();
    assert_eq!(whole(soon("an answer", echo).await.unwrap()).await, b"xxxxxxxx");
    site.stage.permits.add_permits(1);
    assert_eq!(soon("an answer", unread).await.unwrap().status(), 200);
    assert_eq!(site.metrics.refused(RefusedFor::BodyStall), 0);
}

/// The limit is off.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_a_limit_a_body_may_stop() {
    let site = site(|limits| limits.body_stall_timeout = Duration::ZERO);
    let mut client = H2Client::connect(&site).await;
    let (echo, mut body) = client.ask("/echo", true).await;
    body.send_data("a".into(), false).unwrap();
    tokio::time::sleep(SECOND / 2).await;
    body.send_data("b".into(), true).unwrap();
    assert_eq!(whole(soon("an answer", echo).await.unwrap()).await, b"ab");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn more_fields_than_allowed_get_431_and_no_handler() {
    let site = site(|limits| limits.max_headers = 8);
    let mut client = H2Client::connect(&site).await;
    let (other, _) = client.ask("/slow", false).await;
    until("the other request is under way", || site.stage.begun.count() == 1);
    for (fields, status) in [(8, 200), (9, 431), (200, 431), (8, 200)] {
        let mut request = Request::get("http://localhost/hello").body(()).unwrap();
        for _ in 0..fields {
            request
                .headers_mut()
                .append("x-many", HeaderValue::from_static("1"));
        }
        client.requests = client.requests.clone().ready().await.unwrap();
        let (answer, _) = client.requests.send_request(request, true).unwrap();
        let answer = soon("an answer", answer).await.unwrap();
        assert_eq!(answer.status(), status, "{fields} fields");
    }
    assert_eq!(site.stage.begun.count(), 3, "handlers that have begun");
    assert_eq!(site.metrics.refused(RefusedFor::HeaderCount), 2);
    site.stage.permits.add_permits(1);
    assert_eq!(whole(soon("an answer", other).await.unwrap()).await, b"slow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn streams_past_the_limit_wait_for_a_place() {
    let site = Site::open();
    let mut client = H2Client::connect(&site).await;
    assert_eq!(client.text("/hello").await, "hello");
    assert_eq!(client.requests.current_max_send_streams(), 128);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn rapid_reset() {
    let site = Site::open();
    let mut client = site.client().await;
    let mut flood = [PREFACE, SETTINGS].concat();
    for number in 0..2000_u32 {
        let stream = 2 * number + 1;
        flood.extend(frame(1, 5, stream, &get_hello()));
        flood.extend(frame(3, 0, stream, &u32::from(Reason::CANCEL).to_be_bytes()));
    }
    let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, &flood).await;
    end_of(&mut client).await;
    assert_eq!(site.heard.closed(client.addr()).reason, CloseReason::BadRequest);
    assert!(site.stage.begun.count() <= 1000, "{}", site.stage.begun.count());
    assert_eq!(site.metrics.refused(RefusedFor::Malformed), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn resets_one_by_one_of_requests_that_are_never_awaited() {
    let site = Site::open();
    let mut client = H2Client::connect(&site).await;
    // A connection that the server has not seen yet would look like one that is gone.
    until("the connection is accepted", || site.server.connections() == 1);
    let mut asked = 0;
    let ended = loop {
        let Ok(ready) = client.requests.clone().ready().await else {
            break true;
        };
        client.requests = ready;
        let request = Request::get("http://localhost/never").body(()).unwrap();
        let Ok((_, mut stream)) = client.requests.send_request(request, true) else {
            break true;
        };
        asked += 1;
        // A reset before the request is on its way would be none for the server.
        // The server may have ended it before the client has heard, and the other way round.
        let is_over = || {
            let ready = client.requests.clone().ready().now_or_never();
            site.server.connections() == 0 || ready.is_some_and(|ready| ready.is_err())
        };
        until("the handler runs, or the connection is gone", || {
            site.stage.begun.count() >= asked || is_over()
        });
        let is_over = is_over();
        stream.send_reset(Reason::CANCEL);
        if is_over {
            break true;
        }
        tokio::task::yield_now().await;
        if asked > 2000 {
            break false;
        }
    };
    assert!(ended, "{asked} requests were taken");
    assert_eq!(site.heard.closed(client.addr).reason, CloseReason::BadRequest);
}

/// Nothing is looked at by the clock here, so only the last reset itself can end the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_peer_whose_resets_were_too_many_is_ended_though_it_falls_silent() {
    let site = site(|limits| {
        limits.keep_alive = Duration::ZERO;
        limits.write_stall_timeout = Duration::ZERO;
    });
    let mut client = site.client().await;
    client.send([PREFACE, SETTINGS].concat()).await;
    // One more than may come to nothing.
    for number in 0..201_u32 {
        let stream = 2 * number + 1;
        client.send(frame(1, 5, stream, &get("/never"))).await;
        until("its handler runs", || site.stage.begun.count() > number as usize);
        let reset = frame(3, 0, stream, &u32::from(Reason::CANCEL).to_be_bytes());
        client.send(reset).await;
        until("its handler is gone", || {
            site.stage.handlers_gone.count() > number as usize
        });
    }
    end_of(&mut client).await;
    assert_eq!(site.heard.closed(client.addr()).reason, CloseReason::BadRequest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn floods_and_faults_end_the_connection() {
    let site = Site::open();
    let continuation: Vec<u8> = (0..2000)
        .flat_map(|_| frame(9, 0, 1, &[0x00, 1, b'a', 1, b'b']))
        .collect();
    let rows: [(&str, Vec<u8>); 7] = [
        (
            "CVE-2024-27316: CONTINUATION without end",
            [frame(1, 1, 1, &get_hello()), continuation].concat(),
        ),
        ("RFC 9113 §5.1.1: an even stream", frame(1, 5, 2, &get_hello())),
        (
            "RFC 9113 §4.2: a frame that is too large",
            frame(0, 0, 1, &[0; 20_000]),
        ),
        ("RFC 9113 §6.1: DATA on stream 0", frame(0, 0, 0, b"x")),
        (
            "RFC 9113 §6.9.1: a window past 2^31-1",
            frame(8, 0, 0, &0x7fff_ffff_u32.to_be_bytes()),
        ),
        (
            "RFC 9113 §4.3: fields that cannot be decoded",
            frame(1, 5, 1, &[0xff; 8]),
        ),
        ("RFC 9113 §6.10: CONTINUATION out of place", frame(9, 4, 1, b"")),
    ];
    for (what, bytes) in rows {
        let mut client = site.client().await;
        let all = [PREFACE, SETTINGS, &bytes].concat();
        let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, &all).await;
        end_of(&mut client).await;
        assert_eq!(
            site.heard.closed(client.addr()).reason,
            CloseReason::BadRequest,
            "{what}"
        );
    }
    assert_eq!(site.metrics.refused(RefusedFor::Malformed), 7);
    assert_eq!(site.idle_client().await.text("/hello").await, "hello");
}
