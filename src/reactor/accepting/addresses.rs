//! The number of connections of each address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// The length of the prefix that one IPv6 site has, in bits. One host can use every address with its prefix.
const V6_PREFIX: u32 = 64;

/// Counts the connections of each address, if there is a limit.
#[derive(Debug, Default)]
pub(in crate::reactor) struct AddressCounts {
    limit: Option<usize>,
    counts: HashMap<IpAddr, usize>,
    /// The address of each counted connection, by slot.
    addresses: HashMap<u32, IpAddr>,
}

impl AddressCounts {
    pub(in crate::reactor) fn new(limit: Option<usize>) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(in crate::reactor) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Whether another connection of this address can be added.
    pub(in crate::reactor) fn has_room(&self, address: IpAddr) -> bool {
        let count = self.counts.get(&site(address)).copied().unwrap_or_default();
        self.limit.is_none_or(|limit| count < limit)
    }

    /// Counts the connection in a slot.
    pub(in crate::reactor) fn add(&mut self, slot: u32, address: IpAddr) {
        if !self.is_limited() {
            return;
        }
        self.remove(slot);
        let site = site(address);
        *self.counts.entry(site).or_default() += 1;
        self.addresses.insert(slot, site);
    }

    /// The connection in a slot has ended.
    pub(in crate::reactor) fn remove(&mut self, slot: u32) {
        let Some(site) = self.addresses.remove(&slot) else { return };
        if let Some(count) = self.counts.get_mut(&site) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&site);
            }
        }
    }
}

/// Returns the IPv4 address, or the prefix of the IPv6 address.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let mask = u128::MAX << (128 - V6_PREFIX);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn w5_each_address_has_its_own_count() {
        let mut counts = AddressCounts::new(Some(2));
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        counts.add(0, one);
        counts.add(1, address("::ffff:192.0.2.1"));
        assert_eq!((counts.has_room(one), counts.has_room(other)), (false, true));
        counts.remove(0);
        counts.remove(0);
        assert!(counts.has_room(one));
        counts.remove(1);
        assert!(counts.counts.is_empty() && counts.addresses.is_empty());
    }

    #[test]
    fn w5_a_v6_site_counts_as_one_address() {
        let mut counts = AddressCounts::new(Some(1));
        counts.add(0, address("2001:db8:1:2:3:4:5:6"));
        assert!(!counts.has_room(address("2001:db8:1:2::1")));
        assert!(counts.has_room(address("2001:db8:1:3::1")));
    }

    #[test]
    fn w5_a_connection_behind_a_proxy_moves_to_its_own_address() {
        let mut counts = AddressCounts::new(Some(1));
        counts.add(0, address("10.0.0.1"));
        counts.add(0, address("192.0.2.1"));
        assert!(counts.has_room(address("10.0.0.1")) && !counts.has_room(address("192.0.2.1")));
    }

    #[test]
    fn w5_without_a_limit_nothing_is_stored() {
        let mut counts = AddressCounts::new(None);
        counts.add(0, address("192.0.2.1"));
        assert!(counts.has_room(address("192.0.2.1")) && counts.addresses.is_empty());
    }
}
