//! The texts of errors: one sentence that names the address, the host, or the missing feature.

use std::error::Error as _;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

use sockeye::{Error, ErrorKind, QueueError, WebSocket, connect, listen};

/// Returns an address that refuses connections while the stream is open.
fn refusing_address() -> (TcpStream, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let address = stream.local_addr().unwrap();
    (stream, address)
}

fn connect_error(url: &str) -> Error {
    connect(url, |_| |_| Ok(())).unwrap_err()
}

/// Checks the sentence. `main` prints it with `Debug`, and a program that logs it uses `Display`.
#[track_caller]
fn check(err: &Error, sentence: &str) {
    assert_eq!(err.to_string(), sentence);
    assert_eq!(format!("{err:?}"), sentence);
    let fields = format!("{err:#?}");
    assert!(fields.starts_with("Error {") && fields.contains("kind: "), "{fields}");
}

#[track_caller]
fn os_error(err: &Error) -> &io::Error {
    match &err.kind {
        ErrorKind::Io(cause) => {
            assert!(err.source().is_some_and(|source| source.is::<io::Error>()));
            cause
        }
        kind => panic!("{kind:?}"),
    }
}

#[test]
fn the_error_of_a_port_in_use_contains_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let expected = TcpListener::bind(address).unwrap_err();
    let bind = WebSocket::new(|_| |_| Ok(())).unwrap().bind(address).unwrap_err();
    for err in [bind, listen(address, |_| |_| Ok(())).unwrap_err()] {
        check(&err, &format!("cannot listen on {address}: {expected}"));
        assert_eq!(err.details, format!("cannot listen on {address}"));
        assert_eq!(os_error(&err).raw_os_error(), expected.raw_os_error());
    }
}

#[test]
fn the_error_of_a_failed_resolution_contains_the_address() {
    let err = listen("unknown.invalid:http", |_| |_| Ok(())).unwrap_err();
    assert_eq!(err.details, r#"cannot resolve "unknown.invalid:http""#);
    let expected = os_error(&err).to_string();
    check(&err, &format!(r#"cannot resolve "unknown.invalid:http": {expected}"#));
}

#[test]
fn the_error_of_a_path_in_use_contains_the_path() {
    let path = std::env::temp_dir().join(format!("sockeye-error-texts-{}", std::process::id()));
    let taken = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let err = WebSocket::new(|_| |_| Ok(())).unwrap().bind_unix(&path).unwrap_err();
    check(&err, &format!("cannot listen on {}: {}", path.display(), os_error(&err)));
    drop(taken);
    std::fs::remove_file(&path).unwrap();
    let err = connect_error(&format!("ws+unix://{}", path.display()));
    check(&err, &format!("cannot connect to ws+unix://{}: {}", path.display(), os_error(&err)));
}

#[test]
fn the_error_of_a_refused_connection_contains_the_url() {
    let (_stream, address) = refusing_address();
    let err = connect_error(&format!("ws://{address}/chat"));
    assert_eq!(os_error(&err).kind(), io::ErrorKind::ConnectionRefused);
    assert!(os_error(&err).raw_os_error().is_some());
    check(&err, &format!("cannot connect to ws://{address}/chat: {}", os_error(&err)));
}

#[test]
fn credentials_in_urls_are_replaced() {
    let (_stream, address) = refusing_address();
    let err = connect_error(&format!("ws://user:secret@{address}/"));
    assert_eq!(err.details, format!("cannot connect to ws://***@{address}/"));
    for (text, redacted) in [
        ("ws://user:secret@example.com:99999/", "ws://***@example.com:99999/"),
        ("//user:secret@example.com/", "***@example.com/"),
        ("user:secret@example.com/", "***@example.com/"),
        ("other:user:secret@example.com", "***@example.com"),
    ] {
        let err = connect_error(text);
        let texts = [err.to_string(), format!("{err:?}"), format!("{err:#?}"), format!("{:?}", err.kind)];
        assert!(texts[0].contains(redacted), "{err}");
        assert!(texts.iter().all(|text| !text.contains("secret")), "{texts:?}");
    }
}

#[test]
fn the_error_of_an_unknown_host_contains_the_host() {
    let err = connect_error("ws://unknown.invalid:3012/");
    check(&err, &format!("cannot resolve the host unknown.invalid: {}", os_error(&err)));
}

#[test]
fn all_unsupported_schemes_have_the_same_error_text() {
    for scheme in ["http", "https", "gopher", "ftp"] {
        let err = connect_error(&format!("{scheme}://user:secret@127.0.0.1:1/chat"));
        assert!(matches!(err.kind, ErrorKind::Protocol));
        check(
            &err,
            &format!(
                "cannot connect to {scheme}://***@127.0.0.1:1/chat: \
                the scheme `{scheme}` is not one of ws, wss and ws+unix"
            ),
        );
    }
}

#[cfg(not(any(feature = "rustls", feature = "ssl")))]
#[test]
fn the_error_of_wss_without_tls_contains_the_missing_feature() {
    let err = connect_error("wss://127.0.0.1:1/chat");
    assert!(matches!(err.kind, ErrorKind::Protocol));
    check(
        &err,
        "cannot connect to wss://127.0.0.1:1/chat: this build of sockeye has neither of the features `rustls` and `ssl`",
    );
}

#[test]
fn the_error_of_an_invalid_url_quotes_the_text() {
    let err = connect_error("example.com/chat");
    assert!(matches!(err.kind, ErrorKind::Internal));
    check(&err, r#"cannot parse the URL "example.com/chat": relative URL without a base"#);
}

#[test]
fn errors_of_programs_keep_their_cause() {
    let err = Error { kind: ErrorKind::Internal, details: "the database is gone".into() };
    check(&err, "the database is gone");
    assert!(err.source().is_none());
    let err = Error::new(ErrorKind::Custom("out of tea".into()), "cannot serve breakfast");
    check(&err, "cannot serve breakfast: out of tea");
    assert_eq!(err.source().unwrap().to_string(), "out of tea");
    let err = Error::from(QueueError::Full);
    check(&err, "the queue of the event loop is full");
    assert!(err.source().unwrap().is::<QueueError>());
}
