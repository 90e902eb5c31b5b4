//! An HTTP application on axum with routes, middleware, shutdown hooks and a connection-state listener.
