//! Payloads for many receivers, which are compressed once.

use std::sync::{Arc, Mutex, PoisonError};

use super::compressor::Key;

/// The compressed forms of a shared payload, one for each key. All frames with this payload share them.
///
/// The default stores nothing. It belongs to payloads that are already compressed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cache(Option<Arc<Forms>>);

/// A form is `None` if compression would not make the payload smaller.
type Forms = Mutex<Vec<(Key, Option<Arc<Vec<u8>>>)>>;

impl Cache {
    pub(crate) fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// Returns the result of `compress`, which is called once for each key.
    pub(super) fn compressed(
        &self,
        key: Key,
        compress: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Option<Arc<Vec<u8>>> {
        let Some(forms) = &self.0 else { return compress().map(Arc::new) };
        // The data under this lock is always consistent.
        let mut forms = forms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, form)) = forms.iter().find(|(known, _)| *known == key) {
            return form.clone();
        }
        let form = compress().map(Arc::new);
        forms.push((key, form.clone()));
        form
    }

    /// Whether the payload is compressed, or known not to become smaller.
    pub(super) fn contains(&self, key: Key) -> bool {
        let Some(forms) = &self.0 else { return false };
        let forms = forms.lock().unwrap_or_else(PoisonError::into_inner);
        forms.iter().any(|(known, _)| *known == key)
    }

    /// Stores the compressed form, unless there is one. Returns the form.
    pub(super) fn insert(&self, key: Key, form: Option<Arc<Vec<u8>>>) -> Option<Arc<Vec<u8>>> {
        let Some(forms) = &self.0 else { return form };
        let mut forms = forms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = forms.iter().find(|(known, _)| *known == key) {
            return known.clone();
        }
        forms.push((key, form.clone()));
        form
    }
}
