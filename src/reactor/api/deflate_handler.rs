//! Compression for the connections of a handler, under the names of `ws`.
//!
//! A loop that is to compress wherever it can has an easier way: [`Settings::deflate`](crate::Settings::deflate). What is
//! here compresses for those connections whose handler is wrapped, by the same code.
//!
//! Programs written for `ws` find some of its defects gone: the handler within hears every call, a message is bounded
//! after it is inflated ([`Settings::max_message_size`](crate::Settings::max_message_size)), and small messages are sent
//! as they are.
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
#[derive(Debug, Clone, Copy)]
pub struct DeflateSettings {
    /// The largest window of either side, as a power of two from 9 to 15; the nearest of these counts. Default 15.
    pub max_window_bits: u8,
    /// Whether the peer is asked to compress each message for itself. Default false.
    pub request_no_context_takeover: bool,
    /// Whether the peer may ask that of us; if not, no compression is agreed on with a peer that does. Default true.
    pub accept_no_context_takeover: bool,
    /// With `fragments_grow` off, the most fragments of one message; beyond it 1008. Default 10.
    pub fragments_capacity: usize,
    /// Whether a message may have more than `fragments_capacity` fragments, as far as the loop lets it. Default true.
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
    /// What this means for a connection in this role; contexts are kept unless the peer does not want that.
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

/// Makes [`DeflateHandler`]s with settings of their own.
#[derive(Debug, Clone, Copy)]
pub struct DeflateBuilder {
    settings: DeflateSettings,
}

impl DeflateBuilder {
    /// Makes a builder with the default settings.
    #[expect(clippy::new_without_default, reason = "the type has no default in `ws` either")]
    pub fn new() -> Self {
        Self { settings: DeflateSettings::default() }
    }

    /// Sets the settings of the handlers that are built from now on.
    pub fn with_settings(&mut self, settings: DeflateSettings) -> &mut Self {
        self.settings = settings;
        self
    }

    /// Wraps a handler.
    pub fn build<H: Handler>(&self, handler: H) -> DeflateHandler<H> {
        DeflateHandler { inner: handler, settings: self.settings }
    }
}

/// A handler whose connection is compressed, if the peer agrees; every call goes to the handler within.
#[derive(Debug)]
pub struct DeflateHandler<H: Handler> {
    inner: H,
    settings: DeflateSettings,
}

impl<H: Handler> DeflateHandler<H> {
    /// Wraps a handler, with the default settings.
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
