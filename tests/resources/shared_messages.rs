//! A shared message has one payload, however many connections have not sent it.
//!
//! Alone in its binary, so that nothing else allocates. The figures are bytes of a counting allocator.

#![expect(clippy::unwrap_used, reason = "a panic names the line of the failure")]

use std::alloc::System;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use futures_util::io::{AsyncRead, AsyncWrite};
use sockeye::futures::{Builder, WebSocket};
use sockeye::protocol::Role;
use sockeye::{Message, SharedMessage};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SOCKETS: usize = 1000;
const LEN: usize = 64 * 1024;

/// What a socket may need for a message that it shares, in bytes.
const OVERHEAD: usize = 512;

/// The tests count the memory of the whole process, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A stream whose peer sends nothing, and accepts `room` bytes.
struct Unread {
    room: usize,
}

impl Unread {
    fn accept(&mut self, len: usize) -> Poll<io::Result<usize>> {
        let accepted = len.min(self.room);
        self.room -= accepted;
        if accepted == 0 { Poll::Pending } else { Poll::Ready(Ok(accepted)) }
    }
}

impl AsyncRead for Unread {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl AsyncWrite for Unread {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.accept(bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.accept(slices.iter().map(|slice| slice.len()).sum())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn sockets(role: Role, room: usize) -> Vec<WebSocket<Unread>> {
    let builder = Builder::new();
    (0..SOCKETS).map(|_| builder.after_handshake(Unread { room }, role, &[], []).unwrap()).collect()
}

/// Polls a future once, which must wait for the peer.
fn begin<F: Future>(future: F) {
    let polled = Box::pin(future).as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
}

/// How many bytes are allocated after a call that were not before it.
fn growth(call: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    call();
    let change = region.change();
    change.bytes_allocated.saturating_sub(change.bytes_deallocated)
}

#[test]
fn a_thousand_servers_share_the_payload_of_a_message_that_waits() {
    let _turn = turn();
    // The peers accept nothing, or the header and a part of the payload.
    for room in [0, 3, 1000] {
        let mut sockets = sockets(Role::Server, room);
        let grown = growth(|| {
            let message = SharedMessage::from(vec![7; LEN]);
            sockets.iter_mut().for_each(|socket| begin(socket.send_shared(&message)));
        });
        assert!(sockets.iter().all(|socket| socket.buffered_amount() == LEN + 10 - room));
        assert!(grown < LEN + SOCKETS * OVERHEAD, "{grown} bytes");
    }
}

#[test]
fn a_message_of_its_own_is_not_copied_either() {
    let _turn = turn();
    let mut sockets = sockets(Role::Server, 0);
    let messages: Vec<Message> = (0..SOCKETS).map(|_| vec![7; LEN].into()).collect();
    let grown = growth(|| {
        sockets.iter_mut().zip(messages).for_each(|(socket, message)| begin(socket.send(message)));
    });
    assert!(grown < SOCKETS * OVERHEAD, "{grown} bytes");
}

#[test]
fn without_sharing_each_socket_has_a_payload() {
    let _turn = turn();
    let mut sockets = sockets(Role::Server, 0);
    let message = vec![7; LEN];
    let grown = growth(|| sockets.iter_mut().for_each(|socket| begin(socket.send(&message[..]))));
    assert!(grown >= SOCKETS * LEN, "{grown} bytes: the figures of the other tests mean nothing");
}

#[test]
fn clients_mask_a_copy() {
    let _turn = turn();
    let mut sockets = sockets(Role::Client, 0);
    let message = SharedMessage::from(vec![7; LEN]);
    let grown = growth(|| sockets.iter_mut().for_each(|socket| begin(socket.send_shared(&message))));
    assert!(grown >= SOCKETS * LEN, "{grown} bytes");
    assert_eq!(message.as_bytes(), [7; LEN]);
}

#[test]
fn a_short_message_is_copied() {
    let _turn = turn();
    let mut sockets = sockets(Role::Server, 0);
    let message = SharedMessage::from(vec![7; 100]);
    let grown = growth(|| sockets.iter_mut().for_each(|socket| begin(socket.send_shared(&message))));
    assert!((SOCKETS * 100..SOCKETS * 256).contains(&grown), "{grown} bytes");
}

/// Blocking sockets, whose messages wait because nothing is flushed.
#[cfg(feature = "blocking")]
#[test]
fn blocking_servers_share_the_payload_as_well() {
    use sockeye::blocking::{Bare, Builder};

    let _turn = turn();
    let builder = Builder::new().high_water(1 << 20);
    let streams = (0..SOCKETS).map(|_| Bare(io::Cursor::new(Vec::new())));
    let mut sockets: Vec<_> =
        streams.map(|stream| builder.after_handshake(stream, Role::Server, &[], []).unwrap()).collect();
    let message = SharedMessage::from(vec![7; LEN]);
    let grown = growth(|| {
        sockets.iter_mut().for_each(|socket| {
            socket.queue_shared(&message).unwrap();
            socket.queue_shared(&message).unwrap();
        });
    });
    assert!(sockets.iter().all(|socket| socket.buffered_amount() == 2 * (LEN + 10)));
    assert!(grown < SOCKETS * OVERHEAD, "{grown} bytes");
    assert!(growth(|| sockets[0].queue(vec![7; 1000]).unwrap()) >= 1000, "it is copied");
}
