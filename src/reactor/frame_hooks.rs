//! Whether a handler implements the hooks for single frames, or keeps their defaults.
//!
//! A message that the handler does not see as a frame needs a third fewer instructions. The loop finds out by calling each hook once: the
//! default calls [`is_default`] with the type of the handler. If this is the type that the loop has called, the type does
//! not implement the hook, because a type has one implementation of [`Handler`](crate::Handler). A handler that implements the hook and
//! passes some frames on to the default of an inner handler has another type than that inner handler.

use std::any::TypeId;
use std::cell::Cell;

use crate::reactor::api::handler::Handler;

/// What the loop knows about a hook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Hook {
    /// The hook has not been called yet.
    #[default]
    Unknown,
    Default,
    Implemented,
}

/// What the loop knows about the hooks of its handlers, which all have the same type.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FrameHooks {
    /// [`Handler::on_frame`](crate::Handler::on_frame).
    pub(super) on_frame: Hook,
    /// [`Handler::on_send_frame`](crate::Handler::on_send_frame).
    pub(super) on_send_frame: Hook,
}

thread_local! {
    /// The type of handler whose hook is being called for the first time, until its default is found.
    static CALLED: Cell<Option<TypeId>> = const { Cell::new(None) };
}

impl Hook {
    /// Whether the hook must be called for frames of messages.
    #[inline(always)]
    pub(super) fn is_needed(self) -> bool {
        self != Self::Default
    }

    /// Calls the hook of a handler of type `H`. The first call finds out whether the hook is the default.
    #[inline]
    pub(super) fn call<H: Handler, R>(&mut self, call: impl FnOnce() -> R) -> R {
        if *self != Self::Unknown {
            return call();
        }
        // A handler can run another loop.
        let outer = CALLED.replace(Some(typeid::of::<H>()));
        let result = call();
        let is_default = CALLED.replace(outer).is_none();
        *self = if is_default { Self::Default } else { Self::Implemented };
        result
    }
}

/// Calls a hook of the inner handler in place of that of a handler of type `H`, which passes every call on.
#[inline]
pub(super) fn pass_on<H: ?Sized, I: ?Sized, R>(inner: &mut I, call: impl FnOnce(&mut I) -> R) -> R {
    if CALLED.get() == Some(typeid::of::<H>()) {
        CALLED.set(Some(typeid::of::<I>()));
    }
    call(inner)
}

/// The default of a hook is running, of a handler of type `H`.
#[inline]
pub(super) fn is_default<H: ?Sized>() {
    if CALLED.get() == Some(typeid::of::<H>()) {
        CALLED.set(None);
    }
}
