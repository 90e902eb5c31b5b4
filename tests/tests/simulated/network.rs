//! The simulated network as the application and its clients see it.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use attached_runtime::{Arrival, Listener};
use turmoil::net::{TcpListener, TcpStream};

pub(crate) const HTTP: u16 = 8080;
pub(crate) const WEBSOCKET: u16 = 9090;

type Accepting = Pin<Box<dyn Future<Output = io::Result<(TcpStream, SocketAddr)>> + Send>>;

/// A port of a simulated machine. It is closed by being dropped.
pub(crate) struct Port {
    number: u16,
    listener: Arc<TcpListener>,
    accepting: Accepting,
}

impl Port {
    pub(crate) async fn bind(number: u16) -> io::Result<Self> {
        let listener = Arc::new(TcpListener::bind((Ipv4Addr::UNSPECIFIED, number)).await?);
        let accepting = accept(Arc::clone(&listener));
        Ok(Self {
            number,
            listener,
            accepting,
        })
    }
}

fn accept(listener: Arc<TcpListener>) -> Accepting {
    Box::pin(async move { listener.accept().await })
}

impl Listener for Port {
    fn local_addr(&self) -> SocketAddr {
        (Ipv4Addr::UNSPECIFIED, self.number).into()
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<io::Result<(Arrival, SocketAddr)>> {
        let accepted = ready!(self.accepting.as_mut().poll(context));
        self.accepting = accept(Arc::clone(&self.listener));
        Poll::Ready(accepted.map(|(stream, from)| (Arrival::Boxed(Box::new(stream)), from)))
    }
}

/// Since the begin of the simulation.
pub(crate) fn now() -> Duration {
    turmoil::sim_elapsed().expect("it is asked inside the simulation")
}

/// Waits until this moment of the simulation.
pub(crate) async fn until(moment: Duration) {
    tokio::time::sleep(moment.saturating_sub(now())).await;
}
