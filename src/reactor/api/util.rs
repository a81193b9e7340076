//! The small types that programs name when they work with time-outs, or with TLS.

#[cfg(feature = "ssl")]
pub use crate::tcp_stream::TcpStream;

/// Names a time-out, or a connection of an event loop, by a number.
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

/// A time-out that has been set; [`Sender::cancel`](crate::Sender::cancel) takes it back.
///
/// [`Handler::on_new_timeout`](crate::Handler::on_new_timeout) receives it. It belongs to one event loop; a time-out that
/// has fired, or has been cancelled, is never mistaken for a later one.
#[derive(Clone, Debug)]
pub struct Timeout {
    pub(crate) place: u32,
    pub(crate) serial: u64,
}
