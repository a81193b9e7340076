//! Compression with permessage-deflate (RFC 7692) for the connections of a handler, with the names of `ws`.
//!
//! [`Settings::deflate`](crate::Settings::deflate) enables compression for all connections of a loop. The types of this module
//! enable it for individual connections, whose handler is wrapped in a [`DeflateHandler`]. The compression is the same.
//!
//! In contrast to `ws`, the inner handler receives every call, the size of a decompressed message is limited
//! ([`Settings::max_message_size`](crate::Settings::max_message_size)), and small messages are sent uncompressed.
//!
//! # Examples
//!
//! ```
//! use sockeye::deflate::DeflateHandler;
//! use sockeye::{Message, Sender};
//!
//! # fn doc() -> sockeye::Result<()> {
//! sockeye::listen("127.0.0.1:3012", |out: Sender| DeflateHandler::new(move |msg: Message| out.send(msg)))
//! # }
//! ```

use url::Url;

use super::handler::{Handler, forward_handler};
use crate::error::Result;
use crate::protocol::handshake::{Request, Response};
use crate::protocol::{Deflate, Overrides, Role};

/// The settings of a [`DeflateHandler`].
///
/// # Examples
///
/// ```
/// use sockeye::deflate::{DeflateBuilder, DeflateSettings};
/// use sockeye::{Message, Sender, WebSocket};
///
/// // 4 KiB for each window instead of 32 KiB.
/// let settings = DeflateSettings { max_window_bits: 12, ..DeflateSettings::default() };
/// let mut builder = DeflateBuilder::new();
/// builder.with_settings(settings);
/// let server = WebSocket::new(|out: Sender| builder.build(move |msg: Message| out.send(msg)))?;
/// # drop(server);
/// # sockeye::Result::Ok(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct DeflateSettings {
    /// The maximum window size of both sides, as a power of two from 9 to 15. Default: 15 (32 KiB).
    ///
    /// Other values are replaced by the nearest one of this range.
    pub max_window_bits: u8,
    /// Whether the peer is asked to compress each message independently. Default: `false`.
    ///
    /// This saves memory and compresses less.
    pub request_no_context_takeover: bool,
    /// Whether to accept the same request of the peer. Default: `true`.
    ///
    /// If `false`, no compression is negotiated with a peer that requests it.
    pub accept_no_context_takeover: bool,
    /// The maximum number of fragments of a message if `fragments_grow` is `false`. Default: 10.
    ///
    /// A message with more fragments fails the connection with 1008.
    pub fragments_capacity: usize,
    /// Whether a message can have more than `fragments_capacity` fragments. Default: `true`.
    ///
    /// The limits in [`Settings`](crate::Settings) apply in both cases.
    pub fragments_grow: bool,
}

impl Default for DeflateSettings {
    fn default() -> Self {
        Self {
            max_window_bits: 15,
            request_no_context_takeover: false,
            accept_no_context_takeover: true,
            fragments_capacity: 10,
            fragments_grow: true,
        }
    }
}

impl DeflateSettings {
    /// Converts the settings for a connection in a role. Compression contexts are kept unless the peer rejects that.
    fn overrides(self, role: Role) -> Overrides {
        let deflate = Deflate {
            server_no_context_takeover: role == Role::Client && self.request_no_context_takeover,
            client_no_context_takeover: role == Role::Server && self.request_no_context_takeover,
            server_max_window_bits: self.max_window_bits,
            client_max_window_bits: self.max_window_bits,
            accept_no_context_takeover: self.accept_no_context_takeover,
            ..Deflate::default()
        };
        let max_fragments = (!self.fragments_grow).then_some(self.fragments_capacity);
        Overrides { deflate: Some(deflate), max_fragments }
    }
}

/// Builds [`DeflateHandler`]s with custom settings.
///
/// See the example of [`DeflateSettings`].
#[derive(Debug, Clone, Copy)]
pub struct DeflateBuilder {
    settings: DeflateSettings,
}

impl DeflateBuilder {
    /// Creates a builder with the default settings.
    ///
    /// See the example of [`DeflateSettings`].
    #[expect(clippy::new_without_default, reason = "the type has no default in `ws` either")]
    pub fn new() -> Self {
        Self { settings: DeflateSettings::default() }
    }

    /// Sets the settings of the handlers that are built next.
    ///
    /// See the example of [`DeflateSettings`].
    pub fn with_settings(&mut self, settings: DeflateSettings) -> &mut Self {
        self.settings = settings;
        self
    }

    /// Wraps a handler.
    ///
    /// See the example of [`DeflateSettings`].
    pub fn build<H: Handler>(&self, handler: H) -> DeflateHandler<H> {
        DeflateHandler { inner: handler, settings: self.settings }
    }
}

/// A handler that compresses its connection if the peer supports it, and passes every call to an inner handler.
///
/// # Examples
///
/// ```
/// use sockeye::deflate::DeflateHandler;
/// use sockeye::{Message, Sender, WebSocket};
///
/// let server = WebSocket::new(|out: Sender| DeflateHandler::new(move |msg: Message| out.send(msg)))?;
/// # drop(server);
/// # sockeye::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct DeflateHandler<H: Handler> {
    inner: H,
    settings: DeflateSettings,
}

impl<H: Handler> DeflateHandler<H> {
    /// Wraps a handler with the default settings.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn new(handler: H) -> Self {
        DeflateBuilder::new().build(handler)
    }
}

forward_handler!([H: Handler] DeflateHandler<H>, |this| this.inner, {
    fn on_request(&mut self, req: &Request) -> Result<Response> {
        let mut response = self.inner.on_request(req)?;
        response.set_overrides(self.settings.overrides(Role::Server));
        Ok(response)
    }

    fn build_request(&mut self, url: &Url) -> Result<Request> {
        let mut request = self.inner.build_request(url)?;
        request.set_overrides(self.settings.overrides(Role::Client));
        Ok(request)
    }
});
