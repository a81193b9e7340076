//! Access to JavaScript values by name, and their conversion.

use js_sys::{Array, Function, JsString, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

use crate::message::Message;
use crate::protocol::ProtocolError;

/// A property of the global object, such as a window or a worker; undefined if it does not exist.
pub(super) fn global(name: &str) -> JsValue {
    property(&js_sys::global(), name)
}

/// A property of an object; undefined if it does not exist.
pub(super) fn property(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
}

/// Calls a method. If it is missing or throws, this does nothing: other events report the consequence.
pub(super) fn call(object: &JsValue, method: &str, arguments: &[&JsValue]) -> JsValue {
    let Ok(method) = property(object, method).dyn_into::<Function>() else { return JsValue::UNDEFINED };
    let arguments: Array = arguments.iter().copied().collect();
    method.apply(object, &arguments).unwrap_or(JsValue::UNDEFINED)
}

/// Creates an object with these properties.
pub(super) fn object(properties: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in properties {
        // This cannot fail on a plain object.
        let _ = Reflect::set(&object, &JsValue::from_str(name), value);
    }
    object.into()
}

/// The message of a value that was thrown.
pub(super) fn error_text(thrown: &JsValue) -> String {
    let text = property(thrown, "message").as_string().filter(|text| !text.is_empty());
    text.unwrap_or_else(|| "the browser gives no reason".to_owned())
}

/// Converts received data into a message. A text that is too long is not copied.
pub(super) fn into_message(data: &JsValue, max: usize) -> Result<Message, ProtocolError> {
    let message = if let Some(text) = data.dyn_ref::<JsString>() {
        // A code unit of UTF-16 needs at least one byte of UTF-8.
        check(text.length(), max)?;
        Message::Text(text.into())
    } else {
        // For a buffer this creates a view, for a view of another type a copy.
        let bytes = data.dyn_ref::<Uint8Array>().cloned().unwrap_or_else(|| Uint8Array::new(data));
        check(bytes.length(), max)?;
        Message::Binary(bytes.to_vec())
    };
    if message.len() > max { Err(ProtocolError::MessageTooLong) } else { Ok(message) }
}

fn check(len: u32, max: usize) -> Result<(), ProtocolError> {
    if usize::try_from(len).is_ok_and(|len| len <= max) { Ok(()) } else { Err(ProtocolError::MessageTooLong) }
}

/// The time since an arbitrary moment, in milliseconds; from a monotonic clock if the browser has one.
pub(super) fn now() -> f64 {
    call(&global("performance"), "now", &[]).as_f64().unwrap_or_else(js_sys::Date::now)
}
