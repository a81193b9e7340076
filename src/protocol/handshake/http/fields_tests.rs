//! Fields as a list, and as they were received.

use super::super::head_buffer::HeadBuffer;
use super::super::headers::{append_element, check_sendable, find, find_mut, remove_elements, replace};
use super::*;
use crate::protocol::Config;

fn headers(fields: &[(&str, &str)]) -> Headers {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
}

/// The fields of a head that is received.
fn received(fields: &[(&str, &str)]) -> Fields {
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut head = HeadBuffer::request();
    let config = Config { max_head_size: usize::MAX, ..Config::default() };
    let text = format!("GET / HTTP/1.1\r\n{lines}\r\n");
    assert_eq!(head.feed(text.as_bytes(), &config), Ok((text.len(), true)));
    head.take_request().unwrap().1
}

/// The same fields in both forms.
fn forms(fields: &[(&str, &str)]) -> [Fields; 2] {
    [Fields::from(headers(fields)), received(fields)]
}

/// Asserts that a condition has a value for both forms.
#[track_caller]
fn check(fields: &[(&str, &str)], expected: bool, condition: impl Fn(&Fields) -> bool) {
    for form in forms(fields) {
        assert_eq!(condition(&form), expected, "{form:?}");
    }
}

fn is_upgrade(fields: &Fields) -> bool {
    fields.has_token(FieldName::Connection, b"upgrade")
}

fn is_only_websocket(fields: &Fields) -> bool {
    fields.has_only_token(FieldName::Upgrade, b"websocket")
}

#[test]
fn h5_tokens_are_found_in_any_case_and_in_any_field_or_list() {
    for fields in [
        &[("Connection", "Upgrade")][..],
        &[("connection", "upgrade")],
        &[("CONNECTION", "keep-alive, \tUPGRADE ,x")],
        &[("Connection", ",,upgrade,,")],
        &[("Connection", "keep-alive"), ("X", "y"), ("connection", "uPgRaDe")],
    ] {
        check(fields, true, is_upgrade);
    }
}

#[test]
fn h5_a_substring_is_not_a_token() {
    for value in
        ["notupgrade", "upgraded", "upgrade x", "up,grade", "\"upgrade\"", "\"a,upgrade\"", "upgrade;q=1", ""]
    {
        check(&[("Connection", value)], false, is_upgrade);
    }
    check(&[("X-Connection", "upgrade")], false, is_upgrade);
}

#[test]
fn s4_1_only_one_token_is_in_a_list() {
    for value in ["websocket", "WebSocket", ",websocket, websocket,"] {
        check(&[("Upgrade", value)], true, is_only_websocket);
    }
    for value in ["", "h2c", "websocket, h2c", "h2c,websocket", "websocket/13", "websocket;q=1"] {
        check(&[("Upgrade", value)], false, is_only_websocket);
    }
    check(&[("Upgrade", "websocket"), ("upgrade", "h2c")], false, is_only_websocket);
}

#[test]
fn h6_lists_of_16_kib_are_split() {
    let size = 16 * 1024;
    for (byte, found) in
        [(" ", 0), (",", 0), ("\t,", 0), ("\"", 1), ("\\", 1), ("\",", size / 2), ("a,", size)]
    {
        let fields = [("Upgrade", &*byte.repeat(size))];
        check(&fields, true, |fields| fields.elements(FieldName::Upgrade).count() == found);
        check(&fields, false, |fields| fields.has_token(FieldName::Upgrade, b"b"));
    }
}

#[test]
fn elements_are_added_and_removed() {
    let name = FieldName::Protocol;
    let mut list = headers(&[
        ("A", "1"),
        (name.text(), "x,  y; p=\"q,r\""),
        ("B", "2"),
        ("sec-websocket-PROTOCOL", "x"),
    ]);
    append_element(&mut list, name, "z");
    assert_eq!(find(&list, name.text()).unwrap(), b"x,  y; p=\"q,r\",z");
    remove_elements(&mut list, name, |element| element == b"x");
    assert_eq!(list, headers(&[("A", "1"), (name.text(), "y; p=\"q,r\",z"), ("B", "2")]));
    remove_elements(&mut list, name, |element| element == b"absent");
    assert_eq!(find(&list, name.text()).unwrap(), b"y; p=\"q,r\",z");
    remove_elements(&mut list, name, |_| true);
    append_element(&mut list, name, "new");
    assert_eq!(list, headers(&[("A", "1"), ("B", "2"), (name.text(), "new")]));
}

#[test]
fn replacing_a_field_removes_its_duplicates() {
    let mut fields = headers(&[("A", "1"), ("n", "old"), ("B", "2"), ("N", "older")]);
    replace(&mut fields, "N", b"new".to_vec());
    assert_eq!(fields, headers(&[("A", "1"), ("n", "new"), ("B", "2")]));
    replace(&mut fields, "C", b"3".to_vec());
    assert_eq!(fields, headers(&[("A", "1"), ("n", "new"), ("B", "2"), ("C", "3")]));
}

#[test]
fn h11_names_and_values_that_would_split_a_field_are_rejected() {
    for (name, value) in [
        ("", "x"),
        ("A B", "x"),
        ("A:", "x"),
        ("A\r\nB", "x"),
        ("\u{c4}", "x"),
        ("A", "x\r\nB: y"),
        ("A", "x\ny"),
        ("A", "x\ry"),
        ("A", "x\0"),
        ("A", "\u{1b}[2J"),
        ("A", "\u{7f}"),
    ] {
        assert_eq!(
            check_sendable(name.as_bytes(), value.as_bytes()),
            Err(ProtocolError::UnsendableHead),
            "{name:?} {value:?}"
        );
    }
    assert_eq!(check_sendable(b"X-A_b~", b"a\tb \xff"), Ok(()));
}

#[test]
fn fields_are_found_in_their_order_whatever_their_form() {
    let fields = [
        ("X", "1"),
        ("host", "a"),
        ("Sec-WebSocket-Protocol", "b"),
        ("x", "2"),
        ("SEC-WEBSOCKET-PROTOCOL", "c, d"),
    ];
    for form in forms(&fields) {
        assert_eq!(form.len(), 5);
        assert_eq!(form.list(), &headers(&fields), "names keep their case");
        let pairs: Vec<_> = form.iter().collect();
        assert_eq!(pairs, fields.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        assert_eq!(form.first(FieldName::Host), Some(&b"a"[..]));
        assert_eq!(form.first(FieldName::Protocol), Some(&b"b"[..]));
        assert_eq!(form.first(FieldName::Key), None);
        assert_eq!(form.all(FieldName::Protocol).collect::<Vec<_>>(), [&b"b"[..], b"c, d"]);
        assert_eq!(form.elements(FieldName::Protocol).collect::<Vec<_>>(), [b"b", b"c", b"d"]);
        assert_eq!(form.all(FieldName::Origin).count(), 0);
        assert_eq!(form.all_named("x").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!((form.find("HOST"), form.find("Y")), (Some(&b"a"[..]), None));
        assert_eq!(form.single(FieldName::Host), Ok(Some(&b"a"[..])));
        assert_eq!(form.single(FieldName::Origin), Ok(None));
        assert_eq!(form.single(FieldName::Protocol), Err(ProtocolError::RepeatedHeader));
    }
}

#[test]
fn values_are_received_without_white_space_around_them() {
    let form = received(&[("Host", " \t a b\t "), ("Origin", ""), ("Upgrade", " \t ")]);
    let values: Vec<&[u8]> = form.iter().map(|(_, value)| value).collect();
    assert_eq!(values, [&b"a b"[..], b"", b""]);
    assert_eq!(form.list(), &headers(&[("Host", "a b"), ("Origin", ""), ("Upgrade", "")]));
    assert_eq!(form.single(FieldName::Origin), Ok(Some(&b""[..])));
}

#[test]
fn changes_apply_to_the_list_and_to_what_is_found() {
    let text = [("Host", "a"), ("Cookie", "b"), ("Upgrade", "websocket")];
    for (mut form, is_listed_before) in [(received(&text), false), (received(&text), true)] {
        if is_listed_before {
            assert_eq!(form.list().len(), 3);
        }
        let kept = form.clone();
        form.list_mut().remove(0);
        find_mut(form.list_mut(), "cookie").unwrap().push(b'c');
        form.list_mut().push(("host".to_owned(), b"d".to_vec()));
        assert_eq!(form.list(), &headers(&[("Cookie", "bc"), ("Upgrade", "websocket"), ("host", "d")]));
        assert_eq!(form.single(FieldName::Host), Ok(Some(&b"d"[..])));
        assert_eq!(form.find("cookie"), Some(&b"bc"[..]));
        assert_eq!(form.len(), 3);
        assert_eq!(kept.list(), &headers(&text), "a clone is independent");
    }
}

#[test]
fn the_fields_of_an_accepting_response_are_those_of_its_list() {
    let accept = *b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    let mut form = Fields::accepting(accept);
    assert_eq!(form.as_accepting(), Some(&accept));
    let list = Fields::from(form.list().clone());
    assert_eq!(form.iter().collect::<Vec<_>>(), list.iter().collect::<Vec<_>>());
    for name in [FieldName::Connection, FieldName::Accept, FieldName::Upgrade, FieldName::Protocol] {
        assert_eq!(form.single(name), list.single(name), "{name:?}");
    }
    assert!(list.as_accepting().is_none(), "a list may have been changed");
    form.list_mut().clear();
    assert_eq!((form.as_accepting(), form.len()), (None, 0));
}

#[test]
fn the_key_is_hashed_again_after_a_change() {
    let mut form = received(&[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]);
    let accept = *b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    assert_eq!((form.accept_for_key(), form.accept_for_key()), (Some(accept), Some(accept)));
    replace(form.list_mut(), "sec-websocket-key", b"x".to_vec());
    assert_eq!(form.accept_for_key(), Some(accept_of(b"x")));
    form.list_mut().clear();
    assert_eq!(form.accept_for_key(), None);
}
