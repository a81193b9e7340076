//! A payload for many receivers, compressed once.

use std::sync::{Arc, Mutex, PoisonError};

use super::compressor::Key;

/// The compressed forms of a shared payload, one for each way to compress; shared by all its frames.
///
/// The default remembers nothing: it is that of a payload which is compressed already.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cache(Option<Arc<Forms>>);

/// A form that is `None` would not be smaller.
type Forms = Mutex<Vec<(Key, Option<Arc<Vec<u8>>>)>>;

impl Cache {
    pub(crate) fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// Returns what `compress` makes of the payload, or has made before.
    pub(super) fn compressed(
        &self,
        key: Key,
        compress: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Option<Arc<Vec<u8>>> {
        let Some(forms) = &self.0 else { return compress().map(Arc::new) };
        // Nothing is left half done under this lock.
        let mut forms = forms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, form)) = forms.iter().find(|(known, _)| *known == key) {
            return form.clone();
        }
        let form = compress().map(Arc::new);
        forms.push((key, form.clone()));
        form
    }
}
