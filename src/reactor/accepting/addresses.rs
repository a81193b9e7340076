//! The number of connections of each address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The length of the prefix that one IPv6 site has, in bits. One host can use every address with its prefix.
const V6_PREFIX: u32 = 64;

/// How many connections each address has. The loops of a pool share it.
#[derive(Debug, Default)]
pub(crate) struct SiteCounts(Mutex<HashMap<IpAddr, usize>>);

impl SiteCounts {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the connections of each address, if there is a limit.
#[derive(Debug)]
pub(in crate::reactor) struct AddressCounts {
    limit: Option<usize>,
    counts: Arc<SiteCounts>,
    /// The places of the connections of the loop that are counted, by slot.
    places: HashMap<u32, AddressPlace>,
}

/// A connection counts for its address until this is dropped.
#[derive(Debug)]
pub(crate) struct AddressPlace {
    counts: Arc<SiteCounts>,
    site: IpAddr,
}

impl AddressCounts {
    pub(in crate::reactor) fn new(limit: Option<usize>, counts: Arc<SiteCounts>) -> Self {
        Self { limit, counts, places: HashMap::new() }
    }

    pub(in crate::reactor) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Counts another connection of this address, if there is room for it.
    pub(in crate::reactor) fn take_place(&self, address: IpAddr) -> Option<AddressPlace> {
        let site = site(address);
        let mut counts = self.counts.lock();
        let count = counts.entry(site).or_default();
        if self.limit.is_some_and(|limit| *count >= limit) {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(AddressPlace { counts: Arc::clone(&self.counts), site })
    }

    /// The connection in a slot has this place, and leaves its previous one.
    pub(in crate::reactor) fn set(&mut self, slot: u32, place: AddressPlace) {
        self.places.insert(slot, place);
    }

    /// The connection in a slot has ended.
    pub(in crate::reactor) fn remove(&mut self, slot: u32) {
        self.places.remove(&slot);
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.site) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.site);
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
        let mut counts = AddressCounts::new(Some(2), Arc::default());
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        counts.set(0, counts.take_place(one).unwrap());
        counts.set(1, counts.take_place(address("::ffff:192.0.2.1")).unwrap());
        assert!(counts.take_place(one).is_none() && counts.take_place(other).is_some());
        counts.remove(0);
        counts.remove(0);
        assert!(counts.take_place(one).is_some());
        counts.remove(1);
        assert!(counts.counts.lock().is_empty() && counts.places.is_empty());
    }

    #[test]
    fn w5_a_v6_site_counts_as_one_address() {
        let counts = AddressCounts::new(Some(1), Arc::default());
        let _place = counts.take_place(address("2001:db8:1:2:3:4:5:6")).unwrap();
        assert!(counts.take_place(address("2001:db8:1:2::1")).is_none());
        assert!(counts.take_place(address("2001:db8:1:3::1")).is_some());
    }

    #[test]
    fn w5_a_connection_behind_a_proxy_moves_to_its_own_address() {
        let mut counts = AddressCounts::new(Some(1), Arc::default());
        counts.set(0, counts.take_place(address("10.0.0.1")).unwrap());
        counts.set(0, counts.take_place(address("192.0.2.1")).unwrap());
        assert!(counts.take_place(address("10.0.0.1")).is_some());
        assert!(counts.take_place(address("192.0.2.1")).is_none());
    }

    #[test]
    fn loops_of_a_pool_count_together() {
        let sites = Arc::default();
        let mut loops = [(), ()].map(|()| AddressCounts::new(Some(2), Arc::clone(&sites)));
        let one = address("192.0.2.1");
        loops.iter_mut().for_each(|counts| counts.set(0, counts.take_place(one).unwrap()));
        let [first, second] = loops;
        assert!(first.take_place(one).is_none());
        drop(second);
        assert!(first.take_place(one).is_some());
    }
}
