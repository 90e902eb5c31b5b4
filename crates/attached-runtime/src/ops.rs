//! The operator's page: what the application does at this moment, and a button that asks for its end.

mod attempts;
mod config;
mod cookie;
mod gate;
mod numbers;
mod page;
mod routes;
mod source;
mod state;
mod token;

pub use config::OpsConfig;
pub(crate) use routes::router;
pub(crate) use source::Source;
pub use token::OpsToken;
