//! What the examples have in common: an event loop on a thread of its own, which takes over connections.

use std::sync::mpsc::channel;
use std::thread;

use sockeye::{Builder, Result, Sender};

/// Starts an event loop whose connections send everything back; returns what hands them to it.
pub fn start_loop() -> Result<Sender> {
    let (tell, told) = channel();
    thread::spawn(move || -> Result<()> {
        let socket = Builder::new().build(|out: Sender| move |message| out.send(message))?;
        let _ = tell.send(socket.broadcaster());
        // It has nothing to listen on, and waits for what it is handed.
        socket.run_until_shutdown()?;
        Ok(())
    });
    Ok(told.recv().map_err(std::io::Error::other)?)
}
