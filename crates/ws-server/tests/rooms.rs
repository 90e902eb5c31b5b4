//! Rooms and broadcasts over real sockets.

mod support;

use std::sync::{Arc, Mutex};

use support::{Listener, TestServer, config, eventually, metric, say, text_of};
use tungstenite::protocol::Message;
use ws_server::{Encoded, Hub, JsonMessage, Session, WsConfig, WsError, WsServer};

fn oldest(hub: &Hub) -> f64 {
    metric(hub, "ws_outbox_oldest_seconds")
}

#[test]
fn broadcasts_reach_the_room_all_or_all_but_one() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let server = WsServer::new(config())
        .relay(Arc::new(Listener(log.clone())))
        .on_open(|session| async move {
            let room = session.path().trim_start_matches('/').to_owned();
            session.join(&room).unwrap();
            session.join(&room).unwrap();
        })
        .on_message(|session, text| async move {
            let hub = session.hub().clone();
            let published = match &*text {
                "room" => hub.broadcast_text_to_room("a", "to a").await,
                "room but me" => hub.publish_except("a", &session, Encoded::text("a but me")).await,
                "all" => hub.broadcast_text("to all").await,
                "all but me" => hub.broadcast_except(&session, Encoded::text("all but me")).await,
                "binary" => hub.broadcast_binary_to_room("b", [1, 2]).await,
                "binary all" => hub.broadcast_binary([3]).await,
                "json" => {
                    hub.broadcast_json_to_room("a", &JsonMessage::empty("x").with_room("a"))
                        .await
                }
                "json all" => hub.broadcast_json(&JsonMessage::empty("y")).await,
                _ => hub.publish("nobody", Encoded::text("lost")).await,
            };
            session.send_text(format!("{}", published.unwrap().delivered));
        });
    let server = TestServer::start(server);
    let (mut a1, mut a2, mut b) = (server.connect("/a"), server.connect("/a"), server.connect("/b"));
    let mut ask = |text: &str, count: &str, a1_gets: &[&str], a2_gets: &[&str], b_gets: &[Message]| {
        say(&mut a1, text);
        let own: Vec<String> = a1_gets.iter().map(|_| text_of(&mut a1)).collect();
        assert_eq!(own, a1_gets, "{text}: the sender");
        assert_eq!(text_of(&mut a1), count, "{text}: delivered");
        let others: Vec<String> = a2_gets.iter().map(|_| text_of(&mut a2)).collect();
        assert_eq!(others, a2_gets, "{text}: the other member");
        for message in b_gets {
            assert_eq!(b.read().unwrap(), *message, "{text}: the other room");
        }
    };
    ask("room", "2", &["to a"], &["to a"], &[]);
    ask("room but me", "1", &[], &["a but me"], &[]);
    ask("all", "3", &["to all"], &["to all"], &[Message::text("to all")]);
    ask(
        "all but me",
        "2",
        &[],
        &["all but me"],
        &[Message::text("all but me")],
    );
    ask("binary", "1", &[], &[], &[Message::binary(vec![1, 2])]);
    let json = r#"{"payload":{},"room":"a","type":"x"}"#;
    ask("json", "2", &[json], &[json], &[]);
    let json = r#"{"payload":{},"type":"y"}"#;
    ask("json all", "3", &[json], &[json], &[Message::text(json)]);
    ask("nobody", "0", &[], &[], &[]);
    let relayed = log.lock().unwrap();
    assert!(relayed.contains(&r#"Room("a") to a"#.to_owned()), "{relayed:?}");
    assert!(relayed.contains(&"All to all".to_owned()), "{relayed:?}");
    assert_eq!(relayed.len(), 8, "each publication once: {relayed:?}");
}

#[test]
fn rooms_are_bounded_and_vanish_with_their_last_member() {
    let settings = WsConfig {
        max_rooms_per_session: 2,
        max_room_name: 4,
        ..config()
    };
    let server = WsServer::new(settings).on_message(|session, name| async move {
        let outcome = match name.strip_prefix('-') {
            Some(name) => session.leave(name).to_string(),
            None => session
                .join(&name)
                .map_or_else(|error| error.to_string(), |()| "ok".to_owned()),
        };
        session.send_text(outcome);
    });
    let server = TestServer::start(server);
    let mut client = server.connect("/");
    for (say_this, answer) in [
        ("one", "ok"),
        ("two", "ok"),
        ("two", "ok"),
        ("tre", "the session is in 2 rooms already"),
        ("-one", "true"),
        ("-one", "false"),
        ("tre", "ok"),
        ("five!", "a room's name has 5 bytes, 4 are allowed"),
        ("", "a room needs a name"),
    ] {
        say(&mut client, say_this);
        assert_eq!(text_of(&mut client), answer, "{say_this}");
    }
    assert_eq!(metric(&server.hub, "ws_rooms_active"), 2.0);
    assert_eq!((server.hub.room_size("one"), server.hub.room_size("two")), (0, 1));
    drop(client);
    eventually("the rooms are gone", || {
        metric(&server.hub, "ws_rooms_active") == 0.0
    });
    support::block_on(async {
        let error = server
            .hub
            .publish("too long", Encoded::text("x"))
            .await
            .unwrap_err();
        assert!(matches!(error, WsError::RoomNameTooLong { length: 8, limit: 4 }));
    });
}

#[test]
fn joins_and_leaves_from_many_threads_leave_nothing_behind() {
    let sessions = Arc::new(Mutex::new(Vec::<Session>::new()));
    let all = sessions.clone();
    let server = WsServer::new(config()).on_open(move |session| {
        all.lock().unwrap().push(session);
        async {}
    });
    let server = TestServer::start(server);
    let clients: Vec<_> = (0..8).map(|_| server.connect("/")).collect();
    let joined: Vec<Session> = sessions.lock().unwrap().drain(..).collect();
    std::thread::scope(|scope| {
        for session in &joined {
            scope.spawn(|| {
                for round in 0..500 {
                    session.join("shared").unwrap();
                    assert!(
                        session.hub().room_size("shared") >= 1,
                        "round {round}: I am in it"
                    );
                    assert!(session.leave("shared"));
                }
            });
        }
    });
    assert_eq!(metric(&server.hub, "ws_rooms_active"), 0.0);
    assert_eq!(server.hub.room_size("shared"), 0);
    drop(clients);
}

/// How many publications came to their first, median and last receiver, and the seconds that took together.
fn fan_outs(hub: &Hub) -> [(u64, f64); 3] {
    let registry = prometheus::Registry::new();
    hub.metrics().register(&registry).expect("once");
    let families = registry.gather();
    let mut families = families.iter();
    let family = families.find(|family| family.name() == "ws_fan_out_seconds");
    let series = family.expect("it is there").get_metric();
    ["first", "median", "last"].map(|receiver| {
        let of = |metric: &&prometheus::proto::Metric| metric.get_label()[0].value() == receiver;
        let histogram = series
            .iter()
            .find(of)
            .expect("each of them is there")
            .get_histogram();
        (histogram.get_sample_count(), histogram.get_sample_sum())
    })
}

fn all_in_one_room() -> WsServer {
    WsServer::new(config()).on_open(|session| async move {
        session.join("a").expect("a lawful name");
        session.send_text("joined");
    })
}

#[test]
fn every_64th_fan_out_is_measured_to_the_first_the_median_and_the_last_receiver() {
    let server = TestServer::start(all_in_one_room());
    let mut members = [(); 3].map(|()| server.connect("/"));
    for member in &mut members {
        assert_eq!(text_of(member), "joined");
    }
    // The count is that of this thread, so the first is measured, and the 65th.
    for number in 0..65 {
        let published = support::block_on(server.hub.broadcast_text_to_room("a", number.to_string()));
        assert_eq!(published.unwrap().delivered, 3);
    }
    for member in &mut members {
        assert_eq!(text_of(member), "0");
    }
    eventually("both are put down", || fan_outs(&server.hub)[2].0 == 2);
    let [first, median, last] = fan_outs(&server.hub);
    assert_eq!((first.0, median.0), (2, 2));
    assert!(
        0.0 < first.1 && first.1 < median.1 && median.1 < last.1,
        "{first:?} {median:?} {last:?}"
    );
}

#[test]
fn the_last_receiver_is_the_slowest_one_who_gets_it() {
    // More than any socket takes.
    const SIZE: usize = 32 << 20;
    let server = TestServer::start(all_in_one_room());
    let [mut quick, mut slow, mut gone] = [(); 3].map(|()| server.connect("/"));
    for member in [&mut quick, &mut slow, &mut gone] {
        assert_eq!(text_of(member), "joined");
        member.set_config(|config| config.max_frame_size = None);
    }
    let published = support::block_on(server.hub.broadcast_binary_to_room("a", vec![7; SIZE]));
    assert_eq!(published.unwrap().delivered, 3);
    assert_eq!(quick.read().unwrap().len(), SIZE);
    eventually("the slow ones are seen", || oldest(&server.hub) > 0.0);
    assert_eq!(fan_outs(&server.hub)[0].0, 0, "two have not got it");
    drop(gone);
    eventually("one has left", || server.hub.sessions() == 2);
    assert_eq!(fan_outs(&server.hub)[0].0, 0, "one has not got it");
    eventually("it has waited for a while", || oldest(&server.hub) > 0.05);
    let waited = oldest(&server.hub);
    assert_eq!(slow.read().unwrap().len(), SIZE);
    eventually("nobody waits", || fan_outs(&server.hub)[2].0 == 1);
    let [first, median, last] = fan_outs(&server.hub);
    assert_eq!(first, median, "of two, the first one is the half");
    assert!(last.1 >= first.1.max(waited), "{first:?} {last:?} {waited}");
    eventually("nothing is old", || oldest(&server.hub) == 0.0);
}
