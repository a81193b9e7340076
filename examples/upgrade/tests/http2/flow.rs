//! Messages, windows, compression and several WebSockets on one connection.

use hyper::Method;
use sockeye::protocol::Config;
use sockeye::{CloseCode, Deflate, Message};

use crate::support::{Limits, SERVERS, USUAL, h2_client, open, raw, request, serve, within};

/// Sends messages, and expects them back.
async fn echo(client: &mut crate::support::Client, messages: &[Message]) {
    for message in messages {
        let len = message.len();
        within(client.send(message.clone())).await.unwrap();
        let received = within(client.receive()).await.unwrap();
        assert!(received.as_ref() == Some(message), "a message of {len} bytes");
    }
}

fn messages() -> Vec<Message> {
    let binary = (0..1_000_000_u64).map(|at| (at * at % 251) as u8).collect::<Vec<_>>();
    vec![
        Message::text("salmon"),
        Message::text(""),
        Message::binary(binary),
        Message::text("é".repeat(70_000)),
    ]
}

#[tokio::test]
async fn messages_of_all_sizes_are_returned_and_closes_are_clean() {
    for kind in SERVERS {
        let (stream, mut server) = serve(kind, USUAL);
        let sender = h2_client(stream, USUAL.window).await;
        let mut client = open(&sender, request()).await.unwrap();
        echo(&mut client, &messages()).await;
        let closed = within(client.close(CloseCode::Normal, "done")).await.unwrap();
        assert!(closed.was_clean && closed.code == CloseCode::Normal, "{kind:?}");
        assert!(within(server.ends.recv()).await.unwrap().is_none(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_message_is_larger_than_the_windows() {
    // Less than a frame of HTTP/2, in both directions. One write fills it many times.
    let limits = Limits { window: 1_000, ..USUAL };
    for kind in SERVERS {
        let (stream, _server) = serve(kind, limits);
        let sender = h2_client(stream, limits.window).await;
        let mut client = open(&sender, request()).await.unwrap();
        echo(&mut client, &[Message::binary(vec![7; 200_000]), Message::text("salmon")]).await;
    }
}

#[tokio::test]
async fn compression_is_negotiated() {
    for kind in SERVERS {
        let (stream, _server) = serve(kind, USUAL);
        let sender = h2_client(stream, USUAL.window).await;
        let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
        let mut client = open(&sender, request().config(config)).await.unwrap();
        let extensions = client.response().unwrap().extensions().unwrap().join(", ");
        assert!(extensions.starts_with("permessage-deflate"), "{kind:?}: {extensions}");
        echo(&mut client, &messages()).await;
    }
}

#[tokio::test]
async fn rfc7692_s6_compressed_messages_are_short() {
    for kind in SERVERS {
        let (stream, _server) = serve(kind, USUAL);
        let mut sender = h2_client(stream, USUAL.window).await;
        let headers = [("sec-websocket-version", "13"), ("sec-websocket-extensions", "permessage-deflate")];
        let asked = raw(Method::CONNECT, Some("websocket"), &headers);
        let (response, mut send) = sender.send_request(asked, false).unwrap();
        let mut receive = within(response).await.unwrap().into_body();
        // 2,000 times `a` without compression, with a mask of zeros.
        let frame = [&[0x81, 0xfe, 0x07, 0xd0, 0, 0, 0, 0][..], &[b'a'; 2_000]].concat();
        send.send_data(frame.into(), false).unwrap();
        let reply = within(receive.data()).await.unwrap().unwrap();
        // RSV1, and a text.
        assert_eq!(reply[0], 0xc1, "{kind:?}");
        assert!(reply.len() < 100, "{kind:?}: {} bytes", reply.len());
    }
}

#[tokio::test]
async fn messages_in_one_frame_of_http2_are_all_returned() {
    for config in [Config::default(), Config { deflate: Some(Deflate::default()), ..Config::default() }] {
        for kind in SERVERS {
            let (stream, _server) = serve(kind, USUAL);
            let sender = h2_client(stream, USUAL.window).await;
            let mut client = open(&sender, request().config(config.clone())).await.unwrap();
            let messages = [Message::text("0"), Message::binary([]), Message::text(""), Message::binary([1])];
            for message in &messages {
                within(client.queue(message.clone())).await.unwrap();
            }
            within(client.flush()).await.unwrap();
            for message in &messages {
                assert_eq!(within(client.receive()).await.unwrap().as_ref(), Some(message), "{kind:?}");
            }
        }
    }
}

#[tokio::test]
async fn several_websockets_share_a_connection() {
    for kind in SERVERS {
        let (stream, mut server) = serve(kind, USUAL);
        let sender = h2_client(stream, USUAL.window).await;
        let mut clients = Vec::new();
        for _ in 0..20 {
            clients.push(open(&sender, request()).await.unwrap());
        }
        for (number, client) in clients.iter_mut().enumerate() {
            within(client.send(format!("number {number}"))).await.unwrap();
        }
        for (number, client) in clients.iter_mut().enumerate().rev() {
            assert_eq!(within(client.receive()).await.unwrap(), Some(format!("number {number}").into()));
        }
        // The end of one does not affect the others.
        within(clients.remove(3).close(CloseCode::Normal, "")).await.unwrap();
        assert!(within(server.ends.recv()).await.unwrap().is_none());
        for client in &mut clients {
            echo(client, &[Message::text("still here")]).await;
        }
    }
}

#[tokio::test]
async fn a_program_that_does_not_receive_stops_the_sender_only_on_its_stream() {
    for kind in SERVERS {
        let limits = Limits { window: 65_535, ..USUAL };
        let (stream, _server) = serve(kind, limits);
        // The window of the connection is larger than those of its streams.
        let sender = h2_client(stream, 10_000).await;
        let mut idle = open(&sender, request()).await.unwrap();
        // The reply fills the window of this stream, and is not received.
        within(idle.send(Message::binary(vec![1; 9_000]))).await.unwrap();
        let mut other = open(&sender, request()).await.unwrap();
        echo(&mut other, &[Message::text("x".repeat(500))]).await;
        assert_eq!(within(idle.receive()).await.unwrap().map(|message| message.len()), Some(9_000));
    }
}
