//! How a stream ends: END_STREAM, RST_STREAM, GOAWAY and the end of the connection.

use bytes::Bytes;
use hyper::Method;
use sockeye::CloseCode;
use sockeye::futures::Error;

use crate::support::{Limits, SERVERS, USUAL, h2_client, open, raw, request, serve, within};

const HELLO: [u8; 11] = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];

/// Opens a stream without a socket, to send any frame of HTTP/2.
async fn open_raw(sender: &h2::client::SendRequest<Bytes>) -> (h2::SendStream<Bytes>, h2::RecvStream) {
    let mut sender = within(sender.clone().ready()).await.unwrap();
    let asked = raw(Method::CONNECT, Some("websocket"), &[("sec-websocket-version", "13")]);
    let (response, send) = sender.send_request(asked, false).unwrap();
    let response = within(response).await.unwrap();
    assert_eq!(response.status(), 200);
    (send, response.into_body())
}

#[tokio::test]
async fn s5_a_reset_inside_a_frame_is_a_lost_connection() {
    for kind in SERVERS {
        let (stream, mut server) = serve(kind, USUAL);
        let sender = h2_client(stream, USUAL.window).await;
        let (mut send, _receive) = open_raw(&sender).await;
        send.send_data(Bytes::copy_from_slice(&HELLO[..7]), false).unwrap();
        send.send_reset(h2::Reason::CANCEL);
        let end = within(server.ends.recv()).await.unwrap();
        assert!(end.is_some(), "{kind:?}: {end:?}");
        // The connection serves other streams.
        let mut other = open(&sender, request()).await.unwrap();
        within(other.send("salmon")).await.unwrap();
        assert!(within(other.receive()).await.unwrap().is_some(), "{kind:?}");
    }
}

#[tokio::test]
async fn an_end_of_the_stream_without_a_close_is_a_lost_connection() {
    for kind in SERVERS {
        let (stream, mut server) = serve(kind, USUAL);
        let sender = h2_client(stream, USUAL.window).await;
        let (mut send, mut receive) = open_raw(&sender).await;
        send.send_data(Bytes::copy_from_slice(&HELLO), true).unwrap();
        // The other direction is still open: the echo arrives.
        let mut echoed = Vec::new();
        while let Some(data) = within(receive.data()).await {
            let Ok(data) = data else { break };
            echoed.extend_from_slice(&data);
        }
        assert!(echoed.starts_with(b"\x81\x05Hello"), "{kind:?}: {echoed:?}");
        assert!(within(server.ends.recv()).await.unwrap().is_some(), "{kind:?}");
    }
}

#[tokio::test]
async fn rfc6455_s7_1_1_after_the_closing_handshake_the_server_ends_the_stream() {
    for kind in SERVERS {
        // There is room for one stream, so the second request waits until both ends of the first have ended.
        let (stream, mut server) = serve(kind, Limits { streams: 1, ..USUAL });
        let sender = h2_client(stream, USUAL.window).await;
        for _ in 0..5 {
            let mut client = open(&sender, request()).await.unwrap();
            let closed = within(client.close(CloseCode::Normal, "")).await.unwrap();
            assert!(closed.was_clean, "{kind:?}");
            assert!(within(server.ends.recv()).await.unwrap().is_none(), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn after_goaway_open_streams_continue() {
    for kind in SERVERS {
        let (stream, server) = serve(kind, USUAL);
        let sender = h2_client(stream, USUAL.window).await;
        let mut client = open(&sender, request()).await.unwrap();
        within(client.send("before")).await.unwrap();
        assert!(within(client.receive()).await.unwrap().is_some());
        server.shut_down.notify_one();
        // No stream can be opened once the GOAWAY has arrived.
        within(async {
            while sender.clone().ready().await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        for _ in 0..3 {
            within(client.send("x".repeat(100_000))).await.unwrap();
            assert!(within(client.receive()).await.unwrap().is_some(), "{kind:?}");
        }
        let closed = within(client.close(CloseCode::Normal, "")).await.unwrap();
        assert!(closed.was_clean, "{kind:?}");
    }
}

#[tokio::test]
async fn the_end_of_the_connection_is_an_error_for_every_socket() {
    for kind in SERVERS {
        let (stream, server) = serve(kind, USUAL);
        let sender = h2_client(stream, USUAL.window).await;
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(open(&sender, request()).await.unwrap());
        }
        server.abort.abort();
        for mut client in clients {
            let received = within(client.receive()).await;
            assert!(
                matches!(received, Err(Error::ConnectionLost(_) | Error::Protocol(_))),
                "{kind:?}: {received:?}"
            );
            assert!(!within(client.closed()).await.was_clean);
        }
    }
}

#[tokio::test]
async fn dropping_a_socket_sends_1001_or_a_reset() {
    for kind in SERVERS {
        let (stream, mut server) = serve(kind, USUAL);
        let sender = h2_client(stream, USUAL.window).await;
        drop(open(&sender, request()).await.unwrap());
        within(server.ends.recv()).await.unwrap();
        // The server leaves without waiting for the answer to its Close.
        let mut client = open(&sender, request()).await.unwrap();
        within(client.send("leave")).await.unwrap();
        while let Ok(Some(_)) = within(client.receive()).await {}
        assert_eq!(within(client.closed()).await.code, CloseCode::Away, "{kind:?}");
    }
}
