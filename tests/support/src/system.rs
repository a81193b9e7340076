//! Sockets, threads and memory, as Linux reports them. Other systems do not report them, and the tests only check the rest
//! there.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::wait_until;

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

    /// Returns whether the thread is waiting, as opposed to running or being ready to run. Always returns `true` if the
    /// system does not report it.
    pub fn is_waiting(&self) -> bool {
        let stat = fs::read_to_string(self.folder.join("stat")).unwrap_or_default();
        let state = stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().next());
        state.is_none_or(|state| state == "S")
    }

    /// Returns the processor time of the thread, or zero if the system does not report it.
    pub fn time(&self) -> Duration {
        let stat = fs::read_to_string(self.folder.join("schedstat")).unwrap_or_default();
        let spent = stat.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
        Duration::from_nanos(spent.unwrap_or(0))
    }
}

/// Returns the number of connected sockets with this local address that have a descriptor.
pub fn sockets_at(address: SocketAddr) -> usize {
    sockets(|fields| fields[1] == in_table(address))
}

/// Returns the number of sockets with a descriptor that are connected, or connecting, to this address.
pub fn sockets_to(address: SocketAddr) -> usize {
    sockets(|fields| fields[2] == in_table(address))
}

/// Counts rows in the tables of TCP sockets. The fields of a row are its number, the local address, the remote address,
/// the state, and, at index 9, the inode.
fn sockets(is_counted: impl Fn(&[&str]) -> bool) -> usize {
    const LISTEN: &str = "0A";
    let table = |name| fs::read_to_string(name).unwrap_or_default();
    let tables = table("/proc/net/tcp") + &table("/proc/net/tcp6");
    let rows = tables.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let rows = rows.filter(|fields| fields.len() > 9 && fields[0] != "sl");
    // A socket without a descriptor, such as one in TIME_WAIT, has no inode.
    rows.filter(|fields| fields[3] != LISTEN && fields[9] != "0" && is_counted(fields)).count()
}

/// Returns an address as the tables contain it. The kernel prints the bytes of an address as numbers of 32 bits.
fn in_table(address: SocketAddr) -> String {
    let bytes = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (words, _) = bytes.as_chunks();
    let words: String = words.iter().map(|word| format!("{:08X}", u32::from_ne_bytes(*word))).collect();
    format!("{words}:{:04X}", address.port())
}

/// Returns the number of open descriptors of this process.
pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Waits until this process has at most this many open descriptors.
#[track_caller]
pub fn wait_for_descriptors(count: usize) {
    wait_until("the descriptors are closed", || descriptors() <= count);
}

/// Returns the number of threads of this process, or zero if the system does not report it.
pub fn threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Returns the resident memory of this process in bytes, or zero if the system does not report it.
pub fn resident() -> usize {
    status("VmRSS:")
}

/// Returns how many bytes more than before are resident at some moment of `act`, and the result of `act`.
pub fn peak_of<R>(act: impl FnOnce() -> R) -> (usize, R) {
    let before = resident();
    // Resets `VmHWM`, the highest resident size.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let result = act();
    (status("VmHWM:").saturating_sub(before), result)
}

/// Returns a size in `/proc/self/status` in bytes.
fn status(field: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().map_or(0, |kilobytes: usize| kilobytes * 1024)
}
