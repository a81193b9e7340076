//! An address that accepts nobody, and refuses nobody either.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

/// A listener that has as many clients waiting as the system lets wait: whoever else comes gets no answer.
pub(crate) struct Full {
    pub(crate) address: SocketAddr,
    _listener: Socket,
    _waiting: Vec<TcpStream>,
}

impl Full {
    pub(crate) fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        // Linux lets one more wait than it is told to.
        let waiting = TcpStream::connect(address).unwrap();
        Self { address, _listener: listener, _waiting: vec![waiting] }
    }
}
