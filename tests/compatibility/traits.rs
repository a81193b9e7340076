//! What may be sent to another thread, cloned, compared, printed: programs rely on it without saying so.

use std::collections::{BTreeSet, HashSet};
use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::panic::{RefUnwindSafe, UnwindSafe};

use ws::util::{Timeout, Token};
use ws::{
    Builder, CloseCode, Error, Frame, Handshake, Message, OpCode, Request, Response, Sender, Settings,
    WebSocket,
};

fn send<T: Send>() {}
fn sync<T: Sync>() {}
fn copied<T: Copy + Debug>() {}
fn compared<T: Eq + Debug>() {}
fn hashed<T: Eq + Hash + Clone + Debug>() {}
fn shown<T: Display + Debug>() {}

#[test]
fn public_types_are_send_and_sync() {
    send::<Sender>();
    sync::<Sender>();
    send::<Error>();
    sync::<Error>();
    send::<Handshake>();
    sync::<Handshake>();
    send::<Message>();
    send::<Frame>();
    send::<Timeout>();
    send::<WebSocket<fn(Sender) -> fn(Message) -> ws::Result<()>>>();
}

#[test]
fn public_types_can_be_used_across_a_caught_panic() {
    fn unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}
    unwind_safe::<Message>();
    unwind_safe::<Request>();
    unwind_safe::<Response>();
}

#[test]
fn public_types_implement_the_common_traits() {
    copied::<Settings>();
    copied::<Builder>();
    copied::<CloseCode>();
    copied::<OpCode>();
    copied::<Token>();
    compared::<Message>();
    compared::<CloseCode>();
    compared::<OpCode>();
    hashed::<Sender>();
    hashed::<Token>();
    shown::<Message>();
    shown::<Error>();
    shown::<Frame>();
    shown::<OpCode>();
    shown::<Request>();
    shown::<Response>();
    fn cloned<T: Clone + Debug>() {}
    cloned::<Timeout>();
    cloned::<Frame>();
    fn an_error<T: StdError + Send + Sync + 'static>() {}
    an_error::<Error>();
}

/// A `Token` is a tuple struct whose number is public.
#[test]
fn tokens_can_be_constants_and_patterns() {
    const FIRST: Token = Token(1);
    const SECOND: Token = Token(FIRST.0 + 1);
    let name = |token| match token {
        FIRST => "first",
        SECOND => "second",
        Token(0) => "none",
        Token(_) => "many",
    };
    assert_eq!([0, 1, 2, 3].map(|number| name(Token(number))), ["none", "first", "second", "many"]);
    assert_eq!(usize::from(Token::from(7)), 7);
    assert!(FIRST < SECOND);
    assert_eq!(BTreeSet::from([SECOND, FIRST, SECOND]).len(), 2);
    assert_eq!(HashSet::from([SECOND, FIRST, SECOND]).len(), 2);
    let Token(number) = SECOND;
    assert_eq!(number, 2);
}

#[test]
fn handlers_can_be_boxed() {
    struct Quiet;
    impl ws::Handler for Quiet {}
    let handlers: Vec<Box<dyn ws::Handler>> = vec![Box::new(Quiet), Box::new(|_| Ok(()))];
    assert_eq!(handlers.len(), 2);
}
