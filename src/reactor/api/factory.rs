//! `Factory`: creates the handlers of an event loop.

use log::debug;

use super::handler::Handler;
use super::sender::Sender;

/// Creates a handler for every connection of an event loop, and receives it back when the connection has ended.
///
/// The loop calls the methods on the thread that runs it. A closure `FnMut(Sender) -> H` is a factory.
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
    /// The type of the handlers.
    type Handler: Handler;

    /// Creates the handler of a connection. The defaults of [`client_connected`](Self::client_connected) and
    /// [`server_connected`](Self::server_connected) call this method.
    fn connection_made(&mut self, _: Sender) -> Self::Handler;

    /// Called when the loop ends: after [`Sender::shutdown`], or when the last connection of a loop without listeners has
    /// ended.
    fn on_shutdown(&mut self) {
        debug!("the factory has received the request to shut down");
    }

    /// Creates the handler of a client, before the name of the server is resolved.
    fn client_connected(&mut self, ws: Sender) -> Self::Handler {
        self.connection_made(ws)
    }

    /// Creates the handler of a server, after a connection has been accepted and before anything is read from it.
    fn server_connected(&mut self, ws: Sender) -> Self::Handler {
        self.connection_made(ws)
    }

    /// Receives a handler whose connection has ended. Called once for every handler that was created, unless it has
    /// panicked ([`Settings::catch_panics`](crate::Settings::catch_panics)).
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
