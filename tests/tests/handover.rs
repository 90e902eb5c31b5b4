//! Sockets that a supervisor has bound (`LISTEN_FDS`), with a shell in the part of the supervisor.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use workspace_tests::example::Launch;
use workspace_tests::http;
use workspace_tests::ws::Client;

/// Moves standard input and output to the descriptors 3 and 4; the process keeps its number over `exec`.
const SUPERVISOR: &str = "exec 3<&0 4<&1 </dev/null >/dev/null; export LISTEN_PID=$$;";

fn socket() -> (OwnedFd, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("bound");
    (socket.into(), address)
}

fn supervised(script: &str, first: OwnedFd, second: OwnedFd) -> Launch {
    Launch::new("full").through(&format!("{SUPERVISOR} {script} exec \"$0\""), first, second)
}

#[test]
fn inherited_sockets_are_served_by_name_or_order() {
    for (script, swapped) in [
        ("export LISTEN_FDS=2;", false),
        ("export LISTEN_FDS=2 LISTEN_FDNAMES=http:websocket;", false),
        ("export LISTEN_FDS=2 LISTEN_FDNAMES=websocket:http;", true),
        ("export LISTEN_FDS=2 LISTEN_FDNAMES=my.socket:http;", true),
    ] {
        let ((first, one), (second, two)) = (socket(), socket());
        // Taken by the kernel before the process is there.
        let mut early = http::connect(if swapped { two } else { one });
        early
            .write_all(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n")
            .expect("the kernel holds it");
        let mut full = supervised(script, first, second).start();
        let places = if swapped { (two, one) } else { (one, two) };
        assert_eq!((full.http(), full.ws()), places, "{script}");
        let answer = http::read_answer(&mut BufReader::new(early)).expect("answered");
        assert_eq!(answer.status, 200);
        assert_eq!(Client::connect(full.ws(), "/").text(), "welcome");
        assert_ne!(
            full.metrics(),
            full.http(),
            "its own address is bound where none was handed over"
        );
        assert_eq!(full.terminate(), Some(0));
    }
}

#[test]
fn one_socket_is_that_of_http_and_one_may_be_that_of_metrics() {
    let ((first, one), (second, _)) = (socket(), socket());
    let mut full = supervised("export LISTEN_FDS=1;", first, second).start();
    assert_eq!(full.http(), one);
    assert_eq!(full.terminate(), Some(0));

    let ((first, one), (second, _)) = (socket(), socket());
    let mut full = supervised("export LISTEN_FDS=1 LISTEN_FDNAMES=metrics;", first, second).start();
    assert_eq!(full.metrics(), one);
    assert!(
        http::get(one, "/metrics")
            .text()
            .contains("ws_connections_active")
    );
    assert_eq!(full.terminate(), Some(0));
}

#[test]
fn what_is_meant_for_another_process_is_left_alone() {
    for script in [
        "export LISTEN_FDS=2 LISTEN_PID=1;",
        "unset LISTEN_PID; export LISTEN_FDS=2;",
        "unset LISTEN_FDS;",
    ] {
        let ((first, one), (second, two)) = (socket(), socket());
        let mut full = supervised(script, first, second).start();
        assert!(![one, two].contains(&full.http()), "{script}");
        assert_eq!(full.terminate(), Some(0));
    }
}

#[test]
fn wrong_hand_overs_are_start_errors_that_name_what_is_wrong() {
    for (script, told) in [
        (
            "exec 5<&3 6<&4; export LISTEN_FDS=4 LISTEN_FDNAMES=a:b:c:spare;",
            "\"spare\" (127.0.0.1:",
        ),
        (
            "export LISTEN_FDS=2 LISTEN_FDNAMES=http:http;",
            "\"http\" (127.0.0.1:",
        ),
        (
            "export LISTEN_FDS=3 LISTEN_FDNAMES=http:websocket:metrics;",
            "descriptor 5 (metrics)",
        ),
        ("exec 4</dev/null; export LISTEN_FDS=2;", "descriptor 4 (unnamed)"),
        ("export LISTEN_FDS=two;", "must be numbers"),
        ("export LISTEN_FDS=-1;", "must be numbers"),
        ("export LISTEN_FDS=4000000000;", "at most 64"),
        ("export LISTEN_PID=me LISTEN_FDS=1;", "must be numbers"),
    ] {
        let ((first, _), (second, _)) = (socket(), socket());
        let (code, said) = supervised(script, first, second).run_to_end();
        assert_eq!(code, Some(1), "{script}: {said}");
        assert!(said.contains(told), "{script}: {said}");
        assert!(!said.contains("ready "), "{script}: {said}");
    }
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let (code, said) = supervised("export LISTEN_FDS=1;", datagrams.into(), socket().0).run_to_end();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("descriptor 3 (unnamed) is no listening TCP socket"),
        "{said}"
    );
}
