//! Sockets and threads, as Linux reports them. Other systems report nothing, and the tests check the rest.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A thread of this process.
#[derive(Debug)]
pub struct Task {
    folder: PathBuf,
}

impl Task {
    pub fn current() -> Self {
        let folder = fs::read_link("/proc/thread-self").unwrap_or_default();
        Self { folder: PathBuf::from("/proc").join(folder) }
    }

    /// Returns whether the thread waits for something, as opposed to running or being ready to run. Always `true` where
    /// the system does not report it.
    pub fn is_waiting(&self) -> bool {
        let stat = fs::read_to_string(self.folder.join("stat")).unwrap_or_default();
        let state = stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().next());
        state.is_none_or(|state| state == "S")
    }

    /// The time that the thread has spent on a processor.
    pub fn time(&self) -> Duration {
        let stat = fs::read_to_string(self.folder.join("schedstat")).unwrap_or_default();
        let spent = stat.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
        Duration::from_nanos(spent.unwrap_or(0))
    }
}

/// How many connected sockets with this own address are held by a descriptor.
pub fn sockets_at(address: SocketAddr) -> usize {
    sockets(|fields| ends_with_port(fields[1], address.port()))
}

/// How many sockets that are connected, or connecting, to this address are held by a descriptor.
pub fn sockets_to(address: SocketAddr) -> usize {
    sockets(|fields| ends_with_port(fields[2], address.port()))
}

/// The fields of a row: number, own address, peer's address, state, and, at nine, the inode.
fn sockets(is_counted: impl Fn(&[&str]) -> bool) -> usize {
    const LISTEN: &str = "0A";
    let table = |name| fs::read_to_string(name).unwrap_or_default();
    let tables = table("/proc/net/tcp") + &table("/proc/net/tcp6");
    let rows = tables.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let rows = rows.filter(|fields| fields.len() > 9 && fields[0] != "sl");
    // A socket that only the system still knows, such as one in TIME_WAIT, has no inode.
    rows.filter(|fields| fields[3] != LISTEN && fields[9] != "0" && is_counted(fields)).count()
}

fn ends_with_port(address: &str, port: u16) -> bool {
    address.ends_with(&format!(":{port:04X}"))
}

/// How many descriptors this process holds.
pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}
