//! The shutdown pair: whoever asks is heard, whatever becomes of the courier between.

use super::{in_every_order, in_orders_with};
use crate::StopCause;
use crate::shutdown::pair;
use loom::future::block_on;
use loom::thread::spawn;

#[test]
fn whoever_asks_is_heard() {
    in_orders_with(3, || {
        let (handle, signal, courier) = pair();
        let carrying = spawn(move || block_on(courier.run()));
        let asking = spawn(move || handle.request_stop_now());
        block_on(signal.requested_now());
        assert!(signal.is_requested() && signal.is_requested_now());
        asking.join().unwrap();
        // It has nothing more to carry.
        carrying.join().unwrap();
    });
}

#[test]
fn a_wish_is_heard_while_the_courier_goes() {
    in_every_order(|| {
        let (handle, signal, courier) = pair();
        let going = spawn(move || drop(courier));
        let asking = spawn(move || handle.request_stop());
        block_on(signal.requested());
        going.join().unwrap();
        asking.join().unwrap();
    });
}

#[test]
fn a_second_wish_is_carried_behind_the_first() {
    in_orders_with(3, || {
        let (handle, signal, courier) = pair();
        let asking = {
            let handle = handle.clone();
            spawn(move || handle.request_stop())
        };
        let hearing = spawn(move || {
            handle.request_stop_now();
            block_on(signal.requested());
            block_on(signal.requested_now());
        });
        block_on(courier.run());
        asking.join().unwrap();
        hearing.join().unwrap();
    });
}

#[test]
fn the_first_reason_is_kept_and_is_there_when_the_wish_is() {
    in_every_order(|| {
        let (handle, _signal, _courier) = pair();
        let ask = |cause| {
            let handle = handle.clone();
            spawn(move || {
                handle.request_stop_because(cause);
                handle.cause()
            })
        };
        let asked = [ask(StopCause::Signal("SIGTERM")), ask(StopCause::Dropped)];
        if handle.is_requested() {
            assert!(handle.cause().is_some());
        }
        let seen = asked.map(|thread| thread.join().unwrap());
        assert!(seen[0].is_some() && seen[0] == seen[1], "{seen:?}");
        assert_eq!(handle.cause(), seen[0]);
    });
}

#[test]
fn everybody_who_waits_for_the_end_is_told() {
    in_orders_with(3, || {
        let (handle, _signal, _courier) = pair();
        let ending = {
            let handle = handle.clone();
            spawn(move || handle.mark_ended())
        };
        let waiting = {
            let handle = handle.clone();
            spawn(move || block_on(handle.ended()))
        };
        block_on(handle.ended());
        assert!(handle.is_ended());
        ending.join().unwrap();
        waiting.join().unwrap();
    });
}
