//! The hooks of `ws`: a handler encrypts by itself.

use std::sync::Arc;

use openssl::ssl::{
    Ssl, SslConnector, SslContext, SslContextBuilder, SslFiletype, SslMethod, SslStream, SslVerifyMode,
};
use sockeye::util::TcpStream;
use sockeye::{Error, ErrorKind, Message, Result, Settings};

use crate::loops::{HandlerCall, Manners, Server, echo, polite, visit};
use sockeye_test_support::authority::{Authority, Folder, Wish};
use sockeye_test_support::tls::{TlsPeer, acceptor, anyone, tcp};

/// As in programs for `ws`, down to how errors are turned.
pub(crate) fn serving() -> Manners {
    let acceptor = acceptor(&Authority::root("root").issue(&Wish::default()));
    let upgrade = move |stream: TcpStream| acceptor.accept(stream).map_err(From::from);
    Manners { upgrade: Some(Arc::new(upgrade)), ..echo() }
}

fn trusting_everyone(stream: TcpStream) -> Result<SslStream<TcpStream>> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())
        .map_err(|err| Error::new(ErrorKind::Internal, format!("no connector: {err}")))?;
    builder.set_verify(SslVerifyMode::empty());
    builder.build().connect("localhost", stream).map_err(From::from)
}

pub(crate) fn encrypting() -> Settings {
    Settings { encrypt_server: true, max_connections: 2, ..Settings::default() }
}

#[test]
fn handler_hooks_encrypt_connections_in_both_roles() {
    let server = Server::start(serving(), encrypting(), |socket| socket);
    let manners = Manners {
        upgrade: Some(Arc::new(trusting_everyone)),
        greetings: vec![Message::text("hello")],
        closes_after: Some(1),
        ..Manners::default()
    };
    let received = visit(&format!("wss://127.0.0.1:{}", server.address.port()), manners, None);
    assert!(received[0].is_open());
    assert_eq!(received[1], HandlerCall::Message("hello".into()));
    assert_eq!(received[2..], [HandlerCall::Close(sockeye::CloseCode::Normal), HandlerCall::Lost]);
}

#[test]
fn a_hook_can_finish_the_handshake() {
    let finish = |stream: TcpStream| {
        let mut attempt = trusting_everyone(stream);
        loop {
            let Err(Error { kind: ErrorKind::SslHandshake(err), .. }) = attempt else { return attempt };
            let openssl::ssl::HandshakeError::WouldBlock(midway) = err else { return Err(err.into()) };
            std::thread::yield_now();
            attempt = midway.handshake().map_err(From::from);
        }
    };
    let server = Server::start(serving(), encrypting(), |socket| socket);
    let manners = Manners { upgrade: Some(Arc::new(finish)), ..polite() };
    let received = visit(&format!("wss://127.0.0.1:{}", server.address.port()), manners, None);
    assert!(received[0].is_open(), "{received:?}");
}

#[test]
fn a_hook_that_fails_frees_the_slot_and_is_reported_once() {
    for (manners, kind) in [(echo(), "Internal"), (refusing(), "Ssl")] {
        let server = Server::start(manners, encrypting(), |socket| socket);
        // More than there are slots.
        for _ in 0..5 {
            let mut stream = tcp(server.address);
            assert_eq!(sockeye_test_support::tls::read_to_end(&mut stream), b"");
            let HandlerCall::Error(reported, _) = server.next() else {
                panic!("the handler gets the reason")
            };
            assert_eq!(reported, kind);
            assert_eq!(server.next(), HandlerCall::Lost);
        }
        server.assert_idle();
    }
}

/// A server whose key cannot be read when it is needed.
fn refusing() -> Manners {
    let refuse = |_: TcpStream| {
        let mut context = SslContext::builder(SslMethod::tls_server())?;
        context.set_private_key_file("missing.pem", SslFiletype::PEM)?;
        Err(Error::new(ErrorKind::Internal, "the key was there"))
    };
    Manners { upgrade: Some(Arc::new(refuse)), ..echo() }
}

#[test]
fn a_hook_that_panics_closes_one_connection() {
    let manners = Manners { upgrade: Some(Arc::new(|_| panic!("as the test wants it"))), ..echo() };
    let settings = Settings { catch_panics: true, ..encrypting() };
    let server = Server::start(manners, settings, |socket| socket);
    for _ in 0..5 {
        assert_eq!(sockeye_test_support::tls::read_to_end(&mut tcp(server.address)), b"");
    }
}

#[test]
fn the_certificate_of_the_loop_takes_precedence_over_the_hook() {
    let own = acceptor(&Authority::root("root").issue(&Wish::default()));
    let server = Server::start(refusing(), encrypting(), |socket| socket.with_server_tls(own));
    let mut client = TlsPeer::connect_tls(server.address, &anyone());
    client.finish_tls();
}

/// A context as OpenSSL makes it: without partial writes, without moving buffers, with the reading ahead that some
/// programs switch on.
pub(crate) fn bare_context(reads_ahead: bool) -> SslContextBuilder {
    let (folder, root) = (Folder::new(), Authority::root("root"));
    let (chain, key) = root.issue(&Wish::default()).write(&folder);
    let mut context = SslContext::builder(SslMethod::tls()).unwrap();
    context.set_certificate_chain_file(chain).unwrap();
    context.set_private_key_file(key, SslFiletype::PEM).unwrap();
    context.set_read_ahead(reads_ahead);
    context
}

pub(crate) fn bare_server(reads_ahead: bool) -> Manners {
    let context = bare_context(reads_ahead).build();
    let upgrade = move |stream: TcpStream| Ssl::new(&context)?.accept(stream).map_err(From::from);
    Manners { upgrade: Some(Arc::new(upgrade)), ..echo() }
}

pub(crate) fn bare_client(reads_ahead: bool) -> Manners {
    let context = bare_context(reads_ahead).build();
    let upgrade = move |stream: TcpStream| Ssl::new(&context)?.connect(stream).map_err(From::from);
    Manners { upgrade: Some(Arc::new(upgrade)), ..Manners::default() }
}
