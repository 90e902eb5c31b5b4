//! From the outbox to the socket.

use std::pin::Pin;
use std::task::Context;

use tokio::io::AsyncWrite;

use super::Connection;
use super::link::Link;
use crate::clock::now;
use crate::outbox::WriteEnd;
use crate::stalled::Stall;

impl Connection {
    /// Writes what waits, the Close behind the last of it.
    pub(super) fn write(&mut self, context: &mut Context<'_>) {
        let Self {
            attachment,
            link,
            closing,
            ..
        } = self;
        let outbox = attachment.session().outbox();
        let written = match link {
            None => return,
            Some(Link::Tcp { .. }) if closing.is_none() && !outbox.has_work() => return,
            Some(Link::Tcp { .. }) => outbox.poll_write(closing.as_deref_mut(), context),
            Some(Link::Other(stream)) => outbox.poll_write_to(&mut **stream, closing.as_deref_mut(), context),
        };
        self.metrics().wrote(written.load);
        let got_on = written.load.bytes > 0;
        if let Some(closing) = self.closing.as_mut().filter(|_| got_on) {
            closing.moved(now());
        }
        match written.end {
            WriteEnd::Failed(error) => self.failed(error),
            WriteEnd::Blocked => {
                self.stalls();
                self.is_clock_stale |= self.patience.get_or_insert_default().stalled(now, got_on);
            }
            WriteEnd::Flushed => {
                if self.stall.is_some() {
                    self.flows();
                }
                if let Some(patience) = &mut self.patience {
                    patience.flushed();
                }
                self.written_all(context);
            }
        }
    }

    #[cold]
    fn stalls(&mut self) {
        let session = self.attachment.session();
        self.stall.get_or_insert_with(|| Stall::of(session));
    }

    #[cold]
    fn flows(&mut self) {
        self.stall = None;
    }

    /// Everything is out; if the Close is among it, the connection ends or waits for the peer.
    fn written_all(&mut self, context: &mut Context<'_>) {
        if let Some(Link::Other(stream)) = &mut self.link {
            // Streams that buffer (TLS) go on flushing at the next wake-up; a failure shows at the next write.
            let _ = Pin::new(&mut **stream).poll_flush(context);
        }
        let Some(closing) = self.closing.as_mut().filter(|closing| closing.is_queued()) else {
            return;
        };
        let ends_our_side = closing.sent(now());
        let ending = closing.ending_when_complete();
        if ends_our_side {
            // The FIN tells the peer that nothing follows.
            match &mut self.link {
                Some(Link::Other(stream)) => {
                    let _ = Pin::new(&mut **stream).poll_shutdown(context);
                }
                // Said by closing the socket, which follows.
                _ if ending.is_some() => {}
                _ => self.attachment.session().outbox().shutdown(context),
            }
        }
        if let Some((info, outcome)) = ending {
            self.over(info, outcome);
        }
    }
}
