//! permessage-deflate through this front end: the rules are tested with the core.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use sockeye::Deflate;
use sockeye::futures::Builder;
use sockeye::futures::Error;
use sockeye::protocol::{Config, ProtocolError};

use crate::support::duplex;

#[test]
fn x2_x3_x4_windows_and_contexts_are_negotiated() {
    let deflate = Deflate { server_no_context_takeover: false, threshold: 0, ..Deflate::default() };
    let builder = Builder::new().config(Config { deflate: Some(deflate), ..Config::default() });
    let (near, far) = duplex();
    let conversation = async {
        let (server, client) =
            futures_util::future::join(builder.server(far).accept(), builder.client(near, "ws://a/")?.open())
                .await;
        let (mut server, mut client) = (server?, client?);
        assert!(
            client.response().unwrap().extensions()?.iter().any(|name| name.contains("permessage-deflate"))
        );
        for text in ["salmon ".repeat(1000), "salmon ".repeat(1000)] {
            client.send(text.clone()).await?;
            assert_eq!(server.receive().await?, Some(text.clone().into()));
            server.send(text.clone()).await?;
            let frame = client.receive_frame().await?;
            assert!(frame.is_some_and(|frame| frame.has_rsv1() && frame.payload().len() <= text.len() / 10));
        }
        sockeye::futures::Result::Ok(())
    };
    let mut conversation = pin!(conversation);
    let cx = &mut Context::from_waker(Waker::noop());
    let done = std::iter::repeat_with(|| conversation.as_mut().poll(cx)).take(1000).find(Poll::is_ready);
    assert!(matches!(done, Some(Poll::Ready(Ok(())))), "{done:?}");
}

#[test]
fn l5_the_inflated_size_is_limited() {
    let generous = Config { deflate: Some(Deflate::default()), ..Config::default() };
    let strict = Config { max_message_size: 1000, ..generous.clone() };
    let (near, far) = duplex();
    let (generous, strict) = (Builder::new().config(generous), Builder::new().config(strict));
    let conversation = async {
        let (server, client) =
            futures_util::future::join(strict.server(far).accept(), generous.client(near, "ws://a/")?.open())
                .await;
        let (mut server, mut client) = (server?, client?);
        client.send("a".repeat(100_000)).await?;
        // The server returns its error when the client has gone.
        let (received, _) = futures_util::future::join(server.receive(), client.receive()).await;
        received
    };
    let mut conversation = pin!(conversation);
    let cx = &mut Context::from_waker(Waker::noop());
    let done = std::iter::repeat_with(|| conversation.as_mut().poll(cx)).take(1000).find(Poll::is_ready);
    let Some(Poll::Ready(Err(err))) = done else { panic!("{done:?}") };
    assert!(matches!(err, Error::Protocol(ProtocolError::MessageTooLong)));
}

#[test]
fn w8_a_long_message_is_decompressed_in_several_polls() {
    let config = Config { deflate: Some(Deflate::default()), ..Config::default() };
    let builder = Builder::new().config(config);
    let (near, far) = duplex();
    let client = builder.client(near, "ws://a/").unwrap();
    let opening = futures_util::future::join(builder.server(far).accept(), client.open());
    let (server, client) = crate::support::ready(opening);
    let (mut server, mut client) = (server.unwrap(), client.unwrap());
    let text = "a".repeat(4 * 1024 * 1024);
    crate::support::ready(async {
        client.send(text.clone()).await?;
        client.send("next").await
    })
    .unwrap();
    let mut receiving = Box::pin(server.receive());
    let mut polls = 0;
    let received = loop {
        polls += 1;
        if let Poll::Ready(received) = crate::support::poll(&mut receiving) {
            break received.unwrap();
        }
        assert!(polls < 100, "it makes no progress");
    };
    drop(receiving);
    assert_eq!(received, Some(text.into()));
    // 64 KiB first, and then parts of 256 KiB.
    assert!(polls >= 16, "{polls} polls");
    assert_eq!(crate::support::ready(server.receive()).unwrap(), Some("next".into()));
}
