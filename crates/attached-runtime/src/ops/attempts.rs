//! How many wrong tokens are looked at, from each address and from all. Handed the time.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Wrong ones in a row.
const BURST: u32 = 10;
/// One more after this time.
const PAUSE: Duration = Duration::from_secs(1);
/// Addresses that have a bucket of their own while it is not full.
const ADDRESSES: usize = 1024;

/// Attempts that only wrong tokens use up, so that whoever guesses shuts out nobody at another address.
#[derive(Debug)]
pub(super) struct Attempts {
    /// Who has sent a wrong one of late.
    known: HashMap<IpAddr, Bucket>,
    /// What everybody shares for whom there is no bucket any more.
    others: Bucket,
    /// When full ones were looked for.
    tidied: Instant,
}

impl Attempts {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            known: HashMap::new(),
            others: Bucket::new(now),
            tidied: now,
        }
    }

    /// Whether an attempt from there is looked at at all.
    pub(super) fn may_try(&mut self, from: Option<IpAddr>, now: Instant) -> bool {
        self.bucket(from, now).is_none_or(|bucket| bucket.may_try(now))
    }

    /// It was a wrong one.
    pub(super) fn failed(&mut self, from: Option<IpAddr>, now: Instant) {
        if let Some(bucket) = self.bucket(from, now) {
            return bucket.failed();
        }
        if let Some(address) = from {
            let mut bucket = Bucket::new(now);
            bucket.failed();
            self.known.insert(network(address), bucket);
        }
    }

    /// The bucket for an address; nothing for one that may have its own.
    fn bucket(&mut self, from: Option<IpAddr>, now: Instant) -> Option<&mut Bucket> {
        let Some(address) = from.map(network) else {
            return Some(&mut self.others);
        };
        if self.known.contains_key(&address) {
            return self.known.get_mut(&address);
        }
        if self.known.len() >= ADDRESSES && now >= self.tidied + PAUSE {
            // A full one tells nothing that a new one would not.
            self.tidied = now;
            self.known.retain(|_, bucket| !bucket.is_full(now));
        }
        (self.known.len() >= ADDRESSES).then_some(&mut self.others)
    }
}

/// A bucket that fills again.
#[derive(Debug)]
struct Bucket {
    left: u32,
    /// Up to here it was filled.
    filled: Instant,
}

impl Bucket {
    fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            filled: now,
        }
    }

    fn may_try(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.left > 0
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.left == BURST
    }

    fn failed(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    fn fill(&mut self, now: Instant) {
        let earned = now.saturating_duration_since(self.filled).as_secs() / PAUSE.as_secs();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(earned).min(BURST);
        self.filled += PAUSE * earned;
    }
}

/// What one customer gets: an IPv4 address, or an IPv6 network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    /// Wrong ones that are looked at, of a hundred.
    fn looked_at(attempts: &mut Attempts, from: Option<IpAddr>, now: Instant) -> usize {
        let tries = (0..100).filter(|_| {
            let may = attempts.may_try(from, now);
            if may {
                attempts.failed(from, now);
            }
            may
        });
        tries.count()
    }

    #[test]
    fn wrong_ones_are_ten_at_once_and_one_a_second() {
        let start = Instant::now();
        let second = |seconds: u64| start + Duration::from_secs(seconds);
        for from in [ip("192.0.2.1"), None] {
            let mut attempts = Attempts::new(start);
            let mut tried = |now| looked_at(&mut attempts, from, now);
            assert_eq!(tried(start), 10);
            assert_eq!(tried(start + Duration::from_millis(999)), 0);
            assert_eq!(tried(second(1)), 1);
            assert_eq!(tried(second(4)), 3);
            assert_eq!(tried(second(100_000)), 10);
            assert_eq!(tried(start), 0, "a clock that goes back gives nothing");
        }
    }

    #[test]
    fn each_address_has_its_own_and_a_network_of_one_customer_is_one() {
        let now = Instant::now();
        let mut attempts = Attempts::new(now);
        let rows = [
            ("192.0.2.1", 10),
            ("192.0.2.2", 10),
            ("::ffff:192.0.2.1", 0),
            ("2001:db8::1", 10),
            ("2001:db8::ffff:1", 0),
            ("2001:db8:0:1::1", 10),
        ];
        for (from, times) in rows {
            assert_eq!(looked_at(&mut attempts, ip(from), now), times, "{from}");
        }
    }

    #[test]
    fn whoever_has_many_addresses_takes_no_memory_and_a_known_address_keeps_its_own() {
        let now = Instant::now();
        let mut attempts = Attempts::new(now);
        let flood = |attempts: &mut Attempts, now| {
            let addresses =
                (0..5000_u32).map(|number| Some(IpAddr::from((0x0a00_0000 + number).to_be_bytes())));
            addresses
                .map(|from| looked_at(attempts, from, now))
                .sum::<usize>()
        };
        assert_eq!(looked_at(&mut attempts, ip("192.0.2.1"), now), 10);
        let own = ADDRESSES - 1;
        assert_eq!(
            flood(&mut attempts, now),
            own * 10 + 10,
            "what is left shares ten"
        );
        assert_eq!(attempts.known.len(), ADDRESSES);
        let later = now + Duration::from_secs(1);
        assert_eq!(looked_at(&mut attempts, ip("192.0.2.1"), later), 1);
        let much_later = now + Duration::from_secs(60);
        assert_eq!(
            looked_at(&mut attempts, ip("192.0.2.9"), much_later),
            10,
            "the others are forgotten"
        );
        assert_eq!(attempts.known.len(), 1);
    }
}
