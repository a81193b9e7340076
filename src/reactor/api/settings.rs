//! Every limit and time-out of an event loop: its unit, its default, and what happens beyond it.

use std::net::IpAddr;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::protocol::handshake::Origins;
use crate::protocol::{Answers, Config, Deflate};

/// Whether this build can encrypt.
const HAS_TLS: bool = cfg!(feature = "ssl");

/// The settings of an event loop.
///
/// All sizes are in bytes. The defaults are those of a server that faces the open Internet: strict, and bounded. Build a
/// value with `..Settings::default()`, so that settings which come later keep their defaults.
///
/// # Examples
///
/// ```
/// use sockeye::{Builder, Origins, Settings};
/// use std::time::Duration;
///
/// let settings = Settings {
///     max_connections: 50_000,
///     max_message_size: 64 * 1024,
///     ping_interval: Some(Duration::from_secs(20)),
///     idle_timeout: Some(Duration::from_secs(60)),
///     origins: Origins::SameHost,
///     subprotocols: &["chat.v2", "chat.v1"],
///     ..Settings::default()
/// };
/// let socket = Builder::new().with_settings(settings).build(|_| |_| Ok(()))?;
/// # drop(socket);
/// # sockeye::Result::Ok(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Most connections of one loop, of either role. A client beyond it is answered 503; [`Sender::connect`] beyond it
    /// is reported to `on_error` as `Capacity`. Nothing is allocated in advance. Default 10,000.
    ///
    /// [`Sender::connect`]: crate::Sender::connect
    pub max_connections: usize,
    /// With `max_connections` as a factor, the most commands that other threads may have waiting; beyond it they get
    /// `Err(ErrorKind::Queue)` at once. Handlers have no such limit. Default 5.
    pub queue_size: usize,
    /// Panic when a connection cannot be made. Default false.
    pub panic_on_new_connection: bool,
    /// Panic when the loop has shut down. Default false.
    pub panic_on_shutdown: bool,
    /// With `fragments_grow` off, the most fragments of one message; beyond it 1008. Default 10.
    pub fragments_capacity: usize,
    /// Whether a message may have more than `fragments_capacity` fragments; then 65,536 or `max_message_size / 64` are
    /// the limit, whichever is more. Default true.
    pub fragments_grow: bool,
    /// Longest payload of a frame that is sent; longer messages go out in fragments. Default 65,535.
    pub fragment_size: usize,
    /// Longest payload of a frame that is received; beyond it 1009. No limit beside `max_message_size` by default.
    pub max_fragment_size: usize,
    /// With `in_buffer_grow` off, the longest message; beyond it 1009. Default 2,048.
    pub in_buffer_capacity: usize,
    /// Whether a message may be longer than `in_buffer_capacity`; `max_message_size` holds in any case. Default true.
    pub in_buffer_grow: bool,
    /// The size with which an output buffer begins; with `out_buffer_grow` off, the most output that is queued for one
    /// connection. Default 2,048.
    pub out_buffer_capacity: usize,
    /// Whether more output than `out_buffer_capacity` may be queued; `max_buffered` holds in any case. Default true.
    pub out_buffer_grow: bool,
    /// Panic when a handler returns `Internal`. Default false.
    pub panic_on_internal: bool,
    /// Panic on an error of the kind `Capacity`. Default false.
    pub panic_on_capacity: bool,
    /// Panic on an error of the kind `Protocol`: any peer can cause one. Default false.
    pub panic_on_protocol: bool,
    /// Panic on an error of the kind `Encoding`: any peer can cause one. Default false.
    pub panic_on_encoding: bool,
    /// Panic on an error of the kind `Queue`. Default false.
    pub panic_on_queue: bool,
    /// Panic on an error of the kind `Io`: any peer can cause one. Default false.
    pub panic_on_io: bool,
    /// Panic when a time-out cannot be set, which takes four thousand million of them. Default false.
    pub panic_on_timeout: bool,
    /// Whether a signal that interrupts the wait for events shuts the loop down. Default false.
    pub shutdown_on_interrupt: bool,
    /// Whether every frame of a client must be masked, and no frame of a server (§5.1). Default true.
    pub masking_strict: bool,
    /// Whether the key of the opening handshake, and the answer to it, are checked (§4.1, §4.2.1). Default true.
    pub key_strict: bool,
    /// Whether an upgrade must be a GET (§4.2.1). Default true.
    pub method_strict: bool,
    /// Whether accepted TCP connections are encrypted, by the handler's `upgrade_ssl_server`. A loop that was given a
    /// certificate by `with_server_tls` does it without this setting. Default false; true is refused in a build without
    /// the feature `ssl`.
    pub encrypt_server: bool,
    /// Whether small packets are sent at once (`TCP_NODELAY`). All output of a turn is joined before it is sent, so that
    /// waiting for more would only delay it. Default true.
    pub tcp_nodelay: bool,

    /// Longest message, its fragments joined and inflated; beyond it 1009, before the excess is stored. Default 16 MiB.
    pub max_message_size: usize,
    /// Longest head of a request or response; beyond it a server answers 431. Default 16 KiB.
    pub max_head_size: usize,
    /// Longest request target; beyond it a server answers 414. Default 8 KiB.
    pub max_target_size: usize,
    /// Most header fields; beyond it a server answers 431. Default 100.
    pub max_headers: usize,
    /// Most output that is queued for one connection. What would exceed it is handled as `overflow` says; a single
    /// message may be longer if nothing else is queued. While 256 KiB wait that the peer does not take, nothing is read from
    /// it for 50 ms, once until it has taken all. Default 16 MiB.
    pub max_buffered: usize,
    /// What happens to a connection whose output exceeds `max_buffered`. Default [`Overflow::Fail`].
    pub overflow: Overflow,
    /// How long the TCP connection to one address may take. Default 10 s.
    pub connect_timeout: Duration,
    /// How long the opening handshake may take. Default 10 s.
    pub handshake_timeout: Duration,
    /// How long the peer may take for its part of the closing handshake; also how long
    /// [`Sender::shutdown`](crate::Sender::shutdown) waits. Default 10 s.
    pub close_timeout: Duration,
    /// How long the peer may be silent; beyond it the connection is closed, and `on_close` gets `Abnormal`. Default none.
    pub idle_timeout: Option<Duration>,
    /// After how much silence of the peer a Ping is sent; its Pong is a sign of life. Default none.
    pub ping_interval: Option<Duration>,
    /// Which origins may open a connection; others are answered 403 (§10.2). Default any.
    pub origins: Origins,
    /// The subprotocols that a server supports, the best first: the first that the client offers is chosen. Those that a
    /// client offers. A handler that sets its own is left alone. Default none.
    pub subprotocols: &'static [&'static str],
    /// Compression of messages, permessage-deflate (RFC 7692): servers accept it, clients offer it. It needs the feature
    /// `permessage-deflate`. Default none.
    pub deflate: Option<Deflate>,
    /// Whose word about a client's address is believed, by [`Handshake::remote_addr`](crate::Handshake::remote_addr).
    /// Default nobody's.
    pub trusted_proxies: TrustedProxies,
    /// How many redirects a client follows, to the same scheme, host and port only. Default 0.
    pub max_redirects: u8,
    /// Whether a handler that panics loses its own connection only, which closes with 1011, instead of ending the loop.
    /// Default false: a panic travels out of `run`.
    pub catch_panics: bool,
}

/// Says what happens when the output of a connection exceeds [`Settings::max_buffered`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The connection fails: `on_error` gets `Capacity`, and it is closed with 1009 as far as it takes that.
    #[default]
    Fail,
    /// The message is dropped, and the connection goes on. [`Sender::try_send`](crate::Sender::try_send) tells.
    Drop,
}

/// Says which peers are proxies whose `X-Forwarded-For` and `Forwarded` headers are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrustedProxies {
    /// Nobody: anyone can send these headers.
    #[default]
    None,
    /// Proxies on this machine.
    Loopback,
    /// Proxies on this machine, or with an address that is not routed on the Internet.
    Private,
    /// These addresses.
    Only(&'static [IpAddr]),
    /// Everyone: for a server that only proxies can reach.
    All,
}

impl TrustedProxies {
    /// Returns whether the peer with this address is believed.
    pub fn trusts(self, address: IpAddr) -> bool {
        match self {
            Self::None => false,
            Self::Loopback => address.to_canonical().is_loopback(),
            Self::Private => is_private(address.to_canonical()),
            Self::Only(addresses) => addresses.iter().any(|one| one.to_canonical() == address.to_canonical()),
            Self::All => true,
        }
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            queue_size: 5,
            panic_on_new_connection: false,
            panic_on_shutdown: false,
            fragments_capacity: 10,
            fragments_grow: true,
            fragment_size: 65_535,
            max_fragment_size: usize::MAX,
            in_buffer_capacity: 2048,
            in_buffer_grow: true,
            out_buffer_capacity: 2048,
            out_buffer_grow: true,
            panic_on_internal: false,
            panic_on_capacity: false,
            panic_on_protocol: false,
            panic_on_encoding: false,
            panic_on_queue: false,
            panic_on_io: false,
            panic_on_timeout: false,
            shutdown_on_interrupt: false,
            masking_strict: true,
            key_strict: true,
            method_strict: true,
            encrypt_server: false,
            tcp_nodelay: true,
            max_message_size: 16 * 1024 * 1024,
            max_head_size: 16 * 1024,
            max_target_size: 8 * 1024,
            max_headers: 100,
            max_buffered: 16 * 1024 * 1024,
            overflow: Overflow::Fail,
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(10),
            idle_timeout: None,
            ping_interval: None,
            origins: Origins::Any,
            subprotocols: &[],
            deflate: None,
            trusted_proxies: TrustedProxies::None,
            max_redirects: 0,
            catch_panics: false,
        }
    }
}

impl Settings {
    /// Returns the default settings, with the checks off that `ws` had off: masking, key and method.
    ///
    /// For peers that are known to be broken. RFC 6455 demands all three of these checks.
    pub fn lenient() -> Self {
        Self { masking_strict: false, key_strict: false, method_strict: false, ..Self::default() }
    }

    /// Refuses what makes no sense, and names it.
    pub(crate) fn check(&self) -> Result<()> {
        let sizes = [
            (self.max_connections, "max_connections"),
            (self.queue_size, "queue_size"),
            (self.fragments_capacity, "fragments_capacity"),
            (self.fragment_size, "fragment_size"),
            (self.max_fragment_size, "max_fragment_size"),
            (self.max_message_size, "max_message_size"),
            (self.max_head_size, "max_head_size"),
            (self.max_target_size, "max_target_size"),
            (self.max_headers, "max_headers"),
            (self.max_buffered, "max_buffered"),
        ];
        let times = [
            (Some(self.connect_timeout), "connect_timeout"),
            (Some(self.handshake_timeout), "handshake_timeout"),
            (Some(self.close_timeout), "close_timeout"),
            (self.idle_timeout, "idle_timeout"),
            (self.ping_interval, "ping_interval"),
        ];
        let zero_sizes = sizes.iter().filter(|(size, _)| *size == 0).map(|(_, name)| *name);
        let zero_times =
            times.iter().filter(|(time, _)| *time == Some(Duration::ZERO)).map(|(_, name)| *name);
        if let Some(name) = zero_sizes.chain(zero_times).next() {
            return Err(refused(format!("Settings::{name} must not be zero")));
        }
        // A slot is named by 32 bits, and the highest few are taken.
        if u32::try_from(self.max_connections).is_err() {
            return Err(refused("Settings::max_connections must fit into 32 bits".to_owned()));
        }
        if let Some(name) = self.deflate.and_then(|deflate| deflate.nonsense()) {
            return Err(refused(format!("Settings::deflate is out of range: {name}")));
        }
        if self.encrypt_server && !HAS_TLS {
            return Err(refused("Settings::encrypt_server needs the feature `ssl`".to_owned()));
        }
        Ok(())
    }

    /// The part of the settings that concerns the protocol.
    pub(crate) fn protocol(&self) -> Config {
        let max_message_size = match self.in_buffer_grow {
            true => self.max_message_size,
            false => self.max_message_size.min(self.in_buffer_capacity),
        };
        Config {
            max_head_size: self.max_head_size,
            max_target_size: self.max_target_size,
            max_headers: self.max_headers,
            max_message_size,
            max_frame_size: self.max_fragment_size,
            max_fragments: (!self.fragments_grow).then_some(self.fragments_capacity),
            fragment_size: self.fragment_size,
            masking_strict: self.masking_strict,
            key_strict: self.key_strict,
            method_strict: self.method_strict,
            origins: self.origins,
            subprotocols: self.subprotocols,
            deflate: self.deflate,
            handshake_timeout: self.handshake_timeout,
            close_timeout: self.close_timeout,
            idle_timeout: self.idle_timeout,
            ping_interval: self.ping_interval,
            // Handlers see every frame, so that the loop sends each of them.
            answers: Answers::Manual,
        }
    }

    /// The most output that may be queued for one connection.
    pub(crate) fn output_limit(&self) -> usize {
        match self.out_buffer_grow {
            true => self.max_buffered,
            false => self.max_buffered.min(self.out_buffer_capacity),
        }
    }

    /// How many commands of other threads may wait.
    pub(crate) fn queue_capacity(&self) -> usize {
        self.queue_size.saturating_mul(self.max_connections)
    }
}

fn refused(details: String) -> Error {
    Error::new(ErrorKind::Internal, details)
}
