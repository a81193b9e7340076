//! What makes the handlers of an event loop.

use log::debug;

use super::handler::Handler;
use super::sender::Sender;

/// Makes a handler for every connection of a loop, and gets it back when the connection is gone.
///
/// A closure `FnMut(Sender) -> H` is a factory.
///
/// # Examples
///
/// ```
/// use sockeye::{Factory, Handler, Message, Result, Sender};
///
/// struct Player {
///     out: Sender,
/// }
///
/// impl Handler for Player {
///     fn on_message(&mut self, msg: Message) -> Result<()> {
///         self.out.broadcast(msg)
///     }
/// }
///
/// #[derive(Default)]
/// struct Game {
///     players: usize,
/// }
///
/// impl Factory for Game {
///     type Handler = Player;
///
///     fn connection_made(&mut self, out: Sender) -> Player {
///         self.players += 1;
///         Player { out }
///     }
///
///     fn connection_lost(&mut self, _player: Player) {
///         self.players -= 1;
///     }
/// }
/// ```
pub trait Factory {
    /// What handles a connection.
    type Handler: Handler;

    /// Called for every connection, by the defaults of the two methods below.
    fn connection_made(&mut self, _: Sender) -> Self::Handler;

    /// Called when the loop ends: after [`Sender::shutdown`], and when the last connection of a loop of clients is gone.
    fn on_shutdown(&mut self) {
        debug!("the factory has received the request to shut down");
    }

    /// Called when a client's connection is about to be made, before the name of the server is resolved.
    fn client_connected(&mut self, ws: Sender) -> Self::Handler {
        self.connection_made(ws)
    }

    /// Called when a server has accepted a connection, before anything is read from it.
    fn server_connected(&mut self, ws: Sender) -> Self::Handler {
        self.connection_made(ws)
    }

    /// Called when a connection is gone, once for every handler that was made, with that handler.
    fn connection_lost(&mut self, _: Self::Handler) {}
}

impl<F, H> Factory for F
where
    H: Handler,
    F: FnMut(Sender) -> H,
{
    type Handler = H;

    fn connection_made(&mut self, out: Sender) -> H {
        self(out)
    }
}
