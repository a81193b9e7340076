//! What the tests share: addresses, both interfaces, and limits for waiting.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::{Either, select};
use js_sys::{Function, Promise, Reflect};
use sockeye::browser::{Builder, Interface, WebSocket};
use sockeye::protocol::Config;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// How long a test waits for anything. It only detects a hang.
pub(crate) const LIMIT: Duration = Duration::from_secs(15);

/// The ports of `peer.rs`, in its order.
const PORTS: &str = env!("SOCKEYE_WASM_PEER");

pub(crate) fn port(number: usize) -> &'static str {
    PORTS.split(' ').nth(number).unwrap()
}

/// A URL of the event loop.
pub(crate) fn echo(path: &str) -> String {
    format!("ws://127.0.0.1:{}{path}", port(0))
}

/// A path that no other test uses.
pub(crate) fn name() -> String {
    format!("/{}", js_sys::Math::random())
}

/// Whether this is Chromium, which has both interfaces, in a window or in a worker.
pub(crate) fn is_browser() -> bool {
    property("process").is_undefined()
}

pub(crate) fn interfaces() -> Vec<Interface> {
    [Interface::Stream, Interface::Standard]
        .into_iter()
        .filter(|interface| interface.is_supported())
        .collect()
}

/// Runs a script with each interface that exists.
pub(crate) async fn for_all(script: impl AsyncFn(Builder)) {
    for interface in interfaces() {
        script(Builder::new().interface(interface)).await;
    }
}

/// The same with a connection to the event loop.
pub(crate) async fn for_all_echoes(script: impl AsyncFn(WebSocket)) {
    for_all(async |builder| script(within(builder.connect(&echo("/"))).await.unwrap()).await).await;
}

pub(crate) fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

/// The result of a future, which must be ready in time.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    in_time(LIMIT, what).await.expect("it did not happen in time")
}

/// The result of a future, or `None` if it is not ready in time.
pub(crate) async fn in_time<T>(limit: Duration, what: impl Future<Output = T>) -> Option<T> {
    match select(Box::pin(what), Box::pin(sleep(limit))).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

/// Polls a future once, and drops it if it waits.
pub(crate) fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

pub(crate) async fn sleep(time: Duration) {
    let set_timeout: Function = property("setTimeout").unchecked_into();
    let millis = JsValue::from_f64(time.as_secs_f64() * 1000.0);
    let promise =
        Promise::new(&mut |resolve, _| drop(set_timeout.call2(&JsValue::UNDEFINED, &resolve, &millis)));
    let _ = JsFuture::from(promise).await;
}

pub(crate) fn property(name: &str) -> JsValue {
    Reflect::get(&js_sys::global(), &name.into()).unwrap()
}

/// The time, in milliseconds.
pub(crate) fn now() -> f64 {
    let performance = property("performance");
    let now: Function = Reflect::get(&performance, &"now".into()).unwrap().unchecked_into();
    now.call0(&performance).unwrap().as_f64().unwrap()
}

/// Bytes that depend on their position.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}
