//! Connecting and accepting by tokio.

use std::net::SocketAddr;
use std::time::Duration;

use sockeye::futures::{Builder, Compat, Socket, Timer, WebSocket};
use sockeye::futures::{Error, TimeoutKind};
use sockeye::protocol::Config;
use sockeye::{CloseCode, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Accepts one client, echoes its messages, and returns the request.
async fn echo_once(listener: TcpListener, builder: Builder) -> sockeye::futures::Result<String> {
    let (stream, _) = listener.accept().await?;
    let mut socket = builder.accept(stream).await?;
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(socket.request().unwrap().to_string())
}

async fn serve(at: &str, builder: Builder) -> (SocketAddr, JoinHandle<sockeye::futures::Result<String>>) {
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(echo_once(listener, builder)))
}

async fn converse(mut socket: WebSocket<Socket>) {
    for size in [0, 1, 125, 126, 65_536, 1 << 20] {
        socket.send(vec![7; size]).await.unwrap();
        assert_eq!(socket.receive().await.unwrap(), Some(vec![7; size].into()));
    }
    let closed = socket.close(CloseCode::Normal, "done").await.unwrap();
    assert_eq!((closed.code, closed.was_clean), (CloseCode::Normal, true));
}

#[tokio::test]
async fn c1_a_client_connects_by_url_with_query_and_port() {
    let (address, server) = serve("127.0.0.1:0", Builder::new()).await;
    converse(WebSocket::connect(&format!("ws://{address}/a?token=1")).await.unwrap()).await;
    let request = server.await.unwrap().unwrap();
    assert!(request.contains("/a?token=1") && request.contains(&format!("Host: {address}")), "{request}");
}

#[tokio::test]
async fn c1_a_url_with_an_ipv6_address() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else { return };
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(echo_once(listener, Builder::new()));
    converse(WebSocket::connect(&format!("ws://{address}/")).await.unwrap()).await;
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn c1_every_address_of_a_name_is_tried() {
    let (address, server) = serve("127.0.0.1:0", Builder::new()).await;
    converse(WebSocket::connect(&format!("ws://localhost:{}/", address.port())).await.unwrap()).await;
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn c9_connect_returns_the_rejection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let mut server = Builder::new().timer(Timer::tokio()).server(Compat(stream));
        server.receive_request().await?;
        server.respond(Response::new(401, "Unauthorized", b"who?".to_vec())).await
    });
    let err = WebSocket::connect(&format!("ws://{address}/")).await.unwrap_err();
    let response = err.rejected().unwrap().response();
    assert_eq!((response.status(), response.body()), (401, &b"who?"[..]));
}

#[tokio::test]
async fn c2_wss_without_tls_in_the_build_or_on_the_server_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await
    });
    assert!(WebSocket::connect(&url).await.is_err());
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn l7_the_opening_handshake_has_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let config = Config { handshake_timeout: Duration::from_millis(50), ..Config::default() };
    let builder = Builder::new().config(config);
    assert!(matches!(builder.connect(&url).await, Err(Error::Timeout(TimeoutKind::Handshake))));
}

/// Over TCP: a receiver that does not read makes the sender wait, and no end buffers without bound.
#[tokio::test]
async fn l3_l4_a_sender_waits_while_the_peer_does_not_read() {
    const LEN: usize = 1 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    sockeye_test_support::limit_buffers(&listener);
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let accepting = tokio::spawn(async move { WebSocket::accept(listener.accept().await?.0).await });
    let (mut sender, client) = WebSocket::connect(&url).await.unwrap().split();
    let mut server = accepting.await.unwrap().unwrap();
    let mut sent = 0;
    // The system takes some of it; then sending stands still.
    while tokio::time::timeout(Duration::from_millis(300), sender.send(vec![7; LEN])).await.is_ok() {
        sent += 1;
        assert!(sent < 64, "64 MiB were sent without a reader");
    }
    assert!(sender.buffered_amount() <= LEN + 16);
    // The one that waited has been accepted, and is not lost.
    let receiving = async {
        for _ in 0..=sent {
            assert_eq!(server.receive().await.unwrap().unwrap().len(), LEN);
        }
    };
    let ((), flushed) = tokio::join!(receiving, sender.flush());
    flushed.unwrap();
    drop((sender, client));
    assert_eq!(server.receive().await.unwrap(), None);
}

/// An address that does not answer at all: its backlog is full.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn l7_connecting_has_a_timeout() {
    let full = sockeye_test_support::unresponsive::Unresponsive::new();
    let builder = Builder::new().connect_timeout(Duration::from_millis(150));
    let err = builder.connect(&format!("ws://{}/", full.address)).await.unwrap_err();
    assert!(matches!(err, Error::Timeout(TimeoutKind::Connect)));
}

#[tokio::test]
async fn a_refused_connection_is_a_connect_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    drop(listener);
    assert!(matches!(WebSocket::connect(&url).await, Err(Error::Connect { .. })));
}

#[tokio::test]
async fn a4_bytes_over_messages_with_the_traits_of_tokio() {
    let (address, server) = serve("127.0.0.1:0", Builder::new()).await;
    let mut socket = WebSocket::connect(&format!("ws://{address}/")).await.unwrap();
    AsyncWriteExt::write_all(&mut socket, b"abcdef").await.unwrap();
    AsyncWriteExt::flush(&mut socket).await.unwrap();
    let mut read = [0; 6];
    AsyncReadExt::read_exact(&mut socket, &mut read).await.unwrap();
    assert_eq!(&read, b"abcdef");
    socket.shutdown().await.unwrap();
    server.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a7_a9_halves_in_two_tasks_with_floods_in_both_directions() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let far = tokio::spawn(async move { flood(WebSocket::accept(listener.accept().await?.0).await?).await });
    flood(WebSocket::connect(&url).await.unwrap()).await.unwrap();
    far.await.unwrap().unwrap();
}

/// Sends and receives a great deal at once, each in a task of its own.
async fn flood(socket: WebSocket<Socket>) -> sockeye::futures::Result<()> {
    const COUNT: u32 = 2000;
    let (mut sender, mut receiver) = socket.split();
    let sending = tokio::spawn(async move {
        for number in 0..COUNT {
            sender.send(vec![number.to_be_bytes()[3]; 10_000]).await?;
        }
        sockeye::futures::Result::Ok(sender)
    });
    for number in 0..COUNT {
        let message = receiver.receive().await?.expect("there is more");
        assert_eq!(message.as_bytes()[..1], [number.to_be_bytes()[3]]);
    }
    let sender = sending.await.map_err(std::io::Error::other)??;
    let mut socket = WebSocket::join(sender, receiver).expect("they belong together");
    socket.close(CloseCode::Normal, "").await?;
    Ok(())
}

#[tokio::test]
async fn a12_select_loses_no_messages() {
    let (address, server) = serve("127.0.0.1:0", Builder::new()).await;
    let (mut sender, mut receiver) = WebSocket::connect(&format!("ws://{address}/")).await.unwrap().split();
    let mut came = Vec::new();
    let mut sent = 0_u32;
    while came.len() < 500 {
        tokio::select! {
            biased;
            () = tokio::task::yield_now(), if sent.is_multiple_of(3) => {}
            message = receiver.receive() => came.push(message.unwrap().unwrap().into_text().unwrap()),
            () = std::future::ready(()), if sent < 500 => {}
        }
        if sent < 500 {
            sender.send(sent.to_string()).await.unwrap();
            sent += 1;
        }
    }
    assert!(came.iter().enumerate().all(|(number, text)| *text == number.to_string()), "{came:?}");
    sender.close(CloseCode::Normal, "").await.unwrap();
    server.await.unwrap().unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn c1_a_client_connects_to_a_unix_domain_socket() {
    let path = std::env::temp_dir().join(format!("sockeye-futures-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let builder = Builder::new().timer(Timer::tokio());
        let mut socket = builder.server(Compat(stream)).accept().await?;
        while let Some(message) = socket.receive().await? {
            socket.send(message).await?;
        }
        sockeye::futures::Result::Ok(())
    });
    converse(WebSocket::connect(&format!("ws+unix://{}", path.display())).await.unwrap()).await;
    server.await.unwrap().unwrap();
    std::fs::remove_file(&path).unwrap();
}

#[cfg(any(feature = "rustls", feature = "ssl"))]
#[tokio::test]
async fn c4_c5_a_program_for_both_targets_runs_natively() {
    use crate::portable;

    let (address, server) = serve("127.0.0.1:0", Builder::new().add_subprotocol("two")).await;
    let builder = portable::harmless().unwrap();
    let has_ping = portable::converse(&builder, &format!("ws://{address}/")).await.unwrap();
    assert!(has_ping, "a native socket sends Pings");
    let request = server.await.unwrap().unwrap();
    assert!(request.contains("User-Agent: portable") && request.contains("x-unknown"), "{request}");
    assert!(!request.contains("Authorization"), "{request}");

    for builder in portable::with_options_that_browsers_lack().unwrap() {
        let (address, _server) = serve("127.0.0.1:0", Builder::new()).await;
        let connected = builder.connect(&format!("ws://{address}/")).await;
        assert!(!portable::is_unsupported(&connected) && connected.is_ok(), "{connected:?}");
    }
}

#[cfg(feature = "ssl")]
mod encrypted {
    use super::*;
    use sockeye::futures::Tls;
    use sockeye::{ClientTls, ServerTls, SharedMessage};
    use sockeye_test_support::authority::{Authority, Wish};
    use sockeye_test_support::tls::{client_of, server_of};
    use std::time::Instant;
    use tokio::net::TcpStream;

    /// The configuration of a server for `localhost` and 127.0.0.1, and of a client that trusts only its root.
    fn configurations() -> (ServerTls, ClientTls) {
        let root = Authority::root("root");
        (server_of(&root.issue(&Wish::default())), client_of(&root))
    }

    /// A client that takes long for TLS has less time for its request.
    #[tokio::test]
    async fn l7_tls_and_the_opening_handshake_share_a_timeout() {
        let (server, client) = configurations();
        let config = Config { handshake_timeout: Duration::from_secs(2), ..Config::default() };
        let server = Builder::new().config(config).server_tls(server);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // With a time for each of the two handshakes, no attempt would end within 3.5 seconds.
        for _ in 0..10 {
            let (elapsed, _silent) = tokio::join!(
                async {
                    let (stream, _) = listener.accept().await.unwrap();
                    let begun = Instant::now();
                    assert!(server.accept(stream).await.is_err());
                    begun.elapsed()
                },
                async {
                    let stream = TcpStream::connect(address).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(1500)).await;
                    // On a busy machine the time may be over before.
                    Tls::connect(&client, "localhost", Compat(stream)).await
                }
            );
            if elapsed < Duration::from_secs(3) {
                return;
            }
        }
        panic!("ten attempts have taken too long");
    }

    #[tokio::test]
    async fn c2_c3_s15_wss_with_a_custom_root() {
        let (server, client) = configurations();
        let (address, served) = serve("127.0.0.1:0", Builder::new().server_tls(server)).await;
        let builder = Builder::new().client_tls(client);
        let socket = builder.connect(&format!("wss://localhost:{}/", address.port())).await.unwrap();
        let shown = socket.with_stream(|stream| match stream {
            Socket::Tls(tls) => tls.peer_certificate().is_some(),
            _ => false,
        });
        assert_eq!(shown, Some(true));
        converse(socket).await;
        served.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn m2_shared_messages_are_sent_over_wss() {
        let (server, client) = configurations();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
        let message = SharedMessage::from(vec![7; 200_000]);
        let shared = message.clone();
        let served = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = Builder::new().server_tls(server).accept(stream).await.unwrap();
            socket.queue("first").await.unwrap();
            socket.queue_shared(&shared).await.unwrap();
            socket.send_shared(&shared).await.unwrap();
            socket.send("last").await.unwrap();
            socket.close(CloseCode::Normal, "").await.unwrap()
        });
        let mut socket = Builder::new().client_tls(client).connect(&url).await.unwrap();
        for expected in [&b"first"[..], message.as_bytes(), message.as_bytes(), b"last"] {
            assert!(socket.receive().await.unwrap().is_some_and(|msg| msg.as_bytes() == expected));
        }
        assert_eq!(socket.receive().await.unwrap(), None);
        assert!(served.await.unwrap().was_clean);
    }

    #[tokio::test]
    async fn c3_a_certificate_without_a_trusted_root_is_rejected() {
        let (server, _) = configurations();
        let (address, served) = serve("127.0.0.1:0", Builder::new().server_tls(server)).await;
        let refused = WebSocket::connect(&format!("wss://{address}/")).await.unwrap_err();
        assert!(matches!(refused, Error::Tls(_)), "{refused}");
        assert!(served.await.unwrap().is_err());
    }
}
