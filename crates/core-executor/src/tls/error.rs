//! Why TLS could not be set up.

use rustls::pki_types::pem;
use std::fmt;
use std::path::PathBuf;

/// One of the files TLS is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsFile {
    /// The server's certificate and its chain.
    Certificate,
    /// The server's private key.
    Key,
    /// The certificates that client certificates must be issued by.
    ClientCa,
}

impl fmt::Display for TlsFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Certificate => "certificate file (SERVER_TLS_CERT_FILE)",
            Self::Key => "key file (SERVER_TLS_KEY_FILE)",
            Self::ClientCa => "file of client authorities",
        })
    }
}

/// Why the files of a [`TlsConfig`](crate::TlsConfig) cannot be used. The text names the setting and the file, and
/// nothing of what is in a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is not there, cannot be read, or holds nothing of what it should hold.
    #[error("cannot read the {file} {}", path.display())]
    Read {
        /// Which.
        file: TlsFile,
        /// Where it was looked for.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// What a file holds cannot be used: a certificate or key that is malformed or of an unknown kind.
    #[error("cannot use the {file} {}", path.display())]
    Unusable {
        /// Which.
        file: TlsFile,
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls::Error,
    },
    /// The key is not the one the certificate was made for.
    #[error(
        "the key file (SERVER_TLS_KEY_FILE) {} does not belong to the certificate file (SERVER_TLS_CERT_FILE) {}",
        key.display(),
        certificate.display()
    )]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// The certificate is no longer valid.
    #[error("the {} {} has expired, {seconds} s ago", TlsFile::Certificate, path.display())]
    Expired {
        /// Where it is.
        path: PathBuf,
        /// Since when, in seconds.
        seconds: u64,
    },
    /// The certificate is not valid yet.
    #[error("the {} {} is not valid before {seconds} s from now", TlsFile::Certificate, path.display())]
    NotValidYet {
        /// Where it is.
        path: PathBuf,
        /// Until it is, in seconds.
        seconds: u64,
    },
}
