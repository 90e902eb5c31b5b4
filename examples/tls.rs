//! Both servers under TLS: `https://localhost:8080/` and `wss://localhost:9090/`.
//!
//! `SERVER_TLS_ENABLED=true` with `SERVER_TLS_CERT_FILE` and `SERVER_TLS_KEY_FILE` is all a program needs; any example
//! obeys them. Without them this one makes a certificate for `localhost` by itself, in `localhost.pem` and
//! `localhost.key`:
//!
//! ```sh
//! cargo run --example tls
//! curl --cacert localhost.pem https://localhost:8080/
//! openssl s_client -connect localhost:8080 -CAfile localhost.pem -alpn http/1.1
//! kill -HUP <pid>      # after replacing the two files: the next handshake shows the new certificate
//! ```

use attached_runtime::{
    App, AttachedRuntime, Config, ConnectionInfo, RuntimeExecutor, ShutdownReport, TlsConfig, WsServer,
};
use axum::Extension;
use axum::routing::get;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

fn main() -> Result<ShutdownReport, Box<dyn Error>> {
    let mut config = Config::from_env()?;
    let _log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::new(config.executor)?;
    if config.http.tls.is_none() {
        let tls = self_made(Path::new("localhost.pem"), Path::new("localhost.key"))?;
        (config.http.tls, config.ws.tls) = (Some(tls.clone()), Some(tls));
    }
    let app = App::new(config.http).route("/", get(what_was_agreed));
    let ws = WsServer::new(config.ws).on_message(|session, text| async move {
        session.send_text(format!("echo: {text}"));
    });
    Ok(AttachedRuntime::start(app, ws, executor)?.run()?)
}

/// Tells a client what its handshake came to.
async fn what_was_agreed(Extension(connection): Extension<ConnectionInfo>) -> String {
    match &connection.tls {
        Some(facts) => format!("{} {} {:?}\n", facts.version, facts.cipher, facts.alpn),
        None => "plaintext\n".to_owned(),
    }
}

/// A certificate that nobody but its maker trusts, made unless the files are there already.
fn self_made(cert_file: &Path, key_file: &Path) -> Result<TlsConfig, Box<dyn Error>> {
    if !cert_file.exists() || !key_file.exists() {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names)?;
        fs::write(cert_file, cert.pem())?;
        write_secret(key_file, &signing_key.serialize_pem())?;
    }
    Ok(TlsConfig::new(cert_file, key_file))
}

/// Writes a file that only its owner can read.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}
