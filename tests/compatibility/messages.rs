//! `Message` and its conversions.

use ws::{ErrorKind, Message, OpCode};

#[test]
fn messages_convert_from_strings_and_bytes() {
    let owned = String::from("word");
    assert_eq!(Message::from("word"), Message::Text(owned.clone()));
    assert_eq!(Message::from(owned.clone()), Message::text("word"));
    assert_eq!(Message::from(&b"word"[..]), Message::Binary(owned.clone().into_bytes()));
    assert_eq!(Message::from(vec![1, 2]), Message::binary([1, 2].to_vec()));
    assert_eq!(Message::binary("word"), Message::from(owned.as_bytes()));
    let inferred: Message = "word".into();
    assert_eq!(inferred, Message::text(owned));
}

#[test]
fn a_message_returns_its_kind_and_length() {
    let (text, binary) = (Message::text("żółw"), Message::binary(vec![0; 5]));
    assert!(text.is_text() && !text.is_binary() && binary.is_binary() && !binary.is_text());
    assert_eq!((text.len(), binary.len()), (7, 5));
    assert!(!text.is_empty() && Message::text("").is_empty() && Message::binary(Vec::new()).is_empty());
    assert_eq!((text.opcode(), binary.opcode()), (OpCode::Text, OpCode::Binary));
}

#[test]
fn a_message_converts_into_data_or_text() {
    assert_eq!(Message::text("a").into_data(), b"a");
    assert_eq!(Message::binary(vec![7]).into_data(), [7]);
    assert_eq!(Message::text("a").into_text().unwrap(), "a");
    assert_eq!(Message::binary("bytes that are text").into_text().unwrap(), "bytes that are text");
    assert_eq!(Message::binary("bytes that are text").as_text().unwrap(), "bytes that are text");
    let broken = Message::binary(vec![0xff]);
    assert!(matches!(broken.as_text().unwrap_err().kind, ErrorKind::Encoding(_)));
    assert!(matches!(broken.into_text().unwrap_err().kind, ErrorKind::Encoding(_)));
}

#[test]
fn a_message_that_is_valid_utf8_is_displayed_as_text() {
    assert_eq!(Message::text("seen").to_string(), "seen");
    assert_eq!(Message::binary("seen").to_string(), "seen");
    assert_eq!(Message::binary(vec![0xff, 0]).to_string(), "Binary Data<length=2>");
    assert_eq!(format!("{:?}", Message::text("seen")), r#"Text("seen")"#);
}

#[test]
fn messages_can_be_matched_and_compared() {
    fn kind(msg: &Message) -> &'static str {
        match *msg {
            Message::Text(ref text) if text.is_empty() => "nothing",
            Message::Text(_) => "text",
            Message::Binary(_) => "binary",
        }
    }
    assert_eq!(
        [Message::text(""), Message::text("a"), Message::binary("a")].each_ref().map(kind),
        ["nothing", "text", "binary"]
    );
    assert_ne!(Message::text("a"), Message::binary("a"));
    assert_eq!(Message::text("a").clone(), Message::text("a"));
}
