//! A server with compression.

use ws::Sender;
use ws::deflate::DeflateHandler;

use crate::Result;

pub(crate) fn listen(address: &str) -> Result<()> {
    crate::listen(address, |out: Sender| DeflateHandler::new(move |message| out.send(message)))
}
