//! Several servers under many loads, side by side in one run: each server pinned to one core, the load client to the
//! other, rounds of all servers in turn; prints medians, spreads and ratios as Markdown.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use benches::cells::{Cell, choose};
use benches::statistics::{median, spread};
use benches::{Arguments, Measured};

const USAGE: &str = "\
compare --ours PATH [--peers PATH] [--other NAME=COMMAND]
  --ours PATH       the example bench_server, release build
  --peers PATH      the servers of benches/peers, release build
  --other N=COMMAND one more server; {port} in its command is the port it must listen on
  --servers LIST    (ours,tokio-tungstenite,axum,fastwebsockets,yawc,sockudo-ws); a peer's name with
                    -batched is its room with one flush for all that waits; axum-multi-thread is axum on
                    tokio's default runtime
  --cells LIST      names of cells or their beginnings (echo-20-200,room-1000-64,handshakes); `all`
  --rounds N (3)    --seconds S (3)    --warm-up S (1)    --json FILE: every single run, a line each";

/// Who may be missing in which cell: a server that cannot do a mode is a dash in the table.
const CANNOT: &[(&str, &str)] = &[("fastwebsockets", "room"), ("fastwebsockets", "deflate")];
/// The peers that serve no page.
const NO_HTTP: &[&str] = &["tokio-tungstenite", "fastwebsockets", "yawc", "sockudo-ws"];
const NO_DEFLATE: &[&str] = &[
    "tokio-tungstenite",
    "axum",
    "axum-multi-thread",
    "fastwebsockets",
    "sockudo-ws",
];

/// The end of the name of a peer that writes all that waits for a member at once.
const BATCHED: &str = "-batched";

type AnyError = Box<dyn Error>;

struct Plan {
    commands: BTreeMap<String, String>,
    servers: Vec<String>,
    cells: Vec<Cell>,
    rounds: usize,
    seconds: f64,
    warm_up: f64,
    log: Option<PathBuf>,
}

fn main() -> ExitCode {
    match read_plan().and_then(|plan| run(&plan)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn read_plan() -> Result<Plan, AnyError> {
    let mut arguments = Arguments::parse(std::env::args().skip(1), &[]);
    let mut commands = BTreeMap::new();
    if let Some(path) = arguments.optional::<String>("ours")? {
        commands.insert("ours".to_owned(), path);
    }
    if let Some(path) = arguments.optional::<String>("peers")? {
        for peer in [
            "tokio-tungstenite",
            "axum",
            "axum-multi-thread",
            "fastwebsockets",
            "yawc",
            "sockudo-ws",
        ] {
            commands.insert(peer.to_owned(), format!("{path} {peer} {{port}}"));
            commands.insert(
                format!("{peer}{BATCHED}"),
                format!("{path} {peer} {{port}} batched"),
            );
        }
    }
    if let Some(other) = arguments.optional::<String>("other")? {
        let (name, command) = other.split_once('=').ok_or("--other NAME=COMMAND")?;
        commands.insert(name.to_owned(), command.to_owned());
    }
    let all = "ours,tokio-tungstenite,axum,fastwebsockets,yawc,sockudo-ws".to_owned();
    let servers: String = arguments.value("servers", all)?;
    let cells: String = arguments.value("cells", "echo-20-200,room-1000-64,handshakes".to_owned())?;
    let plan = Plan {
        servers: servers
            .split(',')
            .filter(|name| commands.contains_key(*name))
            .map(str::to_owned)
            .collect(),
        cells: choose(&cells),
        rounds: arguments.value("rounds", 3)?,
        seconds: arguments.value("seconds", 3.0)?,
        warm_up: arguments.value("warm-up", 1.0)?,
        log: arguments.optional("json")?,
        commands,
    };
    arguments.finish()?;
    if plan.servers.is_empty() || plan.cells.is_empty() {
        return Err("no server or no cell is left to measure".into());
    }
    Ok(plan)
}

fn run(plan: &Plan) -> Result<(), AnyError> {
    let mut out = io::stdout().lock();
    let names = plan.servers.join(" | ");
    writeln!(
        out,
        "| load | {names} |\n|---|{}",
        "---|".repeat(plan.servers.len())
    )?;
    for cell in &plan.cells {
        let mut runs: BTreeMap<&str, Vec<Measured>> = BTreeMap::new();
        for round in 0..plan.rounds {
            for at in 0..plan.servers.len() {
                // Another one begins each round, so that none always runs on the heels of the same neighbour.
                let server = plan.servers[(at + round) % plan.servers.len()].as_str();
                if cannot(server, cell) {
                    continue;
                }
                match measure(plan, server, cell) {
                    Ok(measured) => {
                        keep(plan, server, cell, &measured)?;
                        runs.entry(server).or_default().push(measured);
                    }
                    Err(error) => writeln!(io::stderr(), "{server}, {}: {error}", cell.name)?,
                }
            }
        }
        let ours = runs.get("ours").map(|runs| figure(cell, runs).0);
        let columns = plan
            .servers
            .iter()
            .map(|server| column(cell, runs.get(server.as_str()), ours));
        writeln!(
            out,
            "| {} | {} |",
            cell.title,
            columns.collect::<Vec<_>>().join(" | ")
        )?;
        out.flush()?;
    }
    Ok(())
}

fn cannot(server: &str, cell: &Cell) -> bool {
    let mode = CANNOT
        .iter()
        .any(|(name, mode)| *name == server && *mode == cell.mode);
    let without_room = server.ends_with(BATCHED) && cell.mode != "room";
    let plain = NO_DEFLATE.contains(&server.trim_end_matches(BATCHED));
    let no_page = cell.is_http() && NO_HTTP.contains(&server);
    mode || without_room || no_page || (cell.is_deflated && plain)
}

fn keep(plan: &Plan, server: &str, cell: &Cell, measured: &Measured) -> Result<(), AnyError> {
    let Some(path) = &plan.log else { return Ok(()) };
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
    let json = serde_json::to_string(measured)?;
    writeln!(
        file,
        "{{\"server\":\"{server}\",\"cell\":\"{}\",\"run\":{json}}}",
        cell.name
    )?;
    Ok(())
}

/// Median and spread of what the cell is about.
fn figure(cell: &Cell, runs: &[Measured]) -> (f64, f64) {
    let of = |run: &Measured| match cell.mode {
        "idle" => run.bytes_per_connection,
        "beside" => run.p50,
        _ => run.per_cpu_second,
    };
    let values: Vec<f64> = runs.iter().map(of).collect();
    (median(&values), spread(&values))
}

fn column(cell: &Cell, runs: Option<&Vec<Measured>>, ours: Option<f64>) -> String {
    let Some(runs) = runs else { return "–".to_owned() };
    let (middle, width) = figure(cell, runs);
    let percent = width * 100.0;
    if cell.mode == "idle" {
        let cores = median(
            &runs
                .iter()
                .map(|run| run.server_cpu / run.seconds)
                .collect::<Vec<_>>(),
        );
        return format!("{middle:.0} B ± {percent:.0} %, {cores:.4} core");
    }
    if cell.mode == "beside" {
        let ratio = ours.map_or(String::new(), |ours| format!(" (ours ×{:.2})", ours / middle));
        return format!("p50 {middle:.2} ms ± {percent:.0} %{ratio}");
    }
    let ratio = ours
        .filter(|_| middle > 0.0)
        .map_or(String::new(), |ours| format!(" (ours ×{:.2})", ours / middle));
    let p99 = median(&runs.iter().map(|run| run.p99).collect::<Vec<_>>());
    let is_bottleneck = runs.iter().any(|run| run.client_cpu > 0.97 * run.seconds);
    let note = if is_bottleneck { ", load client full" } else { "" };
    format!(
        "{:.1} k ± {percent:.0} %{ratio}, p99 {p99:.1} ms{note}",
        middle / 1000.0
    )
}

/// A server that ends with its measurement.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn measure(plan: &Plan, server: &str, cell: &Cell) -> Result<Measured, AnyError> {
    let (port, other) = (free_port()?, free_port()?);
    let command = plan.commands[server].replace("{port}", &port.to_string());
    let mut words = command.split_whitespace();
    let running = Command::new("taskset")
        .args(["-c", "0"])
        .args(&mut words)
        .env("WEBSOCKET_PORT", port.to_string())
        .env("SERVER_PORT", other.to_string())
        .env("METRICS_PORT", "0")
        .env("SERVER_IO_THREADS", "1")
        .env(
            "WEBSOCKET_PING_INTERVAL",
            if cell.mode == "idle" { "2" } else { "30" },
        )
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let running = Server(running);
    wait_for(port)?;
    // Ours has a port for each; the others serve everything on one.
    let http = if server == "ours" { other } else { port };
    wait_for(if cell.is_http() { http } else { port })?;
    load(plan, cell, (port, http), running.0.id())
}

fn load(plan: &Plan, cell: &Cell, (ws, http): (u16, u16), server: u32) -> Result<Measured, AnyError> {
    let (port, path) = match cell.mode {
        "plaintext" | "beside" => (http, "plaintext"),
        "room" => (ws, "room"),
        _ => (ws, "echo"),
    };
    let seconds = if cell.mode == "idle" {
        plan.seconds.max(5.0)
    } else {
        plan.seconds
    };
    let mut command = Command::new("taskset");
    command
        .args(["-c", "1"])
        .arg(std::env::current_exe()?.with_file_name("load"))
        .args([cell.mode, &format!("127.0.0.1:{port}/{path}"), "--json"])
        .args([
            "--pid",
            &server.to_string(),
            "--connections",
            &cell.connections.to_string(),
        ])
        .args(["--in-flight", &cell.in_flight.to_string()])
        .args([
            "--seconds",
            &seconds.to_string(),
            "--warm-up",
            &plan.warm_up.to_string(),
        ]);
    if cell.mode == "idle" {
        command.args(["--touch", &cell.size.to_string()]);
    } else {
        command.args(["--size", &cell.size.to_string()]);
    }
    if cell.mode == "beside" {
        command.args(["--flood", &format!("127.0.0.1:{ws}/echo")]);
    }
    if cell.is_deflated {
        command.arg("--deflate");
    }
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn wait_for(port: u16) -> Result<(), AnyError> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_err() {
        if Instant::now() > until {
            return Err("it does not listen".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
