//! The judge: which notices a connection may have, and whether they agree with what its client did.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Mutex;

use attached_runtime::{Accepted, Cause, CloseReason, Closed, ConnectionId, Notice};

use crate::client::Life;
use crate::script::{Handshake, Stop, Talk};

/// Where a connection is, and whether it was accepted with a TLS handshake that succeeded.
enum State {
    Accepted { is_secure: bool },
    Closed { is_secure: bool, closed: Closed },
    Upgraded { is_secure: bool },
}

/// What all batches came to, by last word.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    connections: u64,
    /// Clients that came when the server was ending, and met a closed port.
    too_late: u64,
    upgraded: u64,
    /// Those of them under TLS: on the port of the app, and on the WebSocket server's own.
    upgraded_secure: [u64; 2],
    /// Connections with a TLS handshake that succeeded.
    secure: u64,
    /// Connections that had an answer over HTTP/2: plain, and under TLS.
    http2: [u64; 2],
    closed: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.connections += other.connections;
        self.too_late += other.too_late;
        self.upgraded += other.upgraded;
        self.secure += other.secure;
        for (sums, counts) in [
            (&mut self.upgraded_secure, other.upgraded_secure),
            (&mut self.http2, other.http2),
        ] {
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        for (reason, count) in other.closed {
            *self.closed.entry(reason).or_default() += count;
        }
    }

    /// Scripts that never meet a way to end prove nothing about it.
    pub(crate) fn covers_everything(&self) {
        let Self {
            upgraded,
            upgraded_secure: [one_port, own_port],
            secure,
            http2: [http2, http2_secure],
            ..
        } = *self;
        for count in [upgraded, one_port, own_port, secure, http2, http2_secure] {
            assert!(count > 0, "{self:?}");
        }
        use CloseReason::{
            BadRequest, Cut, Finished, LimitRefused, PeerLeft, ServerStop, TlsFailed, TlsTimeout,
        };
        for reason in [
            BadRequest,
            Cut,
            Finished,
            LimitRefused,
            PeerLeft,
            ServerStop,
            TlsFailed,
            TlsTimeout,
        ] {
            assert!(
                self.closed.contains_key(&format!("{reason:?}")),
                "{reason:?} in {self:?}"
            );
        }
    }
}

/// Every id so far: none is used twice, by no server of the process.
static SEEN: Mutex<BTreeSet<ConnectionId>> = Mutex::new(BTreeSet::new());

/// Feeds each connection's notices to its automaton.
pub(crate) fn judge(
    notices: &[Notice],
    lives: &[Life],
    stop: Stop,
    is_tls: bool,
    tally: &mut Tally,
) -> Result<(), String> {
    let mut states: HashMap<ConnectionId, (SocketAddr, State)> = HashMap::new();
    for notice in notices {
        let (id, from) = (notice.id, notice.remote_addr);
        let next = match (states.remove(&id), &notice.cause) {
            (None, Cause::Accepted(accepted)) => {
                is_sound(accepted)?;
                hold(
                    SEEN.lock().expect("no panic").insert(id),
                    "an id of another connection",
                )?;
                State::Accepted {
                    is_secure: accepted.tls.is_some(),
                }
            }
            (Some((address, State::Accepted { is_secure })), Cause::Closed(closed)) if address == from => {
                State::Closed {
                    is_secure,
                    closed: closed.clone(),
                }
            }
            (Some((address, State::Accepted { is_secure })), Cause::UpgradedToWebSocket)
                if address == from =>
            {
                State::Upgraded { is_secure }
            }
            _ => return Err(format!("no word for this state: {notice:?} in {notices:#?}")),
        };
        states.insert(id, (from, next));
    }
    let mut by_address: HashMap<SocketAddr, State> = HashMap::new();
    for (id, (from, state)) in states {
        if by_address.insert(from, state).is_some() {
            return Err(format!("{id} from {from} is a second connection for one client"));
        }
    }
    for life in lives {
        let Some(addr) = life.addr else {
            tally.too_late += 1;
            continue;
        };
        match by_address.remove(&addr) {
            Some(state) => shakes_hands(life, &state, stop, is_tls)
                .and_then(|()| agrees(life, &state, stop, tally))
                .map_err(|problem| format!("{problem}: {life:?}"))?,
            // A connection that waited in the kernel when the port was closed was never accepted.
            None if stop != Stop::Last && life.received == 0 => tally.too_late += 1,
            None => return Err(format!("nothing was heard of {life:?}")),
        }
    }
    match by_address.is_empty() {
        true => Ok(()),
        false => Err(format!("connections of nobody: {:?}", by_address.keys())),
    }
}

fn is_sound(accepted: &Accepted) -> Result<(), String> {
    match ["http", "ws"].contains(&accepted.server) && accepted.local_addr.port() != 0 {
        true => Ok(()),
        false => Err(format!("{accepted:?}")),
    }
}

/// Whether what was said of TLS fits what the client did.
fn shakes_hands(life: &Life, state: &State, stop: Stop, is_tls: bool) -> Result<(), String> {
    use CloseReason::{Cut, LimitRefused, ServerStop, TlsFailed, TlsTimeout};
    let (is_secure, reason) = match state {
        State::Accepted { is_secure } | State::Upgraded { is_secure } => (*is_secure, None),
        State::Closed { is_secure, closed } => (*is_secure, Some(closed.reason)),
    };
    let facts = || format!("secure: {is_secure}, {reason:?}");
    if !is_tls {
        let names_tls = matches!(reason, Some(TlsFailed | TlsTimeout));
        return hold(!is_secure && !names_tls, &format!("no TLS here, {}", facts()));
    }
    if life.received > 0 {
        hold(is_secure, &format!("answered, {}", facts()))?;
    }
    if is_secure {
        let comes_to_its_end = matches!(life.script.handshake, Handshake::Done(_));
        return hold(
            life.is_secure && comes_to_its_end,
            &format!("a handshake of one side, {}", facts()),
        );
    }
    let is_one_of = |reasons: &[CloseReason]| reason.is_some_and(|reason| reasons.contains(&reason));
    hold(
        is_one_of(&[TlsFailed, TlsTimeout, LimitRefused, ServerStop, Cut]),
        &format!("without a handshake, {}", facts()),
    )?;
    if stop != Stop::Last {
        return Ok(());
    }
    hold(
        is_one_of(&[TlsFailed, TlsTimeout, LimitRefused]),
        &format!("before the stop, {}", facts()),
    )?;
    let waits = matches!(life.script.handshake, Handshake::Stalls(_)) && life.script.stays();
    hold(
        !waits || is_one_of(&[TlsTimeout, LimitRefused]),
        &format!("it stalled, {}", facts()),
    )
}

/// Whether the last word fits what the client sent and saw.
fn agrees(life: &Life, state: &State, stop: Stop, tally: &mut Tally) -> Result<(), String> {
    tally.connections += 1;
    tally.secure += u64::from(life.is_secure);
    match state {
        State::Accepted { .. } => Err("there is no last word".to_owned()),
        State::Upgraded { is_secure } => {
            tally.upgraded += 1;
            tally.upgraded_secure[usize::from(life.script.to_ws)] += u64::from(*is_secure);
            hold(life.asked_upgrade, "nobody asked for an upgrade")
        }
        State::Closed { is_secure, closed } => {
            if matches!(life.script.talk, Talk::Http2(_)) && life.answers > 0 {
                tally.http2[usize::from(*is_secure)] += 1;
            }
            *tally.closed.entry(format!("{:?}", closed.reason)).or_default() += 1;
            let facts = || format!("{closed:?}");
            hold(
                closed.bytes_in <= life.sent,
                &format!("more bytes in than sent, {}", facts()),
            )?;
            hold(
                closed.bytes_out >= life.received,
                &format!("fewer bytes out than received, {}", facts()),
            )?;
            hold(
                closed.requests <= life.heads,
                &format!("more requests than heads, {}", facts()),
            )?;
            hold(
                closed.requests >= life.successes,
                &format!("fewer requests than answers, {}", facts()),
            )?;
            // Handlers that panic are caught, and nothing else fails here.
            hold(
                closed.reason != CloseReason::Error,
                &format!("a failure of ours, {}", facts()),
            )?;
            hold(!closed.duration.is_zero(), &format!("no duration, {}", facts()))?;
            let has_no_handshake = matches!(closed.reason, CloseReason::TlsFailed | CloseReason::TlsTimeout);
            let counts = (closed.bytes_in, closed.bytes_out, closed.requests);
            hold(
                !has_no_handshake || counts == (0, 0, 0),
                &format!("counts without a handshake, {}", facts()),
            )?;
            hold(
                !life.is_upgraded || stop != Stop::Last,
                &format!("upgraded for the client only, {}", facts()),
            )
        }
    }
}

fn hold(holds: bool, problem: &str) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(problem.to_owned()),
    }
}
