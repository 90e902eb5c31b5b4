//! Rooms that are joined, left, sent to and closed at once.

use shuttle::future::block_on;
use shuttle::thread::spawn;

use super::{carry, hub, in_many_orders, open};
use crate::error::WsError;

const ROOM: &str = "room";

#[test]
fn an_emptied_room_is_gone_and_a_joined_one_is_there() {
    in_many_orders(|| {
        let (hub, _) = hub();
        let visitor = || {
            let attachment = block_on(open(&hub)).expect("nobody stops it");
            spawn(move || {
                let session = attachment.session().clone();
                session.join(ROOM).unwrap();
                assert!(session.hub().room_size(ROOM) >= 1, "it is in it");
                assert!(session.leave(ROOM) && !session.leave(ROOM));
                session.join(ROOM).unwrap();
                assert_eq!(session.rooms(), [ROOM]);
                drop(attachment);
                assert!(matches!(session.join(ROOM), Err(WsError::SessionClosed)));
            })
        };
        let visitors = [visitor(), visitor(), visitor()];
        for thread in visitors {
            thread.join().unwrap();
        }
        assert_eq!(hub.room_size(ROOM), 0);
        assert!(
            hub.tables().room(ROOM).is_none(),
            "an empty room stays in the table"
        );
        assert_eq!(hub.metrics().rooms_active.get(), 0);
    });
}

#[test]
fn a_member_that_stays_gets_every_message_once() {
    in_many_orders(|| {
        let (hub, _) = hub();
        let member = block_on(open(&hub)).expect("nobody stops it");
        let stays = member.session().clone();
        stays.join(ROOM).unwrap();
        let carrying = spawn(move || block_on(carry(member)));
        let guest = {
            let guest = block_on(open(&hub)).expect("nobody stops it");
            spawn(move || {
                guest.session().join(ROOM).unwrap();
                guest.session().leave(ROOM);
                drop(guest);
            })
        };
        let speaker = || {
            let hub = hub.clone();
            spawn(move || {
                let published = block_on(hub.broadcast_text_to_room(ROOM, "hello")).unwrap();
                assert!(published.delivered >= 1, "{published:?}");
            })
        };
        let speakers = [speaker(), speaker()];
        for thread in speakers {
            thread.join().unwrap();
        }
        guest.join().unwrap();
        stays.close(1000, "");
        assert_eq!(carrying.join().unwrap(), 2);
        assert_eq!(hub.metrics().rooms_active.get(), 0);
    });
}

#[test]
fn a_member_that_is_closed_loses_nothing_uncounted() {
    in_many_orders(|| {
        let (hub, _) = hub();
        let member = block_on(open(&hub)).expect("nobody stops it");
        let session = member.session().clone();
        session.join(ROOM).unwrap();
        let carrying = spawn(move || block_on(carry(member)));
        let closing = spawn(move || session.close(1000, ""));
        let mut delivered = 0;
        for _ in 0..3 {
            let published = block_on(hub.broadcast_text_to_room(ROOM, "hello")).unwrap();
            delivered += published.delivered;
        }
        closing.join().unwrap();
        let reached = carrying.join().unwrap() as u64;
        let undelivered = hub.metrics().messages_undelivered.get();
        assert_eq!(
            delivered,
            reached + undelivered,
            "accepted, and neither sent nor counted"
        );
    });
}
