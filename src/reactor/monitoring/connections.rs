//! How connections begin and end.

use crate::close::CloseCode;
use crate::protocol::Role;

/// The first close code that is counted by itself.
const FIRST_CODE: u16 = 1000;

/// The number of codes that RFC 6455 and the registry of IANA reserve for the protocol: 1000 to 1015.
const CODES: usize = 16;

/// What has happened to the connections of a loop.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionCounts {
    pub(crate) opened_as_server: u64,
    pub(crate) opened_as_client: u64,
    closed: [u64; CODES],
    /// Connections that were closed with another code. Peers choose these, so they are not counted one by one.
    pub(crate) closed_otherwise: u64,
    /// Responses with another status than 101, by status. A status has three digits, so there are at most 900.
    pub(crate) refused: Vec<(u16, u64)>,
    /// Clients that were dropped without a response.
    pub(crate) dropped: u64,
    /// Connections that failed because all of them held too much memory.
    pub(crate) failed_for_memory: u64,
}

impl ConnectionCounts {
    /// A connection has opened.
    pub(in crate::reactor) fn open(&mut self, role: Role) {
        match role {
            Role::Client => self.opened_as_client += 1,
            Role::Server => self.opened_as_server += 1,
        }
    }

    /// An open connection has ended.
    pub(in crate::reactor) fn close(&mut self, code: CloseCode) {
        *self.closed_with(code) += 1;
    }

    /// A client has received another status than 101.
    pub(in crate::reactor) fn refuse(&mut self, status: u16) {
        match self.refused.binary_search_by_key(&status, |(status, _)| *status) {
            Ok(at) => self.refused.iter_mut().skip(at).take(1).for_each(|(_, count)| *count += 1),
            Err(at) => self.refused.insert(at, (status, 1)),
        }
    }

    /// All connections that are open have ended without a Close frame.
    pub(super) fn abandon(&mut self) {
        *self.closed_with(CloseCode::Abnormal) += self.open_now();
    }

    /// The number of open connections.
    pub(crate) fn open_now(&self) -> u64 {
        let opened = self.opened_as_server + self.opened_as_client;
        opened.saturating_sub(self.closed.iter().sum::<u64>() + self.closed_otherwise)
    }

    /// The number of connections that ended with each code, without those that none has ended with.
    pub(crate) fn closed(&self) -> impl Iterator<Item = (CloseCode, u64)> + '_ {
        let counted = (FIRST_CODE..).zip(self.closed).filter(|(_, count)| *count > 0);
        counted.map(|(code, count)| (CloseCode::from(code), count))
    }

    fn closed_with(&mut self, code: CloseCode) -> &mut u64 {
        let at = u16::from(code).checked_sub(FIRST_CODE).map(usize::from);
        at.and_then(|at| self.closed.get_mut(at)).unwrap_or(&mut self.closed_otherwise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_peers_choose_are_counted_together() {
        let mut counts = ConnectionCounts::default();
        for code in (0..=u16::MAX).chain([1000, 1014]) {
            counts.open(Role::Server);
            counts.close(code.into());
        }
        let closed: Vec<(CloseCode, u64)> = counts.closed().collect();
        assert_eq!((closed.len(), closed[0]), (CODES, (CloseCode::Normal, 2)));
        assert!(closed.contains(&(CloseCode::Other(1014), 2)), "{closed:?}");
        assert_eq!((counts.closed_otherwise, counts.open_now()), (65_536 - 16, 0));
        counts.open(Role::Client);
        assert_eq!(counts.open_now(), 1);
        counts.abandon();
        assert!(counts.closed().any(|closed| closed == (CloseCode::Abnormal, 2)));
        assert_eq!(counts.open_now(), 0);
    }

    #[test]
    fn refusals_are_sorted_by_status() {
        let mut counts = ConnectionCounts::default();
        [503, 404, 503, 400].into_iter().for_each(|status| counts.refuse(status));
        assert_eq!(counts.refused, [(400, 1), (404, 1), (503, 2)]);
    }
}
