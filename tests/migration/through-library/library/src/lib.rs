//! Stands for a library that depends on ws 0.9, and has its types in its own interface.

/// Echoes each message through the sender of its connection.
pub struct Echo {
    pub out: ws::Sender,
}

impl ws::Handler for Echo {
    fn on_message(&mut self, msg: ws::Message) -> ws::Result<()> {
        self.out.send(msg)
    }

    fn on_close(&mut self, _: ws::CloseCode, _: &str) {
        self.out.shutdown().expect("the server should shut down");
    }
}
