//! The header fields of requests and responses.
//!
//! Programs see a list of owned names and values. It has two allocations for each field, and most programs look at few fields or none.
//! Thus the fields of a received head, and those of the response that accepts a request, have a compact form, and become a list
//! when a program asks for one.

use std::sync::OnceLock;

use super::grammar::{split, trim};
use super::headers::{self, Headers};
use super::names::{self, FieldName};
use super::received::ReceivedFields;
use crate::protocol::ProtocolError;
use crate::protocol::handshake::{AcceptValue, accept_of};

/// The fields of a head, in their order. A name can appear more than once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields {
    /// The fields, unless there is a compact form. Only lists are changed.
    list: Headers,
    compact: Option<Compact>,
}

/// Fields that have not been changed.
#[derive(Debug, Clone)]
struct Compact {
    form: Form,
    /// The same fields as a list, once a program has asked for it.
    listed: OnceLock<Headers>,
}

#[derive(Debug, Clone)]
enum Form {
    /// The fields of a head that was received.
    Received(Box<ReceivedFields>),
    /// The fields of the response that accepts a request (§4.2.2, item 5), with this `Sec-WebSocket-Accept`.
    Accepting(AcceptValue),
}

impl Fields {
    /// Creates the fields of a head that was received.
    pub(crate) fn received(fields: ReceivedFields) -> Self {
        Self::compact(Form::Received(Box::new(fields)))
    }

    /// Creates the fields of the response that accepts a request.
    pub(crate) fn accepting(accept: AcceptValue) -> Self {
        Self::compact(Form::Accepting(accept))
    }

    fn compact(form: Form) -> Self {
        Self { list: Headers::new(), compact: Some(Compact { form, listed: OnceLock::new() }) }
    }

    /// Returns the fields as a list.
    pub(crate) fn list(&self) -> &Headers {
        match &self.compact {
            Some(Compact { form, listed }) => listed.get_or_init(|| form.to_list()),
            None => &self.list,
        }
    }

    /// Returns the fields as a list for changes.
    pub(crate) fn list_mut(&mut self) -> &mut Headers {
        if let Some(Compact { form, mut listed }) = self.compact.take() {
            self.list = listed.take().unwrap_or_else(|| form.to_list());
        }
        &mut self.list
    }

    /// Returns the `Sec-WebSocket-Accept` of a response that accepts a request, if the fields are exactly those of §4.2.2, item 5.
    pub(crate) fn as_accepting(&self) -> Option<&AcceptValue> {
        match self.form() {
            Some(Form::Accepting(accept)) => Some(accept),
            _ => None,
        }
    }

    /// Returns the `Sec-WebSocket-Accept` that belongs to the key.
    pub(crate) fn accept_for_key(&self) -> Option<AcceptValue> {
        match self.form() {
            Some(Form::Received(received)) => received.accept(),
            _ => self.first(FieldName::Key).map(accept_of),
        }
    }

    /// Returns the number of fields.
    pub(crate) fn len(&self) -> usize {
        match self.form() {
            Some(Form::Received(received)) => received.len(),
            Some(Form::Accepting(_)) => ACCEPTING_LEN,
            None => self.list.len(),
        }
    }

    /// Iterates over the names and values of all fields.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    /// Returns the value of the first field with a name.
    pub(crate) fn first(&self, name: FieldName) -> Option<&[u8]> {
        match self.form() {
            Some(Form::Received(received)) => received.first(name),
            Some(Form::Accepting(accept)) => accepting_value(accept, name),
            None => self.find(name.text()),
        }
    }

    /// Returns the value of the first field with any name.
    pub(crate) fn find(&self, name: &str) -> Option<&[u8]> {
        self.all_named(name).next()
    }

    /// Iterates over the values of all fields with a name.
    pub(crate) fn all(&self, name: FieldName) -> impl Iterator<Item = &[u8]> {
        // Usually a field is absent, or its first value is the only one. Both are recorded.
        let first = self.first(name);
        let others = if self.may_repeat(name) && first.is_some() { usize::MAX } else { 0 };
        first.into_iter().chain(self.all_named(name.text()).skip(1).take(others))
    }

    /// Returns the value of the first field with any name, from the list.
    pub(crate) fn listed(&self, name: &str) -> Option<&Vec<u8>> {
        // Without the field, the list is not needed.
        self.find(name).and_then(|_| headers::find(self.list(), name))
    }

    /// Iterates over the values of all fields with any name.
    pub(crate) fn all_named(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |(other, _)| names::is_same(other, name.as_bytes())).map(|(_, value)| value)
    }

    /// Returns the only field with a name.
    ///
    /// A second one is an error even if it has the same value: two recipients could disagree on which of them counts.
    #[inline(always)]
    pub(crate) fn single(&self, name: FieldName) -> Result<Option<&[u8]>, ProtocolError> {
        match self.form() {
            // Values that were received are trimmed.
            Some(Form::Received(received)) if !received.is_repeated(name) => Ok(received.first(name)),
            _ => self.single_slow(name),
        }
    }

    /// Does the same for repeated fields, and for fields that were not received.
    fn single_slow(&self, name: FieldName) -> Result<Option<&[u8]>, ProtocolError> {
        match self.form() {
            Some(Form::Received(_)) => Err(ProtocolError::RepeatedHeader),
            Some(Form::Accepting(accept)) => Ok(accepting_value(accept, name)),
            None if self.all_named(name.text()).nth(1).is_some() => Err(ProtocolError::RepeatedHeader),
            None => Ok(self.find(name.text()).map(trim)),
        }
    }

    /// Iterates over the elements of a list that may be spread over several fields (RFC 9110 §5.3, §5.6.1).
    ///
    /// Commas within quoted strings do not separate elements. Empty elements are skipped (RFC 9110 §5.6.1.2).
    pub(crate) fn elements(&self, name: FieldName) -> impl Iterator<Item = &[u8]> {
        self.all(name).flat_map(split)
    }

    /// Iterates over the elements of a list with any name.
    pub(crate) fn elements_named(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.all_named(name).flat_map(split)
    }

    /// Returns whether a list contains a token, compared case-insensitively.
    #[inline]
    pub(crate) fn has_token<const N: usize>(&self, name: FieldName, token: &[u8; N]) -> bool {
        // Nearly always it is the only element. The length is known, so this becomes a comparison of numbers.
        let is_it = |list: &[u8]| list.len() == N && names::is_same(list, token);
        self.first(name).is_some_and(is_it) || self.has_token_among(name, token)
    }

    /// Returns whether one of several elements is the token.
    fn has_token_among(&self, name: FieldName, token: &[u8]) -> bool {
        self.elements(name).any(|element| names::is_same(element, token))
    }

    /// Returns whether a list consists of a token, compared case-insensitively. The token can be repeated.
    pub(crate) fn has_only_token<const N: usize>(&self, name: FieldName, token: &[u8; N]) -> bool {
        self.has_token(name, token) && self.elements(name).all(|element| element.eq_ignore_ascii_case(token))
    }

    /// How much memory the fields occupy, in bytes.
    #[cfg(feature = "reactor")]
    pub(crate) fn held(&self) -> usize {
        let received = match self.form() {
            Some(Form::Received(received)) => received.held(),
            _ => 0,
        };
        let listed = self.compact.as_ref().and_then(|compact| compact.listed.get());
        [&self.list].into_iter().chain(listed).map(headers::held).fold(received, usize::saturating_add)
    }

    fn form(&self) -> Option<&Form> {
        self.compact.as_ref().map(|compact| &compact.form)
    }

    /// Returns the name and the value of a field.
    fn get(&self, at: usize) -> Option<(&[u8], &[u8])> {
        match self.form() {
            Some(form) => form.get(at),
            None => self.list.get(at).map(|(name, value)| (name.as_bytes(), value.as_slice())),
        }
    }

    /// Returns whether there may be several fields with a name.
    fn may_repeat(&self, name: FieldName) -> bool {
        match self.form() {
            Some(Form::Received(received)) => received.is_repeated(name),
            Some(Form::Accepting(_)) => false,
            None => true,
        }
    }
}

impl From<Headers> for Fields {
    fn from(list: Headers) -> Self {
        Self { list, compact: None }
    }
}

/// The number of fields of a response that accepts a request.
const ACCEPTING_LEN: usize = 3;

impl Form {
    fn get(&self, at: usize) -> Option<(&[u8], &[u8])> {
        match self {
            Self::Received(received) => received.get(at),
            Self::Accepting(accept) => accepting_field(accept, at),
        }
    }

    fn to_list(&self) -> Headers {
        let fields = (0..).map_while(|at| self.get(at));
        // Names are tokens, and so ASCII.
        fields.map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec())).collect()
    }
}

/// §4.2.2, items 5.2 to 5.4.
fn accepting_field(accept: &AcceptValue, at: usize) -> Option<(&[u8], &[u8])> {
    let names = [FieldName::Connection, FieldName::Accept, FieldName::Upgrade];
    let name = *names.get(at)?;
    Some((name.text().as_bytes(), accepting_value(accept, name)?))
}

fn accepting_value(accept: &AcceptValue, name: FieldName) -> Option<&[u8]> {
    match name {
        FieldName::Connection => Some(b"Upgrade"),
        FieldName::Accept => Some(accept),
        FieldName::Upgrade => Some(b"websocket"),
        _ => None,
    }
}

#[cfg(test)]
#[path = "fields_tests.rs"]
mod tests;
