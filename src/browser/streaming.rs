//! The interface that slows down the peer: `WebSocketStream`, with a task for each of its two streams.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use js_sys::{Array, Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{ReadableStream, ReadableStreamDefaultReader, WritableStream, WritableStreamDefaultWriter};

use super::Interface;
use super::backend::Backend;
use super::js::{call, error_text, global, object, property};
use super::link::Link;
use super::state::{Opening, ReadyState, WakerKey};
use crate::close::{CloseCode, Closed};
use crate::message::Message;
use crate::protocol::ProtocolError;
use crate::socket::{InvalidUrl, Result};

/// A `WebSocketStream`, and the output for it.
#[derive(Debug)]
pub(super) struct Streaming {
    socket: JsValue,
    shared: Rc<Shared>,
}

/// What the socket shares with the tasks that read and write.
#[derive(Debug, Default)]
struct Shared {
    outbox: RefCell<VecDeque<Outgoing>>,
    /// The number of bytes in the outbox, and of those that are being written.
    buffered: Cell<usize>,
    /// The number of messages in the outbox, and of those that are being written.
    messages: Cell<usize>,
    reader: RefCell<Option<ReadableStreamDefaultReader>>,
}

#[derive(Debug)]
enum Outgoing {
    Message(JsValue, usize),
    Close(JsValue),
}

impl Streaming {
    /// Asks the browser to connect.
    pub(super) fn connect(link: &Rc<Link>, url: &str, protocols: &[String]) -> Result<Self> {
        let constructor: Function = global(Interface::Stream.name()).unchecked_into();
        let protocols: Array = protocols.iter().map(|protocol| JsValue::from_str(protocol)).collect();
        let options = object(&[("protocols", protocols.into())]);
        let socket = Reflect::construct(&constructor, &Array::of2(&JsValue::from_str(url), &options))
            .map_err(|thrown| InvalidUrl::unsuitable(url, error_text(&thrown)))?;
        handle(promise(&socket, "closed"));
        let shared = Rc::<Shared>::default();
        spawn_local(await_opening(Rc::clone(link), socket.clone(), Rc::clone(&shared)));
        Ok(Self { socket, shared })
    }
}

impl Backend for Streaming {
    fn send(&self, message: &Message) -> Result<()> {
        let chunk = match message {
            Message::Text(text) => JsValue::from_str(text),
            Message::Binary(bytes) => Uint8Array::from(&**bytes).into(),
        };
        let Shared { buffered, messages, .. } = &*self.shared;
        buffered.set(buffered.get().saturating_add(message.len()));
        messages.set(messages.get().saturating_add(1));
        self.shared.outbox.borrow_mut().push_back(Outgoing::Message(chunk, message.len()));
        Ok(())
    }

    fn buffered(&self) -> usize {
        self.shared.buffered.get()
    }

    fn is_empty(&self) -> bool {
        self.shared.messages.get() == 0
    }

    /// The state of the connection is enough.
    fn is_open(&self) -> bool {
        true
    }

    /// The task that writes wakes the sender after each message.
    fn watch(&self, _: usize) {}

    fn close(&self, code: Option<u16>, reason: &str) {
        let info = match code {
            Some(code) => object(&[("closeCode", code.into()), ("reason", JsValue::from_str(reason))]),
            None => object(&[]),
        };
        self.shared.outbox.borrow_mut().push_back(Outgoing::Close(info));
    }

    fn abandon(&self) {
        call(&self.socket, "close", &[]);
        if let Some(reader) = self.shared.reader.take() {
            handle(reader.cancel());
        }
    }
}

impl Shared {
    fn record_sent(&self, len: usize) {
        self.buffered.set(self.buffered.get().saturating_sub(len));
        self.messages.set(self.messages.get().saturating_sub(1));
    }
}

/// Waits for the end of the connection.
async fn await_end(link: Rc<Link>, closed: Promise) {
    let closed = match JsFuture::from(closed).await {
        Ok(info) => closed_of(&info, true),
        // The error contains the code and the reason, if the peer has sent a Close.
        Err(err) => closed_of(&err, false),
    };
    link.ended(closed);
}

fn closed_of(info: &JsValue, was_clean: bool) -> Closed {
    let code = js_sys::Number::from(property(info, "closeCode")).value_of();
    let code = (0..=u16::MAX).find(|number| f64::from(*number) == code);
    let unknown = if was_clean { CloseCode::Status } else { CloseCode::Abnormal };
    let reason = property(info, "reason").as_string().unwrap_or_default();
    Closed { code: code.map_or(unknown, CloseCode::from), reason, was_clean }
}

/// Waits for the opening handshake, and then reads and writes.
async fn await_opening(link: Rc<Link>, socket: JsValue, shared: Rc<Shared>) {
    let opened = match JsFuture::from(promise(&socket, "opened")).await {
        Ok(opened) => opened,
        Err(err) => {
            let refused = link.refused(error_text(&err));
            link.change(|state| state.end_reading(Some(refused)));
            return link.ended(Closed::abnormal());
        }
    };
    if link.with(|state| state.ready_state != ReadyState::Connecting) {
        call(&socket, "close", &[]);
        return;
    }
    let text = |of, name| property(of, name).as_string().unwrap_or_default();
    let reader: ReadableStream = property(&opened, "readable").unchecked_into();
    let writer: WritableStream = property(&opened, "writable").unchecked_into();
    let Ok(reader) = reader.get_reader().dyn_into::<ReadableStreamDefaultReader>() else { return };
    let Ok(writer) = writer.get_writer() else { return };
    shared.reader.replace(Some(reader.clone()));
    link.opened(Opening {
        url: text(&socket, "url"),
        protocol: text(&opened, "protocol"),
        extensions: text(&opened, "extensions"),
        interface: Interface::Stream,
    });
    spawn_local(await_end(Rc::clone(&link), promise(&socket, "closed")));
    spawn_local(write(Rc::clone(&link), writer, socket, shared));
    read(link, reader).await;
}

/// Reads the next message whenever none is waiting for the program.
async fn read(link: Rc<Link>, reader: ReadableStreamDefaultReader) {
    let err = loop {
        link.until(WakerKey::Reading, |state| {
            state.received.is_empty() || state.ready_state == ReadyState::Closing || state.is_abandoned()
        })
        .await;
        match JsFuture::from(reader.read()).await {
            Ok(chunk) if property(&chunk, "done").is_truthy() => break None,
            Ok(chunk) => link.received(&property(&chunk, "value")),
            Err(_) => break Some(ProtocolError::ConnectionLost.into()),
        }
    };
    link.change(|state| state.end_reading(err));
}

/// Writes the messages as fast as the network accepts them, and then the Close.
async fn write(link: Rc<Link>, writer: WritableStreamDefaultWriter, socket: JsValue, shared: Rc<Shared>) {
    while let Some(next) = next_outgoing(&link, &shared).await {
        match next {
            Outgoing::Message(chunk, len) => {
                if JsFuture::from(writer.write_with_chunk(&chunk)).await.is_err() {
                    return link.change(|state| state.has_lost_output = true);
                }
                shared.record_sent(len);
                link.wake(WakerKey::Sender);
            }
            Outgoing::Close(info) => {
                call(&socket, "close", &[&info]);
                return;
            }
        }
    }
}

/// Waits for the next output; `None` when the connection has ended.
async fn next_outgoing(link: &Link, shared: &Shared) -> Option<Outgoing> {
    poll_fn(|cx| {
        if let Some(next) = shared.outbox.borrow_mut().pop_front() {
            return Poll::Ready(Some(next));
        }
        link.with(|state| {
            if state.ready_state == ReadyState::Closed {
                Poll::Ready(None)
            } else {
                state.wait(WakerKey::Writing, cx)
            }
        })
    })
    .await
}

fn promise(object: &JsValue, name: &str) -> Promise {
    Promise::resolve(&property(object, name))
}

/// Ignores a failure that does not matter, so that the browser does not report it as unhandled.
fn handle(promise: Promise) {
    spawn_local(async move { drop(JsFuture::from(promise).await) });
}
