//! Certificates made for one test, servers that show them, and clients that trust them.

use crate::site::Site;
use crate::support::soon;
use core_executor::{ConnectionMetrics, ServeOptions, TlsConfig, TlsIdentity};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An authority of a test, with the directory that its files are in.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

/// A certificate and its key, as files and as bytes.
pub(crate) struct Issued {
    pub(crate) cert_file: PathBuf,
    pub(crate) key_file: PathBuf,
    pub(crate) der: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self {
            issuer,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The authority's own certificate, for those who trust it.
    pub(crate) fn ca_file(&self) -> PathBuf {
        let path = self.path("ca.pem");
        std::fs::write(&path, self.issuer.pem()).unwrap();
        path
    }

    /// A certificate for `localhost` in the files `<name>.pem` and `<name>.key`; what was in them is replaced.
    pub(crate) fn issue(&self, name: &str) -> Issued {
        self.issue_with(name, |_| {})
    }

    pub(crate) fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (cert_file, key_file) = (
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.key")),
        );
        std::fs::write(&cert_file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        Issued {
            cert_file,
            key_file,
            der: certificate.der().clone(),
        }
    }

    /// A client that trusts this authority and has no certificate.
    pub(crate) fn client(&self) -> ClientConfig {
        self.client_of(rustls::ALL_VERSIONS, None)
    }

    pub(crate) fn client_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&Issued>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_file(&own.key_file).unwrap();
                builder.with_client_auth_cert(vec![own.der.clone()], key).unwrap()
            }
        }
    }
}

impl Issued {
    pub(crate) fn config(&self) -> TlsConfig {
        TlsConfig::new(&self.cert_file, &self.key_file)
    }
}

/// A site under TLS, and what reads its files again.
pub(crate) fn site(config: &TlsConfig) -> (Site, TlsIdentity) {
    let metrics = ConnectionMetrics::new("site");
    let identity = TlsIdentity::load(config, &metrics).unwrap();
    let shown = identity.clone();
    let mut site = Site::with(|options: ServeOptions| options.metrics(metrics.clone()).tls(Some(shown)));
    site.metrics = metrics;
    (site, identity)
}

/// A client inside TLS.
pub(crate) struct Secure {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) addr: SocketAddr,
}

impl Secure {
    pub(crate) async fn connect(to: SocketAddr, config: ClientConfig) -> std::io::Result<Self> {
        let stream = soon("a connection", TcpStream::connect(to)).await?;
        let addr = stream.local_addr()?;
        let name = ServerName::try_from("localhost").unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let stream = soon("a handshake", connecting).await?;
        Ok(Self { stream, addr })
    }

    /// Asks and reads the answer to the end of its body, which has a length.
    pub(crate) async fn text(&mut self, path: &str) -> std::io::Result<String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&answer).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |length| length.parse().unwrap());
                if body.len() >= length {
                    return Ok(body.to_owned());
                }
            }
            let mut chunk = [0; 4096];
            match soon("an answer", self.stream.read(&mut chunk)).await? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                count => answer.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// The certificate the server showed.
    pub(crate) fn shown(&self) -> CertificateDer<'static> {
        let (_, connection) = self.stream.get_ref();
        connection.peer_certificates().unwrap()[0].clone().into_owned()
    }
}
