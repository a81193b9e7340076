//! A program for both targets: it uses each method that the sockets of both targets have. It is compiled here for WebAssembly, and by
//! `tests/front-ends/futures/main.rs` for native targets. Nothing in it depends on the target.

use std::io;
use std::time::Duration;

use futures_util::{AsyncReadExt, AsyncWriteExt, SinkExt, StreamExt};
use sockeye::protocol::handshake::Extension;
use sockeye::protocol::{Config, Event, FrameExtension, ProtocolError, State};
use sockeye::socket::{Error, Result};
use sockeye::{ClientBuilder, ClientSocket, ClientTls, CloseCode, Frame, OpCode, TlsVersion};

/// An extension that no server accepts.
struct Unknown;

impl FrameExtension for Unknown {
    fn offer(&self) -> Extension {
        Extension { name: "x-unknown".into(), params: Vec::new() }
    }

    fn encode(&mut self, _: &mut Frame) -> std::result::Result<(), ProtocolError> {
        Err(ProtocolError::ReservedBits)
    }

    fn decode(&mut self, _: &mut Frame) -> std::result::Result<(), ProtocolError> {
        Err(ProtocolError::ReservedBits)
    }
}

/// Options that do not prevent a connection on either target.
pub(crate) fn harmless() -> Result<ClientBuilder> {
    let tls = ClientTls::builder().min_version(TlsVersion::V1_2).alpn(["http/1.1"]).build()?;
    Ok(ClientBuilder::default()
        .config(Config::default())
        .connect_timeout(Duration::from_secs(10))
        .high_water(1 << 20)
        .max_buffered(1 << 24)
        .add_header("User-Agent", "portable")?
        .add_header("Authorization", "Bearer salmon")?
        .remove_header("authorization")
        .add_subprotocol("two")
        .add_subprotocol("one")
        .remove_subprotocol("one")
        .extension(|| Unknown)
        .client_tls(tls))
}

/// What a browser can only do without.
pub(crate) fn with_options_that_browsers_lack() -> Result<[ClientBuilder; 2]> {
    let tls = ClientTls::builder()
        .certificate_pem("chain", "key")
        .hide_server_name()
        .danger_accept_any_host()
        .danger_accept_any_certificate();
    let tls = tls.trust_none().max_version(TlsVersion::V1_2).certificate("me.pem", "me.key").clone();
    let tls = tls.trust("a.pem").trust_only("b.pem").trust_pem("pem").certificate_pkcs12([], "");
    drop(tls);
    let tls = ClientTls::builder().danger_accept_any_certificate().build()?;
    let with_header = ClientBuilder::new().add_header("Authorization", "Bearer salmon")?;
    Ok([with_header, ClientBuilder::new().client_tls(tls)])
}

/// Whether an error means that the target cannot do something.
pub(crate) fn is_unsupported<T>(result: &Result<T>) -> bool {
    matches!(result, Err(Error::Io(err)) if err.kind() == io::ErrorKind::Unsupported)
}

/// Talks to an echo server, and returns whether a Ping could be sent.
pub(crate) async fn converse(builder: &ClientBuilder, url: &str) -> Result<bool> {
    let mut socket: ClientSocket = builder.connect(url).await?;
    assert_eq!((socket.state(), socket.is_open(), socket.is_closed()), (State::Open, true, false));
    assert_eq!(socket.protocol(), Some("two"));
    assert_eq!(socket.request().is_some(), socket.response().is_some());

    socket.send("one").await?;
    socket.queue(vec![2]).await?;
    socket.flush().await?;
    assert_eq!(socket.buffered_amount(), 0);
    assert_eq!(socket.receive().await?, Some("one".into()));
    let mut buffer = Vec::new();
    assert_eq!(socket.receive_into(&mut buffer).await?, Some(OpCode::Binary));
    assert_eq!(buffer, [2]);

    let ping = socket.ping("alive?").await;
    assert_eq!(is_unsupported(&ping), is_unsupported(&socket.pong("").await));
    let has_ping = ping.is_ok();
    if has_ping {
        assert!(matches!(socket.receive_event().await?, Some(Event::Pong(_))));
    }

    SinkExt::<&str>::send(&mut socket, "three").await?;
    assert_eq!(StreamExt::next(&mut socket).await.transpose()?, Some("three".into()));
    AsyncWriteExt::write_all(&mut socket, b"four").await?;
    AsyncWriteExt::flush(&mut socket).await?;
    let mut bytes = [0; 4];
    AsyncReadExt::read_exact(&mut socket, &mut bytes).await?;
    assert_eq!(&bytes, b"four");
    finish(socket).await?;
    Ok(has_ping)
}

/// Uses both halves, and closes.
async fn finish(socket: ClientSocket) -> Result<()> {
    let (mut sender, mut receiver) = socket.split();
    sender.send("five").await?;
    assert_eq!(receiver.receive().await?, Some("five".into()));
    assert_eq!((sender.state(), receiver.state()), (State::Open, State::Open));
    assert_eq!((sender.protocol(), receiver.protocol()), (Some("two"), Some("two")));
    assert_eq!(sender.request().is_some(), receiver.response().is_some());
    let ended = receiver.closed();
    let mut socket = ClientSocket::join(sender, receiver).expect("the halves of one connection");
    let closed = socket.close(CloseCode::Normal, "done").await?;
    assert_eq!((closed.code, closed.was_clean), (CloseCode::Normal, true));
    assert_eq!(ended.await, closed);
    assert_eq!((socket.state(), socket.is_open(), socket.is_closed()), (State::Closed, false, true));
    assert!(matches!(socket.send("late").await, Err(Error::Closed)));
    socket.abort();
    Ok(())
}
