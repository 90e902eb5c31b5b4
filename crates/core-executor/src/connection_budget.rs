//! How many connections there may be at once, over all servers of an executor, and who has a place among them.

use crate::slots::{Slot, Slots};
use crate::sync::{Arc, Mutex, MutexGuard};
use crate::{Env, EnvError, TrustedProxies};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::PoisonError;

/// Descriptors that connections leave to everything else: files, listeners, the threads' own.
const RESERVED: u64 = 64;

/// How many connections all servers of an executor may have together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers name some fields and take the rest from a default"
)]
pub struct BudgetConfig {
    /// Connections at once; further ones get 503, under TLS a reset, as an answer would cost a handshake. `Some(0)` =
    /// off. Default `None`: the descriptors the process may have (the soft `RLIMIT_NOFILE` at the start) less 64, or
    /// half of them where that is more. Setting `SERVER_MAX_CONNECTIONS`.
    pub max_connections: Option<usize>,
    /// Connections at once from one IPv4 address or one IPv6 network of 64 bits, which is what one customer gets;
    /// further ones get 503. 0 = off, the default. Setting `SERVER_MAX_CONNECTIONS_PER_ADDRESS`.
    pub max_per_address: usize,
    /// Reverse proxies in front of us: exempt from the limit per address, and believed when they tell whom they
    /// forward for. Default none. Setting `SERVER_TRUSTED_PROXIES`.
    pub trusted_proxies: TrustedProxies,
}

impl BudgetConfig {
    /// The defaults with the settings applied.
    ///
    /// # Errors
    /// A number that is none, or an entry that is no address and no network.
    pub fn from_env(env: &Env) -> Result<Self, EnvError> {
        const TOTAL: &str = "SERVER_MAX_CONNECTIONS";
        let most = u64::from(u32::MAX);
        let max_connections = match env.string(TOTAL, "auto")?.trim() {
            "auto" => None,
            _ => {
                let number = env.number(TOTAL, 0, 0..=most);
                let expected = format!("`auto` or a whole number from 0 to {most}");
                Some(number.map_err(|_| env.invalid(TOTAL, &expected))? as usize)
            }
        };
        Ok(Self {
            max_connections,
            max_per_address: env.number("SERVER_MAX_CONNECTIONS_PER_ADDRESS", 0, 0..=most)? as usize,
            trusted_proxies: TrustedProxies::from_env(env)?,
        })
    }

    fn total(&self) -> usize {
        match self.max_connections {
            Some(0) => usize::MAX,
            Some(limit) => limit,
            None => descriptors().map_or(usize::MAX, of_descriptors),
        }
    }
}

/// The descriptors this process may have; nothing where that is unlimited.
fn descriptors() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

fn of_descriptors(limit: u64) -> usize {
    let left = limit.saturating_sub(RESERVED).max(limit / 2).max(1);
    usize::try_from(left).unwrap_or(usize::MAX)
}

/// The places for connections, shared by every server of an executor. Cloning shares them.
///
/// Every accepted connection takes one before anything is read from it and keeps it until its stream is gone, upgraded
/// or not. Whoever opens a conversation of its own inside a connection, such as a WebSocket session over HTTP/2, takes
/// one for that.
#[derive(Debug, Clone)]
pub struct ConnectionBudget {
    places: Arc<Slots>,
    addresses: Option<Arc<Addresses>>,
    proxies: TrustedProxies,
}

impl ConnectionBudget {
    pub(crate) fn new(config: BudgetConfig) -> Self {
        Self {
            places: Arc::new(Slots::new(config.total())),
            addresses: (config.max_per_address > 0).then(|| Arc::new(Addresses::new(config.max_per_address))),
            proxies: config.trusted_proxies,
        }
    }

    /// Takes a place for the peer at this address; without one, only the total counts. Never blocks for long: a short
    /// lock, and only where the limit per address is on.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn take(&self, peer: Option<IpAddr>) -> Result<ConnectionPermit, LimitReached> {
        let slot = self.places.take().map_err(|_| LimitReached::Total)?;
        let counted = peer.filter(|peer| !self.proxies.contain(*peer));
        let address = match (&self.addresses, counted) {
            (Some(addresses), Some(peer)) => Some(Addresses::take(addresses, Origin::of(peer))?),
            _ => None,
        };
        Ok(ConnectionPermit(Box::new(Place {
            _slot: slot,
            _address: address,
        })))
    }

    /// Places taken now.
    pub fn taken(&self) -> usize {
        self.places.taken()
    }

    /// Places there are; nothing where the number is not limited.
    pub fn limit(&self) -> Option<usize> {
        let limit = self.places.limit();
        (limit != usize::MAX).then_some(limit)
    }

    pub(crate) fn trusted_proxies(&self) -> &TrustedProxies {
        &self.proxies
    }
}

/// One place of a [`ConnectionBudget`], given back when dropped.
#[derive(Debug)]
#[must_use = "the place is given back when the permit is dropped"]
pub struct ConnectionPermit(#[expect(dead_code, reason = "held to be dropped")] Box<Place>);

#[derive(Debug)]
struct Place {
    _slot: Slot,
    _address: Option<AddressPlace>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitReached {
    /// All places are taken.
    #[error("the server has as many connections as it may")]
    Total,
    /// The peer's address has as many as one address may.
    #[error("this address has as many connections as it may")]
    Address,
}

/// Whom connections are counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Origin {
    V4(u32),
    /// The first 64 bits.
    V6(u64),
}

impl Origin {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

/// Places by address. There is an entry only for who has one, so there are never more than connections.
#[derive(Debug)]
struct Addresses {
    limit: usize,
    taken: Mutex<HashMap<Origin, usize>>,
}

impl Addresses {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            taken: Mutex::default(),
        }
    }

    fn take(table: &Arc<Self>, origin: Origin) -> Result<AddressPlace, LimitReached> {
        let mut taken = table.lock();
        let count = taken.entry(origin).or_default();
        if *count >= table.limit {
            return Err(LimitReached::Address);
        }
        *count += 1;
        drop(taken);
        Ok(AddressPlace {
            table: table.clone(),
            origin,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Origin, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct AddressPlace {
    table: Arc<Addresses>,
    origin: Origin,
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut taken = self.table.lock();
        if let Some(count) = taken.get_mut(&self.origin) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(total: usize, per_address: usize, proxies: &str) -> ConnectionBudget {
        ConnectionBudget::new(BudgetConfig {
            max_connections: Some(total),
            max_per_address: per_address,
            trusted_proxies: proxies.parse().unwrap(),
        })
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn the_reserve_is_half_where_descriptors_are_few() {
        for (limit, connections) in [(0, 1), (1, 1), (64, 32), (128, 64), (256, 192), (1024, 960)] {
            assert_eq!(of_descriptors(limit), connections, "{limit}");
        }
    }

    #[test]
    fn places_come_back() {
        let budget = budget(2, 0, "");
        let held = [budget.take(None).unwrap(), budget.take(ip("1.2.3.4")).unwrap()];
        assert_eq!(budget.take(None).unwrap_err(), LimitReached::Total);
        assert_eq!((budget.taken(), budget.limit()), (2, Some(2)));
        drop(held);
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn zero_is_off() {
        let budget = budget(0, 0, "");
        assert_eq!(budget.limit(), None);
        let _held: Vec<_> = (0..10_000).map(|_| budget.take(ip("::1")).unwrap()).collect();
    }

    #[test]
    fn one_address_is_an_ipv4_address_or_the_first_half_of_an_ipv6_one() {
        let budget = budget(0, 1, "");
        for (first, same, other) in [
            ("1.2.3.4", "::ffff:1.2.3.4", "1.2.3.5"),
            ("2001:db8::1", "2001:db8::ffff:0:0:2", "2001:db8:0:1::1"),
        ] {
            let _held = budget.take(ip(first)).unwrap();
            assert_eq!(budget.take(ip(same)).unwrap_err(), LimitReached::Address);
            let _other = budget.take(ip(other)).unwrap();
        }
    }

    #[test]
    fn nobody_who_left_is_remembered_and_no_refusal_costs_a_place() {
        let budget = budget(0, 2, "");
        let held: Vec<_> = (0..2).map(|_| budget.take(ip("::1")).unwrap()).collect();
        assert!(budget.take(ip("::1")).is_err());
        assert_eq!(budget.taken(), 2);
        drop(held);
        assert!(budget.addresses.as_ref().unwrap().lock().is_empty());
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn a_trusted_proxy_counts_for_the_total_only() {
        let budget = budget(3, 1, "10.0.0.0/8");
        let _held: Vec<_> = (0..3).map(|_| budget.take(ip("10.1.2.3")).unwrap()).collect();
        assert_eq!(budget.take(ip("10.1.2.3")).unwrap_err(), LimitReached::Total);
    }
}
