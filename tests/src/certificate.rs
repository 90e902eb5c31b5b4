//! Certificates for tests, and clients that trust them.

use crate::http;
use base64::prelude::{BASE64_STANDARD, Engine};
use rcgen::{CertifiedKey, PublicKeyData, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// A stream inside TLS.
pub type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A certificate for `localhost` that is its own authority, and its key, in PEM.
pub fn self_signed() -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("the name is fine");
    (cert.pem(), signing_key.serialize_pem())
}

/// A certificate as [`self_signed`], for clients that are told which key to trust.
pub struct Pinned {
    /// In PEM.
    pub certificate: String,
    /// In PEM.
    pub key: String,
    /// The SHA-256 of its public key (SubjectPublicKeyInfo) in Base64, as browsers take it (RFC 7469 §2.4).
    pub pin: String,
}

impl Pinned {
    /// A new one.
    pub fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).expect("the name is fine");
        let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
        let sha256 = suite.tls13().expect("a suite of TLS 1.3").common.hash_provider;
        let hash = sha256.hash(&signing_key.subject_public_key_info());
        Self {
            certificate: cert.pem(),
            key: signing_key.serialize_pem(),
            pin: BASE64_STANDARD.encode(hash.as_ref()),
        }
    }
}

impl Default for Pinned {
    fn default() -> Self {
        Self::new()
    }
}

/// Connects to `address` as `localhost` and trusts the certificates of `pem` alone. `protocols` are offered by ALPN.
/// The handshake happens with the first byte that is written or read.
pub fn connect(address: SocketAddr, pem: &str, protocols: &[&str]) -> Secure {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots
            .add(certificate.expect("a certificate"))
            .expect("an authority");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|protocol| protocol.as_bytes().to_vec())
        .collect();
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a lawful configuration");
    StreamOwned::new(connection, http::connect(address))
}
