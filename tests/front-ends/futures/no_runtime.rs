//! A13: nothing but the traits of `futures-io` is needed, and any executor will do.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use futures_util::io::{AsyncRead, AsyncWrite};
use sockeye::CloseCode;
use sockeye::futures::{Builder, WebSocket};

use crate::support::{duplex, wait};

/// A socket of the system without a runtime: where it would block, it is polled again at once.
struct Busy(TcpStream);

fn again<T>(result: io::Result<T>, cx: &Context<'_>) -> Poll<io::Result<T>> {
    match result {
        Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
            thread::yield_now();
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        result => Poll::Ready(result),
    }
}

impl AsyncRead for Busy {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        again(self.0.read(buffer), cx)
    }
}

impl AsyncWrite for Busy {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        again(self.0.write(bytes), cx)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.shutdown(std::net::Shutdown::Write))
    }
}

fn busy(stream: TcpStream) -> Busy {
    stream.set_nonblocking(true).unwrap();
    Busy(stream)
}

async fn echo<S: sockeye::futures::Transport>(mut socket: WebSocket<S>) -> sockeye::futures::Result<()> {
    while let Some(message) = socket.receive().await? {
        socket.send(message).await?;
    }
    Ok(())
}

#[test]
fn a13_futures_run_on_a_thread_that_blocks() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let stream = busy(listener.accept().unwrap().0);
        wait(async { echo(Builder::new().server(stream).accept().await?).await })
    });
    wait(async {
        let stream = busy(TcpStream::connect(address)?);
        let mut socket = Builder::new().client(stream, &format!("ws://{address}/"))?.open().await?;
        for len in [0, 1, 70_000, 300_000] {
            socket.send(vec![7; len]).await?;
            assert_eq!(socket.receive().await?.unwrap().as_bytes(), vec![7; len]);
        }
        assert!(socket.close(CloseCode::Normal, "").await?.was_clean);
        sockeye::futures::Result::Ok(())
    })
    .unwrap();
    server.join().unwrap().unwrap();
}

#[test]
fn a13_both_ends_can_run_in_one_task() {
    let (near, far) = duplex();
    let builder = Builder::new();
    let client = async {
        let mut socket = builder.client(near, "ws://localhost/")?.open().await?;
        socket.send("salmon").await?;
        assert_eq!(socket.receive().await?, Some("salmon".into()));
        socket.close(CloseCode::Normal, "").await
    };
    let server = async { echo(builder.server(far).accept().await?).await };
    let (closed, served) = wait(async { futures_util::join!(client, server) });
    assert!(closed.unwrap().was_clean);
    served.unwrap();
}
