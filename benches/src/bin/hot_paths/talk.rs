//! What the clients of a run over loopback do in a round.

/// Payload bytes of a message.
pub(crate) const SIZE: usize = 20;
/// A header without a mask, of a short frame.
const HEADER: usize = 2;

/// What the clients do in a round.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Talk {
    /// Each of so many clients sends so many messages and hears them.
    Echo { clients: usize, in_flight: usize },
    /// The first of so many clients sends one message and all hear it.
    Room { clients: usize },
}

impl Talk {
    /// The talk of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let echo = |in_flight| Self::Echo {
            clients: 50,
            in_flight,
        };
        match name {
            "echo-tcp" => Some(echo(1)),
            "echo-16-tcp" => Some(echo(16)),
            "room-tcp" => Some(Self::Room { clients: 500 }),
            _ => None,
        }
    }

    pub(crate) fn clients(self) -> usize {
        match self {
            Self::Echo { clients, .. } | Self::Room { clients } => clients,
        }
    }

    /// Messages that a client which speaks sends in a round, and that each client hears.
    pub(crate) fn messages(self) -> usize {
        match self {
            Self::Echo { in_flight, .. } => in_flight,
            Self::Room { .. } => 1,
        }
    }

    /// Bytes that each client hears in a round.
    pub(crate) fn heard(self) -> usize {
        self.messages() * (HEADER + SIZE)
    }

    pub(crate) fn speaks(self, client: usize) -> bool {
        matches!(self, Self::Echo { .. }) || client == 0
    }
}
