//! How many sessions there are, in all and from each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use prometheus::IntGauge;

use crate::config::or_unlimited;
use crate::refusal::Refusal;

const FULL: Refusal = Refusal::fixed(
    StatusCode::SERVICE_UNAVAILABLE,
    "too many sessions, try again later",
);
const FULL_ADDRESS: Refusal = Refusal::fixed(
    StatusCode::TOO_MANY_REQUESTS,
    "too many sessions from this address",
);

/// The places for sessions.
#[derive(Debug)]
pub(super) struct Places {
    taken: Mutex<Taken>,
    limit: usize,
    per_address: usize,
    gauge: IntGauge,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    /// Never longer than `total`.
    addresses: HashMap<u64, usize>,
}

/// One session's place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: Option<u64>,
}

impl Places {
    pub(super) fn new(limit: usize, per_address: usize, gauge: IntGauge) -> Self {
        Self {
            taken: Mutex::default(),
            limit,
            per_address,
            gauge,
        }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// There is none: 503, or 429 when there is none for this address.
    pub(super) fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Place, Refusal> {
        let address = address.map(network);
        let mut taken = self.lock();
        if taken.total >= self.limit {
            return Err(FULL);
        }
        if let Some(address) = address {
            let held = taken.addresses.get(&address).copied().unwrap_or(0);
            if held >= or_unlimited(self.per_address) {
                return Err(FULL_ADDRESS);
            }
            taken.addresses.insert(address, held + 1);
        }
        taken.total += 1;
        self.gauge.inc();
        Ok(Place {
            places: Arc::clone(self),
            address,
        })
    }

    /// Places that are taken.
    pub(super) fn count(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.total -= 1;
        self.places.gauge.dec();
        if let Some(address) = self.address
            && let Some(held) = taken.addresses.get_mut(&address)
        {
            *held -= 1;
            if *held == 0 {
                taken.addresses.remove(&address);
            }
        }
    }
}

/// What one customer gets: an IPv4 address, or an IPv6 network of 64 bits, whose first three are never zero.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::{FULL, FULL_ADDRESS, Places};
    use prometheus::IntGauge;
    use std::net::IpAddr;
    use std::sync::Arc;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_flood_from_one_address_leaves_room_for_others() {
        let gauge = IntGauge::new("g", "-").unwrap();
        let places = Arc::new(Places::new(4, 2, gauge.clone()));
        let mut held: Vec<_> = (0..2).map(|_| places.take(ip("10.0.0.1")).unwrap()).collect();
        assert_eq!(places.take(ip("10.0.0.1")).err(), Some(FULL_ADDRESS));
        assert_eq!(places.take(ip("::ffff:10.0.0.1")).err(), Some(FULL_ADDRESS));
        held.push(places.take(ip("2001:db8::1")).unwrap());
        held.push(places.take(ip("2001:db8::ffff:1")).unwrap());
        assert_eq!(places.take(ip("2001:db8:1::1")).err(), Some(FULL));
        assert_eq!((places.count(), gauge.get()), (4, 4));
        held.clear();
        assert_eq!(
            (places.count(), gauge.get(), places.lock().addresses.len()),
            (0, 0, 0)
        );
        assert!(places.take(None).is_ok());
    }
}
