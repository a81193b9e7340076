//! Plain TCP.

use std::io;

use mio::net::TcpStream;

use crate::turns::Wrap;

pub(crate) struct Plain;

impl Wrap for Plain {
    type Stream = TcpStream;
    const SHORT_READ_IS_ALL: bool = true;

    fn wrap(&self, socket: TcpStream) -> io::Result<TcpStream> {
        Ok(socket)
    }
}
