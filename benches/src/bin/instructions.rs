//! Counts the instructions of the hot paths under callgrind and compares them with the counts kept in the repository.
//!
//! `instructions` fails when a path costs over 3 % more than it is known to cost, when it is unknown, or when valgrind
//! cannot be run. `instructions --update` writes the counts down instead.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use benches::{Arguments, UsageError};

type AnyError = Box<dyn Error>;

/// More than this share above the known count fails.
const TOLERANCE: f64 = 0.03;
/// So often a path is counted that seems to cost more: over real sockets how much is read at once differs from run to run,
/// and what the code costs more is there every time.
const TIMES: usize = 3;
/// Each path, and the rounds of its short and its long run: the difference is free of the start and the end.
const PATHS: &[(&str, u64, u64)] = &[
    ("echo", 1000, 5000),
    ("echo-16", 200, 1000),
    ("room", 20, 100),
    ("parse", 100, 500),
    ("echo-tcp", 20, 100),
    ("echo-16-tcp", 10, 50),
    ("room-tcp", 20, 100),
    ("page", 20, 120),
];
const HEAD: &str = "\
# User instructions per message, under callgrind, release build with the pinned compiler on x86-64.
# Written by `cargo run --release -p benches --bin instructions -- --update`.
";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, AnyError> {
    let mut arguments = Arguments::parse(env::args().skip(1), &["update"]);
    let updates = arguments.flag("update");
    arguments
        .finish()
        .map_err(|error: UsageError| error.to_string())?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.txt");
    let known = fs::read_to_string(&file).unwrap_or_default();
    let mut out = io::stdout().lock();
    writeln!(out, "{:<12}{:>10}{:>10}{:>9}", "path", "known", "now", "change")?;
    let (mut counts, mut is_good) = (HEAD.to_owned(), true);
    for (path, short, long) in PATHS {
        let before = known_count(&known, path);
        let now = least(path, *short, *long, before.filter(|_| !updates))?;
        writeln!(counts, "{path} {now:.1}")?;
        let Some(before) = before else {
            writeln!(out, "{path:<12}{:>10}{now:>10.1}", "-")?;
            is_good = false;
            continue;
        };
        let change = now / before - 1.0;
        let verdict = if change > TOLERANCE { "  TOO MANY" } else { "" };
        is_good &= change <= TOLERANCE;
        writeln!(
            out,
            "{path:<12}{before:>10.1}{now:>10.1}{:>8.1}%{verdict}",
            change * 100.0
        )?;
    }
    if updates {
        fs::write(&file, counts)?;
        return Ok(true);
    }
    if !is_good {
        writeln!(
            out,
            "A path costs over 3 % more than {} says. If it must, --update it.",
            file.display()
        )?;
    }
    Ok(is_good)
}

fn known_count(known: &str, path: &str) -> Option<f64> {
    let line = known
        .lines()
        .find_map(|line| line.strip_prefix(path)?.strip_prefix(' '));
    line?.parse().ok()
}

/// What a message costs, counted again while that is too many.
fn least(path: &str, short: u64, long: u64, known: Option<f64>) -> Result<f64, AnyError> {
    let mut least = per_message(path, short, long)?;
    let Some(known) = known else { return Ok(least) };
    for _ in 1..TIMES {
        if least / known - 1.0 <= TOLERANCE {
            break;
        }
        least = least.min(per_message(path, short, long)?);
    }
    Ok(least)
}

fn per_message(path: &str, short: u64, long: u64) -> Result<f64, AnyError> {
    let (few, cost_of_few) = count(path, short)?;
    let (many, cost_of_many) = count(path, long)?;
    Ok((cost_of_many - cost_of_few) as f64 / (many - few) as f64)
}

/// Messages of one run, and its instructions.
fn count(path: &str, rounds: u64) -> Result<(u64, u64), AnyError> {
    let profile = profile_file(path, rounds);
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(env::current_exe()?.with_file_name("hot_paths"))
        .args([path, &rounds.to_string()])
        .output()
        .map_err(|error| {
            format!("valgrind cannot be run ({error}): install it, these counts are not optional")
        })?;
    if !output.status.success() {
        return Err(format!("{path}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let messages = String::from_utf8(output.stdout)?.trim().parse()?;
    let text = fs::read_to_string(&profile)?;
    fs::remove_file(&profile)?;
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    Ok((messages, total.ok_or("callgrind wrote no total")?.trim().parse()?))
}

fn profile_file(path: &str, rounds: u64) -> PathBuf {
    env::temp_dir().join(format!("callgrind.{path}.{rounds}.{}", std::process::id()))
}
