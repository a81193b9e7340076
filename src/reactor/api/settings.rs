//! `Settings`: the limits and timeouts of an event loop.
//!
//! A setting is declared in one place, the list below: its documentation, its default, its check, and the field of the
//! protocol's [`Config`] that it sets.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::protocol::handshake::{OriginPolicy, Origins, subprotocols};
use crate::protocol::{Config, Deflate};

/// Whether this build can encrypt.
const HAS_TLS: bool = cfg!(feature = "ssl");

/// Declares the settings. Each entry is `name: type = default, check;`, and `=> field` before the semicolon if the value is
/// also that of a field of [`Config`]. The check is a function below, or `any` if every value makes sense.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        pub struct Settings {
            $( $(#[$doc:meta])* $name:ident: $type:ty = $default:expr, $check:ident $(=> $field:ident)?; )*
        }
    ) => {
        $(#[$meta])*
        pub struct Settings {
            $( $(#[$doc])* pub $name: $type, )*
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $( $name: $default, )* }
            }
        }

        impl Settings {
            /// Returns the name of the first setting whose value makes no sense, and why.
            fn problem(&self) -> Option<(&'static str, String)> {
                $(
                    if let Some(why) = $check(&self.$name) {
                        return Some((stringify!($name), why.into()));
                    }
                )*
                None
            }

            /// Copies the settings that concern the protocol.
            fn set_protocol(&self, config: &mut Config) {
                $( $( config.$field = self.$name.into(); )? )*
            }
        }
    };
}

settings! {
    /// The settings of an event loop.
    ///
    /// All sizes are in bytes. The defaults are suitable for a server on the Internet: they follow the RFC strictly, and they
    /// limit what a client can make the server store. Create a value with `..Settings::default()`, so that settings of later
    /// versions get their defaults.
    ///
    /// [`Builder::build`](crate::Builder::build) rejects values that make no sense. Lists that are not known at compile time
    /// can be set on the [`WebSocket`](crate::WebSocket): [`with_subprotocols`](crate::WebSocket::with_subprotocols),
    /// [`with_origins`](crate::WebSocket::with_origins), [`with_trusted_proxies`](crate::WebSocket::with_trusted_proxies),
    /// [`with_proxy_protocol`](crate::WebSocket::with_proxy_protocol).
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
        /// The maximum number of connections of the loop, or of all loops of a pool, in both roles. Default: 10,000.
        ///
        /// A server answers further clients with status 503. [`Sender::connect`](crate::Sender::connect) reports `Capacity` to
        /// `on_error`. No memory is allocated in advance.
        max_connections: usize = 10_000, connection_count;
        /// The maximum number of accepted connections of one IP address. Default: no limit.
        ///
        /// Further clients are answered with status 503. All IPv6 addresses with the same 64 bits at the beginning count as one.
        /// The clients of a proxy in `trusted_proxies` are counted by the addresses that it names, when their requests have
        /// arrived, and those of a proxy in `proxy_protocol` when their PROXY headers have.
        max_connections_per_address: Option<usize> = None, positive_count_if_set;
        /// How many connections the system keeps that have not been accepted. Default: 1,024.
        ///
        /// The system may use a lower number. The setting applies to [`bind`](crate::WebSocket::bind).
        accept_backlog: u32 = 1024, positive_u32;
        /// The maximum number of topics that have subscribers. Default: 1,000,000.
        ///
        /// A subscription to a further topic has no effect, and `on_error` receives `Capacity`.
        max_topics: usize = 1_000_000, positive;
        /// The maximum number of topics that a connection subscribes to. Default: 1,000.
        ///
        /// A further subscription has no effect, and `on_error` receives `Capacity`.
        max_topics_per_connection: usize = 1000, positive;
        /// The time without traffic after which the system probes a TCP connection (keepalive). Default: 60 s.
        ///
        /// It detects that a peer has disappeared while reading is paused or `ping_interval` is disabled.
        tcp_keepalive: Option<Duration> = Some(Duration::from_secs(60)), positive_if_set;
        /// The capacity of the queue for commands of other threads, as a multiple of `max_connections`. Default: 5.
        ///
        /// When the queue is full, the methods of [`Sender`](crate::Sender) return `Queue(Full)` on these threads, except those
        /// that close, pause, resume or shut down, which always succeed. The queue of
        /// handlers is unbounded.
        queue_size: usize = 5, positive;
        /// The maximum number of bytes that the queue for commands of other threads holds. Default: 64 MiB.
        ///
        /// A message that would exceed it is refused with `Queue(Full)`. An empty queue accepts a message of any size.
        queue_bytes: usize = 64 * 1024 * 1024, positive;
        /// Whether to panic when a connection cannot be established. Default: `false`.
        panic_on_new_connection: bool = false, any;
        /// Whether to panic when the loop has shut down. Default: `false`.
        panic_on_shutdown: bool = false, any;
        /// The maximum number of fragments of a message if `fragments_grow` is `false`. Default: 10.
        ///
        /// A message with more fragments fails the connection with 1008.
        fragments_capacity: usize = 10, positive;
        /// Whether a message can have more than `fragments_capacity` fragments. Default: `true`.
        ///
        /// The limit is then 65,536 fragments, or `max_message_size / 64` if that is larger.
        fragments_grow: bool = true, any;
        /// The maximum payload of a frame that is sent. Default: 65,535 bytes.
        ///
        /// Longer messages are sent in fragments.
        fragment_size: usize = 65_535, positive => fragment_size;
        /// The maximum payload of a frame that is received. Default: unlimited; `max_message_size` applies.
        ///
        /// A longer frame fails the connection with 1009, before its payload is read.
        max_fragment_size: usize = usize::MAX, positive => max_frame_size;
        /// The maximum size of a message if `in_buffer_grow` is `false`. Default: 2,048 bytes.
        ///
        /// A larger message fails the connection with 1009.
        in_buffer_capacity: usize = 2048, any;
        /// Whether a message can be larger than `in_buffer_capacity`. Default: `true`.
        ///
        /// `max_message_size` applies in both cases.
        in_buffer_grow: bool = true, any;
        /// The initial size of an output buffer. Default: 2,048 bytes.
        ///
        /// If `out_buffer_grow` is `false`, this is also the maximum amount of output that is queued for a connection.
        out_buffer_capacity: usize = 2048, any;
        /// Whether more output than `out_buffer_capacity` can be queued for a connection. Default: `true`.
        ///
        /// `max_buffered` applies in both cases.
        out_buffer_grow: bool = true, any;
        /// Whether to panic when a handler returns an error of the kind `Internal`. Default: `false`.
        panic_on_internal: bool = false, any;
        /// Whether to panic on an error of the kind `Capacity`. Default: `false`, because a peer can cause it.
        panic_on_capacity: bool = false, any;
        /// Whether to panic on an error of the kind `Protocol`. Default: `false`, because a peer can cause it.
        panic_on_protocol: bool = false, any;
        /// Whether to panic on an error of the kind `Encoding`. Default: `false`, because a peer can cause it.
        panic_on_encoding: bool = false, any;
        /// Whether to panic on an error of the kind `Queue`. Default: `false`.
        panic_on_queue: bool = false, any;
        /// Whether to panic on an error of the kind `Io`. Default: `false`, because a peer can cause it.
        panic_on_io: bool = false, any;
        /// Whether to panic when a timeout cannot be set. Default: `false`.
        ///
        /// This happens only if more than four billion timeouts are pending.
        panic_on_timeout: bool = false, any;
        /// Whether a signal that interrupts waiting for events shuts the loop down. Default: `false`.
        shutdown_on_interrupt: bool = false, any;
        /// Whether frames of clients must be masked and frames of servers must not be masked (§5.1). Default: `true`.
        ///
        /// A frame that breaks the rule fails the connection with 1002. Without the check, both kinds of frames are accepted.
        masking_strict: bool = true, any => masking_strict;
        /// Whether the key of the opening handshake and the reply to it are checked (§4.1, §4.2.1). Default: `true`.
        key_strict: bool = true, any => key_strict;
        /// Whether the method of an opening handshake must be GET (§4.2.1). Default: `true`.
        method_strict: bool = true, any => method_strict;
        /// Whether accepted TCP connections are encrypted with the handler's `upgrade_ssl_server`. Default: `false`.
        ///
        /// A loop with [`with_server_tls`](crate::WebSocket#method.with_server_tls) does not need this setting. `true` is
        /// rejected in a build without the feature `ssl`.
        encrypt_server: bool = false, needs_tls;
        /// Whether to disable Nagle's algorithm (`TCP_NODELAY`). Default: `true`.
        ///
        /// The loop sends all output of a turn with one call, so the algorithm would delay messages without saving packets.
        tcp_nodelay: bool = true, any;

        /// The maximum size of a message, after joining its fragments and decompressing it. Default: 16 MiB.
        ///
        /// A larger message fails the connection with 1009. The excess is not stored.
        max_message_size: usize = 16 * 1024 * 1024, positive => max_message_size;
        /// The maximum size of the head of an HTTP request or response. Default: 16 KiB.
        ///
        /// A server answers a larger request with 431.
        max_head_size: usize = 16 * 1024, positive => max_head_size;
        /// The maximum length of a request target. Default: 8 KiB.
        ///
        /// A server answers a request with a longer target with 414.
        max_target_size: usize = 8 * 1024, positive => max_target_size;
        /// The maximum number of header fields of an HTTP request or response. Default: 100.
        ///
        /// A server answers a request with more fields with 431.
        max_headers: usize = 100, positive => max_headers;
        /// The maximum amount of output that is queued for a connection. Default: 16 MiB.
        ///
        /// `overflow` decides what happens to a message that would exceed it. A single message can be larger if nothing else is
        /// queued. Once 256 KiB of output are unsent, reading from the connection pauses for up to 50 ms; this happens once
        /// until all output has been sent.
        max_buffered: usize = 16 * 1024 * 1024, positive;
        /// The maximum amount of memory that all connections of the loop, or of the pool, hold together: unfinished and decompressed messages,
        /// unsent output, and messages that other threads have queued. Default: 1 GiB.
        ///
        /// When it is exceeded, the connection that holds the most fails: `on_error` receives `Capacity`, and the connection is
        /// closed with 1013, or dropped if its peer does not read. This repeats until the limit holds. Other connections lose
        /// nothing. Commands of other threads return `Queue(Full)`. A limit below `max_message_size` or `max_buffered` also limits
        /// those. The output of a broadcast counts once, however many connections have not sent it.
        max_memory: usize = 1024 * 1024 * 1024, positive;
        /// How long a turn of the loop may last before it waits for new events. Default: 10 ms.
        ///
        /// What is left continues in the next turn, and connections that have not been served come first. Broadcasts, and the
        /// compression and decompression of long messages, continue as well. A call of a handler cannot be interrupted, so a turn
        /// can exceed the limit by that time.
        max_turn: Duration = Duration::from_millis(10), positive_time;
        /// What happens when the output of a connection exceeds `max_buffered`. Default: [`Overflow::Fail`].
        overflow: Overflow = Overflow::Fail, any;
        /// The time limit for a TCP connection to one address of a server, or of its proxy. Default: 10 s.
        ///
        /// It also limits the name resolution, and includes the handshake with the proxy. The next address is tried when one
        /// fails, or after 250 ms while the earlier attempts continue (RFC 8305). When all have failed, the error is that of the
        /// last one, `Io` with `TimedOut` after this time.
        connect_timeout: Duration = Duration::from_secs(10), positive_time;
        /// The time limit for the opening handshake, including TLS and the PROXY header. Default: 10 s.
        handshake_timeout: Duration = Duration::from_secs(10), positive_time => handshake_timeout;
        /// The time limit for the peer's part of the closing handshake. Default: 10 s.
        ///
        /// It begins when all output has been sent. Until then, `write_timeout` applies. Both also apply to
        /// [`Sender::shutdown`](crate::Sender::shutdown), so nothing is lost as long as the peer reads.
        close_timeout: Duration = Duration::from_secs(10), positive_time => close_timeout;
        /// The time after which a connection without any input is closed. Default: 120 s.
        ///
        /// `on_close` receives `Abnormal`. Without this setting, a peer that has disappeared can occupy a connection until TCP
        /// reports an error. The time in which the program has [paused](crate::Sender::pause) reading does not count.
        idle_timeout: Option<Duration> = Some(Duration::from_secs(120)), positive_if_set => idle_timeout;
        /// The time without any input after which the loop sends a Ping. Default: 30 s.
        ///
        /// The Pong of the peer is input. With an interval below `idle_timeout`, only peers that do not respond are closed.
        /// `on_send_frame` receives the Ping. `on_frame` does not receive the Pong for it, but it receives the Pongs for the
        /// program's own Pings.
        ping_interval: Option<Duration> = Some(Duration::from_secs(30)), positive_if_set => ping_interval;
        /// The time after which a connection is closed if the peer does not accept any of its output. Default: 60 s.
        ///
        /// Any byte that the system accepts begins the time anew. `on_close` receives `Abnormal`.
        write_timeout: Option<Duration> = Some(Duration::from_secs(60)), positive_if_set => write_timeout;
        /// The minimum rate of an unfinished message, in bytes per second, averaged over 60 s. Default: 1,024.
        ///
        /// A message that takes more than 60 s and arrives at a lower rate fails the connection with 1008. Zero disables the
        /// limit.
        min_message_rate: usize = 1024, any => min_message_rate;
        /// The origins from which browsers can connect (§10.2). Default: any.
        ///
        /// A server answers a request with another origin with 403.
        origins: Origins = Origins::Any, origin_list => origins;
        /// The subprotocols that a server supports, in order of preference, and that a client offers. Default: none.
        ///
        /// A server selects the first one that the client offers. The setting does not apply to a handler that adds or selects a
        /// subprotocol itself.
        subprotocols: &'static [&'static str] = &[], subprotocol_list;
        /// Compression of messages with permessage-deflate (RFC 7692). Default: disabled.
        ///
        /// Servers accept it and clients offer it. It needs the feature `permessage-deflate`.
        deflate: Option<Deflate> = None, compression => deflate;
        /// The proxies whose headers determine the address of a client, for
        /// [`Handshake::remote_addr`](crate::Handshake::remote_addr). Default: no proxy is trusted.
        ///
        /// A proxy that connects over a Unix domain socket is trusted if 127.0.0.1 is.
        trusted_proxies: TrustedProxies = TrustedProxies::None, any;
        /// The peers that must send a PROXY header, version 1 or 2, before anything else. Default: no peer.
        ///
        /// The header contains the address of a client, for proxies and load balancers that forward TCP. It becomes
        /// [`Handshake::peer_addr`](crate::Handshake::peer_addr), and `max_connections_per_address` counts it. The header precedes
        /// TLS. With the command `LOCAL` or the protocol `UNKNOWN`, and for a client without an IP address, the address of the proxy
        /// remains. A connection is closed if its header is missing, malformed, longer than 107 bytes (version 1) or 4,096 bytes
        /// (version 2), or incomplete when `handshake_timeout` expires. The fields behind the addresses are ignored, including the
        /// checksum.
        ///
        /// Headers of other peers are not accepted: a server answers them with 400. The setting does not depend on
        /// `trusted_proxies`, which concerns HTTP headers. It applies to TCP connections that the loop accepts, and to
        /// [`Sender::accept`](crate::Sender::accept).
        ///
        /// ```
        /// use sockeye::{Builder, Settings, TrustedProxies};
        ///
        /// // HAProxy on the same machine, with `send-proxy-v2`.
        /// let settings = Settings { proxy_protocol: TrustedProxies::Loopback, ..Settings::default() };
        /// let socket = Builder::new().with_settings(settings).build(|_| |_| Ok(()))?;
        /// # drop(socket);
        /// # sockeye::Result::Ok(())
        /// ```
        proxy_protocol: TrustedProxies = TrustedProxies::None, any;
        /// The maximum number of redirects that a client follows. Default: 0.
        ///
        /// Only redirects to the same scheme, host and port are followed, unless `cross_origin_redirects` is set.
        max_redirects: u8 = 0, any;
        /// Whether a client also follows redirects to another scheme, host or port. Default: `false`.
        ///
        /// A redirect never leads from `wss://` to `ws://`. `https://` in a redirect means `wss://`, and `http://` means `ws://`.
        /// From the first other origin on, the credentials of the URL and the headers `Authorization`, `Cookie` and
        /// `Proxy-Authorization` are not sent, even if [`Handler::build_request`](crate::Handler::build_request) adds them. That
        /// method is called for each redirect, with the new URL: a handler that adds another header with a secret must check the
        /// host. `max_redirects` limits the number.
        cross_origin_redirects: bool = false, any;
        /// Whether the user and the password of a URL are sent as `Authorization: Basic` (RFC 7617). Default: `true`.
        ///
        /// With `false`, [`Handler::build_request`](crate::Handler::build_request) receives the URL without them. The header is
        /// readable on the network unless the URL is a `wss://` URL.
        url_credentials: bool = true, any;
        /// Whether a panic of a handler closes only its own connection, with 1011. Default: `false`.
        ///
        /// By default, the panic propagates out of `run` and ends the loop, as in `ws`: a program whose handlers share state may
        /// prefer to end rather than to continue with a part of it. Set this on a public server, because otherwise one peer that
        /// can cause a panic ends the server for all.
        catch_panics: bool = false, any;
    }
}

/// What happens when the output of a connection exceeds [`Settings::max_buffered`].
///
/// # Examples
///
/// ```
/// use sockeye::{Overflow, Settings};
///
/// // A stock ticker: a client that is too slow misses prices, and stays connected.
/// let settings = Settings { max_buffered: 64 * 1024, overflow: Overflow::Drop, ..Settings::default() };
/// # drop(settings);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// The connection fails. `on_error` receives `Capacity`, and the connection is closed with 1009.
    #[default]
    Fail,
    /// The message is dropped and the connection stays open. [`Sender::try_send`](crate::Sender::try_send) returns an error
    /// in this case, [`Sender::send`](crate::Sender::send) returns `Ok`.
    Drop,
}

/// The peers that are trusted as proxies, for [`Settings::trusted_proxies`] and [`Settings::proxy_protocol`].
///
/// The HTTP headers `X-Forwarded-For` and `Forwarded`, or the PROXY header, of these peers determine the address of a client.
///
/// # Examples
///
/// ```
/// use std::net::{IpAddr, Ipv4Addr};
///
/// use sockeye::{Settings, TrustedProxies};
///
/// const PROXIES: &[IpAddr] = &[IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))];
///
/// let settings = Settings { trusted_proxies: TrustedProxies::Only(PROXIES), ..Settings::default() };
/// # drop(settings);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TrustedProxies {
    /// No peer is trusted, because every client can send such headers.
    #[default]
    None,
    /// Peers on the same machine.
    Loopback,
    /// Peers on the same machine, and peers with an address that is not routed on the Internet.
    Private,
    /// Peers with one of these addresses.
    Only(&'static [IpAddr]),
    /// All peers. Use this for a server that only proxies can reach.
    All,
}

impl TrustedProxies {
    /// Returns whether a peer with this address is trusted.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::TrustedProxies;
    ///
    /// assert!(TrustedProxies::Private.trusts("10.0.0.1".parse()?));
    /// assert!(!TrustedProxies::Private.trusts("203.0.113.7".parse()?));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn trusts(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self {
            Self::None => false,
            Self::Loopback => address.is_loopback(),
            Self::Private => is_private(address),
            Self::Only(addresses) => contains(addresses, address),
            Self::All => true,
        }
    }
}

/// The proxies that a loop trusts: those of the settings, or a list that it owns.
#[derive(Debug, Clone)]
pub(crate) enum ProxyPolicy {
    Settings(TrustedProxies),
    List(Arc<[IpAddr]>),
}

impl ProxyPolicy {
    /// Whether no peer is trusted.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Settings(proxies) => *proxies == TrustedProxies::None,
            Self::List(addresses) => addresses.is_empty(),
        }
    }

    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        match self {
            Self::Settings(proxies) => proxies.trusts(address),
            Self::List(addresses) => contains(addresses, address.to_canonical()),
        }
    }
}

fn contains(addresses: &[IpAddr], canonical: IpAddr) -> bool {
    addresses.iter().any(|one| one.to_canonical() == canonical)
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

impl Settings {
    /// Returns the default settings without the checks that `ws` disables by default: masking, key and method.
    ///
    /// Use them only for peers that are known to violate RFC 6455, which requires all three checks.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Settings;
    ///
    /// let settings = Settings { max_connections: 100, ..Settings::lenient() };
    /// assert!(!settings.masking_strict);
    /// ```
    pub fn lenient() -> Self {
        Self { masking_strict: false, key_strict: false, method_strict: false, ..Self::default() }
    }

    /// Returns the default settings without the time limits that `ws` does not have: `idle_timeout`, `ping_interval`,
    /// `write_timeout`, `min_message_rate` and `tcp_keepalive`.
    ///
    /// A peer that has disappeared, or that sends and reads nothing, then occupies its connection until TCP reports an error,
    /// which can take hours.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Settings;
    ///
    /// let settings = Settings { tcp_nodelay: false, ..Settings::without_timeouts() };
    /// assert_eq!((settings.idle_timeout, settings.ping_interval), (None, None));
    /// ```
    pub fn without_timeouts() -> Self {
        Self {
            idle_timeout: None,
            ping_interval: None,
            write_timeout: None,
            min_message_rate: 0,
            tcp_keepalive: None,
            ..Self::default()
        }
    }

    /// Rejects settings that make no sense, with an error that names the setting.
    pub(crate) fn check(&self) -> Result<()> {
        let empty = "must not be zero if the buffer must not grow";
        let problem = match self.problem() {
            None if !self.in_buffer_grow && self.in_buffer_capacity == 0 => {
                Some(("in_buffer_capacity", empty.to_owned()))
            }
            None if !self.out_buffer_grow && self.out_buffer_capacity == 0 => {
                Some(("out_buffer_capacity", empty.to_owned()))
            }
            problem => problem,
        };
        problem.map_or(Ok(()), |(name, why)| {
            Err(Error::new(ErrorKind::Internal, format!("Settings::{name} {why}")))
        })
    }

    /// Returns the configuration of the protocol.
    pub(crate) fn protocol(&self) -> Config {
        let mut config = Config::default();
        self.set_protocol(&mut config);
        if !self.in_buffer_grow {
            config.max_message_size = config.max_message_size.min(self.in_buffer_capacity);
        }
        config.max_message_size = config.max_message_size.min(self.max_memory);
        config.max_fragments = (!self.fragments_grow).then_some(self.fragments_capacity);
        config.subprotocols = owned(self.subprotocols);
        config
    }

    /// Returns the maximum amount of output that is queued for a connection.
    pub(crate) fn output_limit(&self) -> usize {
        let most = self.max_buffered.min(self.max_memory);
        if self.out_buffer_grow { most } else { most.min(self.out_buffer_capacity) }
    }

    /// Returns the capacity of the queue for commands of other threads.
    pub(crate) fn queue_capacity(&self) -> usize {
        self.queue_size.saturating_mul(self.max_connections)
    }
}

fn owned(list: &[&str]) -> Vec<String> {
    list.iter().copied().map(String::from).collect()
}

// The checks. Each returns what is wrong with a value.

const ZERO: &str = "must not be zero";

fn any<T>(_: &T) -> Option<&'static str> {
    None
}

fn positive(number: &usize) -> Option<&'static str> {
    (*number == 0).then_some(ZERO)
}

fn positive_u32(number: &u32) -> Option<&'static str> {
    (*number == 0).then_some(ZERO)
}

fn positive_count_if_set(number: &Option<usize>) -> Option<&'static str> {
    number.as_ref().and_then(positive)
}

fn positive_time(time: &Duration) -> Option<&'static str> {
    time.is_zero().then_some(ZERO)
}

fn positive_if_set(time: &Option<Duration>) -> Option<&'static str> {
    time.as_ref().and_then(positive_time)
}

/// A slot is numbered with 32 bits, and the highest few numbers are reserved.
fn connection_count(number: &usize) -> Option<&'static str> {
    positive(number).or_else(|| u32::try_from(*number).is_err().then_some("must fit into 32 bits"))
}

fn needs_tls(is_wanted: &bool) -> Option<&'static str> {
    (*is_wanted && !HAS_TLS).then_some("needs the feature `ssl`")
}

fn compression(deflate: &Option<Deflate>) -> Option<String> {
    deflate.and_then(|deflate| deflate.nonsense()).map(|field| format!("is out of range: {field}"))
}

fn subprotocol_list(list: &&'static [&'static str]) -> Option<String> {
    subprotocol_problem(&owned(list))
}

fn origin_list(origins: &Origins) -> Option<String> {
    origin_problem(&(*origins).into())
}

/// Returns what is wrong with a list of subprotocols.
pub(crate) fn subprotocol_problem(list: &[String]) -> Option<String> {
    subprotocols::malformed(list)
        .map(|protocol| format!("contains {protocol:?}, which is not a token, or not for the first time"))
}

/// Returns what is wrong with a list of origins.
pub(crate) fn origin_problem(origins: &OriginPolicy) -> Option<String> {
    origins.malformed().map(|origin| {
        format!("contains {origin:?}, which is not an origin in the form of https://example.com")
    })
}
