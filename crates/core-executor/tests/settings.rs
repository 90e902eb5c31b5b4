//! Settings: where they come from, which one wins, and what the errors say.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod support;

use core_executor::{Env, EnvError, KEYS, PREFIXES};
use std::time::Duration;
use support::{child_command, is_child};
use tempfile::TempDir;

fn files(env: &str, local: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [(".env", env), (".env.local", local)] {
        if !text.is_empty() {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
    }
    directory
}

fn load(env: &str, local: &str) -> Result<Env, EnvError> {
    Env::load_from(files(env, local).path())
}

fn pairs(key: &str, value: &str) -> Env {
    Env::from_pairs([(key, value)]).unwrap()
}

/// Runs the named test of this binary with more variables in its environment.
fn with_environment(test: &str, variables: &[(&str, &str)]) {
    let status = child_command(test, "")
        .envs(variables.iter().copied())
        .status()
        .unwrap();
    assert!(status.success(), "the child of {test} failed");
}

#[test]
fn environment_beats_local_beats_env() {
    let test = "environment_beats_local_beats_env";
    if !is_child(test) {
        return with_environment(test, &[("SERVER_PORT", "3"), ("METRICS_HOST", "")]);
    }
    let env = load(
        "SERVER_PORT=1\nWEBSOCKET_PORT=1\nMETRICS_PORT=1\nMETRICS_HOST=a\n",
        "SERVER_PORT=2\nWEBSOCKET_PORT=2\n",
    )
    .unwrap();
    assert_eq!(env.port("SERVER_PORT", 0).unwrap(), 3);
    assert_eq!(env.port("WEBSOCKET_PORT", 0).unwrap(), 2);
    assert_eq!(env.port("METRICS_PORT", 0).unwrap(), 1);
    assert_eq!(env.port("SERVER_IO_THREADS", 7).unwrap(), 7);
    assert_eq!(env.string("METRICS_HOST", "default").unwrap(), "");
}

#[test]
fn the_environment_is_read_for_known_keys_only() {
    let test = "the_environment_is_read_for_known_keys_only";
    if !is_child(test) {
        return with_environment(test, &[("SERVER_SOFTWARE", "other"), ("SERVER_PORT", "many")]);
    }
    let env = load("", "").expect("SERVER_SOFTWARE belongs to somebody else");
    let error = env.port("SERVER_PORT", 1).unwrap_err().to_string();
    assert_eq!(
        error,
        "environment: `SERVER_PORT` is \"many\", expected a port from 0 to 65535"
    );
}

#[test]
fn the_working_directory_is_where_load_looks() {
    let test = "the_working_directory_is_where_load_looks";
    if !is_child(test) {
        let directory = files("SERVER_PORT=x\n", "");
        let status = child_command(test, "")
            .current_dir(directory.path())
            .status()
            .unwrap();
        return assert!(status.success());
    }
    let error = Env::load().unwrap().port("SERVER_PORT", 1).unwrap_err();
    assert!(error.to_string().starts_with(".env:1: `SERVER_PORT`"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_an_error() {
    use std::os::unix::ffi::OsStrExt;
    let test = "a_variable_that_is_no_text_is_an_error";
    if !is_child(test) {
        let value = std::ffi::OsStr::from_bytes(b"80\xff80");
        let status = child_command(test, "")
            .env("SERVER_PORT", value)
            .status()
            .unwrap();
        return assert!(status.success());
    }
    let error = load("SERVER_PORT=1\n", "").unwrap_err().to_string();
    assert!(error.starts_with("environment: `SERVER_PORT`"), "{error}");
}

#[test]
fn no_file_is_no_error() {
    assert!(load("", "").is_ok());
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join(".env")).unwrap();
    let error = Env::load_from(directory.path()).unwrap_err();
    assert!(matches!(error, EnvError::Unreadable { .. }));
    assert!(error.to_string().ends_with("/.env"), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn errors_name_file_and_line_and_no_other_value() {
    let text = "# head\nSERVER_HOST=hunter2\n\nSERVER_PORT=eighty\nWEBSOCKET_HOST=hunter3\n";
    let env = load(text, "").unwrap();
    let error = env.port("SERVER_PORT", 1).unwrap_err();
    let (shown, debugged) = (error.to_string(), format!("{error:?} {env:?}"));
    assert!(shown.ends_with("/.env:4: `SERVER_PORT` is \"eighty\", expected a port from 0 to 65535"));
    assert!(!shown.contains("hunter") && !debugged.contains("hunter"));
    let error = load(text, "SERVER_PORT 90 hunter4\n").unwrap_err().to_string();
    assert!(error.ends_with("/.env.local:1: expected KEY=value"), "{error}");
    assert!(!error.contains("hunter"));
}

#[test]
fn what_a_secret_is_set_to_is_in_no_error() {
    let env = load("OPS_TOKEN=hunter2\n", "").unwrap();
    let error = env.invalid("OPS_TOKEN", "long enough");
    let shown = error.to_string();
    assert!(
        shown.ends_with("/.env:1: the value of `OPS_TOKEN`, which is not shown, is not long enough"),
        "{shown}"
    );
    assert!(!format!("{shown} {error:?} {env:?}").contains("hunter2"));
}

#[test]
fn an_unknown_key_of_ours_in_a_file_is_refused_with_a_hint() {
    let error = load("OTHER_PROGRAM=1\nSERVER_PROT=hunter2\n", "")
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with(".env:2: unknown setting `SERVER_PROT`, did you mean `SERVER_PORT`?"),
        "{error}"
    );
    assert!(!error.contains("hunter2"));
    let error = Env::from_pairs([("LOGGING_ASINC", "1")]).unwrap_err().to_string();
    assert!(error.contains("did you mean `LOGGING_ASYNC`?"), "{error}");
    assert!(load("OTHER_PROGRAM=1\nserver_port=2\n", "").is_ok());
}

#[test]
fn the_hint_is_the_key_that_was_meant() {
    for key in KEYS {
        for at in 1..key.name.len() {
            let typo = format!("{}{}", &key.name[..at], &key.name[at + 1..]);
            if !PREFIXES.iter().any(|prefix| typo.starts_with(prefix)) {
                continue;
            }
            match Env::from_pairs([(&typo, "")]) {
                Err(EnvError::Unknown { nearest, .. }) => assert_eq!(nearest, Some(key.name), "{typo}"),
                other => panic!("{typo} gave {other:?}"),
            }
        }
    }
}

#[test]
fn every_key_has_one_of_our_prefixes_and_stands_once() {
    for (index, key) in KEYS.iter().enumerate() {
        assert!(
            PREFIXES.iter().any(|prefix| key.name.starts_with(prefix)),
            "{}",
            key.name
        );
        assert!(
            KEYS[..index].iter().all(|other| other.name != key.name),
            "{}",
            key.name
        );
        assert!(!key.meaning.is_empty());
    }
}

#[test]
fn a_key_of_no_list_is_a_mistake_of_the_program() {
    let env = Env::default();
    assert!(matches!(
        env.string("HOME", ""),
        Err(EnvError::Undeclared { key: "HOME" })
    ));
    assert!(matches!(
        env.list("SERVER_NOPE"),
        Err(EnvError::Undeclared { .. })
    ));
    assert!(matches!(
        env.flag("SERVER_NOPE", true),
        Err(EnvError::Undeclared { .. })
    ));
    assert!(matches!(
        env.invalid("SERVER_NOPE", "x"),
        EnvError::Undeclared { .. }
    ));
}

#[test]
fn a_default_of_wrong_meaning_is_no_undeclared_key() {
    let error = Env::default()
        .invalid("SERVER_HOST", "something else")
        .to_string();
    assert_eq!(
        error,
        "default: `SERVER_HOST` is \"127.0.0.1\", expected something else"
    );
}

#[test]
fn good_and_bad_forms_of_numbers() {
    let port = |value| pairs("SERVER_PORT", value).port("SERVER_PORT", 1);
    assert_eq!(port("0").unwrap(), 0);
    assert_eq!(port(" 65535 ").unwrap(), 65535);
    for bad in ["", "65536", "-1", "+1", "80a", "0x50", "8 0", "1e3", "８０"] {
        assert!(matches!(port(bad), Err(EnvError::Invalid { .. })), "{bad:?}");
    }
    let number = |value| pairs("SERVER_IO_THREADS", value).number("SERVER_IO_THREADS", 1, 2..=9);
    assert_eq!(number("2").unwrap(), 2);
    assert_eq!(number("9").unwrap(), 9);
    for bad in ["", "1", "10", "+3", "-3", "99999999999999999999", "3.0"] {
        let error = number(bad).unwrap_err().to_string();
        assert!(error.ends_with("expected a whole number from 2 to 9"), "{error}");
    }
}

#[test]
fn good_and_bad_forms_of_times() {
    let seconds = |value| pairs("WEBSOCKET_IDLE_TIMEOUT", value).seconds("WEBSOCKET_IDLE_TIMEOUT", 1);
    let millis = |value| pairs("SERVER_REQUEST_TIMEOUT", value).millis("SERVER_REQUEST_TIMEOUT", 1);
    assert_eq!(seconds("3").unwrap(), Duration::from_secs(3));
    assert_eq!(millis("3").unwrap(), Duration::from_millis(3));
    for (value, expected) in [
        ("500ms", 500),
        ("30s", 30_000),
        ("5m", 300_000),
        ("1 h", 3_600_000),
        ("0", 0),
    ] {
        assert_eq!(
            seconds(value).unwrap(),
            Duration::from_millis(expected),
            "{value}"
        );
        assert_eq!(millis(value).unwrap(), Duration::from_millis(expected), "{value}");
    }
    assert_eq!(seconds("31536000").unwrap(), Duration::from_secs(31_536_000));
    for bad in [
        "",
        "s",
        "1d",
        "-1",
        "1.5",
        "1s s",
        "31536001",
        "18446744073709551615",
        "8761h",
        "1S",
    ] {
        let error = seconds(bad).unwrap_err().to_string();
        assert!(error.contains("expected seconds"), "{error}");
        assert!(millis(bad).is_err() || bad == "31536001", "{bad}");
    }
    let absent = Env::default();
    assert_eq!(
        absent.seconds("WEBSOCKET_IDLE_TIMEOUT", 60).unwrap(),
        Duration::from_secs(60)
    );
    assert_eq!(
        absent.millis("SERVER_REQUEST_TIMEOUT", 60).unwrap(),
        Duration::from_millis(60)
    );
}

#[test]
fn good_and_bad_forms_of_words() {
    let flag = |value| pairs("LOGGING_ASYNC", value).flag("LOGGING_ASYNC", false);
    for (value, expected) in [
        ("true", true),
        ("ON", true),
        ("Yes", true),
        ("1", true),
        ("false", false),
        ("off", false),
        ("no", false),
        ("0", false),
    ] {
        assert_eq!(flag(value).unwrap(), expected, "{value}");
    }
    for bad in ["", "2", "t", "truе", "enabled"] {
        assert!(flag(bad).is_err(), "{bad:?}");
    }
    let choices = [("basic", 1), ("off", 2)];
    let choice = |value| pairs("WAF_MODE", value).choice("WAF_MODE", 1, &choices);
    assert_eq!(choice("off").unwrap(), 2);
    for bad in ["", "OFF", "none"] {
        let error = choice(bad).unwrap_err().to_string();
        assert!(error.ends_with("expected one of: basic, off"), "{error}");
    }
    assert_eq!(Env::default().choice("WAF_MODE", 2, &choices).unwrap(), 2);
}

#[test]
fn hosts_texts_and_lists() {
    let host = |value| pairs("SERVER_HOST", value).host("SERVER_HOST", "d");
    for good in ["localhost", "127.0.0.1", "::1", "[::1]"] {
        assert_eq!(host(good).unwrap(), good);
    }
    for bad in ["", " ", "a b", "a\tb"] {
        assert!(host(bad).is_err(), "{bad:?}");
    }
    assert_eq!(Env::default().host("SERVER_HOST", "d").unwrap(), "d");
    assert_eq!(
        pairs("METRICS_PREFIX", "").string("METRICS_PREFIX", "d").unwrap(),
        ""
    );
    assert_eq!(Env::default().string("METRICS_PREFIX", "d").unwrap(), "d");
    let list = pairs("WEBSOCKET_ALLOWED_ORIGINS", " a, ,b,,c d ,").list("WEBSOCKET_ALLOWED_ORIGINS");
    assert_eq!(list.unwrap(), ["a", "b", "c d"]);
    assert!(
        Env::default()
            .list("WEBSOCKET_ALLOWED_ORIGINS")
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_value_in_an_error_is_cut_and_cannot_break_the_line() {
    let env = pairs("SERVER_PORT", &format!("a\r\nb\u{1b}[31m{}", "x".repeat(1000)));
    let error = env.port("SERVER_PORT", 1).unwrap_err().to_string();
    assert!(!error.contains(['\r', '\n', '\u{1b}']), "{error:?}");
    assert!(error.len() < 200, "{}", error.len());
}
