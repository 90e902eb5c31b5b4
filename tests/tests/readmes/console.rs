//! The ```` ```console ```` blocks of a README: what somebody types, and what comes back.

/// What is typed in a terminal.
pub(crate) enum Typed {
    /// Behind `$`: a command of the shell.
    Command(String),
    /// Behind `>`: a line for the WebSocket client that runs.
    Line(String),
}

/// Something typed, and the lines that are shown below it.
pub(crate) struct Exchange {
    pub(crate) typed: Typed,
    pub(crate) shown: Vec<String>,
}

/// Each block is a scene of its own.
pub(crate) fn scenes(markdown: &str) -> Vec<Vec<Exchange>> {
    let blocks = markdown.split("\n```console\n").skip(1);
    blocks
        .map(|block| scene(block.split("\n```").next().unwrap_or_default()))
        .collect()
}

fn scene(block: &str) -> Vec<Exchange> {
    let mut scene: Vec<Exchange> = Vec::new();
    for line in block.lines() {
        let typed = match line.split_once(' ') {
            Some(("$", command)) => Typed::Command(command.to_owned()),
            Some((">", text)) => Typed::Line(text.to_owned()),
            _ => {
                let last = scene.last_mut().expect("a block begins with a command");
                last.shown.push(line.to_owned());
                continue;
            }
        };
        let shown = Vec::new();
        scene.push(Exchange { typed, shown });
    }
    scene
}

/// Whether a line is as it is shown.
pub(crate) fn fits(shown: &str, line: &str) -> bool {
    let Some((head, tail)) = shown.split_once('…') else {
        return shown == line;
    };
    line.strip_prefix(head).is_some_and(|rest| {
        let mut starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
        starts.any(|at| fits(tail, &rest[at..]))
    })
}

/// Whether all lines are as they are shown.
pub(crate) fn all_fit(shown: &[impl AsRef<str>], lines: &[String]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((any, others)) if any.as_ref() == "…" => {
            (0..=lines.len()).any(|skipped| all_fit(others, &lines[skipped..]))
        }
        Some((first, others)) => {
            let line = lines.split_first();
            line.is_some_and(|(line, rest)| fits(first.as_ref(), line) && all_fit(others, rest))
        }
    }
}

#[test]
fn shown_lines_and_gaps() {
    assert!(fits("a … c", "a long b c") && fits("a…", "a") && fits("…", ""));
    assert!(!fits("a … c", "a b d") && !fits("a", "ab") && !fits("…a", "ab"));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(all_fit(&lines("a\n…\nd"), &lines("a\nb\nc\nd")));
    assert!(!all_fit(&lines("a\nb"), &lines("a")) && !all_fit(&lines("a"), &lines("a\nb")));
    let scenes = scenes("text\n```console\n$ run\nready\n> hi\n< ho\n```\ntext");
    assert_eq!(scenes.len(), 1);
    assert!(matches!(&scenes[0][0].typed, Typed::Command(command) if command == "run"));
    assert!(matches!(&scenes[0][1].typed, Typed::Line(line) if line == "hi"));
    assert_eq!(scenes[0][1].shown, ["< ho"]);
}
