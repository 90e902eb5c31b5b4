//! Which certificate a server shows, and whom it asks for one.

use crate::{Env, EnvError};
use std::path::PathBuf;
use std::time::Duration;

/// Time a handshake may take when nothing else is said.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// TLS for a server: where its certificate and key are, and how long a handshake may take.
///
/// A server that has this speaks TLS 1.2 and 1.3 and nothing else: it never falls back to plaintext.
///
/// ```no_run
/// use core_executor::{ClientAuth, ConnectionMetrics, TlsConfig, TlsIdentity};
///
/// let tls = TlsConfig::new("server.pem", "server.key").client_auth(ClientAuth::required("clients.pem"));
/// let identity = TlsIdentity::load(&tls, &ConnectionMetrics::new("api"))?; // reads the files
/// # drop(identity);
/// # Ok::<(), core_executor::TlsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsConfig {
    /// PEM file with the server's certificate first and those of its issuers after it (`SERVER_TLS_CERT_FILE`).
    pub cert_file: PathBuf,
    /// PEM file with the private key that belongs to it: PKCS #8, PKCS #1 or SEC 1, not encrypted
    /// (`SERVER_TLS_KEY_FILE`).
    pub key_file: PathBuf,
    /// A connection whose handshake is not complete by then is closed; zero = off (`SERVER_TLS_HANDSHAKE_TIMEOUT` in
    /// seconds, default 10).
    pub handshake_timeout: Duration,
    /// Whether clients are asked for certificates. Default: they are not.
    pub client_auth: Option<ClientAuth>,
}

impl TlsConfig {
    /// TLS with these two files, 10 s for a handshake, and no client certificates. Nothing is read yet.
    pub fn new(cert_file: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Self {
        Self {
            cert_file: cert_file.into(),
            key_file: key_file.into(),
            handshake_timeout: HANDSHAKE_TIMEOUT,
            client_auth: None,
        }
    }

    /// Asks clients for certificates.
    #[must_use]
    pub fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client_auth = Some(client_auth);
        self
    }

    /// What `SERVER_TLS_ENABLED`, `SERVER_TLS_CERT_FILE`, `SERVER_TLS_KEY_FILE` and `SERVER_TLS_HANDSHAKE_TIMEOUT`
    /// say; `None` when TLS is not enabled. The files themselves are read when the server is bound.
    ///
    /// # Errors
    /// A value of the wrong form, or TLS that is enabled without naming both files.
    pub fn from_env(env: &Env) -> Result<Option<Self>, EnvError> {
        let cert_file = env.string("SERVER_TLS_CERT_FILE", "")?;
        let key_file = env.string("SERVER_TLS_KEY_FILE", "")?;
        let handshake_timeout = env.seconds("SERVER_TLS_HANDSHAKE_TIMEOUT", HANDSHAKE_TIMEOUT.as_secs())?;
        if !env.flag("SERVER_TLS_ENABLED", false)? {
            return Ok(None);
        }
        for (key, file) in [
            ("SERVER_TLS_CERT_FILE", &cert_file),
            ("SERVER_TLS_KEY_FILE", &key_file),
        ] {
            if file.is_empty() {
                return Err(env.invalid(key, "the name of a PEM file, because SERVER_TLS_ENABLED is true"));
            }
        }
        Ok(Some(Self {
            handshake_timeout,
            ..Self::new(cert_file, key_file)
        }))
    }
}

/// Whom a server asks for a certificate of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAuth {
    pub(super) ca_file: PathBuf,
    pub(super) is_required: bool,
}

impl ClientAuth {
    /// Clients must show a certificate issued by one of those in this PEM file; a handshake without one fails.
    pub fn required(ca_file: impl Into<PathBuf>) -> Self {
        Self {
            ca_file: ca_file.into(),
            is_required: true,
        }
    }

    /// Clients may show one. A certificate that was not issued by one of those in the file fails the handshake; none
    /// at all is fine.
    pub fn optional(ca_file: impl Into<PathBuf>) -> Self {
        Self {
            is_required: false,
            ..Self::required(ca_file)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Option<TlsConfig>, EnvError> {
        TlsConfig::from_env(&Env::from_pairs(pairs.iter().copied()).unwrap())
    }

    #[test]
    fn off_unless_enabled() {
        assert_eq!(read(&[]).unwrap(), None);
        let files = [("SERVER_TLS_CERT_FILE", "a"), ("SERVER_TLS_KEY_FILE", "b")];
        assert_eq!(read(&files).unwrap(), None);
        let enabled = [files[0], files[1], ("SERVER_TLS_ENABLED", "true")];
        assert_eq!(read(&enabled).unwrap(), Some(TlsConfig::new("a", "b")));
        let slow = [
            enabled[0],
            enabled[1],
            enabled[2],
            ("SERVER_TLS_HANDSHAKE_TIMEOUT", "3"),
        ];
        let limit = read(&slow).unwrap().map(|config| config.handshake_timeout);
        assert_eq!(limit, Some(Duration::from_secs(3)));
    }

    #[test]
    fn enabled_without_files_names_the_key() {
        for (given, missing) in [
            ("SERVER_TLS_KEY_FILE", "SERVER_TLS_CERT_FILE"),
            ("SERVER_TLS_CERT_FILE", "SERVER_TLS_KEY_FILE"),
        ] {
            let error = read(&[("SERVER_TLS_ENABLED", "1"), (given, "x.pem")]).unwrap_err();
            assert!(error.to_string().contains(missing), "{error}");
        }
        assert!(read(&[("SERVER_TLS_ENABLED", "perhaps")]).is_err());
        assert!(read(&[("SERVER_TLS_HANDSHAKE_TIMEOUT", "soon")]).is_err());
    }
}
