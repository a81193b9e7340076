//! The interface that every browser has: `WebSocket`, which reports everything with events (WHATWG WebSockets §3).

use std::cell::RefCell;
use std::io;
use std::rc::{Rc, Weak};
use std::time::Duration;

use js_sys::{Array, Function, Uint8Array};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{BinaryType, CloseEvent, Event, MessageEvent, WebSocket};

use super::Interface;
use super::backend::Backend;
use super::js;
use super::link::Link;
use super::state::{Opening, WakerKey};
use super::timer::{DelayedCall, MacrotaskScheduler};
use crate::close::{CloseCode, Closed};
use crate::message::Message;
use crate::socket::{Error, InvalidUrl, Result};

/// A socket of the browser, and the callbacks for its events.
#[derive(Debug)]
pub(super) struct Standard {
    socket: WebSocket,
    _on_open: Closure<dyn FnMut(Event)>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
    watcher: Rc<Watcher>,
}

/// Polls the number of unsent bytes, because the browser does not report when it decreases.
#[derive(Debug)]
struct Watcher {
    socket: WebSocket,
    link: Weak<Link>,
    watch: RefCell<Option<Watch>>,
}

/// The polling in progress.
#[derive(Debug)]
struct Watch {
    /// The number of unsent bytes at which the sender is woken.
    most: usize,
    /// The number of polls so far.
    polls: u32,
    scheduler: Option<MacrotaskScheduler>,
    call: Option<DelayedCall>,
}

/// The number of polls in consecutive tasks. After them the network is the limit, and polling can be slower.
const FAST_POLLS: u32 = 64;

/// The longest time between two polls, in milliseconds.
const MAX_WAIT: u32 = 16;

impl Standard {
    /// Asks the browser to connect.
    pub(super) fn connect(link: &Rc<Link>, url: &str, protocols: &[String]) -> Result<Self> {
        let protocols: Array = protocols.iter().map(|protocol| JsValue::from_str(protocol)).collect();
        let socket = WebSocket::new_with_str_sequence(url, &protocols)
            .map_err(|thrown| InvalidUrl::unsuitable(url, js::error_text(&thrown)))?;
        socket.set_binary_type(BinaryType::Arraybuffer);
        let on_open = on(link, {
            let socket = socket.clone();
            move |link, _: Event| link.opened(opening(&socket))
        });
        let on_message = on(link, |link, event: MessageEvent| link.received(&event.data()));
        let on_close = on(link, |link, event: CloseEvent| {
            link.change(|state| state.end_reading(None));
            link.ended(closed(&event));
        });
        socket.set_onopen(Some(function(&on_open)));
        socket.set_onmessage(Some(function(&on_message)));
        socket.set_onclose(Some(function(&on_close)));
        let watcher =
            Watcher { socket: socket.clone(), link: Rc::downgrade(link), watch: RefCell::new(None) };
        let watcher = Rc::new(watcher);
        Ok(Self { socket, _on_open: on_open, _on_message: on_message, _on_close: on_close, watcher })
    }
}

impl Backend for Standard {
    fn send(&self, message: &Message) -> Result<()> {
        let sent = match message {
            Message::Text(text) => self.socket.send_with_str(text),
            // A copy, because the browser does not accept memory that is shared between threads.
            Message::Binary(bytes) => {
                self.socket.send_with_array_buffer(&Uint8Array::from(&**bytes).buffer())
            }
        };
        sent.map_err(|thrown| Error::Io(io::Error::other(js::error_text(&thrown))))
    }

    fn buffered(&self) -> usize {
        buffered(&self.socket)
    }

    /// The browser shows only a number of bytes.
    fn is_empty(&self) -> bool {
        true
    }

    fn is_open(&self) -> bool {
        is_open(&self.socket)
    }

    fn watch(&self, most: usize) {
        self.watcher.start(most);
    }

    fn close(&self, code: Option<u16>, reason: &str) {
        // This cannot fail, because the code and the reason have been checked.
        let _ = match code {
            Some(code) => self.socket.close_with_code_and_reason(code, reason),
            None => self.socket.close(),
        };
    }

    fn abandon(&self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        self.watcher.watch.replace(None);
        let _ = self.socket.close();
    }
}

impl Watcher {
    fn start(self: &Rc<Self>, most: usize) {
        if let Some(watch) = &mut *self.watch.borrow_mut() {
            watch.most = most;
            return;
        }
        let weak = Rc::downgrade(self);
        let scheduler = MacrotaskScheduler::new(move || poll(&weak));
        self.watch.replace(Some(Watch { most, polls: 0, scheduler, call: None }));
        self.poll_later();
    }

    /// Checks the number of unsent bytes.
    fn poll(self: &Rc<Self>) {
        let most = self.watch.borrow().as_ref().map(|watch| watch.most);
        if most.is_some_and(|most| buffered(&self.socket) > most && is_open(&self.socket)) {
            return self.poll_later();
        }
        self.watch.replace(None);
        if let Some(link) = self.link.upgrade() {
            link.wake(WakerKey::Sender);
        }
    }

    fn poll_later(self: &Rc<Self>) {
        let mut watch = self.watch.borrow_mut();
        let Some(watch) = &mut *watch else { return };
        watch.polls += 1;
        match &watch.scheduler {
            Some(scheduler) if watch.polls <= FAST_POLLS => scheduler.schedule(),
            _ => {
                let wait = watch.polls.saturating_sub(FAST_POLLS).clamp(1, MAX_WAIT);
                let weak = Rc::downgrade(self);
                let call = DelayedCall::schedule(Duration::from_millis(wait.into()), move || poll(&weak));
                watch.call = Some(call);
            }
        }
    }
}

impl Drop for Standard {
    fn drop(&mut self) {
        self.abandon();
    }
}

fn poll(watcher: &Weak<Watcher>) {
    if let Some(watcher) = watcher.upgrade() {
        watcher.poll();
    }
}

fn buffered(socket: &WebSocket) -> usize {
    usize::try_from(socket.buffered_amount()).unwrap_or(usize::MAX)
}

fn is_open(socket: &WebSocket) -> bool {
    socket.ready_state() == WebSocket::OPEN
}

/// Creates a callback for an event. It does nothing once the connection is gone.
fn on<E: wasm_bindgen::convert::FromWasmAbi + 'static>(
    link: &Rc<Link>,
    then: impl Fn(&Rc<Link>, E) + 'static,
) -> Closure<dyn FnMut(E)> {
    let link = Rc::downgrade(link);
    Closure::new(move |event| {
        if let Some(link) = link.upgrade() {
            then(&link, event);
        }
    })
}

fn function<T: ?Sized>(closure: &Closure<T>) -> &Function {
    closure.as_ref().unchecked_ref()
}

fn opening(socket: &WebSocket) -> Opening {
    Opening {
        url: socket.url(),
        protocol: socket.protocol(),
        extensions: socket.extensions(),
        interface: Interface::Standard,
    }
}

fn closed(event: &CloseEvent) -> Closed {
    let code = CloseCode::from(event.code());
    Closed { code, reason: event.reason(), was_clean: event.was_clean() }
}
