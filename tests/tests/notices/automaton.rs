//! The judge: which notices a connection may have, and whether they agree with what its client did.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Mutex;

use attached_runtime::{Accepted, Cause, CloseReason, Closed, ConnectionId, Notice};

use crate::client::Life;
use crate::script::Stop;

/// Where a connection is.
enum State {
    Accepted,
    Closed(Closed),
    Upgraded,
}

/// What all batches came to, by last word.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    connections: u64,
    /// Clients that came when the server was ending, and met a closed port.
    too_late: u64,
    upgraded: u64,
    closed: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.connections += other.connections;
        self.too_late += other.too_late;
        self.upgraded += other.upgraded;
        for (reason, count) in other.closed {
            *self.closed.entry(reason).or_default() += count;
        }
    }

    /// Scripts that never meet a way to end prove nothing about it.
    pub(crate) fn covers_everything(&self) {
        assert!(self.upgraded > 0, "{self:?}");
        use CloseReason::{BadRequest, Cut, Finished, LimitRefused, PeerLeft, ServerStop};
        for reason in [BadRequest, Cut, Finished, LimitRefused, PeerLeft, ServerStop] {
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
pub(crate) fn judge(notices: &[Notice], lives: &[Life], stop: Stop, tally: &mut Tally) -> Result<(), String> {
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
                State::Accepted
            }
            (Some((address, State::Accepted)), Cause::Closed(closed)) if address == from => {
                State::Closed(closed.clone())
            }
            (Some((address, State::Accepted)), Cause::UpgradedToWebSocket) if address == from => {
                State::Upgraded
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
            Some(state) => {
                agrees(life, &state, stop, tally).map_err(|problem| format!("{problem}: {life:?}"))?
            }
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

/// Whether the last word fits what the client sent and saw.
fn agrees(life: &Life, state: &State, stop: Stop, tally: &mut Tally) -> Result<(), String> {
    tally.connections += 1;
    match state {
        State::Accepted => Err("there is no last word".to_owned()),
        State::Upgraded => {
            tally.upgraded += 1;
            hold(life.asked_upgrade, "nobody asked for an upgrade")
        }
        State::Closed(closed) => {
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
            hold(!closed.duration.is_zero(), &format!("no duration, {}", facts()))?;
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
