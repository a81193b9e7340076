//! What an idle socket without handlers holds, in bytes, and how many allocations a message needs.
//!
//! Alone in its binary, and in one test, because the allocator counts the whole process.

#![cfg(any(feature = "blocking", feature = "futures"))]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SOCKETS: usize = 1000;

/// The request that opens a connection, with the headers that must be there.
const REQUEST: &[u8] =
    b"GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// How many more bytes of the heap are in use now than before `region`.
fn growth(region: &Region<'_, System>) -> usize {
    let change = region.change();
    // The buffers that the thread keeps may have become fewer.
    change.bytes_allocated.saturating_sub(change.bytes_deallocated)
}

/// What each socket holds, its own size included. The stream of a socket does not count.
fn bytes_per_socket<T>(stream: usize, open: impl FnMut() -> T) -> (usize, Vec<T>) {
    let region = Region::new(ALLOCATOR);
    let mut sockets = Vec::with_capacity(SOCKETS);
    sockets.extend(std::iter::repeat_with(open).take(SOCKETS));
    (growth(&region) / SOCKETS - stream, sockets)
}

/// By how much each socket grows when it exchanges messages. `other` exchanges them before, so that the buffers that the thread
/// keeps do not count.
fn growth_per_socket<T>(sockets: &mut [T], mut other: T, mut exchange: impl FnMut(&mut T)) -> usize {
    (0..100).for_each(|_| exchange(&mut other));
    let region = Region::new(ALLOCATOR);
    sockets.iter_mut().for_each(exchange);
    growth(&region) / SOCKETS
}

#[cfg(feature = "futures")]
mod async_sockets {
    use std::collections::VecDeque;
    use std::io;
    use std::pin::Pin;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll};

    use futures_util::io::{AsyncRead, AsyncWrite};
    use sockeye::futures::{Builder, WebSocket};
    use sockeye::protocol::Role;
    use sockeye_test_support::bytes::{BINARY, PING, masked};
    use sockeye_test_support::pipe::{now, ready};
    use stats_alloc::Region;

    use super::{ALLOCATOR, REQUEST, SOCKETS, bytes_per_socket, growth_per_socket};

    const MOST: usize = 1024;

    /// A stream whose memory all sockets share, so that it does not count. One of them is used at a time.
    #[derive(Clone, Default)]
    pub(super) struct Shared(Arc<Mutex<VecDeque<u8>>>);

    impl AsyncRead for Shared {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            match io::Read::read(&mut *self.0.lock().unwrap(), buffer) {
                Ok(0) => Poll::Pending,
                read => Poll::Ready(read),
            }
        }
    }

    impl AsyncWrite for Shared {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl Shared {
        pub(super) fn push(&self, bytes: &[u8]) {
            self.0.lock().unwrap().extend(bytes);
        }
    }

    /// Echoes what has arrived, until the socket waits.
    fn echo(socket: &mut WebSocket<Shared>) {
        while let Some(message) = now(socket.receive()) {
            ready(socket.send(message.unwrap().unwrap())).unwrap();
        }
    }

    #[expect(clippy::print_stderr, reason = "the figures are worth reading")]
    pub(super) fn idle_sockets_hold_little() {
        let stream = Shared::default();
        let builder = Builder::new();
        let accept = || {
            stream.push(REQUEST);
            let mut socket = ready(builder.server(stream.clone()).accept()).unwrap();
            echo(&mut socket);
            socket
        };
        // What the process needs once, such as buffers of the thread, does not count.
        stream.push(&[0; 1 << 20]);
        stream.0.lock().unwrap().clear();
        drop(accept());

        let size = size_of::<Shared>();
        let (plain, _) = bytes_per_socket(size, || {
            builder.after_handshake(stream.clone(), Role::Server, &[], []).unwrap()
        });
        let (opened, mut sockets) = bytes_per_socket(size, accept);
        eprintln!("an idle async socket: {plain} bytes without the heads of its handshake, {opened} with");
        assert!(plain <= opened && opened <= MOST, "{opened} bytes");

        let messages: Vec<_> = [
            masked(BINARY, &[7; 20]),
            masked(PING, b"ping"),
            masked(BINARY, &[7; 10_000]),
            masked(BINARY, &[7; 70_000]),
        ]
        .concat();
        let exchange = |socket: &mut WebSocket<Shared>| {
            stream.push(&messages);
            echo(socket);
        };
        let used = opened + growth_per_socket(&mut sockets, accept(), exchange);
        eprintln!("after messages: {used} bytes");
        assert!(used <= MOST, "{used} bytes");
        messages_need_no_allocation(&stream, &mut sockets);
    }

    /// A socket that waits after each message uses the buffers of the thread.
    #[expect(clippy::print_stderr, reason = "the figures are worth reading")]
    fn messages_need_no_allocation(stream: &Shared, sockets: &mut [WebSocket<Shared>]) {
        for len in [20, 1000] {
            let message = masked(BINARY, &vec![7; len]);
            let mut exchange = || {
                for socket in &mut *sockets {
                    stream.push(&message);
                    let message = ready(socket.receive()).unwrap().unwrap();
                    assert!(now(socket.receive()).is_none());
                    ready(socket.send(message)).unwrap();
                }
            };
            exchange();
            let region = Region::new(ALLOCATOR);
            exchange();
            let allocations = region.change().allocations;
            // `now` has a waker of its own for each poll.
            let wakers = 4 * SOCKETS;
            eprintln!(
                "{SOCKETS} echoes of {len} bytes: {allocations} allocations, those of {wakers} wakers included"
            );
            assert!(allocations <= wakers, "{allocations}");
        }
    }
}

#[cfg(all(feature = "futures", feature = "ssl"))]
mod encrypted_sockets {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_util::future::join;
    use futures_util::io::{AsyncRead, AsyncWrite};
    use sockeye::futures::{Builder, Tls, WebSocket};
    use sockeye::protocol::Role;
    use sockeye_test_support::authority::{Authority, Wish};
    use sockeye_test_support::pipe::ready;
    use sockeye_test_support::tls::{client_of, server_of};
    use stats_alloc::Region;

    use super::async_sockets::Shared;
    use super::{ALLOCATOR, SOCKETS, growth};

    /// A stream that reads from one queue and writes to another one. All pairs share both.
    struct Crossed {
        incoming: Shared,
        outgoing: Shared,
    }

    impl AsyncRead for Crossed {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            // Both ends are polled in turn.
            cx.waker().wake_by_ref();
            Pin::new(&mut self.incoming).poll_read(cx, buffer)
        }
    }

    impl AsyncWrite for Crossed {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.outgoing.push(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    type Pair = (WebSocket<Tls<Crossed>>, WebSocket<Tls<Crossed>>);

    fn exchange((client, server): &mut Pair) {
        for len in [20, 10_000, 100_000] {
            transfer(client, server, len);
            transfer(server, client, len);
        }
    }

    fn transfer(from: &mut WebSocket<Tls<Crossed>>, to: &mut WebSocket<Tls<Crossed>>, len: usize) {
        ready(from.send(vec![7; len])).unwrap();
        assert_eq!(ready(to.receive()).unwrap().unwrap().len(), len);
    }

    /// What a TLS library holds depends on the library. Messages must not add to it.
    #[expect(clippy::print_stderr, reason = "the figures are worth reading")]
    pub(super) fn messages_leave_no_buffers() {
        let root = Authority::root("root");
        let (server_tls, client_tls) = (server_of(&root.issue(&Wish::default())), client_of(&root));
        let (up, down) = (Shared::default(), Shared::default());
        let open = || -> Pair {
            let near = Crossed { incoming: down.clone(), outgoing: up.clone() };
            let far = Crossed { incoming: up.clone(), outgoing: down.clone() };
            let connecting = Tls::connect(&client_tls, "localhost", near);
            let accepting = Tls::accept(&server_tls, far);
            let (near, far) = ready(join(connecting, accepting));
            let builder = Builder::new();
            let mut client = builder.after_handshake(near.unwrap(), Role::Client, &[], []).unwrap();
            let mut server = builder.after_handshake(far.unwrap(), Role::Server, &[], []).unwrap();
            // Session tickets precede it, and the next pair uses the same queues.
            transfer(&mut server, &mut client, 1);
            (client, server)
        };
        let mut other = open();
        (0..100).for_each(|_| exchange(&mut other));
        let region = Region::new(ALLOCATOR);
        let mut pairs: Vec<_> = std::iter::repeat_with(open).take(SOCKETS / 10).collect();
        exchange(&mut other);
        let opened = growth(&region) / pairs.len();
        pairs.iter_mut().for_each(exchange);
        let used = growth(&region) / pairs.len();
        eprintln!("a pair of sockets over TLS: {opened} bytes of Rust's heap, after messages {used}");
        // A buffer that a socket kept would have 4 KiB at least.
        assert!(used <= opened + 1024, "{opened}, {used}");
    }
}

#[cfg(feature = "blocking")]
mod blocking_sockets {
    use std::collections::VecDeque;
    use std::io::{self, Read, Write};
    use std::sync::{Arc, Mutex};

    use sockeye::blocking::{Bare, Builder, WebSocket};
    use sockeye_test_support::bytes::{BINARY, masked};

    use super::{REQUEST, bytes_per_socket, growth_per_socket};

    const MOST: usize = 1024;

    /// A stream whose memory all sockets share, in nonblocking mode.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<VecDeque<u8>>>);

    impl Read for Shared {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.lock().unwrap().read(buffer) {
                Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
                read => read,
            }
        }
    }

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn echo(socket: &mut WebSocket<Bare<Shared>>) {
        while let Ok(message) = socket.receive() {
            socket.send(message.unwrap()).unwrap();
        }
    }

    #[expect(clippy::print_stderr, reason = "the figures are worth reading")]
    pub(super) fn idle_sockets_hold_little() {
        let stream = Shared::default();
        let builder = Builder::new();
        let push = |bytes: &[u8]| stream.0.lock().unwrap().extend(bytes);
        let accept = || {
            push(REQUEST);
            let mut socket = builder.server(Bare(stream.clone())).accept().unwrap();
            echo(&mut socket);
            socket
        };
        push(&[0; 1 << 20]);
        stream.0.lock().unwrap().clear();
        drop(accept());
        let (opened, mut sockets) = bytes_per_socket(size_of::<Shared>(), accept);
        let messages: Vec<_> = [20, 10_000, 70_000].map(|len| masked(BINARY, &vec![7; len])).concat();
        let exchange = |socket: &mut WebSocket<Bare<Shared>>| {
            push(&messages);
            echo(socket);
        };
        let used = opened + growth_per_socket(&mut sockets, accept(), exchange);
        eprintln!("an idle blocking socket: {opened} bytes, after messages {used}");
        assert!(opened <= MOST && used <= MOST, "{opened}, {used}");
    }
}

#[test]
fn idle_sockets_hold_little_memory() {
    #[cfg(feature = "futures")]
    async_sockets::idle_sockets_hold_little();
    #[cfg(feature = "blocking")]
    blocking_sockets::idle_sockets_hold_little();
    #[cfg(all(feature = "futures", feature = "ssl"))]
    encrypted_sockets::messages_leave_no_buffers();
}
