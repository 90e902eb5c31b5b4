//! Requests that two readers could understand in two ways: each gets the answer the RFCs ask for, and nothing hidden
//! in one is ever taken for another. Every row is sent in one piece, in two, and byte by byte.
//!
//! Long because it is one table: each form stands beside its source and its answer.

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use core_executor::{BoundListener, ConnectionMetrics, RunningServer, RuntimeExecutor, ServeOptions, serve};
use std::io::{BufReader, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use workspace_tests::http::{self, Answer};

/// What comes of one row.
struct Row {
    name: &'static str,
    /// Where it is written.
    source: &'static str,
    bytes: Vec<u8>,
    answers: &'static [u16],
    /// Whether the connection is closed behind the last answer.
    closed: bool,
    /// How often the handler is called.
    calls: usize,
    /// It means something else when its last bytes come behind its answer.
    whole: bool,
}

fn row(name: &'static str, source: &'static str, bytes: impl Into<Vec<u8>>) -> Row {
    Row {
        name,
        source,
        bytes: bytes.into(),
        answers: &[400],
        closed: true,
        calls: 0,
        whole: false,
    }
}

impl Row {
    fn answered(mut self, answers: &'static [u16], calls: usize) -> Self {
        (self.answers, self.calls) = (answers, calls);
        self
    }

    fn whole(mut self) -> Self {
        self.whole = true;
        self
    }

    fn kept(mut self) -> Self {
        self.closed = false;
        self
    }
}

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: t\r\n\r\n";

/// A request with these header lines and what stands behind it.
fn post(lines: &str, behind: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: t\r\n{lines}\r\n{behind}{HIDDEN}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

fn get(line: &str, lines: &str) -> String {
    format!("{line}\r\n{lines}\r\n{HIDDEN}")
}

fn lengths() -> Vec<Row> {
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    vec![
        row("both lengths", "RFC 9112 §6.3", post(both, "0\r\n\r\n")),
        row(
            "both lengths, the other way round",
            "RFC 9112 §6.3",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
        ),
        row(
            "two different lengths",
            "RFC 9112 §6.3",
            post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
        ),
        row(
            "two equal lengths",
            "RFC 9110 §8.6: may be refused",
            post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
        ),
        row(
            "a list of lengths",
            "RFC 9110 §8.6",
            post("Content-Length: 5, 5\r\n", "hello"),
        ),
        row(
            "a plus",
            "RFC 9110 §8.6: digits only",
            post("Content-Length: +5\r\n", "hello"),
        ),
        row(
            "a minus",
            "RFC 9110 §8.6: digits only",
            post("Content-Length: -5\r\n", "hello"),
        ),
        row(
            "hexadecimal",
            "RFC 9110 §8.6: digits only",
            post("Content-Length: 0x5\r\n", "hello"),
        ),
        row(
            "empty",
            "RFC 9110 §8.6: at least one digit",
            post("Content-Length: \r\n", ""),
        ),
        row(
            "past 64 bits",
            "RFC 9110 §8.6: overflow",
            post("Content-Length: 18446744073709551617\r\n", "h"),
        ),
        row(
            "a good length",
            "RFC 9112 §6.2",
            post("Content-Length: 5\r\n", "hello"),
        )
        .answered(&[200, 200], 2)
        .kept(),
    ]
}

fn codings() -> Vec<Row> {
    let coded = |value: &str| post(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n");
    vec![
        row("not ending in chunked", "RFC 9112 §6.3", coded("chunked, gzip")),
        row("gzip alone", "RFC 9112 §6.3", coded("gzip")),
        row("chunked twice", "RFC 9112 §6.1", coded("chunked, chunked")),
        row(
            "chunked in two fields",
            "RFC 9112 §6.1, RFC 9110 §5.3",
            coded("chunked\r\nTransfer-Encoding: chunked"),
        ),
        row("a parameter", "RFC 9112 §7.1", coded("chunked;a=b")),
        row("an empty coding", "RFC 9112 §6.3", coded("")),
        row(
            "a vertical tab before it",
            "RFC 9110 §5.5: no control bytes",
            coded("\x0bchunked"),
        ),
        row("an unknown coding", "RFC 9112 §6.1", coded("xchunked")).answered(&[501], 0),
        row("identity", "RFC 9112 §7: removed", coded("identity")).answered(&[501], 0),
        row("gzip before chunked", "RFC 9112 §6.1", coded("gzip, chunked")).answered(&[501], 0),
        row(
            "in HTTP/1.0",
            "RFC 9112 §6.1",
            format!("POST /echo HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}"),
        ),
        row("in capitals", "RFC 9112 §7: case-insensitive", coded("CHUNKED"))
            .answered(&[200, 200], 2)
            .kept(),
    ]
}

fn lines() -> Vec<Row> {
    let with = |line: &str| get("GET /x HTTP/1.1", &format!("Host: t\r\n{line}\r\n"));
    vec![
        row("a folded line", "RFC 9112 §5.2", with("A: b\r\n c")),
        row(
            "a folded first line",
            "RFC 9112 §2.2",
            get("GET /x HTTP/1.1", " A: b\r\nHost: t\r\n"),
        ),
        row("white space before a colon", "RFC 9112 §5.1", with("A : b")),
        row(
            "white space before the colon of a length",
            "RFC 9112 §5.1",
            post("Content-Length : 5\r\n", "hello"),
        ),
        row(
            "bare LF",
            "RFC 9112 §2.2: may be taken for a line end",
            "GET /x HTTP/1.1\nHost: t\n\n",
        ),
        row(
            "bare LF at one line",
            "RFC 9112 §2.2",
            with("A: b\nTransfer-Encoding: chunked"),
        ),
        row("bare CR", "RFC 9112 §2.2", with("A: b\rc")),
        row(
            "CR CR LF",
            "RFC 9112 §2.2",
            get("GET /x HTTP/1.1", "Host: t\r\r\n"),
        ),
        row("NUL in a value", "RFC 9110 §5.5", with("A: b\0c")),
        row("a control byte in a value", "RFC 9110 §5.5", with("A: b\x1bc")),
        row("DEL in a value", "RFC 9110 §5.5", with("A: b\x7fc")),
        row("a bad name", "RFC 9110 §5.1, §5.6.2", with("A[b]: c")),
        row("no name", "RFC 9110 §5.1", with(": c")),
        row("no colon", "RFC 9112 §5", with("Abc")),
        row("a tab in a value", "RFC 9110 §5.5", with("A:\tb\tc\t"))
            .answered(&[200, 200], 2)
            .kept(),
    ]
}

fn chunks() -> Vec<Row> {
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "e".repeat(5000));
    vec![
        row(
            "a chunk size past 64 bits",
            "RFC 9112 §7.1",
            chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ),
        row(
            "a signed chunk size",
            "RFC 9112 §7.1",
            chunked("+5\r\nhello\r\n0\r\n\r\n"),
        ),
        row(
            "0x before a chunk size",
            "RFC 9112 §7.1",
            chunked("0x5\r\nhello\r\n0\r\n\r\n"),
        ),
        row(
            "junk behind a chunk size",
            "RFC 9112 §7.1",
            chunked("5g\r\nhello\r\n0\r\n\r\n"),
        ),
        row(
            "no chunk size",
            "RFC 9112 §7.1",
            chunked("\r\nhello\r\n0\r\n\r\n"),
        ),
        row(
            "white space behind a chunk size",
            "RFC 9112 §7.1",
            chunked("5 \r\nhello\r\n0\r\n\r\n"),
        ),
        row(
            "LF behind a chunk size",
            "RFC 9112 §7.1",
            chunked("5\nhello\r\n0\r\n\r\n"),
        ),
        row(
            "LF in an extension",
            "RFC 9112 §7.1.1",
            chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ),
        row(
            "long extensions",
            "RFC 9112 §7.1.1: to be limited",
            chunked(&long),
        ),
        row(
            "a chunk that is too long",
            "RFC 9112 §7.1",
            chunked("5\r\nhello!\r\n0\r\n\r\n"),
        ),
        row(
            "no CRLF behind a chunk",
            "RFC 9112 §7.1",
            chunked("5\r\nhello0\r\n\r\n"),
        ),
        row(
            "LF behind a chunk",
            "RFC 9112 §7.1",
            chunked("5\r\nhello\n0\r\n\r\n"),
        ),
        row(
            "a trailer without a name",
            "RFC 9112 §7.1.2",
            chunked("0\r\n: a\r\n\r\n"),
        ),
        row(
            "a folded trailer",
            "RFC 9112 §5.2",
            chunked("0\r\nA: b\r\n c\r\n\r\n"),
        ),
        row(
            "an extension and a trailer",
            "RFC 9112 §7.1.1, §7.1.2",
            chunked("5;a=\"b\"\r\nhello\r\n0\r\nA: b\r\n\r\n"),
        )
        .answered(&[200, 200], 2)
        .kept(),
    ]
}

fn first_lines() -> Vec<Row> {
    let host = "Host: t\r\n";
    vec![
        row("HTTP/0.9", "RFC 9112 §3, appendix C", get("GET /x", "")),
        row("HTTP/2.0", "RFC 9110 §15.6.6", get("GET /x HTTP/2.0", host)).answered(&[505], 0),
        row("HTTP/1.2", "RFC 9110 §2.5", get("GET /x HTTP/1.2", host)).answered(&[505], 0),
        row(
            "no version of HTTP",
            "RFC 9112 §2.3",
            get("GET /x http/1.1", host),
        ),
        row("two spaces", "RFC 9112 §3", get("GET  /x HTTP/1.1", host)),
        row(
            "a space in the target",
            "RFC 9112 §3.2",
            get("GET /x y HTTP/1.1", host),
        ),
        row("a space at the end", "RFC 9112 §3", get("GET /x HTTP/1.1 ", host)),
        row("a tab", "RFC 9112 §3", get("GET\t/x HTTP/1.1", host)),
        row("a fragment", "RFC 9112 §3.2", get("GET /x#y HTTP/1.1", host)),
        row("a bad method", "RFC 9110 §9.1", get("G(T /x HTTP/1.1", host)),
        row(
            "authority form for GET",
            "RFC 9112 §3.2.3",
            get("GET t:80 HTTP/1.1", host),
        ),
        row(
            "asterisk form for GET",
            "RFC 9112 §3.2.4",
            get("GET * HTTP/1.1", host),
        ),
        row(
            "origin form for CONNECT",
            "RFC 9112 §3.2.3",
            get("CONNECT /x HTTP/1.1", host),
        ),
        row(
            "no port for CONNECT",
            "RFC 9110 §9.3.6",
            get("CONNECT t HTTP/1.1", host),
        ),
        row(
            "user information",
            "RFC 9110 §4.2.4",
            get("GET http://a@t/x HTTP/1.1", host),
        ),
        row("no Host", "RFC 9112 §3.2", get("GET /x HTTP/1.1", "")),
        row(
            "two Hosts",
            "RFC 9112 §3.2",
            get("GET /x HTTP/1.1", "Host: t\r\nHost: t\r\n"),
        ),
        row(
            "a bad Host",
            "RFC 9112 §3.2",
            get("GET /x HTTP/1.1", "Host: t/x\r\n"),
        ),
        row(
            "a list of Hosts",
            "RFC 9112 §3.2",
            get("GET /x HTTP/1.1", "Host: t, u\r\n"),
        ),
        row(
            "two Hosts in HTTP/1.0",
            "RFC 9112 §3.2",
            get("GET /x HTTP/1.0", "Host: t\r\nHost: u\r\n"),
        ),
        row(
            "an absolute target with another Host",
            "RFC 9112 §3.2.2: the target's counts",
            get("GET http://real/host HTTP/1.1", "Host: other\r\n"),
        )
        .answered(&[200, 200], 2)
        .kept(),
        row(
            "empty lines first",
            "RFC 9112 §2.2",
            format!("\r\n\r\nGET /x HTTP/1.1\r\nHost: t\r\n\r\n{HIDDEN}"),
        )
        .answered(&[200, 200], 2)
        .kept(),
        row(
            "asterisk form for OPTIONS",
            "RFC 9112 §3.2.4",
            get("OPTIONS * HTTP/1.1", host),
        )
        .answered(&[200, 200], 2)
        .kept(),
        row(
            "HTTP/1.0 without Host",
            "RFC 9112 §3.2: for HTTP/1.1 only",
            get("GET /x HTTP/1.0", ""),
        )
        .answered(&[200], 1),
    ]
}

fn switches() -> Vec<Row> {
    let upgrade = "Host: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    let other = "Host: t\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n";
    vec![
        row(
            "a WebSocket upgrade with a body",
            "RFC 6455 §4.1, RFC 9110 §7.8",
            format!("GET /x HTTP/1.1\r\n{upgrade}Content-Length: 5\r\n\r\nhello{HIDDEN}"),
        ),
        row(
            "a refused WebSocket upgrade, then what looks like a request",
            "RFC 9110 §7.8, RFC 6455 §4.2.2",
            format!("GET /x HTTP/1.1\r\n{upgrade}\r\n{HIDDEN}"),
        )
        .answered(&[200], 1),
        row(
            "another upgrade that is not taken, with bytes behind it",
            "RFC 9110 §7.8",
            format!("GET /x HTTP/1.1\r\n{other}\r\n{HIDDEN}"),
        )
        .answered(&[200], 1)
        .whole(),
        row(
            "another upgrade with a body",
            "RFC 9110 §7.8: the body comes first, the wish may be ignored",
            format!("POST /echo HTTP/1.1\r\n{other}Content-Length: 5\r\n\r\nhello"),
        )
        .answered(&[200], 1)
        .kept(),
        row(
            "CONNECT with a body",
            "RFC 9110 §9.3.6",
            format!("CONNECT t:80 HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello{HIDDEN}"),
        ),
        row(
            "a request behind one that closes",
            "RFC 9112 §9.6",
            format!("GET /x HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n{HIDDEN}"),
        )
        .answered(&[200], 1),
        row(
            "no HTTP behind one that closes",
            "RFC 9112 §9.6",
            "GET /x HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n\0\0\0\r\n\r\n",
        )
        .answered(&[200], 1),
        row(
            "no HTTP behind a good request",
            "RFC 9112 §2.2, §9.3",
            "GET /x HTTP/1.1\r\nHost: t\r\n\r\nG@T / HTTP/1.1\r\n\r\n",
        )
        .answered(&[200, 400], 1),
    ]
}

/// A server that counts its handler's calls and says back the body, or the host for `/host`.
struct Site {
    server: RunningServer,
    calls: Arc<AtomicUsize>,
    _executor: RuntimeExecutor,
}

impl Site {
    fn open() -> Self {
        let executor = RuntimeExecutor::with_threads(1).expect("a thread");
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let handler = move |request: Request| {
            counted.fetch_add(1, Ordering::SeqCst);
            answer(request)
        };
        let listener = BoundListener::bind("127.0.0.1", 0).expect("a free port");
        let options = ServeOptions::new("site").metrics(ConnectionMetrics::new("site"));
        let router: Router = Router::new().fallback(handler);
        let server = serve(listener, router, options, &executor.spawner()).expect("it serves");
        Self {
            server,
            calls,
            _executor: executor,
        }
    }

    /// Sends the bytes cut at `cuts`, and, for a connection that is kept, a last request behind the answers.
    fn holds(&self, row: &Row, cuts: &[usize]) {
        let told = format!("{} ({}), cut at {cuts:?}", row.name, row.source);
        let before = self.calls.load(Ordering::SeqCst);
        let stream = http::connect(self.server.local_addr());
        let (mut writer, mut reader) = (&stream, BufReader::new(&stream));
        let mut begin = 0;
        for end in cuts.iter().copied().chain([row.bytes.len()]) {
            // A server that has seen enough may have closed.
            let _ = writer.write_all(&row.bytes[begin..end]);
            begin = end;
        }
        let answers: Vec<_> = row
            .answers
            .iter()
            .map(|_| http::read_answer(&mut reader).unwrap_or_else(|| panic!("{told}: an answer")))
            .collect();
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, row.answers, "{told}");
        for refused in answers.iter().filter(|answer| answer.status >= 400) {
            is_ours(refused, &told);
        }
        if row.closed {
            let mut rest = Vec::new();
            let _ = reader.read_to_end(&mut rest);
            assert!(rest.is_empty(), "{told}: {}", String::from_utf8_lossy(&rest));
        } else {
            writer
                .write_all(b"GET /probe HTTP/1.1\r\nHost: t\r\n\r\n")
                .expect("it is kept");
            let probe = http::read_answer(&mut reader).unwrap_or_else(|| panic!("{told}: it is kept"));
            assert_eq!(probe.text(), "/probe", "{told}");
            stream.shutdown(Shutdown::Both).expect("it is open");
        }
        let calls = self.calls.load(Ordering::SeqCst) - before - usize::from(!row.closed);
        // A handler may have been called before a later piece showed that its body is none.
        let begun = row.answers == [400] && !cuts.is_empty() && calls == 1;
        assert!(calls == row.calls || begun, "{told}: {calls} calls");
    }
}

fn is_ours(refused: &Answer, told: &str) {
    assert_eq!(refused.header("content-type"), Some("application/json"), "{told}");
    assert_eq!(refused.header("connection"), Some("close"), "{told}");
    assert!(refused.header("date").is_some(), "{told}");
    assert!(
        refused.json()["message"].is_string() && refused.body.len() <= 200,
        "{told}"
    );
}

async fn answer(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    match parts.uri.path() {
        "/host" => host(&parts.headers).into_response(),
        "/probe" => "/probe".into_response(),
        _ => match to_bytes(body, 1 << 20).await {
            Ok(body) => body.into_response(),
            Err(_) => StatusCode::IM_A_TEAPOT.into_response(),
        },
    }
}

fn host(headers: &HeaderMap) -> String {
    String::from_utf8_lossy(headers[header::HOST].as_bytes()).into_owned()
}

#[test]
fn every_form_gets_its_answer_however_it_is_cut() {
    let site = Site::open();
    let rows = [lengths(), codings(), lines(), chunks(), first_lines(), switches()];
    let rows: Vec<_> = rows.into_iter().flatten().collect();
    assert!(rows.len() >= 80, "{}", rows.len());
    for row in &rows {
        let length = row.bytes.len();
        site.holds(row, &[]);
        if row.whole {
            continue;
        }
        site.holds(row, &[length / 2]);
        site.holds(row, &[length - 1]);
        if length < 200 {
            site.holds(row, &(1..length).collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_host_of_an_absolute_target_is_the_one_that_handlers_see() {
    let site = Site::open();
    let answer = http::send(
        site.server.local_addr(),
        "GET http://real:8080/host HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(answer.text(), "real:8080");
}
