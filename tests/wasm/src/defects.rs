//! Defects of other libraries that this front end must not have.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::AsyncReadExt;
use js_sys::Function;
use sockeye::CloseCode;
use sockeye::browser::{Builder, Interface};
use sockeye::protocol::State;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::wasm_bindgen_test;

use super::peer::{CLOSE, Peer, close_payload, is_lost};
use super::support::{
    bytes, echo, for_all, for_all_echoes, in_time, is_browser, now, poll_once, property, sleep, within,
};

/// Counts the failures that the browser reports as unhandled.
struct UnhandledRejections {
    count: Rc<Cell<u32>>,
    listener: Closure<dyn FnMut(JsValue)>,
}

impl UnhandledRejections {
    fn listen() -> Self {
        let count = Rc::new(Cell::new(0));
        let counting = Rc::clone(&count);
        let listener = Closure::<dyn FnMut(JsValue)>::new(move |_| counting.set(counting.get() + 1));
        let this = Self { count, listener };
        this.call_global("addEventListener");
        this
    }

    fn call_global(&self, method: &str) {
        let Ok(method) = property(method).dyn_into::<Function>() else { return };
        let _ = method.call2(&js_sys::global(), &"unhandledrejection".into(), self.listener.as_ref());
    }
}

impl Drop for UnhandledRejections {
    fn drop(&mut self) {
        self.call_global("removeEventListener");
    }
}

#[wasm_bindgen_test]
async fn d_failed_writes_are_reported_and_no_rejection_is_unhandled() {
    let unhandled = UnhandledRejections::listen();
    for_all(async |builder| {
        let builder = builder.high_water(64 << 20).max_buffered(64 << 20);
        let (mut socket, mut peer) = Peer::open(&builder).await;
        peer.pause_reading().await;
        // The browser and the system accept some output, and how much is not known.
        let mut is_blocked = false;
        for _ in 0..6 {
            // No task waits for these futures.
            for _ in 0..100 {
                socket.queue(bytes(100_000)).await.unwrap();
            }
            is_blocked = in_time(Duration::from_millis(200), socket.flush()).await.is_none();
            if is_blocked {
                break;
            }
        }
        assert!(is_blocked, "a peer that does not read accepts everything");
        match socket.interface() {
            // If TCP ended while a write waits, Chromium 156 would end the process of the page.
            Interface::Stream => peer.send(CLOSE, b"").await,
            Interface::Standard => {
                peer.command("reset").await;
                peer.command("resume").await;
                assert!(is_lost(&within(socket.receive()).await.unwrap_err()));
            }
        }
        assert!(is_lost(&within(socket.flush()).await.unwrap_err()));
        assert!(within(socket.send("more")).await.is_err());

        // Sockets that are dropped, or never open, leave nothing behind either.
        drop(Peer::open(&builder).await);
        let (socket, _peer) = Peer::open(&builder).await;
        socket.abort();
        assert!(within(builder.connect("ws://127.0.0.1:1/")).await.is_err());
        assert!(in_time(Duration::ZERO, builder.connect(&echo("/"))).await.is_none());
    })
    .await;
    sleep(Duration::from_millis(200)).await;
    assert_eq!(unhandled.count.get(), 0);
}

/// With the interface that is not the default, Chromium 156 ends the process of the page.
#[wasm_bindgen_test]
async fn d_a_page_survives_a_connection_that_is_lost_while_a_message_waits() {
    for how in ["reset", "fin", "an invalid frame"] {
        let (mut socket, mut peer) = Peer::open(&Builder::new()).await;
        peer.pause_reading().await;
        // More than the buffers of the browser and of two sockets take.
        for _ in 0..8 {
            assert!(
                poll_once(socket.send(bytes(2 << 20))).is_none(),
                "the browser has sent a message at once"
            );
        }
        match how {
            "fin" => peer.command("fin").await,
            "reset" => {
                peer.command("reset").await;
                // The relay drops its socket when it reads the next time.
                peer.command("resume").await;
            }
            _ => peer.send(0xc1, b"x").await,
        }
        let err = within(socket.flush()).await.unwrap_err();
        assert!(is_lost(&err), "{how}: {err:?}");
        assert!(is_lost(&within(socket.receive()).await.unwrap_err()), "{how}");
        assert!(!within(socket.closed()).await.was_clean, "{how}");
    }
}

#[wasm_bindgen_test]
async fn d_small_reads_of_a_large_message_take_linear_time() {
    for_all_echoes(async |mut socket| {
        let len = 4 << 20;
        within(socket.send(vec![7; len])).await.unwrap();
        let (mut some, mut received) = ([0; 64], 0);
        within(AsyncReadExt::read_exact(&mut socket, &mut some)).await.unwrap();
        let begun = now();
        received += some.len();
        while received < len {
            AsyncReadExt::read_exact(&mut socket, &mut some).await.unwrap();
            received += some.len();
        }
        // Moving the rest would be 130 GB of copies.
        assert!(now() - begun < 5000.0, "{}", now() - begun);
    })
    .await;
}

#[wasm_bindgen_test]
async fn d_waiting_to_send_does_not_wait_for_a_timer() {
    for_all_echoes(async |mut socket| {
        // A timer takes 4 ms, so 200 messages would take 800. On a busy machine one fast attempt is enough.
        let mut attempts = Vec::new();
        while attempts.last().is_none_or(|took| *took >= 400.0) {
            assert!(attempts.len() < 10, "200 messages took {attempts:?} ms with {:?}", socket.interface());
            let begun = now();
            for _ in 0..200 {
                within(socket.send("x")).await.unwrap();
            }
            attempts.push(now() - begun);
        }
    })
    .await;
}

#[wasm_bindgen_test]
async fn d_an_unclean_end_keeps_the_received_code() {
    for_all(async |builder| {
        let (socket, mut peer) = Peer::open(&builder).await;
        // Both have closed, and TCP does not end as it should.
        peer.send(CLOSE, &close_payload(4321, "why")).await;
        peer.close_frame().await;
        peer.command("reset").await;
        let closed = within(socket.closed()).await;
        assert_eq!((closed.code, &*closed.reason), (CloseCode::Other(4321), "why"), "{closed:?}");
    })
    .await;
}

#[wasm_bindgen_test]
async fn d_every_kind_of_global_object_is_supported() {
    let has_window = !property("window").is_undefined();
    let is_worker = !property("WorkerGlobalScope").is_undefined();
    assert_eq!(has_window || is_worker, is_browser());
    // Everything that waits for time: connecting, sending, closing.
    for_all_echoes(async |mut socket| {
        within(socket.send(bytes(1 << 20))).await.unwrap();
        assert_eq!(within(socket.receive()).await.unwrap(), Some(bytes(1 << 20).into()));
        assert!(within(socket.close(CloseCode::Normal, "")).await.unwrap().was_clean);
    })
    .await;
}

#[wasm_bindgen_test]
async fn d_messages_convert_from_strings_and_bytes() {
    // `From<&str>`, `From<String>`, `From<Vec<u8>>`, `From<&[u8]>`.
    for_all_echoes(async |mut socket| {
        within(socket.send("a")).await.unwrap();
        within(socket.send(String::from("b"))).await.unwrap();
        within(socket.send(vec![1])).await.unwrap();
        within(socket.send(&[2_u8][..])).await.unwrap();
        let mut all = Vec::new();
        for _ in 0..4 {
            all.push(within(socket.receive()).await.unwrap().unwrap());
        }
        assert_eq!(all, ["a".into(), "b".into(), vec![1].into(), vec![2].into()]);
    })
    .await;
}

#[wasm_bindgen_test]
async fn d_the_state_can_be_queried() {
    for_all_echoes(async |mut socket| {
        assert!(socket.is_open() && !socket.is_closed());
        assert_eq!((socket.state(), socket.buffered_amount()), (State::Open, 0));
        within(socket.close(CloseCode::Normal, "")).await.unwrap();
        assert!(!socket.is_open() && socket.is_closed());
        assert_eq!(socket.state(), State::Closed);
    })
    .await;
    for_all(async |builder| {
        let (socket, mut peer) = Peer::open(&builder).await;
        let (mut sender, receiver) = socket.split();
        assert_eq!((sender.state(), receiver.state()), (State::Open, State::Open));
        assert!(poll_once(sender.close(CloseCode::Normal, "")).is_none());
        assert_eq!((sender.state(), receiver.state()), (State::Closing, State::Closing));
        peer.close_frame().await;
        assert_eq!(sender.state(), State::Closing);
        peer.finish(&close_payload(1000, "")).await;
        within(receiver.closed()).await;
        assert_eq!((sender.state(), receiver.state()), (State::Closed, State::Closed));
    })
    .await;
}
