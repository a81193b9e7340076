//! An extractor for [axum] 0.8, over HTTP/1.1 and HTTP/2. Feature `axum`.
//!
//! [`WebSocketUpgrade`] has the names of `axum::extract::ws::WebSocketUpgrade`, and compression, origins and the limits of Sockeye
//! besides. The socket is a [`WebSocket`] of [`futures`](crate::futures).
//!
//! ```
//! use axum_core::response::Response;
//! use sockeye::axum::{WebSocket, WebSocketUpgrade};
//!
//! // The handler of `any("/echo", echo)`.
//! async fn echo(upgrade: WebSocketUpgrade) -> Response {
//!     upgrade.protocols(["echo"]).on_upgrade(|mut socket: WebSocket| async move {
//!         while let Ok(Some(message)) = socket.receive().await {
//!             let _ = socket.send(message).await;
//!         }
//!     })
//! }
//! # drop(echo);
//! ```
//!
//! The route must accept GET (HTTP/1.1) and CONNECT (HTTP/2): use `axum::routing::any`. `axum::serve` accepts HTTP/2 with axum's
//! feature `http2`, and supports WebSockets on it.
//!
//! [axum]: https://docs.rs/axum/0.8

use std::borrow::Cow;
use std::fmt;
use std::future::Future;

use axum_core::body::Body;
use axum_core::extract::FromRequestParts;
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, Version};
use hyper::upgrade::OnUpgrade;

use super::hyper::{Accepted, accept_head, refusal};
pub use super::hyper::{Stream, WebSocket};
use crate::futures::{Builder, Error};
#[cfg(feature = "permessage-deflate")]
use crate::protocol::Deflate;
use crate::protocol::handshake::{OriginPolicy, Request};
use crate::protocol::{Config, ProtocolError, Upgrade};

/// Extracts a request for a WebSocket, whose response [`on_upgrade`](Self::on_upgrade) creates.
///
/// # Examples
///
/// ```
/// use axum_core::response::Response;
/// use sockeye::Origins;
/// use sockeye::axum::WebSocketUpgrade;
///
/// async fn chat(upgrade: WebSocketUpgrade) -> Response {
///     upgrade
///         .protocols(["chat.v2", "chat.v1"])
///         .max_message_size(64 * 1024)
///         .origins(Origins::SameHost)
///         .on_failed_upgrade(|error| eprintln!("a client left: {error}"))
///         .on_upgrade(|mut socket| async move {
///             let greeting = format!("you speak {:?}", socket.protocol());
///             let _ = socket.send(greeting).await;
///         })
/// }
/// # drop(chat);
/// ```
#[must_use = "the request is not answered"]
pub struct WebSocketUpgrade<F = DefaultOnFailedUpgrade> {
    version: Version,
    request: Request,
    connection: OnUpgrade,
    config: Config,
    builder: Builder,
    requested: Vec<HeaderValue>,
    selected: Option<HeaderValue>,
    on_failed_upgrade: F,
}

/// Why a request does not become a WebSocket. It is a response with the right status.
///
/// | status | reason |
/// |---|---|
/// | 400 | a header is missing, repeated or malformed; over HTTP/2 also another version of WebSocket |
/// | 403 | the origin is not accepted |
/// | 405 | over HTTP/1.1, the method is not GET; over HTTP/2, it is not CONNECT |
/// | 426 | over HTTP/1.1, the request asks for no upgrade, or for another version; the server does not support upgrades |
/// | 501 | over HTTP/2, `:protocol` is not `websocket` |
/// | 505 | HTTP/1.0 |
///
/// # Examples
///
/// ```
/// use axum_core::response::{IntoResponse, Response};
/// use sockeye::axum::{WebSocketUpgrade, WebSocketUpgradeRejection};
///
/// async fn chat(upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>) -> Response {
///     match upgrade {
///         Ok(upgrade) => upgrade.on_upgrade(|_| async {}),
///         Err(rejection) => {
///             eprintln!("{}: {:?}", rejection.status(), rejection.reason());
///             rejection.into_response()
///         }
///     }
/// }
/// # drop(chat);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebSocketUpgradeRejection {
    version: Version,
    reason: Option<ProtocolError>,
}

/// What happens if the connection ends before the response has been sent. Every `FnOnce(Error)` implements it.
///
/// See the example of [`WebSocketUpgrade`].
pub trait OnFailedUpgrade: Send + 'static {
    /// Receives the error. See the example of [`WebSocketUpgrade`].
    fn call(self, error: Error);
}

impl<F: FnOnce(Error) + Send + 'static> OnFailedUpgrade for F {
    fn call(self, error: Error) {
        self(error);
    }
}

/// The default: the error is ignored. See the example of [`WebSocketUpgrade`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct DefaultOnFailedUpgrade;

impl OnFailedUpgrade for DefaultOnFailedUpgrade {
    fn call(self, _: Error) {}
}

impl<S: Send + Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = WebSocketUpgradeRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let version = parts.version;
        let rejection = |reason| WebSocketUpgradeRejection { version, reason };
        let upgrade = accept_head(parts, &parts.extensions, Config::default())
            .map_err(|reason| rejection(Some(reason)))?;
        let connection = parts.extensions.remove().ok_or(rejection(None))?;
        let requested = upgrade.protocols().into_iter().filter_map(|name| HeaderValue::from_str(name).ok());
        Ok(Self {
            version,
            requested: requested.collect(),
            request: upgrade.into_parts().0,
            connection,
            config: Config::default(),
            builder: Builder::new(),
            selected: None,
            on_failed_upgrade: DefaultOnFailedUpgrade,
        })
    }
}

impl<F> WebSocketUpgrade<F> {
    /// Sets all limits, timeouts and rules, in place of those that were set before. Default: [`Config::default`].
    ///
    /// See the [example](Self#examples) of this type.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the maximum length of a message, in bytes. Default: 16 MiB. A longer one closes the connection with 1009.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn max_message_size(mut self, max: usize) -> Self {
        self.config.max_message_size = max;
        self
    }

    /// Sets the maximum payload of a frame, in bytes. Default: no limit besides that of the message. A longer one closes the
    /// connection with 1009.
    ///
    /// See the example of [`set_selected_protocol`](Self::set_selected_protocol).
    pub fn max_frame_size(mut self, max: usize) -> Self {
        self.config.max_frame_size = max;
        self
    }

    /// Sets how many bytes may wait before `queue` has to write some of them. Default: 64 KiB.
    ///
    /// See the example of [`set_selected_protocol`](Self::set_selected_protocol).
    pub fn write_buffer_size(mut self, size: usize) -> Self {
        self.builder = self.builder.high_water(size);
        self
    }

    /// Sets how many bytes may wait to be sent. Beyond that, messages are not accepted. Default: 16 MiB.
    ///
    /// See the example of [`set_selected_protocol`](Self::set_selected_protocol).
    pub fn max_write_buffer_size(mut self, max: usize) -> Self {
        self.builder = self.builder.max_buffered(max);
        self
    }

    /// Sets whether frames without a mask are accepted, which RFC 6455 §5.1 forbids. Default: `false`.
    ///
    /// See the example of [`set_selected_protocol`](Self::set_selected_protocol).
    pub fn accept_unmasked_frames(mut self, accept: bool) -> Self {
        self.config.masking_strict = !accept;
        self
    }

    /// Accepts compression (RFC 7692) if the client offers it. Default: disabled.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum_core::response::Response;
    /// use sockeye::Deflate;
    /// use sockeye::axum::WebSocketUpgrade;
    ///
    /// async fn compressed(upgrade: WebSocketUpgrade) -> Response {
    ///     upgrade.deflate(Deflate::default()).on_upgrade(|mut socket| async move {
    ///         let _ = socket.send("salmon ".repeat(1000)).await;
    ///     })
    /// }
    /// # drop(compressed);
    /// ```
    #[cfg(feature = "permessage-deflate")]
    pub fn deflate(mut self, deflate: Deflate) -> Self {
        self.config.deflate = Some(deflate);
        self
    }

    /// Sets the origins that are accepted (RFC 6455 §10.2). Default: any. Another one is answered with 403.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn origins(mut self, origins: impl Into<OriginPolicy>) -> Self {
        self.config.origins = origins.into();
        self
    }

    /// Selects the first of these subprotocols that the client offers. Otherwise, no subprotocol is selected.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn protocols<I>(mut self, protocols: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Cow<'static, str>>,
    {
        let is_requested = |protocol: &HeaderValue| self.requested.contains(protocol);
        self.selected = protocols
            .into_iter()
            .filter_map(|protocol| HeaderValue::from_str(protocol.into().as_ref()).ok())
            .find(is_requested);
        self
    }

    /// Returns the subprotocols that the client offers, in order of preference.
    ///
    /// See the example of [`set_selected_protocol`](Self::set_selected_protocol).
    pub fn requested_protocols(&self) -> impl Iterator<Item = &HeaderValue> {
        self.requested.iter()
    }

    /// Selects a subprotocol. If the client does not offer it, the request is answered with 500 (RFC 6455 §4.2.2).
    ///
    /// # Examples
    ///
    /// ```
    /// use axum_core::response::Response;
    /// use sockeye::axum::WebSocketUpgrade;
    ///
    /// async fn last(mut upgrade: WebSocketUpgrade) -> Response {
    ///     if let Some(protocol) = upgrade.requested_protocols().last().cloned() {
    ///         upgrade.set_selected_protocol(protocol);
    ///     }
    ///     println!("selected: {:?}", upgrade.selected_protocol());
    ///     let upgrade = upgrade.max_frame_size(64 * 1024).accept_unmasked_frames(true);
    ///     upgrade.write_buffer_size(0).max_write_buffer_size(1 << 20).on_upgrade(|_| async {})
    /// }
    /// # drop(last);
    /// ```
    pub fn set_selected_protocol(&mut self, protocol: HeaderValue) {
        self.selected = Some(protocol);
    }

    /// Returns the subprotocol that was selected.
    ///
    /// See the example of [`set_selected_protocol`](Self::set_selected_protocol).
    pub fn selected_protocol(&self) -> Option<&HeaderValue> {
        self.selected.as_ref()
    }

    /// Sets what happens if the connection ends before the response has been sent. Default: nothing.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn on_failed_upgrade<C: OnFailedUpgrade>(self, callback: C) -> WebSocketUpgrade<C> {
        WebSocketUpgrade {
            version: self.version,
            request: self.request,
            connection: self.connection,
            config: self.config,
            builder: self.builder,
            requested: self.requested,
            selected: self.selected,
            on_failed_upgrade: callback,
        }
    }

    /// Creates the response that opens the connection, and calls `callback` with the socket in a task of tokio.
    ///
    /// If the configuration does not allow the request, for instance because of its origin, the response rejects it and `callback`
    /// is not called.
    ///
    /// # Panics
    ///
    /// Outside of a runtime of tokio.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn on_upgrade<C, Fut>(self, callback: C) -> Response
    where
        C: FnOnce(WebSocket) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
        F: OnFailedUpgrade,
    {
        let accepted = match accept(self.request, self.config, self.selected.as_ref()) {
            Ok(upgrade) => Accepted::new(upgrade, self.connection),
            Err(reason) => return refusal(self.version, reason),
        };
        let Ok(response) = accepted.response::<Body>() else {
            return refusal(self.version, ProtocolError::UnsendableHead);
        };
        let (builder, on_failed_upgrade) = (self.builder, self.on_failed_upgrade);
        tokio::spawn(async move {
            match accepted.open(&builder).await {
                Ok(socket) => callback(socket).await,
                Err(error) => on_failed_upgrade.call(error),
            }
        });
        response
    }
}

fn accept(
    request: Request,
    config: Config,
    selected: Option<&HeaderValue>,
) -> Result<Upgrade, ProtocolError> {
    let mut upgrade = Upgrade::new(request, config)?;
    if let Some(protocol) = selected {
        upgrade.choose_protocol(protocol.to_str().unwrap_or_default())?;
    }
    Ok(upgrade)
}

impl WebSocketUpgradeRejection {
    /// Returns the rule that the request breaks, or `None` if the server does not support upgrades.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn reason(&self) -> Option<ProtocolError> {
        self.reason
    }

    /// Returns the status of the response.
    ///
    /// See the [example](Self#examples) of this type.
    pub fn status(&self) -> StatusCode {
        self.into_response().status()
    }
}

impl IntoResponse for WebSocketUpgradeRejection {
    fn into_response(self) -> Response {
        match self.reason {
            Some(reason) => refusal(self.version, reason),
            None => (StatusCode::UPGRADE_REQUIRED, self.to_string()).into_response(),
        }
    }
}

impl fmt::Display for WebSocketUpgradeRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason {
            Some(reason) => reason.fmt(f),
            None => f.write_str("the server does not support upgrades of this connection"),
        }
    }
}

impl std::error::Error for WebSocketUpgradeRejection {}

impl<F> fmt::Debug for WebSocketUpgrade<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade")
            .field("request", &self.request)
            .field("selected", &self.selected)
            .finish_non_exhaustive()
    }
}
