//! An address that neither accepts nor refuses connections.

use std::io;
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
        Self::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap()
    }

    /// Fails if the system does not have the address.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        listener.bind(&address.into())?;
        listener.listen(0)?;
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        // Linux queues one more client than the argument of `listen`.
        let waiting = TcpStream::connect(address)?;
        Ok(Self { address, _listener: listener, _waiting: vec![waiting] })
    }
}
