//! A loop that runs within a callback of another one.

use std::cell::RefCell;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use sockeye::{CloseCode, Sender, Settings, connect};

use sockeye_test_support::peer::Peer;
use sockeye_test_support::probes::{Hook, Probes};
use sockeye_test_support::server::Server;

fn echo_server() -> Server {
    Server::start(Settings::default(), |out: Sender| move |msg| out.send(msg))
}

/// Runs a client that sends a message, and acts when it comes back.
fn ask(url: &str, then: impl Fn(&Sender) -> sockeye::Result<()>) -> sockeye::Result<()> {
    connect(url, |out: Sender| {
        out.send("inner").unwrap();
        let then = &then;
        move |_| {
            then(&out)?;
            out.close(CloseCode::Normal)
        }
    })
}

#[test]
fn t6_senders_of_the_outer_loop_keep_their_order_within_the_inner_one() {
    let inner = echo_server();
    let url = inner.url().to_string();
    let (outer, _ear) = Probes::listen(Settings::default(), move |hook, out| {
        if hook == Hook::Message {
            out.send("1")?;
            ask(&url, |_| out.send("2"))?;
            out.send("3")?;
        }
        Ok(())
    });
    let mut peer = Peer::open(outer.addr);
    for _ in 0..3 {
        peer.send_text("go");
        assert_eq!([peer.message(), peer.message(), peer.message()], ["1", "2", "3"]);
    }
    peer.finish();
    outer.stop();
    inner.stop();
}

#[test]
fn t2_senders_of_the_outer_loop_have_no_queue_limit_within_the_inner_one() {
    let inner = echo_server();
    let url = inner.url().to_string();
    let settings = Settings { queue_size: 1, max_connections: 10, ..Settings::default() };
    let (outer, _ear) = Probes::listen(settings, move |hook, out| {
        if hook == Hook::Message {
            ask(&url, |_| (0..1000).try_for_each(|number| out.send(number.to_string())))?;
        }
        Ok(())
    });
    let mut peer = Peer::open(outer.addr);
    peer.send_text("go");
    (0..1000).for_each(|number| assert_eq!(peer.message(), number.to_string()));
    peer.finish();
    outer.stop();
    inner.stop();
}

#[test]
fn a_sender_of_a_finished_inner_loop_returns_an_error() {
    let inner = echo_server();
    let url = inner.url().to_string();
    let (tx, rx) = channel();
    let tx = Mutex::new(tx);
    let (outer, _ear) = Probes::listen(Settings::default(), move |hook, out| {
        if hook == Hook::Message {
            let kept = RefCell::new(None);
            ask(&url, |sender| {
                kept.replace(Some(sender.clone()));
                Ok(())
            })?;
            tx.lock().unwrap().send(kept.take().unwrap().send("too late").is_err()).ok();
            out.send("done")?;
        }
        Ok(())
    });
    let mut peer = Peer::open(outer.addr);
    peer.send_text("go");
    assert_eq!(peer.message(), "done");
    assert!(rx.recv().unwrap());
    peer.finish();
    outer.stop();
    inner.stop();
}

#[test]
fn a_callback_can_send_messages_to_another_loop() {
    let (tx, rx) = channel();
    let (far, calls) = Probes::listen(Settings::default(), |_, _| Ok(()));
    let mut far_peer = Peer::open(far.addr);
    tx.send(calls.opened()).unwrap();
    let far_out = Mutex::new(rx);
    let (near, _ear) = Probes::listen(Settings::default(), move |hook, out| {
        if hook == Hook::Message {
            let far_out = far_out.lock().unwrap().recv().unwrap();
            for number in 0..100 {
                far_out.send(number.to_string())?;
                out.send(number.to_string())?;
            }
        }
        Ok(())
    });
    let mut near_peer = Peer::open(near.addr);
    near_peer.send_text("go");
    for number in 0..100 {
        assert_eq!(near_peer.message(), number.to_string());
        assert_eq!(far_peer.message(), number.to_string());
    }
    near_peer.finish();
    far_peer.finish();
    near.stop();
    far.stop();
}
