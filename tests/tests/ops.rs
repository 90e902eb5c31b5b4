//! The operator's page of a whole process: who comes in, what it tells, and the end it asks for.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use workspace_tests::PATIENCE;
use workspace_tests::example::{Example, Launch};
use workspace_tests::held::HeldRequest;
use workspace_tests::http::{self, Answer};
use workspace_tests::observe::until;
use workspace_tests::ws::Client;

const TOKEN: &str = "correct-horse-battery-staple";

fn with_page(example: &str) -> Launch {
    Launch::new(example).set("OPS_TOKEN", TOKEN)
}

/// One request with further header fields.
fn ask(to: SocketAddr, method: &str, path: &str, fields: &[&str]) -> Answer {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    http::send(
        to,
        &format!(
            "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: 0\r\n{fields}\r\n"
        ),
    )
}

/// Asks for the state from another address of this machine.
fn ask_from(address: [u8; 4], to: SocketAddr, field: &str) -> Answer {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let from = SocketAddr::from((address, 0));
    socket.bind(&from.into()).expect("all of 127.0.0.0/8 is here");
    socket.connect(&to.into()).expect("the server accepts");
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a positive limit");
    let request =
        format!("GET /_ops/state.json HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n{field}\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .expect("the request can be sent");
    http::read_answer(&mut BufReader::new(stream)).expect("there is an answer")
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

fn state(of: &Example) -> Value {
    let answer = ask(of.metrics(), "GET", "/_ops/state.json", &[&bearer(TOKEN)]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Everything but what differs from one answer to the next by itself.
fn shape(answer: &Answer, path: &str) -> (u16, Vec<(String, String)>, String) {
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| name != "date" && name != "content-length");
    (answer.status, headers, answer.text().replace(path, "PATH"))
}

const PATHS: [(&str, &str); 4] = [
    ("GET", "/_ops"),
    ("GET", "/_ops/state.json"),
    ("POST", "/_ops/login"),
    ("POST", "/_ops/drain"),
];

#[test]
fn without_a_token_its_paths_are_like_any_unknown_one() {
    let full = Launch::new("full").start();
    for (method, path) in PATHS {
        let unknown = ask(full.metrics(), method, "/nothing", &[]);
        assert_eq!(unknown.status, 404);
        for fields in [vec![], vec!["Authorization: Bearer x"]] {
            let answer = ask(full.metrics(), method, path, &fields);
            assert_eq!(
                shape(&answer, path),
                shape(&unknown, "/nothing"),
                "{method} {path}"
            );
        }
    }
    // And with one they are not in the application, which may be open to everybody.
    let open = with_page("full").start();
    for (method, path) in PATHS {
        assert_eq!(
            ask(open.http(), method, path, &[&bearer(TOKEN)]).status,
            404,
            "{path}"
        );
    }
}

#[test]
fn only_the_token_opens_and_a_wrong_one_looks_like_none() {
    let full = with_page("full").start();
    let to = full.metrics();
    for (method, path) in PATHS {
        let none = ask(to, method, path, &[]);
        assert_eq!(none.status, 401, "{method} {path}");
        assert_eq!(none.header("www-authenticate"), Some("Bearer realm=\"ops\""));
        assert_eq!(none.header("cache-control"), Some("no-store"));
        for wrong in [
            bearer("correct-horse-battery-stapl"),
            "Cookie: ops=1.2".to_owned(),
        ] {
            let answer = ask(to, method, path, &[&wrong]);
            assert_eq!(
                shape(&answer, path),
                shape(&none, path),
                "{method} {path}: {wrong}"
            );
        }
    }
    let page = ask(to, "GET", "/_ops", &[&bearer(TOKEN)]);
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    for outside in ["http://", "https://", "src=", "@import"] {
        let text = page.text().replace("http://www.w3.org/2000/svg", "");
        assert!(
            !text.contains(outside),
            "it has {outside} and should need nothing"
        );
    }
    assert_eq!(ask(to, "DELETE", "/_ops", &[&bearer(TOKEN)]).status, 405);
}

#[test]
fn on_every_address_it_wants_its_token_too() {
    let full = with_page("full").set("METRICS_HOST", "0.0.0.0").start();
    let elsewhere = SocketAddr::from(([127, 0, 0, 2], full.metrics().port()));
    for (method, path) in PATHS {
        assert_eq!(ask(elsewhere, method, path, &[]).status, 401, "{method} {path}");
    }
    let state = ask(elsewhere, "GET", "/_ops/state.json", &[&bearer(TOKEN)]);
    assert_eq!(state.status, 200, "{}", state.text());
}

#[test]
fn wrong_tokens_are_not_looked_at_without_end() {
    let full = with_page("full").start();
    let wrong = bearer("wrong-horse-battery-staple");
    let mut statuses = Vec::new();
    // One more a second is looked at, so on a slow machine a few more than ten are.
    until("the eleventh wrong token is not looked at", || {
        let answer = ask(full.metrics(), "GET", "/_ops/state.json", &[&wrong]);
        statuses.push(answer.status);
        answer.status == 429 && answer.header("retry-after") == Some("1")
    });
    assert!(statuses.len() > 10, "{statuses:?}");
    assert!(
        statuses[..statuses.len() - 1].iter().all(|status| *status == 401),
        "{statuses:?}"
    );
    assert_eq!(
        ask_from([127, 0, 0, 2], full.metrics(), &bearer(TOKEN)).status,
        200,
        "who guesses at one address shuts out nobody at another"
    );
    until("the right one is looked at again", || {
        ask(full.metrics(), "GET", "/_ops/state.json", &[&bearer(TOKEN)]).status == 200
    });
}

#[test]
fn the_state_is_made_of_real_numbers() {
    let lab = with_page("lab")
        .set("WEBSOCKET_OUTBOX_MESSAGES", 100_000)
        .set("WEBSOCKET_OUTBOX_BYTES", 1 << 28)
        // It is here as long as it is looked at.
        .set("WEBSOCKET_WRITE_STALL_TIMEOUT", 0)
        .start();
    let mut members: Vec<Client> = (0..3).map(|_| Client::connect(lab.ws(), "/")).collect();
    for member in &mut members[..2] {
        assert_eq!(member.text(), "welcome");
        member.send(r#"{"type":"room.join"}"#);
        while member.text() != "joined general" {}
    }
    assert_eq!(http::get(lab.http(), "/broadcast?size=10&n=1").status, 200);
    until("the first fan-out of its thread is put down", || {
        let counts = |state: &Value| {
            ["first", "median", "last"].map(|receiver| state["fan_out"][receiver]["count"].as_u64())
        };
        counts(&state(&lab)) == [Some(1); 3]
    });
    // Nobody reads this: more than any socket takes.
    members[2].send(r#"{"type":"burst","payload":{"n":4000,"size":8192}}"#);
    for _ in 0..5 {
        assert_eq!(http::get(lab.http(), "/status").status, 200);
    }
    assert_eq!(http::get(lab.http(), "/nothing").status, 404);

    until("messages wait for the one who does not read", || {
        state(&lab)["backlogs"][0]["bytes"].as_u64() > Some(1 << 20)
    });
    until("it shows how long they wait", || {
        state(&lab)["backlogs"][0]["oldest_seconds"].as_f64() > Some(0.2)
            && lab.metric("ws_outbox_oldest_seconds") > 0.2
    });
    let now = state(&lab);
    assert_eq!(now["phase"], "serving");
    assert_eq!(now["drain"], Value::Null);
    assert_eq!(now["sessions"]["open"], 3);
    assert_eq!(now["rooms"]["open"], 1);
    assert_eq!(now["rooms"]["largest"][0]["name"], "general");
    assert_eq!(now["rooms"]["largest"][0]["members"], 2);
    let slow = &now["backlogs"][0];
    assert_eq!(slow["transport"], "websocket");
    assert!(slow["messages"].as_u64() > Some(100), "{slow}");
    assert_eq!(now["backlogs"].as_array().map(Vec::len), Some(1), "{now}");
    let count = |route: &str| {
        let routes = now["http"]["routes"].as_array().expect("routes");
        let found = routes.iter().find(|each| each["route"] == route);
        found.map(|each| each["times"]["count"].clone())
    };
    assert_eq!(count("/status"), Some(5.into()), "{now}");
    assert_eq!(count("(no route)"), Some(1.into()), "{now}");
    assert_eq!(now["http"]["requests"]["2xx"], 6);
    assert_eq!(now["http"]["requests"]["4xx"], 1);
    let times = &now["http"]["times"];
    assert!(times["p50_ms"].as_f64() <= times["p99_ms"].as_f64() && times["p50_ms"].as_f64() > Some(0.0));
    // A message is counted when its handler has had it.
    until("both tell of the same messages", || {
        state(&lab)["messages"]["received"] == 3 && lab.metric("ws_messages_in_total") == 3.0
    });

    members.truncate(2);
    until("its end is counted", || {
        let now = state(&lab);
        let ended: u64 = ["peer", "error"]
            .iter()
            .filter_map(|by| now["closes"][by].as_u64())
            .sum();
        let is_over = lab.metric("ws_outbox_oldest_seconds") == 0.0;
        is_over && now["sessions"]["open"] == 2 && ended == 1 && now["backlogs"] == Value::Array(Vec::new())
    });
}

#[test]
fn the_button_asks_for_the_end_and_its_progress_is_told() {
    let mut lab = with_page("lab").start();
    let mut session = Client::connect(lab.ws(), "/");
    assert_eq!(session.text(), "welcome");
    let held = HeldRequest::new(lab.http());
    let answer = ask(lab.metrics(), "POST", "/_ops/drain", &[&bearer(TOKEN)]);
    assert_eq!(answer.status, 202);
    until("the end is on its way", || !state(&lab)["drain"].is_null());
    let now = state(&lab);
    let drain = &now["drain"];
    assert_ne!(now["phase"], "stopped");
    assert_eq!(drain["began_with"]["requests"], 1, "{now}");
    assert_eq!(drain["began_with"]["sessions"], 1, "{now}");
    assert_eq!(drain["left"]["requests"], 1, "{now}");
    assert_eq!(
        drain["left"]["sessions"], 1,
        "sessions wait for the requests: {now}"
    );
    assert!(drain["limit_seconds"].as_f64() > Some(29.0), "{now}");
    held.finish();
    assert_eq!(session.closed().0, 1001);
    assert_eq!(lab.wait().code(), Some(0), "{:?}", lab.all_lines());
}

#[test]
fn a_browser_is_let_in_by_a_cookie_and_foreign_pages_push_no_button() {
    let mut full = with_page("full").start();
    let to = full.metrics();
    let login = ask(to, "POST", "/_ops/login", &[&bearer(TOKEN)]);
    assert_eq!(login.status, 204);
    let cookie = login.header("set-cookie").expect("a cookie");
    for attribute in ["; HttpOnly", "; SameSite=Strict", "; Path=/_ops"] {
        assert!(cookie.contains(attribute), "{attribute}");
    }
    assert!(!cookie.contains(TOKEN));
    let cookie = format!("Cookie: {}", cookie.split(';').next().expect("a first part"));
    assert_eq!(ask(to, "GET", "/_ops/state.json", &[&cookie]).status, 200);
    for origin in ["Origin: http://127.0.0.1:1", "Origin: null", "Accept: */*"] {
        assert_eq!(
            ask(to, "POST", "/_ops/drain", &[&cookie, origin]).status,
            401,
            "{origin}"
        );
    }
    assert_eq!(state(&full)["phase"], "serving");
    let own = format!("Origin: http://{to}");
    assert_eq!(ask(to, "POST", "/_ops/drain", &[&cookie, &own]).status, 202);
    assert_eq!(full.wait().code(), Some(0), "{:?}", full.all_lines());
}

/// The fields that are told are those of the example in `docs/operating.md`.
#[test]
fn the_shape_is_the_documented_one() {
    let page = include_str!("../../docs/operating.md");
    let (_, rest) = page.split_once("```json\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let documented: Value = serde_json::from_str(example).expect("JSON");
    let full = with_page("full").start();
    let mut session = Client::connect(full.ws(), "/");
    session.send(r#"{"type":"room.join"}"#);
    while session.text() != "joined general" {}
    assert_eq!(http::get(full.http(), "/status").status, 200);
    let told = state(&full);
    for (part, names) in documented.as_object().expect("an object") {
        match names {
            Value::Object(_) if part != "drain" => assert_eq!(keys(&told[part]), keys(names), "{part}"),
            _ => assert!(told.get(part).is_some(), "{part}"),
        }
    }
    assert_eq!(keys(&told), keys(&documented));
    assert_eq!(keys(&told["http"]["times"]), keys(&documented["ping"]));
    let route = &told["http"]["routes"][0];
    assert_eq!(keys(route), keys(&documented["http"]["routes"][0]));
    assert_eq!(
        keys(&told["rooms"]["largest"][0]),
        keys(&documented["rooms"]["largest"][0])
    );
}

fn keys(of: &Value) -> Vec<String> {
    let mut keys: Vec<String> = of.as_object().expect("an object").keys().cloned().collect();
    keys.sort();
    keys
}
