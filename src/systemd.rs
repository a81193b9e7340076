//! Notifications for systemd about the state of a service. This module exists on Unix.
//!
//! A service whose unit file contains `Type=notify` has started when it calls [`ready`]. Each function sends one datagram to the
//! socket in the environment variable `NOTIFY_SOCKET`, and does nothing if systemd has not set the variable, so a program can call it
//! wherever it runs. [`WebSocket::bind_systemd`](crate::WebSocket::bind_systemd) listens on sockets that systemd has opened.
//!
//! The functions can be called on any thread. They wait while the queue of the socket is full, which systemd empties at once.
//! Sockets with a path and, on Linux, abstract sockets are supported, and those of virtual machines (`vsock:`) are not.
//!
//! # Examples
//!
//! ```no_run
//! use sockeye::{Message, Sender, WebSocket, systemd};
//!
//! let socket = WebSocket::new(|out: Sender| move |msg: Message| out.send(msg))?.bind_systemd()?;
//! systemd::ready()?;
//! // Until a handler, or another thread, calls `Sender::shutdown`.
//! socket.run()?;
//! systemd::stopping()?;
//! # sockeye::Result::Ok(())
//! ```

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use crate::error::{Error, Result};

/// The environment variable with the address of the socket.
const VARIABLE: &str = "NOTIFY_SOCKET";

/// Reports that the service has started (`READY=1`).
///
/// Call this function when the loop listens. systemd then starts the services that depend on this one. Returns `false` if
/// systemd does not expect notifications.
///
/// # Errors
///
/// `Io` if the datagram cannot be sent.
///
/// # Examples
///
/// ```
/// use sockeye::systemd;
///
/// if !systemd::ready()? {
///     println!("not started by systemd");
/// }
/// # sockeye::Result::Ok(())
/// ```
pub fn ready() -> Result<bool> {
    notify("READY=1")
}

/// Reports that the service is shutting down (`STOPPING=1`).
///
/// Returns `false` if systemd does not expect notifications.
///
/// # Errors
///
/// `Io` if the datagram cannot be sent.
///
/// See the [example](self#examples) of this module.
pub fn stopping() -> Result<bool> {
    notify("STOPPING=1")
}

/// Describes the state of the service (`STATUS=`), for `systemctl status`.
///
/// Line breaks are replaced by spaces, because each line of a notification is a variable. Returns `false` if systemd does not
/// expect notifications.
///
/// # Errors
///
/// `Io` if the datagram cannot be sent.
///
/// # Examples
///
/// ```
/// use sockeye::systemd;
///
/// systemd::status("412 connections")?;
/// # sockeye::Result::Ok(())
/// ```
pub fn status(text: &str) -> Result<bool> {
    notify(&format!("STATUS={}", text.replace(['\n', '\r'], " ")))
}

/// Sends a notification: one variable, or several in lines of their own, as in the manual page of `sd_notify`.
///
/// Returns `false` if systemd does not expect notifications.
///
/// # Errors
///
/// `Io` if the datagram cannot be sent.
///
/// # Examples
///
/// ```
/// use sockeye::systemd;
///
/// // For a unit file with `WatchdogSec=`.
/// systemd::notify("WATCHDOG=1")?;
/// # sockeye::Result::Ok(())
/// ```
pub fn notify(state: &str) -> Result<bool> {
    match env::var_os(VARIABLE) {
        Some(socket) if !socket.is_empty() => {
            send(&socket, state).map(|()| true).map_err(|err| Error::io("cannot notify systemd", err))
        }
        _ => Ok(false),
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => abstract_address(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;

    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "abstract sockets exist on Linux only"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 100];
        let len = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    #[test]
    fn a_notification_is_one_datagram() {
        let path = env::temp_dir().join(format!("sockeye-notify-{}.sock", std::process::id()));
        let socket = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), "READY=1\nSTATUS=listening").unwrap();
        assert_eq!(received(&socket), "READY=1\nSTATUS=listening");
        std::fs::remove_file(&path).unwrap();
        assert!(send(path.as_os_str(), "READY=1").is_err(), "nothing receives it");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_socket_can_be_abstract() {
        let name = format!("sockeye-notify-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&abstract_address(name.as_bytes()).unwrap()).unwrap();
        send(OsStr::new(&format!("@{name}")), "STOPPING=1").unwrap();
        assert_eq!(received(&socket), "STOPPING=1");
    }

    #[test]
    fn an_unsupported_address_is_an_error() {
        for address in ["vsock:2:1234", "relative/path", &"x".repeat(200)] {
            assert!(send(OsStr::new(address), "READY=1").is_err(), "{address}");
        }
    }
}
