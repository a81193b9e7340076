//! Being called later: after some time, or with the next task of the event loop.

use std::time::Duration;

use js_sys::Function;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{MessageChannel, MessagePort};

use super::js::{call, global};

/// A call after some time, unless it is dropped before.
#[derive(Debug)]
pub(super) struct Alarm {
    id: JsValue,
    _ring: Closure<dyn FnMut()>,
}

/// The longest time of `setTimeout`, in milliseconds; a longer one would be none at all.
const LONGEST: u32 = i32::MAX.unsigned_abs();

impl Alarm {
    /// Where the global object has no `setTimeout`, the call never comes.
    pub(super) fn set(after: Duration, ring: impl FnMut() + 'static) -> Self {
        let ring = Closure::<dyn FnMut()>::new(ring);
        // Never too early, by whatever is less than a millisecond.
        let millis = after.as_nanos().div_ceil(1_000_000).min(LONGEST.into());
        let millis = JsValue::from_f64(u32::try_from(millis).unwrap_or(LONGEST).into());
        let id = call(&js_sys::global(), "setTimeout", &[ring.as_ref(), &millis]);
        Self { id, _ring: ring }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        call(&js_sys::global(), "clearTimeout", &[&self.id]);
    }
}

/// A way around the event loop. It is faster than `setTimeout`, which browsers slow down to 4 ms, and for a page that
/// is not seen to a second or more.
#[derive(Debug)]
pub(super) struct Lap {
    there: MessagePort,
    back: MessagePort,
    _land: Closure<dyn FnMut()>,
}

impl Lap {
    /// Prepares the way; `None` where the global object has no `MessageChannel`.
    pub(super) fn new(land: impl FnMut() + 'static) -> Option<Self> {
        global("MessageChannel").dyn_ref::<Function>()?;
        let channel = MessageChannel::new().ok()?;
        let land = Closure::<dyn FnMut()>::new(land);
        let (there, back) = (channel.port1(), channel.port2());
        back.set_onmessage(Some(land.as_ref().unchecked_ref()));
        Some(Self { there, back, _land: land })
    }

    /// Calls with a later task of the event loop.
    pub(super) fn go(&self) {
        // It cannot fail: there is nothing in the message.
        let _ = self.there.post_message(&JsValue::UNDEFINED);
    }
}

impl Drop for Lap {
    fn drop(&mut self) {
        self.back.set_onmessage(None);
        self.there.close();
        self.back.close();
    }
}
