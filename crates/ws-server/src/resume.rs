//! Sessions that outlive their transport: numbered messages, kept until they are acknowledged.

mod binding;
mod carrier;
mod closing;
mod config;
mod envelope;
mod error;
mod hello;
mod id;
mod inbound;
mod metrics;
mod places;
mod ring;
mod session;
mod table;
pub(crate) mod websocket;

pub use binding::Binding;
pub use carrier::{Carrier, Delivery, Next};
pub use config::ResumeConfig;
pub use error::ResumeError;
pub use hello::Hello;
pub use id::ResumeId;
pub(crate) use metrics::ResumeMetrics;
pub use session::ResumableSession;
pub use table::Resumption;
pub(crate) use table::Table;

/// The subprotocol under which a WebSocket connection carries such a session; `docs/wire-protocol.md` describes it.
pub const SUBPROTOCOL: &str = "lossless.v1";
