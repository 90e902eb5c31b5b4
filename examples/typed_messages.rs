//! Typed messages: an envelope's payload goes straight into a type of yours.
//!
//! Send `{"type":"sum","payload":{"numbers":[1,2,3]}}` and get `{"payload":{"total":6},"type":"sum.result"}`.

use attached_runtime::{
    App, AttachedRuntime, Config, JsonMessage, RuntimeError, RuntimeExecutor, Session, ShutdownReport,
    WsServer,
};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Sum {
    numbers: Vec<i64>,
}

#[derive(Serialize)]
struct Total {
    total: i64,
}

#[derive(Serialize)]
struct Problem {
    problem: String,
}

fn main() -> Result<ShutdownReport, RuntimeError> {
    let config = Config::from_env()?;
    let _log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::new(config.executor)?;

    let ws = WsServer::new(config.ws).on_typed_message(|session, message| async move {
        match message.type_.as_str() {
            "ping" => {
                session.send_text("pong");
            }
            "sum" => sum(&session, &message),
            other => reply(
                &session,
                "unknown",
                &Problem {
                    problem: format!("no type {other:?} here"),
                },
            ),
        }
    });

    AttachedRuntime::start(App::new(config.http), ws, executor)?.run()
}

fn sum(session: &Session, message: &JsonMessage) {
    let total = match message.payload::<Sum>() {
        Ok(Sum { numbers }) => numbers
            .iter()
            .try_fold(0_i64, |total, number| total.checked_add(*number)),
        Err(error) => {
            return reply(
                session,
                "sum.problem",
                &Problem {
                    problem: error.to_string(),
                },
            );
        }
    };
    match total {
        Some(total) => reply(session, "sum.result", &Total { total }),
        None => reply(
            session,
            "sum.problem",
            &Problem {
                problem: "too large".to_owned(),
            },
        ),
    }
}

fn reply(session: &Session, kind: &str, payload: &impl Serialize) {
    match JsonMessage::new(kind, payload) {
        Ok(message) => {
            session.send_json(&message);
        }
        Err(error) => tracing::error!(%error, "the reply is no JSON object"),
    }
}
