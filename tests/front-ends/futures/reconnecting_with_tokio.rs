//! Clients that connect again by tokio, over loopback and in real time. Nothing depends on how long something takes.

use std::net::SocketAddr;
use std::time::Duration;

use sockeye::futures::{Builder, Error, ReconnectEvent, Reconnecting, Socket, TimeoutKind, WebSocket};
use sockeye::protocol::Config;
use sockeye::{CloseCode, Reconnect};
use tokio::net::{TcpListener, TcpSocket};

/// Connects again soon.
const SOON: Reconnect = Reconnect {
    first_wait: Duration::from_millis(10),
    longest_wait: Duration::from_millis(20),
    stable_after: Duration::from_secs(10),
    max_attempts: None,
};

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    (listener, url)
}

async fn accept(listener: &TcpListener) -> WebSocket<Socket> {
    WebSocket::accept(listener.accept().await.unwrap().0).await.unwrap()
}

/// Receives up to the next loss, and returns its error.
async fn loss(client: &mut Reconnecting<Socket>) -> String {
    loop {
        match client.receive_event().await.unwrap() {
            Some(ReconnectEvent::Lost { lost, error }) => {
                assert!(lost.wait().is_some());
                return format!("{error:?}");
            }
            Some(_) => {}
            None => panic!("the client has ended"),
        }
    }
}

#[tokio::test]
async fn r1_a_client_continues_when_its_server_is_killed_and_started_again() {
    let (listener, url) = listen().await;
    let address: SocketAddr = listener.local_addr().unwrap();
    let mut client = Builder::new().connect_with(&url, SOON).unwrap();
    let sender = client.sender();
    let server = tokio::spawn(async move {
        let mut first = accept(&listener).await;
        assert_eq!(first.receive().await.unwrap(), Some("one".into()));
        // The listener and the connection end at once.
        drop(listener);
        first.into_inner().unwrap();
        let again = TcpSocket::new_v4().unwrap();
        again.set_reuseaddr(true).unwrap();
        again.bind(address).unwrap();
        let mut second = accept(&again.listen(16).unwrap()).await;
        assert_eq!(second.receive().await.unwrap(), Some("two".into()));
        second.send("three").await.unwrap();
        second.close(CloseCode::Normal, "").await.unwrap();
    });
    sender.send("one").await.unwrap();
    loss(&mut client).await;
    sender.send("two").await.unwrap();
    assert_eq!(client.receive().await.unwrap(), Some("three".into()));
    assert_eq!(client.receive().await.unwrap(), None);
    assert_eq!(client.closed().unwrap().code, CloseCode::Normal);
    server.await.unwrap();
}

#[tokio::test]
async fn r3_a_server_that_refuses_is_tried_again() {
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("ws://{}/", closed.local_addr().unwrap());
    let mut client = Builder::new().connect_with(&url, SOON).unwrap();
    for _ in 0..3 {
        assert!(loss(&mut client).await.contains("Connect"));
    }
    let listener = closed.listen(16).unwrap();
    let server = tokio::spawn(async move { accept(&listener).await.send("here").await.unwrap() });
    assert_eq!(client.receive().await.unwrap(), Some("here".into()));
    server.await.unwrap();
}

#[tokio::test]
async fn r4_a_silent_peer_is_a_loss() {
    let (listener, url) = listen().await;
    let config = Config { idle_timeout: Some(Duration::from_millis(50)), ..Config::default() };
    let mut client = Builder::new().config(config).connect_with(&url, SOON).unwrap();
    let silent = tokio::spawn(async move { (accept(&listener).await, listener) });
    let Some(ReconnectEvent::Opened) = client.receive_event().await.unwrap() else {
        panic!("the connection is open");
    };
    let silent = silent.await.unwrap();
    let Some(ReconnectEvent::Lost { error, .. }) = client.receive_event().await.unwrap() else {
        panic!("the peer is silent");
    };
    assert!(matches!(error, Some(Error::Timeout(TimeoutKind::Idle))), "{error:?}");
    drop(silent);
}

#[tokio::test]
async fn r12_a_url_that_cannot_be_used_is_refused_at_once() {
    let err = Builder::new().connect_with("ftp://example.com/", SOON).unwrap_err();
    assert!(matches!(err, Error::Url(_)), "{err}");
}

#[cfg(feature = "ssl")]
#[tokio::test]
async fn r3_a_certificate_that_is_not_valid_is_tried_again() {
    use sockeye_test_support::authority::{Authority, Wish};
    use sockeye_test_support::tls::{client_of, server_of};

    let (trusted, other) = (Authority::root("trusted"), Authority::root("other"));
    let (listener, url) = listen().await;
    let url = url.replace("ws://", "wss://");
    let builder = Builder::new().client_tls(client_of(&trusted));
    let mut client = builder.connect_with(&url, SOON).unwrap();
    let server = tokio::spawn(async move {
        for root in [&other, &other, &trusted] {
            let builder = Builder::new().server_tls(server_of(&root.issue(&Wish::default())));
            let accepted = builder.accept(listener.accept().await.unwrap().0).await;
            if let Ok(mut socket) = accepted {
                socket.send("valid").await.unwrap();
            }
        }
    });
    for _ in 0..2 {
        assert!(loss(&mut client).await.contains("Tls"));
    }
    assert_eq!(client.receive().await.unwrap(), Some("valid".into()));
    server.await.unwrap();
}
