//! A peer whose network is gone without a word: no FIN, no reset, nothing.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use workspace_tests::example::{Example, Launch};
use workspace_tests::observe::{skipped, until};

/// Whether this kernel lets an ordinary user make a network of its own.
fn can_make_networks() -> bool {
    Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--net",
            "ip",
            "link",
            "set",
            "lo",
            "up",
        ])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a shell command in the network of the lab.
fn inside(lab: &Example, script: &str) -> Child {
    Command::new("nsenter")
        .args(["--user", "--net", "--preserve-credentials", "--target"])
        .arg(lab.pid().to_string())
        .args(["bash", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("nsenter can be run")
}

/// Three sessions whose peers stay for as long as their shell does; they answer no ping, and their host answers nothing
/// either from the moment on that its network is down.
fn vanishing(lab: &Example) -> Child {
    let port = lab.ws().port();
    let peers = format!(
        "for peer in 1 2 3; do exec {{socket}}<>/dev/tcp/127.0.0.1/{port}; \
         printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\nSec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n' >&$socket; \
         head -c 100 <&$socket >/dev/null; done; ip link set lo down; exec sleep 60"
    );
    inside(lab, &peers)
}

#[test]
fn a_peer_that_vanished_is_gone_at_ping_and_timeout() {
    if !can_make_networks() {
        skipped("this kernel forbids networks of one's own, so no peer can vanish");
        return;
    }
    let mut lab = Launch::new("lab")
        .set("WEBSOCKET_PING_INTERVAL", 1)
        .set("WEBSOCKET_PONG_TIMEOUT", 1)
        .in_own_network()
        .start();
    let mut peers = vanishing(&lab);
    let began = Instant::now();
    for session in 1..=3 {
        let line = lab.close_line(session);
        assert_eq!((line.code, line.by.as_str()), (1006, "timeout"));
    }
    let took = began.elapsed();
    assert!(
        took > Duration::from_millis(1500) && took < Duration::from_secs(4),
        "{took:?}"
    );
    peers.kill().expect("it sleeps");
    peers.wait().expect("it is our child");
    assert_eq!(lab.terminate(), Some(0));
    let lines = lab.all_lines();
    let count = |event: &str| lines.iter().filter(|line| line.contains(event)).count();
    assert_eq!((count(" ws_open "), count(" ws_close ")), (3, 3));
}

#[test]
fn peers_that_vanished_hold_an_end_up_for_the_close_timeout_at_most() {
    if !can_make_networks() {
        skipped("this kernel forbids networks of one's own, so no peer can vanish");
        return;
    }
    let mut lab = Launch::new("lab")
        .set("WEBSOCKET_CLOSE_TIMEOUT", 1)
        .in_own_network()
        .start();
    let mut peers = vanishing(&lab);
    until("their network is down", || {
        let mut down = inside(&lab, "! ip link show lo | grep -q LOOPBACK,UP");
        down.wait().is_ok_and(|status| status.success())
    });
    assert_eq!(lab.terminate(), Some(0), "every Close was sent");
    let report = lab.report();
    let counts = [" closed, ", " without the peer's answer", " left before, "].map(|text| report.count(text));
    assert_eq!(counts, [0, 3, 0], "{}", report.line());
    peers.kill().expect("it sleeps");
    peers.wait().expect("it is our child");
}
