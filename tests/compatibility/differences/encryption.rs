//! `encrypt_server` without what it needs.

#[cfg(not(feature = "ssl"))]
#[test]
fn encrypt_server_needs_the_feature_ssl() {
    use ws::{Builder, Message, Settings};

    let settings = Settings { encrypt_server: true, ..Settings::default() };
    let err = Builder::new().with_settings(settings).build(|_| |_: Message| Ok(())).unwrap_err();
    assert_eq!(err.to_string(), "Settings::encrypt_server needs the feature `ssl`");
}

#[cfg(feature = "ssl")]
#[test]
fn a_handler_without_upgrade_ssl_server_receives_an_error() {
    use std::sync::mpsc::{Sender, channel};

    use ws::{Error, Handler, Settings};

    use crate::support::{Peer, Server, guarded};

    struct Plain(Sender<Error>);

    impl Handler for Plain {
        fn on_error(&mut self, err: Error) {
            self.0.send(err).unwrap();
        }
    }

    guarded(|| {
        let (tx, errors) = channel();
        let settings = Settings { encrypt_server: true, ..Settings::default() };
        let server = Server::run_with(settings, move || move |_| Plain(tx.clone()));
        for _ in 0..2 {
            // The connection ends, and the loop continues.
            assert!(Peer::connect(server.addr).rest().0.is_empty());
            let err = errors.recv().unwrap();
            assert!(err.to_string().starts_with("cannot encrypt: "), "{err}");
        }
        server.stop();
    });
}
