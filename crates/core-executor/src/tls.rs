//! TLS by rustls: which certificate, the handshake, what it found out, and new certificates without a restart.

mod config;
mod error;
mod facts;
mod handshake;
mod identity;
mod metrics;
mod reloader;
mod stream;

pub use config::{ClientAuth, TlsConfig};
pub use error::{TlsError, TlsFile};
pub use facts::{TlsFacts, TlsVersion};
pub(crate) use handshake::Secured;
pub use identity::TlsIdentity;
pub(crate) use metrics::TlsMetrics;
pub use reloader::{TlsReloader, reload_on_hangup};
pub use stream::TlsStream;
