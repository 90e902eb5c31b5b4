//! What is refused, how, and what it costs.

use crate::support::{Http, Kind, Lab, PATIENCE, config, until};
use longpoll_bridge::{LongPollBridge, LongPollConfig};
use std::time::{Duration, Instant};
use ws_server::Refusal;

const UNKNOWN: &str = "lps_0123456789abcdef0123456789abcdef";

fn as_session(lab: &Lab, id: &str) -> Http {
    Http::new(lab.http_addr()).header("Longpoll-Session", id)
}

#[test]
fn ids_that_are_malformed_unknown_or_missing() {
    let lab = Lab::echo(config());
    let malformed = "malformed session_id or room";
    for id in [
        "x",
        "lps_",
        "lps_0123",
        &UNKNOWN.to_uppercase(),
        &format!("{UNKNOWN}0"),
        "broadcast",
    ] {
        let mut http = as_session(&lab, id);
        http.get("/ws/session/poll").unwrap().expect_error(400, malformed);
        http.get("/ws/session/events")
            .unwrap()
            .expect_error(400, malformed);
        http.post("/ws/session/send", "{}")
            .unwrap()
            .expect_error(400, malformed);
        http.post("/ws/session/close", "")
            .unwrap()
            .expect_error(400, malformed);
    }
    let mut http = as_session(&lab, UNKNOWN);
    http.get("/ws/session/poll")
        .unwrap()
        .expect_error(404, "unknown session");
    http.get("/ws/session/events")
        .unwrap()
        .expect_error(404, "unknown session");
    http.post("/ws/session/send", "{}")
        .unwrap()
        .expect_error(404, "unknown session");
    http.post("/ws/session/close", "")
        .unwrap()
        .expect_error(404, "unknown session");
    let missing = "name the session in the header Longpoll-Session";
    let mut http = Http::new(lab.http_addr());
    http.get("/ws/session/poll").unwrap().expect_error(400, missing);
    let id = lab.client(Kind::Poll).id;
    // A page of another site can send no header of its own: the query is not enough to change anything.
    let target = format!("/ws/session/send?session_id={id}");
    http.post(&target, "{}").unwrap().expect_error(400, missing);
    http.get(&format!("/ws/session/poll?session_id={UNKNOWN}"))
        .unwrap()
        .expect_error(404, "unknown session");
    // The id of a session is no mailbox, and a mailbox no session.
    http.get(&format!("/ws/poll?session_id={id}"))
        .unwrap()
        .expect_error(404, "unknown session_id");
}

#[test]
fn cursors_from_past_and_future_and_of_no_form_at_all() {
    let lab = Lab::echo(config());
    let mut client = lab.client(Kind::Poll);
    let session = lab.session();
    session.send_text("1");
    session.send_text("2");
    client.expect("1");
    client.expect("2");
    client.acknowledge().unwrap();
    let mut http = as_session(&lab, &client.id);
    let ahead = "the cursor is ahead of the session";
    let behind = "the cursor is behind what was acknowledged";
    for path in ["poll", "events"] {
        let mut get = |cursor: &str| http.get(&format!("/ws/session/{path}?cursor={cursor}")).unwrap();
        get("3").expect_error(400, ahead);
        get("9007199254740991").expect_error(400, ahead);
        get("1").expect_error(409, behind);
        for wrong in ["", "x", "-1", "1.5", "9007199254740992"] {
            get(wrong).expect_error(400, "'cursor' must be a whole number");
        }
    }
    http.post("/ws/session/send", r#"{"cursor":3}"#)
        .unwrap()
        .expect_error(400, ahead);
    let mut stream = as_session(&lab, &client.id).header("Last-Event-ID", "3");
    stream.get("/ws/session/events").unwrap().expect_error(400, ahead);
    http.get("/ws/session/poll?max=x")
        .unwrap()
        .expect_error(400, "'max' must be a whole number");
    session.send_text("3");
    client.expect("3");
}

#[test]
fn a_late_poll_disturbs_nobody() {
    let lab = Lab::echo(config());
    let mut client = lab.client(Kind::Poll);
    let session = lab.session();
    session.send_text("1");
    client.expect("1");
    let mut late = as_session(&lab, &client.id);
    let waiting = std::thread::spawn(move || client.expect("2"));
    until("it waits", || lab.bridge.waiting() == 1);
    late.get("/ws/session/poll?cursor=0")
        .unwrap()
        .expect_error(409, "the cursor is behind what was acknowledged");
    assert_eq!(lab.bridge.waiting(), 1);
    session.send_text("2");
    waiting.join().unwrap();
}

#[test]
fn bodies_that_are_too_large_or_not_what_is_sent() {
    let lab = Lab::echo(LongPollConfig {
        ring_bytes: 100_000,
        ..config()
    });
    let client = lab.client(Kind::Poll);
    let mut http = as_session(&lab, &client.id);
    let mut send = |body: &str| http.post("/ws/session/send", body).unwrap();
    let form = "the body must be numbered messages and a cursor";
    for body in [
        "",
        "x",
        "[]",
        "null",
        r#"{"messages":[{"seq":1}]}"#,
        r#"{"messages":1}"#,
    ] {
        send(body).expect_error(400, form);
    }
    send(&"[".repeat(50_000)).expect_error(400, "JSON body is nested too deeply");
    send(r#"{"messages":[{"seq":1,"text":"a"},{"seq":3,"text":"b"}]}"#)
        .expect_error(400, "the messages are not in the order of their numbers");
    send(r#"{"messages":[{"seq":2,"text":"b"}]}"#).expect_error(409, "messages before these are missing");
    let long = format!(r#"{{"messages":[{{"seq":1,"text":"{}"}}]}}"#, "x".repeat(65_537));
    send(&long).expect_error(413, "a message is too large");
    send(&"x".repeat(100_001)).expect_error(413, "request body too large");
    assert_eq!(lab.metric("ws_messages_in_total"), 0.0, "nothing was applied");
    let fits = format!(r#"{{"messages":[{{"seq":1,"text":"{}"}}]}}"#, "x".repeat(65_536));
    assert_eq!(send(&fits).status, 200);
    let wish = "the code must be 1000 or 3000 to 4999, the reason at most 123 bytes";
    for body in [r#"{"code":1006}"#, r#"{"code":5000}"#, r#"{"code":0}"#] {
        http.post("/ws/session/close", body)
            .unwrap()
            .expect_error(400, wish);
    }
    http.post("/ws/session/close", r#"{"code":"1000"}"#)
        .unwrap()
        .expect_error(400, form);
}

#[test]
fn a_page_of_another_host_and_a_hook_that_says_no() {
    let lab = Lab::start(config(), |server| {
        server.authorize(|request| {
            let is_known = request.header("x-user").is_some();
            async move {
                is_known
                    .then_some(())
                    .ok_or(Refusal::new(http::StatusCode::UNAUTHORIZED, "who are you?"))
            }
        })
    });
    let known = || Http::new(lab.http_addr()).header("x-user", "ann");
    let id = known().post("/ws/session", "").unwrap().json()["session"]
        .as_str()
        .unwrap()
        .to_owned();
    let requests = [
        ("POST", "/ws/session"),
        ("GET", "/ws/session/poll"),
        ("GET", "/ws/session/events"),
        ("POST", "/ws/session/send"),
        ("POST", "/ws/session/close"),
    ];
    for (method, target) in requests {
        let ask = |http: Http| {
            let mut http = http.header("Longpoll-Session", &*id);
            match method {
                "GET" => http.get(target),
                _ => http.post(target, "{}"),
            }
        };
        ask(known().header("Origin", "https://evil.example"))
            .unwrap()
            .expect_error(403, "origin not allowed");
        ask(Http::new(lab.http_addr()))
            .unwrap()
            .expect_error(401, "who are you?");
    }
    assert_eq!(lab.bridge.sessions(), 1, "it is still there");
}

#[test]
fn an_id_is_of_no_use_to_who_does_not_show_what_it_is_bound_to() {
    let lab = Lab::echo(LongPollConfig {
        bound_cookies: vec!["sid".to_owned()],
        ..config()
    });
    let owner = || {
        Http::new(lab.http_addr())
            .header("Authorization", "Bearer 1")
            .header("Cookie", "theme=dark; sid=7")
    };
    let mut opening = owner().header("Origin", "http://127.0.0.1:8080");
    let id = opening.post("/ws/session", "").unwrap().json()["session"]
        .as_str()
        .unwrap()
        .to_owned();
    let session = lab.session();
    session.send_text("secret");
    let anybody = || Http::new(lab.http_addr());
    for thief in [
        anybody(),
        anybody().header("Authorization", "Bearer 1"),
        anybody().header("Cookie", "sid=7"),
        anybody()
            .header("Authorization", "Bearer 2")
            .header("Cookie", "sid=7"),
        anybody()
            .header("Authorization", "Bearer 1")
            .header("Cookie", "sid=8"),
        owner().header("Origin", "http://127.0.0.1:9999"),
    ] {
        let mut thief = thief.header("Longpoll-Session", &*id);
        thief
            .get("/ws/session/poll")
            .unwrap()
            .expect_error(404, "unknown session");
        thief
            .post("/ws/session/send", "{}")
            .unwrap()
            .expect_error(404, "unknown session");
        thief
            .get("/ws/session/events")
            .unwrap()
            .expect_error(404, "unknown session");
    }
    // The owner, from another page's worth of cookies, and without an origin, as a GET to the same one.
    let mut owner = owner().header("Longpoll-Session", &*id);
    assert!(owner.get("/ws/session/poll").unwrap().text().contains("secret"));
}

#[test]
fn a_flood_of_sessions_is_bounded_in_all_and_for_an_address_and_goes_again() {
    let flood = |max_sessions, max_sessions_per_address, status, error: &str| {
        let lab = Lab::echo(LongPollConfig {
            max_sessions,
            max_sessions_per_address,
            session_ttl: Duration::from_millis(300),
            ..config()
        });
        let mut http = Http::new(lab.http_addr());
        let began = Instant::now();
        let (mut made, mut refused) = (0, 0);
        while made + refused < 300 {
            let reply = http.post("/ws/session", "").unwrap();
            if reply.status == 201 {
                made += 1;
                continue;
            }
            refused += 1;
            reply.expect_error(status, error);
            assert!(reply.header("retry-after").is_some());
            assert!(lab.bridge.sessions() <= 50);
        }
        // Some may have gone meanwhile on a slow machine, and others come in their place.
        assert!(
            made >= 50 && (made == 50 || began.elapsed() >= Duration::from_millis(300)),
            "{made}"
        );
        until("all gone", || lab.bridge.sessions() == 0);
        until("and their counts", || lab.metric("ws_lp_sessions_active") == 0.0);
        assert_eq!(
            (lab.hub.sessions(), lab.metric("ws_resumable_sessions_active")),
            (0, 0.0)
        );
        assert_eq!(http.post("/ws/session", "").unwrap().status, 201);
    };
    flood(50, 0, 503, "too many sessions, try again later");
    flood(1000, 50, 429, "too many sessions from this address");
}

#[test]
fn a_million_guesses_hit_nothing() {
    let lab = Lab::echo(config());
    let _sessions: Vec<_> = (0..20).map(|_| lab.client(Kind::Poll)).collect();
    let resumption = lab.hub.resumption().unwrap();
    let shown = resumption.binding(&http::HeaderMap::new());
    let mut guess = 0x0123_4567_89ab_cdef_u128;
    let hits = (0..1_000_000)
        .filter(|_| {
            guess = guess
                .wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645)
                .wrapping_add(1);
            let id = format!("lps_{guess:032x}").parse().unwrap();
            resumption.find(id, &shown).is_ok()
        })
        .count();
    assert_eq!(hits, 0);
}

#[test]
fn a_bridge_that_is_attached_to_nothing_and_methods_that_are_not_there() {
    let lab = Lab::echo(config());
    let mut http = Http::new(lab.http_addr());
    assert_eq!(http.get("/ws/session").unwrap().status, 405);
    assert_eq!(http.post("/ws/session/poll", "").unwrap().status, 405);
    let executor = core_executor::RuntimeExecutor::with_threads(1).unwrap();
    let lonely = LongPollBridge::new(config());
    let listener = core_executor::BoundListener::bind("127.0.0.1", 0).unwrap();
    let options = core_executor::ServeOptions::new("bridge");
    let served = core_executor::serve(listener, lonely.router(), options, &executor.spawner()).unwrap();
    let mut http = Http::new(served.local_addr());
    for reply in [
        http.post("/ws/session", "").unwrap(),
        http.get("/ws/session/poll").unwrap(),
    ] {
        reply.expect_error(503, "long-polling bridge not attached");
        assert!(reply.header("retry-after").is_some());
    }
}

#[test]
fn a_session_without_a_transport_lives_for_its_time_and_no_longer() {
    let lab = Lab::echo(LongPollConfig {
        session_ttl: Duration::from_millis(200),
        wait: Duration::from_millis(600),
        ..config()
    });
    let client = lab.client(Kind::Poll);
    let session = lab.session();
    session.join("r").unwrap();
    session.send_text("unread");
    let began = Instant::now();
    let info = lab.close_info();
    assert_eq!((info.code, &*info.reason), (1006, "not resumed in time"));
    assert!(began.elapsed() >= Duration::from_millis(100) && began.elapsed() < PATIENCE / 2);
    until("it is gone", || lab.hub.sessions() == 0);
    assert_eq!(lab.hub.room_size("r"), 0);
    assert_eq!(lab.metric("ws_messages_undelivered_total"), 1.0);
    assert_eq!(lab.metric("ws_resume_expired_total"), 1.0);
    as_session(&lab, &client.id)
        .get("/ws/session/poll")
        .unwrap()
        .expect_error(410, "the session has ended");
    // One that waits is not without a transport.
    let mut client = lab.client(Kind::Poll);
    let session = lab.session();
    let waiting = std::thread::spawn(move || client.expect("kept"));
    until("it waits", || lab.bridge.waiting() == 1);
    std::thread::sleep(Duration::from_millis(400));
    session.send_text("kept");
    waiting.join().unwrap();
}
