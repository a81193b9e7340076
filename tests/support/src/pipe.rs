//! A stream in memory whose other end belongs to the test, and functions that poll futures without a runtime.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_io::{AsyncRead, AsyncWrite};
use sockeye::Frame;

/// One direction of a pipe.
#[derive(Default)]
struct Half {
    bytes: VecDeque<u8>,
    room: usize,
    has_ended: bool,
    is_broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The end that a socket uses.
pub struct End {
    incoming: Arc<Mutex<Half>>,
    outgoing: Arc<Mutex<Half>>,
    /// The maximum number of bytes that one call reads or writes.
    pub piece: usize,
    /// On average, one of this many polls is ready. 0 means that all polls are ready.
    pub hesitates: u32,
    seed: u32,
}

/// The end that a test uses.
pub struct RemoteEnd {
    incoming: Arc<Mutex<Half>>,
    outgoing: Arc<Mutex<Half>>,
}

fn halves() -> [Arc<Mutex<Half>>; 2] {
    [(); 2].map(|()| Arc::new(Mutex::new(Half { room: usize::MAX, ..Half::default() })))
}

/// Returns a stream and its other end.
pub fn pipe() -> (End, RemoteEnd) {
    let [up, down] = halves();
    let raw = RemoteEnd { incoming: Arc::clone(&up), outgoing: Arc::clone(&down) };
    (End { incoming: down, outgoing: up, piece: usize::MAX, hesitates: 0, seed: 1 }, raw)
}

/// Returns two streams that are connected to each other.
pub fn duplex() -> (End, End) {
    let [up, down] = halves();
    let end = |incoming: &Arc<Mutex<Half>>, outgoing: &Arc<Mutex<Half>>| End {
        incoming: Arc::clone(incoming),
        outgoing: Arc::clone(outgoing),
        piece: usize::MAX,
        hesitates: 0,
        seed: 1,
    };
    (end(&up, &down), end(&down, &up))
}

impl End {
    fn hesitates_now(&mut self, cx: &mut Context<'_>) -> bool {
        // At random, so that no caller depends on a pattern.
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let hesitates = self.hesitates > 0 && !(self.seed >> 16).is_multiple_of(self.hesitates);
        if hesitates {
            cx.waker().wake_by_ref();
        }
        hesitates
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.hesitates_now(cx) {
            return Poll::Pending;
        }
        let mut half = self.incoming.lock().unwrap();
        let len = half.bytes.len().min(buffer.len()).min(self.piece);
        if len == 0 && half.is_broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if len == 0 && !half.has_ended {
            half.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        for (to, from) in buffer.iter_mut().zip(half.bytes.drain(..len)) {
            *to = from;
        }
        if let Some(writer) = half.writer.take() {
            writer.wake();
        }
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for End {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.hesitates_now(cx) {
            return Poll::Pending;
        }
        let mut half = self.outgoing.lock().unwrap();
        if half.is_broken || half.has_ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let len = bytes.len().min(self.piece).min(half.room.saturating_sub(half.bytes.len()));
        if len == 0 {
            half.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        half.bytes.extend(&bytes[..len]);
        if let Some(reader) = half.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.hesitates_now(cx) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.hesitates_now(cx) {
            return Poll::Pending;
        }
        end(&self.outgoing);
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        end(&self.outgoing);
        self.incoming.lock().unwrap().is_broken = true;
    }
}

fn end(half: &Mutex<Half>) {
    let mut half = half.lock().unwrap();
    half.has_ended = true;
    if let Some(reader) = half.reader.take() {
        reader.wake();
    }
}

impl RemoteEnd {
    pub fn write(&self, bytes: impl AsRef<[u8]>) {
        let mut half = self.outgoing.lock().unwrap();
        half.bytes.extend(bytes.as_ref());
        if let Some(reader) = half.reader.take() {
            reader.wake();
        }
    }

    /// Returns all bytes that the socket has written and the test has not read.
    pub fn read(&self) -> Vec<u8> {
        let mut half = self.incoming.lock().unwrap();
        if let Some(writer) = half.writer.take() {
            writer.wake();
        }
        half.bytes.drain(..).collect()
    }

    /// Like [`read`](Self::read), but returns the bytes as text.
    pub fn read_text(&self) -> String {
        String::from_utf8(self.read()).unwrap()
    }

    /// Like [`read`](Self::read), but returns the bytes as frames.
    pub fn read_frames(&self) -> Vec<Frame> {
        let mut cursor = io::Cursor::new(self.read());
        std::iter::from_fn(|| Frame::parse(&mut cursor, u64::MAX).unwrap()).collect()
    }

    pub fn has_ended(&self) -> bool {
        let half = self.incoming.lock().unwrap();
        half.bytes.is_empty() && half.has_ended
    }

    pub fn end(&self) {
        end(&self.outgoing);
    }

    /// Returns the number of bytes that the test has written and the socket has not read.
    pub fn unread(&self) -> usize {
        self.outgoing.lock().unwrap().bytes.len()
    }

    /// Limits the bytes that the socket can write before the test reads them.
    pub fn limit(&self, room: usize) {
        self.incoming.lock().unwrap().room = room;
    }

    /// Makes further calls of the socket fail as on a connection that was reset.
    pub fn reset(&self) {
        self.incoming.lock().unwrap().is_broken = true;
        self.outgoing.lock().unwrap().is_broken = true;
    }
}

/// A waker that counts its calls.
#[derive(Default)]
pub struct Woken(Mutex<usize>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() += 1;
    }
}

impl Woken {
    pub fn count(&self) -> usize {
        *self.0.lock().unwrap()
    }
}

/// Polls a future once.
pub fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls a future as long as it is woken during the poll. Returns its output, or drops it and returns `None` if it is
/// waiting.
pub fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    loop {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return Some(output),
            Poll::Pending if woken.count() == 0 => return None,
            Poll::Pending => {}
        }
    }
}

/// Blocks the thread until the future is ready.
pub fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park_timeout(crate::LIMIT),
        }
    }
}

/// Returns the output of a future that does not wait. A future that waits fails the test.
#[track_caller]
pub fn ready<F: Future>(future: F) -> F::Output {
    now(future).expect("the future is ready")
}
