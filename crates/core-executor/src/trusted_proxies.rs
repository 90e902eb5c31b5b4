//! The reverse proxies whose word about the client's address is taken.

use crate::{Env, EnvError};
use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// Addresses and networks of reverse proxies that are believed. Cloning shares the list.
///
/// Written as addresses and networks with commas between them: `10.0.0.0/8, 2001:db8::7`. An IPv4 address is the same
/// as its IPv6-mapped form.
///
/// ```
/// use core_executor::TrustedProxies;
///
/// let proxies: TrustedProxies = "10.0.0.0/8, 2001:db8::7".parse()?;
/// assert!(proxies.contain("10.1.2.3".parse()?));
/// assert!(!proxies.contain("192.0.2.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Arc<[IpNet]>,
}

/// An entry is no address and no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{entry}` is no IP address and no network")]
#[non_exhaustive]
pub struct NoNetwork {
    /// The entry as written.
    pub entry: String,
}

impl TrustedProxies {
    /// Reads `SERVER_TRUSTED_PROXIES`.
    ///
    /// # Errors
    /// An entry that is no address and no network.
    pub fn from_env(env: &Env) -> Result<Self, EnvError> {
        const KEY: &str = "SERVER_TRUSTED_PROXIES";
        env.string(KEY, "")?.parse().map_err(|NoNetwork { entry }| {
            let entry: String = entry.chars().take(64).collect();
            let expected = format!(
                "addresses or networks such as 10.0.0.0/8 with commas between them; {entry:?} is neither"
            );
            env.invalid(KEY, &expected)
        })
    }

    /// Whether this address is one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

impl FromStr for TrustedProxies {
    type Err = NoNetwork;

    fn from_str(list: &str) -> Result<Self, NoNetwork> {
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        Ok(Self {
            networks: entries.map(network).collect::<Result<_, _>>()?,
        })
    }
}

fn network(entry: &str) -> Result<IpNet, NoNetwork> {
    let address = entry.parse::<IpAddr>().map(IpNet::from);
    let network = address.or_else(|_| entry.parse::<IpNet>());
    network.map(canonical).map_err(|_| NoNetwork {
        entry: entry.to_owned(),
    })
}

/// A network of IPv6-mapped addresses as the IPv4 network it stands for.
fn canonical(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    match network {
        IpNet::V6(v6) => v6
            .addr()
            .to_ipv4_mapped()
            .and_then(|address| Ipv4Net::new(address, v6.prefix_len().checked_sub(MAPPED)?).ok())
            .map_or(network, IpNet::V4),
        IpNet::V4(_) => network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks_of_both_families() {
        let trusted: TrustedProxies = " 10.0.0.0/8,192.0.2.7 ,, 2001:db8::/32, ::ffff:198.51.100.0/120"
            .parse()
            .unwrap();
        for (address, is_one) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("198.51.100.200", true),
            ("198.51.101.1", false),
        ] {
            assert_eq!(trusted.contain(address.parse().unwrap()), is_one, "{address}");
        }
        assert!(!TrustedProxies::default().contain([127, 0, 0, 1].into()));
    }

    #[test]
    fn what_is_neither_is_named() {
        for list in ["proxy.example", "10.0.0.0/33", "10.0.0.1, 1.2.3", "::1/129", "*"] {
            let error = list.parse::<TrustedProxies>().unwrap_err();
            assert!(list.ends_with(&error.entry), "{error}");
        }
    }
}
