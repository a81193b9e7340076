//! Calling a function later: after a delay, or in a later task of the event loop.

use std::time::Duration;

use js_sys::Function;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageChannel, MessagePort};

use super::js::{call, global};

/// A call after a delay, unless it is dropped before.
#[derive(Debug)]
pub(super) struct DelayedCall {
    id: JsValue,
    _callback: Closure<dyn FnMut()>,
}

/// The longest delay of `setTimeout`, in milliseconds. It treats a longer one as zero.
const MAX_DELAY: u32 = i32::MAX.unsigned_abs();

impl DelayedCall {
    /// Schedules a call. If the global object has no `setTimeout`, it never happens.
    pub(super) fn schedule(after: Duration, callback: impl FnMut() + 'static) -> Self {
        let callback = Closure::<dyn FnMut()>::new(callback);
        // Rounded up, so that the call is never too early.
        let millis = after.as_secs().saturating_mul(1000);
        let millis =
            millis.saturating_add(after.subsec_nanos().div_ceil(1_000_000).into()).min(MAX_DELAY.into());
        let millis = JsValue::from_f64(u32::try_from(millis).unwrap_or(MAX_DELAY).into());
        let id = call(&js_sys::global(), "setTimeout", &[callback.as_ref(), &millis]);
        Self { id, _callback: callback }
    }
}

impl Drop for DelayedCall {
    fn drop(&mut self) {
        call(&js_sys::global(), "clearTimeout", &[&self.id]);
    }
}

/// Calls a function in a later task of the event loop.
///
/// This is faster than `setTimeout`, which browsers slow down to 4 milliseconds, and in hidden pages to a second or more.
#[derive(Debug)]
pub(super) struct MacrotaskScheduler {
    sender: MessagePort,
    receiver: MessagePort,
    _callback: Closure<dyn FnMut()>,
}

impl MacrotaskScheduler {
    /// Creates a scheduler, or `None` if the global object has no `MessageChannel`.
    pub(super) fn new(callback: impl FnMut() + 'static) -> Option<Self> {
        global("MessageChannel").dyn_ref::<Function>()?;
        let channel = MessageChannel::new().ok()?;
        let callback = Closure::<dyn FnMut()>::new(callback);
        let (sender, receiver) = (channel.port1(), channel.port2());
        receiver.set_onmessage(Some(callback.as_ref().unchecked_ref()));
        Some(Self { sender, receiver, _callback: callback })
    }

    /// Schedules one call.
    pub(super) fn schedule(&self) {
        // This cannot fail, because the message is empty.
        let _ = self.sender.post_message(&JsValue::UNDEFINED);
    }
}

impl Drop for MacrotaskScheduler {
    fn drop(&mut self) {
        self.receiver.set_onmessage(None);
        self.sender.close();
        self.receiver.close();
    }
}
