//! Our client as the Autobahn suite's server wants it: asks how many cases there are, runs each and sends back what it
//! hears. `autobahn_client PORT`.

use std::io::{self, Write};
use std::process::ExitCode;

use core_executor::{RuntimeExecutor, Spawner};
use ws_server::client::{ClientConfig, ClientError, Message, QueueConfig, WsClient};

/// Larger than the suite's largest message, which has 16 MiB.
const ENOUGH: usize = 64 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(port) = std::env::args().nth(1).and_then(|port| port.parse().ok()) else {
        let _ = writeln!(io::stderr(), "autobahn_client PORT");
        return ExitCode::FAILURE;
    };
    match run(port).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(port: u16) -> Result<(), Box<dyn std::error::Error>> {
    let executor = RuntimeExecutor::on_current()?;
    let spawner = executor.spawner();
    let mut questions = connect(port, "getCaseCount", &spawner).await?;
    let count = questions.receive().await?.ok_or("the suite says nothing")?;
    let count: usize = count.to_text()?.trim().parse()?;
    for case in 1..=count {
        let conversation = connect(port, &format!("runCase?case={case}&agent=ours"), &spawner).await?;
        // What the suite does wrong on purpose ends a conversation; the suite judges how.
        let _ = echo(conversation).await;
    }
    Ok(())
}

async fn connect(port: u16, path: &str, spawner: &Spawner) -> Result<WsClient, ClientError> {
    let queue = QueueConfig {
        messages: 1024,
        bytes: ENOUGH,
    };
    let config = ClientConfig {
        max_message_size: ENOUGH,
        max_fragments: 0,
        max_empty_fragments: 0,
        outbox: queue,
        inbox: queue,
        enable_deflate: true,
        ..ClientConfig::default()
    };
    WsClient::connect(&format!("ws://127.0.0.1:{port}/{path}"), &config, spawner).await
}

async fn echo(mut conversation: WsClient) -> Result<(), ClientError> {
    while let Some(message) = conversation.receive().await? {
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            conversation.send(message).await?;
        }
    }
    Ok(())
}
