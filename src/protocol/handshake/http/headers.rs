//! Lists of owned names and values, which programs see and change.

use super::grammar::{self, split, trim};
use super::names::{self, FieldName};
use crate::protocol::ProtocolError;

/// A list of fields, in their order. A name can appear more than once.
pub(crate) type Headers = Vec<(String, Vec<u8>)>;

/// Returns the first field with a name.
pub(crate) fn find<'h>(headers: &'h Headers, name: &str) -> Option<&'h Vec<u8>> {
    headers.iter().find(|(other, _)| is_named(other, name)).map(|(_, value)| value)
}

/// Returns the first field with a name, for changes.
pub(crate) fn find_mut<'h>(headers: &'h mut Headers, name: &str) -> Option<&'h mut Vec<u8>> {
    headers.iter_mut().find(|(other, _)| is_named(other, name)).map(|(_, value)| value)
}

/// Replaces all fields with a name by one value, at the position of the first of them or at the end.
pub(crate) fn replace(headers: &mut Headers, name: &str, value: Vec<u8>) {
    match headers.iter().position(|(other, _)| is_named(other, name)) {
        None => headers.push((name.to_owned(), value)),
        Some(first) => {
            let mut at = 0_usize;
            headers.retain(|(other, _)| {
                let keep = at <= first || !is_named(other, name);
                at = at.saturating_add(1);
                keep
            });
            if let Some((_, old)) = headers.get_mut(first) {
                *old = value;
            }
        }
    }
}

/// Appends an element to a list. If there is no field yet, one is added.
pub(crate) fn append_element(headers: &mut Headers, name: FieldName, element: &str) {
    match find_mut(headers, name.text()) {
        Some(list) => {
            if !trim(list).is_empty() {
                list.push(b',');
            }
            list.extend_from_slice(element.as_bytes());
        }
        None => headers.push((name.text().to_owned(), element.as_bytes().to_vec())),
    }
}

/// Removes elements from a list, and the field if the list is then empty.
pub(crate) fn remove_elements(headers: &mut Headers, name: FieldName, unwanted: impl Fn(&[u8]) -> bool) {
    headers.retain_mut(|(other, list)| {
        if !is_named(other, name.text()) || !split(list).any(&unwanted) {
            return true;
        }
        *list = split(list).filter(|element| !unwanted(element)).collect::<Vec<_>>().join(&b',');
        !list.is_empty()
    });
}

/// Returns whether a field has this name.
#[inline]
pub(crate) fn is_named(field: &str, name: &str) -> bool {
    names::is_same(field.as_bytes(), name.as_bytes())
}

/// Rejects a field that would not be received as exactly this field (H11).
pub(crate) fn check_sendable(name: &[u8], value: &[u8]) -> Result<(), ProtocolError> {
    if grammar::is_token(name) && grammar::is_text(value) {
        Ok(())
    } else {
        Err(ProtocolError::UnsendableHead)
    }
}

/// How much memory a list occupies, in bytes.
#[cfg(feature = "reactor")]
pub(super) fn held(list: &Headers) -> usize {
    let table = list.capacity().saturating_mul(size_of::<(String, Vec<u8>)>());
    let fields = list.iter().flat_map(|(name, value)| [name.capacity(), value.capacity()]);
    fields.fold(table, usize::saturating_add)
}
