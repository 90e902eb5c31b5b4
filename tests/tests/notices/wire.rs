//! What a client's bytes go through: the socket, or TLS over it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use attached_runtime::TlsConfig;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use workspace_tests::PATIENCE;
use workspace_tests::certificate::self_signed;

use crate::script::{Handshake, Offer, Script, Talk};

/// How long the server waits for a handshake: long beside what one takes, short beside a test.
const HANDSHAKE: Duration = Duration::from_millis(500);

/// What a client's bytes go through.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// The handshake came to nothing, and with it the socket.
    Gone,
}

/// One certificate for all servers of the process.
struct Authority {
    certificate: CertificateDer<'static>,
    cert_file: PathBuf,
    key_file: PathBuf,
    _directory: tempfile::TempDir,
}

fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let (certificate, key) = self_signed();
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let [cert_file, key_file] = ["server.pem", "server.key"].map(|name| directory.path().join(name));
        std::fs::write(&cert_file, &certificate).expect("the directory is ours");
        std::fs::write(&key_file, key).expect("the directory is ours");
        Authority {
            certificate: CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate"),
            cert_file,
            key_file,
            _directory: directory,
        }
    })
}

/// What the servers show.
pub(crate) fn identity() -> TlsConfig {
    let authority = authority();
    let mut config = TlsConfig::new(&authority.cert_file, &authority.key_file);
    config.handshake_timeout = HANDSHAKE;
    config
}

fn client(script: &Script) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    if script.handshake != Handshake::Distrusts {
        roots.add(authority().certificate.clone()).expect("an authority");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (own, other) = match script.talk {
        Talk::Http1(_) => ("http/1.1", "h2"),
        Talk::Http2(_) | Talk::PartOfPreface(_) => ("h2", "http/1.1"),
    };
    let offer = match script.handshake {
        Handshake::Done(Offer::Own) => Some(own),
        Handshake::Done(Offer::Other) => Some(other),
        Handshake::Done(Offer::Unknown) => Some("smoke-signals"),
        _ => None,
    };
    config.alpn_protocols = offer.into_iter().map(Into::into).collect();
    Arc::new(config)
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

/// Connects, from which address, and as what; `None` where the port is closed.
pub(crate) async fn connect(from: [u8; 4], to: SocketAddr) -> Option<(SocketAddr, Wire)> {
    let socket = TcpSocket::new_v4().expect("a descriptor");
    socket.bind((from, 0).into()).expect("an address of this machine");
    let from = socket.local_addr().expect("it is bound");
    match socket.connect(to).await {
        Ok(stream) => Some((from, Wire::Plain(stream))),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => None,
        // It was there, and the server has reset it already.
        Err(_) => Some((from, Wire::Gone)),
    }
}

impl Wire {
    /// Does what the script does first on a port that speaks TLS.
    pub(crate) async fn shake_hands(self, script: &Script) -> Self {
        let Self::Plain(mut stream) = self else {
            return self;
        };
        match script.handshake {
            Handshake::Plaintext => Self::Plain(stream),
            Handshake::Stalls(percent) => {
                let mut hello = Vec::new();
                let mut connection =
                    ClientConnection::new(client(script), name()).expect("a lawful configuration");
                connection
                    .write_tls(&mut hello)
                    .expect("a vector takes every byte");
                hello.truncate(hello.len() * usize::from(percent) / 100);
                // Whoever is refused may be gone already.
                let _ = stream.write_all(&hello).await;
                Self::Plain(stream)
            }
            Handshake::Done(_) | Handshake::Distrusts => {
                let connecting = TlsConnector::from(client(script)).connect(name(), stream);
                match timeout(PATIENCE, connecting)
                    .await
                    .expect("a handshake or an end")
                {
                    Ok(stream) => Self::Tls(Box::new(stream)),
                    Err(_) => Self::Gone,
                }
            }
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes).await.ok(),
            Self::Tls(stream) => {
                let count = stream.write(bytes).await.ok()?;
                // What it took is sent, or waits for the server to read.
                let _ = timeout(Duration::from_millis(1), stream.flush()).await;
                Some(count)
            }
            Self::Gone => None,
        }
    }

    /// 0 at the end, however it comes.
    pub(crate) async fn read(&mut self, buffer: &mut [u8]) -> usize {
        let read = match self {
            Self::Plain(stream) => stream.read(buffer).await,
            Self::Tls(stream) => stream.read(buffer).await,
            Self::Gone => Ok(0),
        };
        read.unwrap_or(0)
    }

    pub(crate) async fn close_its_side(&mut self) {
        let _ = match self {
            Self::Plain(stream) => stream.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
            Self::Gone => Ok(()),
        };
    }

    /// Lets go of the socket with a reset.
    pub(crate) fn reset(self) {
        let socket = match &self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
            Self::Gone => return,
        };
        let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
    }
}
