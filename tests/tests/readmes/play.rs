//! Plays one scene against the real example, which ends with 0 on SIGTERM.

use std::process::{Command, Stdio};

use workspace_tests::PATIENCE;
use workspace_tests::example::{Addresses, Example, Launch};
use workspace_tests::ws::Client;

use crate::console::{Exchange, Typed, all_fit, fits};

/// Settings before `cargo run --example NAME`, and the name.
pub(crate) fn example_of(scene: &[Exchange]) -> (Vec<(String, String)>, String) {
    let Some(Typed::Command(command)) = scene.first().map(|first| &first.typed) else {
        panic!("a scene begins with a command");
    };
    let (settings, name) = command
        .split_once("cargo run --example ")
        .unwrap_or_else(|| panic!("a scene begins with an example, not with {command}"));
    let settings = settings.split_whitespace().map(|setting| {
        let (key, value) = setting.split_once('=').expect("a setting is KEY=value");
        (key.to_owned(), value.to_owned())
    });
    (settings.collect(), name.to_owned())
}

pub(crate) fn play(scene: &[Exchange]) {
    let (settings, name) = example_of(scene);
    let launch = Launch::new(&name);
    let launch = settings
        .iter()
        .fold(launch, |launch, (key, value)| launch.set(key, value));
    let mut stage = Stage {
        example: launch.start(),
        client: None,
    };
    for shown in &scene[0].shown {
        let addresses = stage.example.addresses();
        stage
            .example
            .wait_for_line(|line| fits(shown, &as_documented(&addresses, line)));
    }
    for Exchange { typed, shown } in &scene[1..] {
        match typed {
            Typed::Line(text) => stage.says(text, shown),
            Typed::Command(command) => match command.strip_prefix("websocat ws://") {
                Some(place) => stage.connects(place, shown),
                None => stage.does(command, shown),
            },
        }
    }
    assert_eq!(
        stage.example.terminate(),
        Some(0),
        "{:?}",
        stage.example.all_lines()
    );
}

/// The port that the READMEs name, and the one of this run.
fn ports(addresses: &Addresses) -> Vec<(&'static str, String)> {
    let all = [
        ("8080", addresses.http),
        ("9090", addresses.ws),
        ("9100", addresses.metrics),
    ];
    let known = all
        .into_iter()
        .filter_map(|(port, address)| Some((port, address?.port().to_string())));
    known.collect()
}

fn as_documented(addresses: &Addresses, line: &str) -> String {
    ports(addresses)
        .iter()
        .fold(line.to_owned(), |line, (documented, real)| {
            line.replace(&format!("127.0.0.1:{real}"), &format!("127.0.0.1:{documented}"))
        })
}

fn as_it_runs(addresses: &Addresses, text: &str) -> String {
    ports(addresses)
        .iter()
        .fold(text.to_owned(), |text, (documented, real)| {
            text.replace(&format!("localhost:{documented}"), &format!("127.0.0.1:{real}"))
        })
}

struct Stage {
    example: Example,
    client: Option<Client>,
}

impl Stage {
    /// Runs a command. Below what it says stands what the WebSocket client hears of it (`<`), and the example says (`!`).
    fn does(&mut self, command: &str, shown: &[String]) {
        let is_beside = |line: &&String| line.starts_with("< ") || line.starts_with("! ");
        let (beside, said): (Vec<&String>, Vec<&String>) = shown.iter().partition(is_beside);
        self.runs(command, &said);
        for line in beside {
            match line.strip_prefix("! ") {
                Some(own) => self.says_itself(own),
                None => self.hears(std::slice::from_ref(line)),
            }
        }
    }

    fn connects(&mut self, place: &str, shown: &[String]) {
        let place = as_it_runs(&self.example.addresses(), place);
        let (address, path) = place.split_once('/').unwrap_or((&place, ""));
        let address = address
            .parse()
            .unwrap_or_else(|_| panic!("{place} is none of its servers"));
        self.client = Some(Client::connect(address, &format!("/{path}")));
        self.hears(shown);
    }

    fn says(&mut self, text: &str, shown: &[String]) {
        let client = self
            .client
            .as_mut()
            .expect("a line is typed to a client that runs");
        client.send(text);
        self.hears(shown);
    }

    fn hears(&mut self, shown: &[String]) {
        for line in shown {
            let client = self.client.as_mut().expect("a client runs");
            let expected = line
                .strip_prefix("< ")
                .unwrap_or_else(|| panic!("a client shows no {line:?}"));
            let heard = client.text();
            assert!(fits(expected, &heard), "shown: {expected}\nheard: {heard}");
        }
    }

    /// Waits for a line of the example itself.
    fn says_itself(&mut self, shown: &str) {
        let addresses = self.example.addresses();
        self.example
            .wait_for_line(|line| fits(shown, &as_documented(&addresses, line)));
    }

    fn runs(&self, command: &str, shown: &[&String]) {
        let addresses = self.example.addresses();
        let limit = PATIENCE.as_secs();
        let quiet =
            format!("curl() {{ command curl -q --silent --show-error --max-time {limit} \"$@\"; }}\n");
        let output = Command::new("sh")
            .arg("-c")
            .arg(quiet + &as_it_runs(&addresses, command))
            .current_dir(self.example.directory())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .output()
            .expect("there is a shell");
        let said = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<_> = said.lines().map(|line| as_documented(&addresses, line)).collect();
        assert!(
            all_fit(shown, &lines),
            "$ {command}\nshown: {shown:#?}\nsaid: {lines:#?}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
