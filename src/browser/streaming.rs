//! The interface that holds the peer back: `WebSocketStream`, whose streams are read and written by a task each.

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
use super::js::{call, global, into_error, object, property};
use super::link::{Link, refused};
use super::state::{Opening, Phase, Who};
use crate::close::{CloseCode, Closed};
use crate::error::{ErrorKind, Result};
use crate::message::Message;
use crate::protocol::ProtocolError;

/// A `WebSocketStream`, and what is to be written to it.
#[derive(Debug)]
pub(super) struct Streaming {
    socket: JsValue,
    outbox: RefCell<VecDeque<Outgoing>>,
    /// How much is in the outbox, or on its way from there, in bytes.
    buffered: Cell<usize>,
    /// How many messages that are.
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
            .map_err(|thrown| into_error(ErrorKind::Internal, &thrown))?;
        handle(promise(&socket, "closed"));
        spawn_local(await_opening(Rc::clone(link), socket.clone()));
        let (outbox, buffered, messages, reader) = Default::default();
        Ok(Self { socket, outbox, buffered, messages, reader })
    }

    pub(super) fn send(&self, message: &Message) {
        let chunk = match message {
            Message::Text(text) => JsValue::from_str(text),
            Message::Binary(bytes) => Uint8Array::from(&**bytes).into(),
        };
        self.buffered.set(self.buffered.get().saturating_add(message.len()));
        self.messages.set(self.messages.get().saturating_add(1));
        self.outbox.borrow_mut().push_back(Outgoing::Message(chunk, message.len()));
    }

    pub(super) fn buffered(&self) -> usize {
        self.buffered.get()
    }

    /// Whether no message waits to be sent, not even an empty one.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.get() == 0
    }

    /// Closes behind what waits to be sent.
    pub(super) fn close(&self, code: Option<u16>, reason: &str) {
        let info = match code {
            Some(code) => object(&[("closeCode", code.into()), ("reason", JsValue::from_str(reason))]),
            None => object(&[]),
        };
        self.outbox.borrow_mut().push_back(Outgoing::Close(info));
    }

    /// Lets go of everything.
    pub(super) fn abandon(&self) {
        call(&self.socket, "close", &[]);
        if let Some(reader) = self.reader.take() {
            handle(reader.cancel());
        }
    }

    fn take(&self) -> Option<Outgoing> {
        self.outbox.borrow_mut().pop_front()
    }

    fn sent(&self, len: usize) {
        self.buffered.set(self.buffered.get().saturating_sub(len));
        self.messages.set(self.messages.get().saturating_sub(1));
    }
}

/// Waits for the end of the connection.
async fn await_end(link: Rc<Link>, closed: Promise) {
    let closed = match JsFuture::from(closed).await {
        Ok(info) => closed_of(&info, true),
        // The error has what is known of the end: not every one without a closing handshake has no Close.
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

/// Waits for the opening handshake, and goes on with reading and writing.
async fn await_opening(link: Rc<Link>, socket: JsValue) {
    let opened = match JsFuture::from(promise(&socket, "opened")).await {
        Ok(opened) => opened,
        Err(err) => {
            let details = into_error(ErrorKind::Internal, &err).details;
            link.change(|state| state.end_reading(Some(refused(details))));
            return link.ended(Closed::abnormal());
        }
    };
    if link.with(|state| state.phase != Phase::Connecting) {
        call(&socket, "close", &[]);
        return;
    }
    let text = |of, name| property(of, name).as_string().unwrap_or_default();
    let reader: ReadableStream = property(&opened, "readable").unchecked_into();
    let writer: WritableStream = property(&opened, "writable").unchecked_into();
    let Ok(reader) = reader.get_reader().dyn_into::<ReadableStreamDefaultReader>() else { return };
    let Ok(writer) = writer.get_writer() else { return };
    if let Some(streaming) = link.streaming() {
        streaming.reader.replace(Some(reader.clone()));
    }
    link.opened(Opening {
        url: text(&socket, "url"),
        protocol: text(&opened, "protocol"),
        extensions: text(&opened, "extensions"),
        interface: Interface::Stream,
    });
    spawn_local(await_end(Rc::clone(&link), promise(&socket, "closed")));
    spawn_local(write(Rc::clone(&link), writer, socket));
    read(link, reader).await;
}

/// Reads one message after the other, as long as none waits for the program.
async fn read(link: Rc<Link>, reader: ReadableStreamDefaultReader) {
    let err = loop {
        link.until(Who::Reading, |state| {
            state.inbox.is_empty() || state.phase == Phase::Closing || state.is_left
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

/// Writes one message after the other, as fast as the network takes them, and then the Close.
async fn write(link: Rc<Link>, writer: WritableStreamDefaultWriter, socket: JsValue) {
    while let Some(next) = next_outgoing(&link).await {
        match next {
            Outgoing::Message(chunk, len) => {
                if JsFuture::from(writer.write_with_chunk(&chunk)).await.is_err() {
                    return link.change(|state| state.has_lost_output = true);
                }
                if let Some(streaming) = link.streaming() {
                    streaming.sent(len);
                }
                link.wake(Who::Sender);
            }
            Outgoing::Close(info) => {
                call(&socket, "close", &[&info]);
                return;
            }
        }
    }
}

/// Waits for what is to be written next; `None` when the connection has ended.
async fn next_outgoing(link: &Link) -> Option<Outgoing> {
    poll_fn(|cx| {
        if let Some(next) = link.streaming().and_then(Streaming::take) {
            return Poll::Ready(Some(next));
        }
        link.with(
            |state| {
                if state.phase == Phase::Closed { Poll::Ready(None) } else { state.wait(Who::Writing, cx) }
            },
        )
    })
    .await
}

fn promise(object: &JsValue, name: &str) -> Promise {
    Promise::resolve(&property(object, name))
}

/// Takes note of a failure that does not matter, so that the browser does not report it as overlooked.
fn handle(promise: Promise) {
    spawn_local(async move { drop(JsFuture::from(promise).await) });
}
