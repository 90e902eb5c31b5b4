//! The WebSocket part alone, with its own life.

use attached_runtime::Addresses;
use core_executor::{Env, ExecutorConfig, RuntimeExecutor, listen_for_signals};
use std::error::Error;
use tokio::time::Instant;
use ws_server::{WsConfig, WsServer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let env = Env::load()?;
    let executor = RuntimeExecutor::new(ExecutorConfig::from_env(&env)?)?;
    let ws = WsServer::new(WsConfig::from_env(&env)?).on_message(|session, text| async move {
        session.send_text(format!("echo: {text}"));
    });

    let running = ws.start(&executor.spawner())?;
    listen_for_signals(&executor.spawner())?;
    Addresses::new(None, running.local_addr(), None).announce();

    executor.shutdown_signal().requested().await;
    let deadline = executor.config().shutdown_deadline;
    let plan = running.plan(Instant::now() + deadline);
    running.stop(plan).await;
    executor.stop_and_wait(deadline).await;
    Ok(())
}
