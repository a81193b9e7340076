//! A stream in memory whose other end the test holds, and futures that are polled by hand.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::io::{AsyncRead, AsyncWrite};
use sockeye::Frame;
use sockeye::futures::{Builder, Client, WebSocket};
use sockeye::protocol::handshake::accept_value;

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

/// The end that a socket gets.
pub(crate) struct End {
    incoming: Arc<Mutex<Half>>,
    outgoing: Arc<Mutex<Half>>,
    /// How many bytes go at once.
    pub(crate) piece: usize,
    /// Of so many polls one is ready, on average; 0 for all.
    pub(crate) hesitates: u32,
    seed: u32,
}

/// The end that a test holds.
pub(crate) struct Raw {
    incoming: Arc<Mutex<Half>>,
    outgoing: Arc<Mutex<Half>>,
}

fn halves() -> [Arc<Mutex<Half>>; 2] {
    [(); 2].map(|()| Arc::new(Mutex::new(Half { room: usize::MAX, ..Half::default() })))
}

/// A stream, and its other end.
pub(crate) fn pipe() -> (End, Raw) {
    let [up, down] = halves();
    let raw = Raw { incoming: Arc::clone(&up), outgoing: Arc::clone(&down) };
    (End { incoming: down, outgoing: up, piece: usize::MAX, hesitates: 0, seed: 1 }, raw)
}

/// Two streams that are joined.
pub(crate) fn duplex() -> (End, End) {
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
        // In no rhythm, so that no caller falls into step with it.
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

impl Raw {
    pub(crate) fn say(&self, bytes: impl AsRef<[u8]>) {
        let mut half = self.outgoing.lock().unwrap();
        half.bytes.extend(bytes.as_ref());
        if let Some(reader) = half.reader.take() {
            reader.wake();
        }
    }

    /// Everything that the socket has written and nobody has heard.
    pub(crate) fn hear(&self) -> Vec<u8> {
        let mut half = self.incoming.lock().unwrap();
        if let Some(writer) = half.writer.take() {
            writer.wake();
        }
        half.bytes.drain(..).collect()
    }

    /// The same as text.
    pub(crate) fn hear_text(&self) -> String {
        String::from_utf8(self.hear()).unwrap()
    }

    /// The same as frames.
    pub(crate) fn hear_frames(&self) -> Vec<Frame> {
        let mut cursor = io::Cursor::new(self.hear());
        std::iter::from_fn(|| Frame::parse(&mut cursor, u64::MAX).unwrap()).collect()
    }

    pub(crate) fn has_heard_the_end(&self) -> bool {
        let half = self.incoming.lock().unwrap();
        half.bytes.is_empty() && half.has_ended
    }

    pub(crate) fn end(&self) {
        end(&self.outgoing);
    }

    /// How much of what was said the socket has not read, in bytes.
    pub(crate) fn unread(&self) -> usize {
        self.outgoing.lock().unwrap().bytes.len()
    }

    /// Takes no more than so many bytes that nobody hears.
    pub(crate) fn limit(&self, room: usize) {
        self.incoming.lock().unwrap().room = room;
    }

    /// Fails like a connection that is reset.
    pub(crate) fn reset(&self) {
        self.incoming.lock().unwrap().is_broken = true;
        self.outgoing.lock().unwrap().is_broken = true;
    }
}

/// Counts how often it is woken.
#[derive(Default)]
pub(crate) struct Woken(Mutex<usize>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() += 1;
    }
}

impl Woken {
    pub(crate) fn count(&self) -> usize {
        *self.0.lock().unwrap()
    }
}

/// Polls once.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls a few times, as long as it is woken at once, and drops the future if it waits for more.
pub(crate) fn now<F: Future>(future: F) -> Option<F::Output> {
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

/// Waits as long as it takes.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
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
            Poll::Pending => std::thread::park_timeout(std::time::Duration::from_secs(10)),
        }
    }
}

/// What is ready now.
#[track_caller]
pub(crate) fn ready<F: Future>(future: F) -> F::Output {
    now(future).expect("the future is ready")
}

/// The head that accepts the request of a client.
pub(crate) fn acceptance(request: &str, headers: &str) -> String {
    let key = header(request, "Sec-WebSocket-Key").expect("there is a key");
    let accept = accept_value(key);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{headers}\r\n"
    )
}

/// The value of a header.
pub(crate) fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// A client that has sent its request, the request, and the other end.
pub(crate) fn asking(builder: &Builder) -> (Client<End>, String, Raw) {
    let (end, raw) = pipe();
    let mut client = builder.client(end, "ws://example.com/chat").unwrap();
    assert!(now(client.handshake()).is_none());
    let request = raw.hear_text();
    (client, request, raw)
}

/// A client that is open.
pub(crate) fn open_client(builder: &Builder) -> (WebSocket<End>, Raw) {
    let (mut client, request, raw) = asking(builder);
    raw.say(acceptance(&request, ""));
    ready(client.handshake()).unwrap();
    (client.into_socket().unwrap(), raw)
}

pub(crate) const REQUEST: &str = "GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Origin: http://example.com\r\nSec-WebSocket-Protocol: soap, wamp\r\n\r\n";

/// A server that is open.
pub(crate) fn open_server(builder: &Builder) -> (WebSocket<End>, Raw) {
    let (end, raw) = pipe();
    raw.say(REQUEST);
    let socket = ready(builder.server(end).accept()).unwrap();
    assert!(raw.hear_text().starts_with("HTTP/1.1 101 "));
    (socket, raw)
}

/// A frame of a server: not masked.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    with_header(first, 0, payload)
}

/// A frame of a client, masked with zeros.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    with_header(first, 0x80, payload)
}

fn with_header(first: u8, mask: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(mask | u8::try_from(short).unwrap()),
        middle @ 126..65_536 => {
            frame.push(mask | 126);
            frame.extend(u16::try_from(middle).unwrap().to_be_bytes());
        }
        long => {
            frame.push(mask | 127);
            frame.extend(u64::try_from(long).unwrap().to_be_bytes());
        }
    }
    if mask != 0 {
        frame.extend([0; 4]);
    }
    frame.extend(payload);
    frame
}

/// A Close frame's payload.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}
