//! A12: every future can be dropped wherever it waits, and neither a byte nor a message is lost.
//!
//! Both ends speak through streams that hesitate before each step and move a few bytes at a time, so that every await
//! point is reached; and every future is dropped after a given number of polls, and begun again.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use sockeye::futures::{Builder, WebSocket};
use sockeye::{CloseCode, Message};

use crate::support::{End, duplex};

/// The other end, which goes on while ours is tried.
type Peer<'p> = Pin<&'p mut dyn Future<Output = sockeye::futures::Result<()>>>;

/// Begins a future again and again, each time for so many polls, until one of them is done.
async fn impatiently<T, O>(patience: usize, target: &mut T, begin: impl AsyncFn(&mut T) -> O) -> O {
    loop {
        let mut future = pin!(begin(target));
        let mut left = patience;
        let done = std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => {
                left -= 1;
                Poll::Pending
            }
        });
        if let Some(output) = done.await {
            return output;
        }
        yield_now().await;
    }
}

/// Gives the other end its turn.
async fn yield_now() {
    let mut has_yielded = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut has_yielded, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Polls both ends in turn until ours is done.
fn run<T>(ours: impl Future<Output = T>, mut peer: Peer<'_>) -> T {
    let mut ours = pin!(ours);
    let cx = &mut Context::from_waker(Waker::noop());
    let mut peer_is_done = false;
    for _ in 0..2_000_000 {
        if let Poll::Ready(output) = ours.as_mut().poll(cx) {
            return output;
        }
        if !peer_is_done && let Poll::Ready(done) = peer.as_mut().poll(cx) {
            done.unwrap();
            peer_is_done = true;
        }
    }
    panic!("it does not end");
}

fn choppy(piece: usize, hesitates: u32) -> (End, End) {
    let (mut one, mut other) = duplex();
    (one.piece, one.hesitates) = (piece, hesitates);
    (other.piece, other.hesitates) = (piece, hesitates);
    (one, other)
}

fn messages() -> Vec<Message> {
    let sizes = [0, 1, 125, 126];
    sizes.iter().flat_map(|&size| [Message::text("s".repeat(size)), Message::binary(vec![7; size])]).collect()
}

async fn echo(mut socket: WebSocket<End>) -> sockeye::futures::Result<()> {
    while let Some(message) = socket.receive().await? {
        socket.ping("between").await?;
        socket.send(message).await?;
    }
    Ok(())
}

/// The conversation that must succeed however often a future is dropped: messages, events, bytes, the end.
async fn converse(mut socket: WebSocket<End>, patience: usize) {
    for message in messages() {
        // A message is accepted by the first poll; then it is for `flush` to see it out.
        let _ = poll_times(1, socket.send(message.clone())).await;
        impatiently(patience, &mut socket, async |socket: &mut WebSocket<End>| socket.flush().await)
            .await
            .unwrap();
        let came =
            impatiently(patience, &mut socket, async |socket: &mut WebSocket<End>| socket.receive().await);
        assert_eq!(came.await.unwrap(), Some(message));
    }
    let closed = impatiently(patience, &mut socket, async |socket: &mut WebSocket<End>| {
        socket.close(CloseCode::Other(4000), "done").await
    });
    let closed = closed.await.unwrap();
    assert!(closed.was_clean && closed.code == CloseCode::Other(4000), "{closed:?}");
}

/// Polls a future so many times, and drops it.
async fn poll_times<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    std::future::poll_fn(|cx| {
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[test]
fn a12_a_client_can_drop_every_future_at_any_await() {
    for (patience, piece, hesitates) in schedules() {
        let (near, far) = choppy(piece, hesitates);
        let mut peer = pin!(async { echo(Builder::new().server(far).accept().await?).await });
        let ours = async {
            let mut client = Builder::new().client(near, "ws://a/").unwrap();
            impatiently(patience, &mut client, async |client: &mut sockeye::futures::Client<End>| {
                client.handshake().await
            })
            .await
            .unwrap();
            converse(client.into_socket().unwrap(), patience).await;
        };
        run(ours, peer.as_mut());
    }
}

#[test]
fn a12_a_server_can_drop_every_future_at_any_await() {
    for (patience, piece, hesitates) in schedules() {
        let (near, far) = choppy(piece, hesitates);
        let mut peer = pin!(async {
            let socket = Builder::new().client(far, "ws://a/")?.open().await?;
            echo(socket).await
        });
        let ours = async {
            let mut server = Builder::new().server(near);
            type Server = sockeye::futures::Server<End>;
            let request = impatiently(patience, &mut server, async |server: &mut Server| {
                server.receive_request().await.cloned()
            });
            let response = sockeye::Response::from_request(&request.await.unwrap()).unwrap();
            impatiently(patience, &mut server, async |server: &mut Server| {
                server.respond(response.clone()).await
            })
            .await
            .unwrap();
            converse(server.into_socket().unwrap(), patience).await;
        };
        run(ours, peer.as_mut());
    }
}

#[test]
fn a12_dropped_reads_of_frames_and_bytes_lose_no_data() {
    use futures_util::{AsyncReadExt, AsyncWriteExt};
    for (patience, piece, hesitates) in schedules() {
        let (near, far) = choppy(piece, hesitates);
        let mut peer = pin!(async {
            let mut socket = Builder::new().server(far).accept().await?;
            for number in 0..10_u8 {
                socket.send(vec![number; 200]).await?;
            }
            socket.write_all(b"the rest").await?;
            socket.close(CloseCode::Normal, "").await.map(drop)
        });
        let ours = async {
            let mut socket = Builder::new().client(near, "ws://a/").unwrap().open().await.unwrap();
            for number in 0..10_u8 {
                let frame = impatiently(patience, &mut socket, async |socket: &mut WebSocket<End>| {
                    socket.receive_frame().await
                });
                assert_eq!(frame.await.unwrap().unwrap().into_data(), vec![number; 200]);
            }
            let mut all = Vec::new();
            loop {
                let read = impatiently(patience, &mut socket, async |socket: &mut WebSocket<End>| {
                    let mut piece = [0; 3];
                    let len = socket.read(&mut piece).await?;
                    std::io::Result::Ok(piece[..len].to_vec())
                });
                match read.await.unwrap() {
                    piece if piece.is_empty() => break,
                    piece => all.extend(piece),
                }
            }
            assert_eq!(all, b"the rest");
        };
        run(ours, peer.as_mut());
    }
}

/// How patient one is, how many bytes go at once, how often the stream hesitates.
fn schedules() -> impl Iterator<Item = (usize, usize, u32)> {
    [0, 1, 2, 3, 5, 8]
        .into_iter()
        .flat_map(|patience| [(1, 2), (3, 3), (usize::MAX, 2)].map(|(piece, often)| (patience, piece, often)))
}
