//! What a supervisor hears (`NOTIFY_SOCKET`), with this test in its part.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use workspace_tests::PATIENCE;
use workspace_tests::example::Launch;
use workspace_tests::http;
use workspace_tests::ws::Client;

/// One word of the protocol, as `NAME=value`.
fn hear(socket: &UnixDatagram) -> Vec<String> {
    socket.set_read_timeout(Some(PATIENCE)).expect("a positive limit");
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).expect("something is said in time");
    let words = std::str::from_utf8(&buffer[..length]).expect("UTF-8");
    words.lines().map(str::to_owned).collect()
}

fn listen() -> (UnixDatagram, tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let path = path.to_str().expect("UTF-8").to_owned();
    (socket, directory, path)
}

#[test]
fn a_supervisor_hears_of_the_beginning_of_the_end_and_of_every_phase() {
    let (socket, _directory, path) = listen();
    let mut lab = Launch::new("lab")
        .set("NOTIFY_SOCKET", path)
        .set("SHUTDOWN_DEADLINE", 20)
        .set("WEBSOCKET_CLOSE_TIMEOUT", 10)
        .start();
    assert_eq!(hear(&socket), ["READY=1"]);
    assert_eq!(http::get(lab.http(), "/").status, 200, "it is true");
    let silent = Client::connect(lab.ws(), "/");
    lab.signal("TERM");
    let said = hear(&socket);
    assert_eq!(said[0], "STOPPING=1");
    let wanted = said[1].strip_prefix("EXTEND_TIMEOUT_USEC=").expect("how long");
    let wanted = Duration::from_micros(wanted.parse().expect("microseconds"));
    let limits = Duration::from_secs(20)..=Duration::from_secs(21);
    assert!(limits.contains(&wanted), "the deadline and a margin: {wanted:?}");
    assert_eq!(hear(&socket), ["STATUS=draining"]);
    assert_eq!(hear(&socket), ["STATUS=closing"]);
    let left = "ending: 0 requests, 0 polls and streams, 1 sessions are open";
    assert_eq!(hear(&socket), [format!("STATUS={left}")], "each second");
    lab.wait_for_line(|line| line.contains("still open requests=0 polls=0 sessions=1"));
    drop(silent);
    assert_eq!(lab.wait().code(), Some(0));
    let mut last = hear(&socket);
    while last == [format!("STATUS={left}")] {
        last = hear(&socket);
    }
    assert_eq!(last, ["STATUS=stopped"]);
}

#[test]
fn a_watchdog_is_fed_where_it_is_asked_for() {
    let (socket, _directory, path) = listen();
    let mut lab = Launch::new("lab")
        .set("NOTIFY_SOCKET", &path)
        .set("WATCHDOG_USEC", 100_000)
        .start();
    assert_eq!(hear(&socket), ["READY=1"]);
    for _ in 0..5 {
        assert_eq!(hear(&socket), ["WATCHDOG=1"]);
    }
    assert_eq!(lab.terminate(), Some(0));

    let (socket, _directory, path) = listen();
    let mut lab = Launch::new("lab")
        .set("NOTIFY_SOCKET", path)
        .set("WATCHDOG_USEC", 1000)
        .set("WATCHDOG_PID", 1)
        .start();
    assert_eq!(hear(&socket), ["READY=1"]);
    assert_eq!(http::get(lab.http(), "/").status, 200);
    lab.signal("TERM");
    assert_eq!(hear(&socket)[0], "STOPPING=1", "another process was asked");
    assert_eq!(lab.wait().code(), Some(0));
}

#[test]
fn a_socket_without_a_path_is_spoken_to() {
    let name = format!("notify-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a short name");
    let socket = UnixDatagram::bind_addr(&address).expect("a free name");
    let mut lab = Launch::new("lab")
        .set("NOTIFY_SOCKET", format!("@{name}"))
        .start();
    assert_eq!(hear(&socket), ["READY=1"]);
    assert_eq!(lab.terminate(), Some(0));
    assert_eq!(hear(&socket)[0], "STOPPING=1");
}

#[test]
fn a_supervisor_that_does_not_listen_delays_nothing() {
    let (socket, _directory, path) = listen();
    let shouting = UnixDatagram::unbound().expect("a socket");
    shouting.set_nonblocking(true).expect("a socket");
    let full = loop {
        if let Err(error) = shouting.send_to(b"X=1", &path) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock, "its queue is full");
    let mut lab = Launch::new("lab").set("NOTIFY_SOCKET", path).start();
    assert_eq!(http::get(lab.http(), "/").status, 200);
    assert_eq!(lab.terminate(), Some(0));
    drop(socket);
}

#[test]
fn a_place_where_nobody_listens_is_no_error() {
    for place in ["/no/such/socket", "vsock:2:1234", "relative", "", "@"] {
        let mut lab = Launch::new("lab").set("NOTIFY_SOCKET", place).start();
        assert_eq!(http::get(lab.http(), "/").status, 200, "{place:?}");
        assert_eq!(lab.terminate(), Some(0), "{place:?}");
    }
}
