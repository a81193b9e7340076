//! The fields of a head as they were received: the bytes, and where each field is.

use std::sync::OnceLock;

use super::grammar;
use super::names::FieldName;
use crate::protocol::ProtocolError;
use crate::protocol::handshake::{AcceptValue, accept_of};

/// For how many fields memory is reserved at first. A browser sends between 12 and 18.
const USUAL_FIELDS: usize = 20;

/// A head, and the fields in it. Its syntax has been checked.
///
/// The fields are not copied out of the head, and those that an opening handshake needs are found without a search.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReceivedFields {
    /// The bytes of the head, including the first line.
    pub(super) head: Vec<u8>,
    places: Vec<Place>,
    /// For each known name, one more than the index of the first field with this name, or zero.
    first: [u16; FieldName::COUNT],
    /// For each known name, the bit at its index is set if there are several fields with this name.
    repeated: u16,
    /// The response to the key, once it has been computed.
    accept: OnceLock<AcceptValue>,
}

/// Where a field is in the head: the name in `name..name_end`, and the value in `value..value_end`.
#[derive(Debug, Clone, Copy)]
struct Place {
    name: u32,
    name_end: u32,
    value: u32,
    value_end: u32,
}

impl ReceivedFields {
    /// Adds the field in the line of the head that begins at `start`, and returns where the next line begins. `None` means that the line is
    /// malformed or incomplete.
    #[inline(always)]
    pub(super) fn push(&mut self, head: &[u8], start: usize) -> Result<Option<usize>, ProtocolError> {
        let line = head.get(start..).unwrap_or_default();
        let Some(colon) = grammar::colon(line) else { return Ok(None) };
        let (name, rest) = line.split_at_checked(colon).unwrap_or_default();
        let known = FieldName::of(name);
        if known.is_none() && !grammar::is_token(name) {
            return Ok(None);
        }
        let rest = grammar::trim_start(rest.get(1..).unwrap_or_default());
        let (value, end) = rest.split_at_checked(grammar::text_len(rest)).unwrap_or_default();
        let [b'\r', b'\n', next @ ..] = end else { return Ok(None) };
        if self.places.capacity() == 0 {
            self.places = Vec::with_capacity(USUAL_FIELDS);
        }
        let value_start = head.len().wrapping_sub(rest.len());
        let value_len = grammar::trim_end(value).len();
        self.places.push(Place {
            name: position(start)?,
            name_end: position(start.wrapping_add(name.len()))?,
            value: position(value_start)?,
            value_end: position(value_start.wrapping_add(value_len))?,
        });
        if let Some(name) = known {
            self.record(name)?;
        }
        Ok(Some(head.len().wrapping_sub(next.len())))
    }

    /// Does the same for a line that is complete, without a copy of the code for each of its callers.
    #[cold]
    pub(super) fn push_complete(&mut self, head: &[u8], start: usize) -> Result<(), ProtocolError> {
        self.push(head, start)?.map(drop).ok_or(ProtocolError::MalformedHead)
    }

    /// Records that the last field has this name.
    fn record(&mut self, name: FieldName) -> Result<(), ProtocolError> {
        // Later fields are not recorded, so there must be none.
        let count = u16::try_from(self.places.len()).map_err(|_| ProtocolError::TooManyHeaders)?;
        match self.first.get_mut(name.index()) {
            Some(first @ 0) => *first = count,
            _ => self.repeated |= bit(name),
        }
        Ok(())
    }

    /// Returns the number of fields.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns the name and the value of a field.
    pub(super) fn get(&self, at: usize) -> Option<(&[u8], &[u8])> {
        let place = self.places.get(at)?;
        Some((self.slice(place.name, place.name_end), self.slice(place.value, place.value_end)))
    }

    /// Returns the value of the first field with a name.
    pub(super) fn first(&self, name: FieldName) -> Option<&[u8]> {
        let place = self.places.get(self.index_of(name)?)?;
        Some(self.slice(place.value, place.value_end))
    }

    /// Returns whether there are several fields with a name.
    pub(super) fn is_repeated(&self, name: FieldName) -> bool {
        self.repeated & bit(name) != 0
    }

    /// Returns the value of `Sec-WebSocket-Accept` for the key, which is computed once.
    pub(super) fn accept(&self) -> Option<AcceptValue> {
        let key = self.first(FieldName::Key)?;
        Some(*self.accept.get_or_init(|| accept_of(key)))
    }

    /// How much memory the head occupies, in bytes.
    #[cfg(feature = "reactor")]
    pub(super) fn held(&self) -> usize {
        let places = self.places.capacity().saturating_mul(size_of::<Place>());
        size_of::<Self>().saturating_add(self.head.capacity()).saturating_add(places)
    }

    fn index_of(&self, name: FieldName) -> Option<usize> {
        usize::from(*self.first.get(name.index())?).checked_sub(1)
    }

    fn slice(&self, start: u32, end: u32) -> &[u8] {
        let place = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        place.and_then(|(start, end)| self.head.get(start..end)).unwrap_or_default()
    }
}

/// Returns the bit of a name.
fn bit(name: FieldName) -> u16 {
    1 << name.index()
}

/// Stores a position in four bytes. A head of more than 4 GiB has no fields.
fn position(at: usize) -> Result<u32, ProtocolError> {
    u32::try_from(at).map_err(|_| ProtocolError::HeadTooLarge)
}
