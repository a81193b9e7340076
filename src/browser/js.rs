//! What is looked up in JavaScript by name, and how its values become ours.

use js_sys::{Array, Function, JsString, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

use crate::error::{Error, ErrorKind};
use crate::message::Message;
use crate::protocol::ProtocolError;

/// A property of the global object, be that a window, a worker or something else; undefined if there is none.
pub(super) fn global(name: &str) -> JsValue {
    property(&js_sys::global(), name)
}

/// A property of an object; undefined if there is none.
pub(super) fn property(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
}

/// Calls a method, and passes over one that is missing or throws: what that leads to is heard elsewhere.
pub(super) fn call(object: &JsValue, method: &str, arguments: &[&JsValue]) -> JsValue {
    let Ok(method) = property(object, method).dyn_into::<Function>() else { return JsValue::UNDEFINED };
    let arguments: Array = arguments.iter().copied().collect();
    method.apply(object, &arguments).unwrap_or(JsValue::UNDEFINED)
}

/// An object with these properties.
pub(super) fn object(properties: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in properties {
        // It cannot fail: the object is a plain one.
        let _ = Reflect::set(&object, &JsValue::from_str(name), value);
    }
    object.into()
}

/// What the browser says went wrong.
pub(super) fn into_error(kind: ErrorKind, thrown: &JsValue) -> Error {
    let text = property(thrown, "message").as_string().filter(|text| !text.is_empty());
    Error::new(kind, text.unwrap_or_else(|| "the browser does not say why".to_owned()))
}

/// The message that came, unless it is too long; one of text is not even copied then.
pub(super) fn into_message(data: &JsValue, max: usize) -> Result<Message, ProtocolError> {
    let message = if let Some(text) = data.dyn_ref::<JsString>() {
        // A unit of UTF-16 takes a byte of UTF-8 at least.
        check(text.length(), max)?;
        Message::Text(text.into())
    } else {
        // Of a buffer this is a view, of another view a copy.
        let bytes = data.dyn_ref::<Uint8Array>().cloned().unwrap_or_else(|| Uint8Array::new(data));
        check(bytes.length(), max)?;
        Message::Binary(bytes.to_vec())
    };
    if message.len() > max { Err(ProtocolError::MessageTooLong) } else { Ok(message) }
}

fn check(len: u32, max: usize) -> Result<(), ProtocolError> {
    if usize::try_from(len).is_ok_and(|len| len <= max) { Ok(()) } else { Err(ProtocolError::MessageTooLong) }
}

/// The time that has passed since some moment, in milliseconds; by a clock that nobody sets, where there is one.
pub(super) fn now() -> f64 {
    call(&global("performance"), "now", &[]).as_f64().unwrap_or_else(js_sys::Date::now)
}
