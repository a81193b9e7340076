//! Small types for timeouts and TLS.

#[cfg(feature = "ssl")]
pub use crate::tcp_stream::TcpStream;

/// A number that identifies a timeout, or a connection of an event loop.
///
/// A program chooses the tokens of its timeouts ([`Sender::timeout`](crate::Sender::timeout)). The loop chooses those of
/// connections ([`Sender::token`](crate::Sender::token)).
///
/// # Examples
///
/// ```
/// use sockeye::util::Token;
///
/// const EXPIRE: Token = Token(1);
///
/// fn name(token: Token) -> &'static str {
///     match token {
///         EXPIRE => "expire",
///         _ => "something else",
///     }
/// }
/// assert_eq!(name(Token(1)), "expire");
/// ```
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub usize);

impl From<usize> for Token {
    fn from(number: usize) -> Self {
        Self(number)
    }
}

impl From<Token> for usize {
    fn from(token: Token) -> Self {
        token.0
    }
}

/// A timeout that has been set, as the argument of [`Sender::cancel`](crate::Sender::cancel) and
/// [`Sender::postpone`](crate::Sender::postpone).
///
/// [`Handler::on_new_timeout`](crate::Handler::on_new_timeout) receives it. It belongs to one event loop. Cancelling or postponing a timeout
/// that has fired or was cancelled has no effect, and never affects a later timeout.
///
/// See the examples of these methods.
#[derive(Clone, Debug)]
pub struct Timeout {
    pub(crate) place: u32,
    pub(crate) serial: u64,
}
