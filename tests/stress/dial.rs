//! Connections from a chosen address, with small buffers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, SockRef, Socket, Type};

use sockeye::protocol::Role;
use sockeye_test_support::LIMIT;
use sockeye_test_support::bytes::UPGRADE;
use sockeye_test_support::listener;
use sockeye_test_support::peer::Peer;

/// The size of the system's buffers of these connections, in bytes. A thousand peers that do not read then fill little of
/// the system's memory.
const SMALL_BUFFER: usize = 16 * 1024;

/// Another host. Linux accepts every address of 127.0.0.0/8 as a local one.
pub(crate) const OTHER_HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// The host of the server.
pub(crate) const SAME_HOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Returns a listener whose streams have small send buffers.
pub(crate) fn small_listener() -> TcpListener {
    let listener = listener();
    SockRef::from(&listener).set_send_buffer_size(SMALL_BUFFER).unwrap();
    listener
}

/// The same on the address of a host.
pub(crate) fn small_listener_at(host: IpAddr) -> TcpListener {
    let listener = TcpListener::bind((host, 0)).unwrap();
    SockRef::from(&listener).set_send_buffer_size(SMALL_BUFFER).unwrap();
    listener
}

/// Connects from this host, and sends nothing.
pub(crate) fn connect_from(host: IpAddr, server: SocketAddr) -> Peer {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(SMALL_BUFFER).unwrap();
    socket.bind(&SocketAddr::new(host, 0).into()).unwrap();
    socket.connect(&server.into()).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    Peer::over(stream, Role::Client)
}

/// Connects from this host, and completes the opening handshake. Returns `None` if the server rejects the client.
pub(crate) fn open_from(host: IpAddr, server: SocketAddr) -> Option<Peer> {
    let mut peer = connect_from(host, server);
    peer.send(UPGRADE);
    (peer.head().status() == 101).then_some(peer)
}
