//! The files of a configuration, read and checked: what a server shows to its clients.

use super::facts::PROTOCOLS;
use super::{ClientAuth, TlsConfig, TlsError, TlsFile, TlsMetrics, TlsReloader};
use crate::ConnectionMetrics;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Later than any certificate is valid: asked about this moment, one says when it expires.
const NEVER: Duration = Duration::from_secs(1 << 40);

/// The certificate and key a server shows, read from the files of a [`TlsConfig`] and checked. Cloning shares it.
///
/// What the files hold can be replaced while the server runs: [`TlsIdentity::reloader`].
#[derive(Debug, Clone)]
pub struct TlsIdentity {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: TlsConfig,
    /// Replaced as a whole, so that a handshake sees one certificate with its key.
    current: RwLock<Arc<ServerConfig>>,
    pub(super) metrics: TlsMetrics,
}

/// What the files of a configuration hold at the moment.
pub(super) struct Loaded {
    server: Arc<ServerConfig>,
    expires: u64,
}

impl TlsIdentity {
    /// Reads the files and checks them: certificate and key belong together, and the certificate is valid now.
    /// `metrics` are those of the server that will show it. Blocks for as long as reading takes.
    ///
    /// # Errors
    /// The first file that cannot be used, by its setting and its name.
    pub fn load(config: &TlsConfig, metrics: &ConnectionMetrics) -> Result<Self, TlsError> {
        let loaded = Loaded::read(config)?;
        let metrics = metrics.tls().clone();
        metrics.set_expiry(loaded.expires);
        Ok(Self {
            shared: Arc::new(Shared {
                config: config.clone(),
                current: RwLock::new(loaded.server),
                metrics,
            }),
        })
    }

    /// What reads the files again.
    pub fn reloader(&self) -> TlsReloader {
        TlsReloader::of([self.shared.clone()])
    }

    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.shared
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Shared {
    /// Shows what was read from the next handshake on.
    pub(super) fn replace(&self, loaded: Loaded) {
        self.metrics.set_expiry(loaded.expires);
        self.metrics.count_reload();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = loaded.server;
    }
}

impl Loaded {
    pub(super) fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        let TlsConfig {
            cert_file,
            key_file,
            handshake_timeout: _,
            client_auth,
        } = config;
        let provider = Arc::new(ring::default_provider());
        let key = certified_key(cert_file, key_file, &provider)?;
        let expires = expiry(&key, cert_file)?;
        let unusable = |file, path: &Path, source| TlsError::Unusable {
            file,
            path: path.to_owned(),
            source,
        };
        let clients = match client_auth {
            None => Arc::new(NoClientAuth),
            Some(client_auth) => verifier(client_auth, &provider)?,
        };
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|source| unusable(TlsFile::Certificate, cert_file, source))?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        server.alpn_protocols = PROTOCOLS.map(|protocol| protocol.as_bytes().to_vec()).into();
        Ok(Self {
            server: Arc::new(server),
            expires,
        })
    }
}

fn certified_key(
    cert_file: &Path,
    key_file: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(TlsFile::Certificate, cert_file)?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|source| TlsError::Read {
        file: TlsFile::Key,
        path: key_file.to_owned(),
        source,
    })?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|source| TlsError::Unusable {
            file: TlsFile::Key,
            path: key_file.to_owned(),
            source,
        })?;
    let key = CertifiedKey::new(chain, key);
    match key.keys_match() {
        // A key that does not tell its public half cannot be compared; ring's all tell it.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(key),
        Err(rustls::Error::InconsistentKeys(_)) => Err(TlsError::Mismatch {
            certificate: cert_file.to_owned(),
            key: key_file.to_owned(),
        }),
        Err(source) => Err(TlsError::Unusable {
            file: TlsFile::Certificate,
            path: cert_file.to_owned(),
            source,
        }),
    }
}

/// All certificates of a PEM file, at least one.
fn certificates(file: TlsFile, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = || {
        let found: Vec<_> = CertificateDer::pem_file_iter(path)?.collect::<Result<_, _>>()?;
        if found.is_empty() {
            return Err(pem::Error::NoItemsFound);
        }
        Ok(found)
    };
    read().map_err(|source| TlsError::Read {
        file,
        path: path.to_owned(),
        source,
    })
}

/// When the server's own certificate expires, in seconds of Unix time.
fn expiry(key: &CertifiedKey, path: &Path) -> Result<u64, TlsError> {
    let malformed = || TlsError::Unusable {
        file: TlsFile::Certificate,
        path: path.to_owned(),
        source: rustls::CertificateError::BadEncoding.into(),
    };
    let certificate = key.end_entity_cert().map_err(|_| malformed())?;
    let now = UnixTime::now();
    match validity(certificate, now) {
        Some(rustls_webpki::Error::CertExpired { not_after, .. }) => {
            return Err(TlsError::Expired {
                path: path.to_owned(),
                seconds: now.as_secs().saturating_sub(not_after.as_secs()),
            });
        }
        Some(rustls_webpki::Error::CertNotValidYet { not_before, .. }) => {
            return Err(TlsError::NotValidYet {
                path: path.to_owned(),
                seconds: not_before.as_secs().saturating_sub(now.as_secs()),
            });
        }
        _ => {}
    }
    match validity(certificate, UnixTime::since_unix_epoch(NEVER)) {
        Some(rustls_webpki::Error::CertExpired { not_after, .. }) => Ok(not_after.as_secs()),
        _ => Err(malformed()),
    }
}

/// What webpki has against a certificate at a moment. Its validity is looked at before its issuers are, so none need to
/// be trusted here.
fn validity(certificate: &CertificateDer<'_>, at: UnixTime) -> Option<rustls_webpki::Error> {
    let certificate = match rustls_webpki::EndEntityCert::try_from(certificate) {
        Ok(certificate) => certificate,
        Err(error) => return Some(error),
    };
    certificate
        .verify_for_usage(
            rustls_webpki::ALL_VERIFICATION_ALGS,
            &[],
            &[],
            at,
            rustls_webpki::KeyUsage::server_auth(),
            None,
            None,
        )
        .err()
}

fn verifier(
    client_auth: &ClientAuth,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let ClientAuth { ca_file, is_required } = client_auth;
    let unusable = |source| TlsError::Unusable {
        file: TlsFile::ClientCa,
        path: ca_file.clone(),
        source,
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(TlsFile::ClientCa, ca_file)? {
        roots.add(certificate).map_err(unusable)?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let builder = match is_required {
        true => builder,
        false => builder.allow_unauthenticated(),
    };
    let built = builder.build();
    built.map_err(|error| unusable(rustls::Error::General(error.to_string())))
}
