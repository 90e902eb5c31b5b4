//! What every request of an application passes before its routes.

use std::convert::Infallible;

use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::Route;
use tower_layer::Layer;
use tower_service::Service;

use super::App;

impl<S> App<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Wraps the whole application in middleware: routes given before and after, 404, 405 and static files.
    ///
    /// The last layer given is the outermost. Limits on target and body, the request timeout, panics and metrics
    /// are outside of all of them.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        self.layers.push(Box::new(move |router| router.layer(layer)));
        self
    }
}
