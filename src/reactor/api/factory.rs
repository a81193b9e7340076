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
    ///
    /// See the [example](Self#examples) of this trait.
    fn connection_made(&mut self, _: Sender) -> Self::Handler;

    /// Called when the loop ends: after [`Sender::shutdown`], or when the last connection of a loop without listeners has
    /// ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Factory, Message, Result, Sender};
    ///
    /// /// Counts connections, and reports the number at the end.
    /// struct Statistics {
    ///     connections: usize,
    /// }
    ///
    /// impl Factory for Statistics {
    ///     type Handler = Box<dyn FnMut(Message) -> Result<()>>;
    ///
    ///     fn connection_made(&mut self, out: Sender) -> Self::Handler {
    ///         self.connections += 1;
    ///         Box::new(move |msg| out.send(msg))
    ///     }
    ///
    ///     fn on_shutdown(&mut self) {
    ///         println!("{} connections", self.connections);
    ///     }
    /// }
    /// ```
    fn on_shutdown(&mut self) {
        debug!("the factory has received the request to shut down");
    }

    /// Creates the handler of a client, before the name of the server is resolved.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Factory, Handler, Message, Result, Sender};
    ///
    /// /// A proxy: connections of clients, and its own connections to servers.
    /// enum Side {
    ///     Client(Sender),
    ///     Server(Sender),
    /// }
    ///
    /// impl Handler for Side {
    ///     fn on_message(&mut self, msg: Message) -> Result<()> {
    ///         match self {
    ///             Side::Client(out) => out.send(msg),
    ///             Side::Server(out) => out.broadcast(msg),
    ///         }
    ///     }
    /// }
    ///
    /// struct Proxy;
    ///
    /// impl Factory for Proxy {
    ///     type Handler = Side;
    ///
    ///     /// A client of the proxy has connected.
    ///     fn connection_made(&mut self, out: Sender) -> Side {
    ///         Side::Client(out)
    ///     }
    ///
    ///     /// The proxy connects to a server, as its client.
    ///     fn client_connected(&mut self, out: Sender) -> Side {
    ///         Side::Server(out)
    ///     }
    /// }
    /// ```
    fn client_connected(&mut self, ws: Sender) -> Self::Handler {
        self.connection_made(ws)
    }

    /// Creates the handler of a server, after a connection has been accepted and before anything is read from it.
    ///
    /// See the example of [`client_connected`](Self::client_connected).
    fn server_connected(&mut self, ws: Sender) -> Self::Handler {
        self.connection_made(ws)
    }

    /// The first connection has subscribed to a topic. A program can start to provide its messages now.
    ///
    /// The loop calls this method after the subscription, and before it reads from other connections.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::HashSet;
    ///
    /// use sockeye::{Factory, Message, Result, Sender};
    ///
    /// /// Knows the shares whose prices are needed.
    /// #[derive(Default)]
    /// struct Exchange {
    ///     shares: HashSet<String>,
    /// }
    ///
    /// impl Factory for Exchange {
    ///     type Handler = Box<dyn FnMut(Message) -> Result<()>>;
    ///
    ///     fn connection_made(&mut self, out: Sender) -> Self::Handler {
    ///         Box::new(move |share| out.subscribe(share.as_text()?))
    ///     }
    ///
    ///     fn topic_opened(&mut self, topic: &str) {
    ///         self.shares.insert(topic.to_owned());
    ///     }
    ///
    ///     fn topic_closed(&mut self, topic: &str) {
    ///         self.shares.remove(topic);
    ///     }
    /// }
    /// ```
    fn topic_opened(&mut self, _topic: &str) {}

    /// The last connection has unsubscribed from a topic, or has ended.
    ///
    /// See the example of [`topic_opened`](Self::topic_opened).
    fn topic_closed(&mut self, _topic: &str) {}

    /// Receives a handler whose connection has ended. Called once for every handler that was created, unless it has
    /// panicked ([`Settings::catch_panics`](crate::Settings::catch_panics)).
    ///
    /// See the [example](Self#examples) of this trait.
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
