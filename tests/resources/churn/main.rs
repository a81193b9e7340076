//! L6, M14: thousands of connections that begin, and end, in every way that there is.
//!
//! The descriptors and the memory of the whole process are counted here, so that these tests have it to themselves.
#![cfg(feature = "reactor")]

mod clients;
mod servers;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One test at a time has the process to itself.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The other tests find no socket at the end. This one shows that they would find it.
#[test]
#[cfg(target_os = "linux")]
fn sockets_are_counted_with_both_ends() {
    use std::net::{TcpListener, TcpStream};

    use sockeye_test_support::system::{sockets_at, sockets_to};

    let _alone = alone();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(address) else { continue };
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let accepted = listener.accept().unwrap();
        assert_eq!((sockets_at(address), sockets_to(address)), (1, 1));
        drop((client, accepted));
    }
}
