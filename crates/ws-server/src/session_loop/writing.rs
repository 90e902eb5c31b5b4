//! From the outbox to the socket.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use super::{Connection, now};

impl Connection {
    pub(super) fn write(&mut self, context: &mut Context<'_>) {
        loop {
            self.refill();
            let Some(stream) = &mut self.stream else {
                return;
            };
            if self.writer.is_empty() {
                break;
            }
            match self.writer.poll_write(stream, context) {
                Poll::Pending => {
                    self.is_blocked = true;
                    return;
                }
                Poll::Ready(Err(error)) => return self.failed(error),
                Poll::Ready(Ok(progress)) => {
                    self.is_blocked = false;
                    if progress.messages.messages > 0 {
                        self.attachment.delivered(progress.messages);
                    }
                    self.metrics().bytes_out.inc_by(progress.bytes as u64);
                    if let Some(closing) = &mut self.closing {
                        closing.moved(now());
                    }
                }
            }
        }
        self.is_blocked = false;
        if let Some(stream) = &mut self.stream {
            // Streams that buffer (TLS) go on flushing at the next wake-up; a failure shows at the next write.
            let _ = Pin::new(stream).poll_flush(context);
        }
        self.written_all(context);
    }

    /// Takes what waits in the outbox, and the Close behind the last of it.
    pub(super) fn refill(&mut self) {
        if self.close_is_queued() {
            return;
        }
        let Self {
            attachment, writer, ..
        } = self;
        let outbox = attachment.session().outbox();
        outbox.take(writer.room(), |message| writer.push_message(&message));
        if let Some(closing) = &mut self.closing
            && outbox.is_empty()
        {
            self.writer.push_close(closing.frame());
        }
    }

    /// Everything is out; if the Close is among it, the connection ends or waits for the peer.
    pub(super) fn written_all(&mut self, context: &mut Context<'_>) {
        let Some(closing) = &mut self.closing else {
            return;
        };
        if !closing.is_queued() {
            return;
        }
        if closing.sent(now())
            && let Some(stream) = &mut self.stream
        {
            // The FIN tells the peer that nothing follows; for TCP it is done at once.
            let _ = Pin::new(stream).poll_shutdown(context);
        }
        if let Some((info, outcome)) = closing.ending_when_complete() {
            self.over(info, outcome);
        }
    }
}
