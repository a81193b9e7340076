//! An address that neither accepts nor refuses connections.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

/// A listener whose queue is full. Further clients receive no response.
#[derive(Debug)]
pub struct Unresponsive {
    pub address: SocketAddr,
    _listener: Socket,
    _waiting: Vec<TcpStream>,
}

impl Unresponsive {
    pub fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        // Linux queues one more client than the argument of `listen`.
        let waiting = TcpStream::connect(address).unwrap();
        Self { address, _listener: listener, _waiting: vec![waiting] }
    }
}
