//! Lines and arguments of several words.

use std::str::FromStr;

/// Reads one word after the other.
#[derive(Debug)]
pub(crate) struct Words<I>(pub(crate) I);

impl<I: Iterator<Item: AsRef<str>>> Words<I> {
    /// Reads the next word.
    ///
    /// # Errors
    ///
    /// Returns a description if it is missing or wrong.
    pub(crate) fn next<T: FromStr>(&mut self) -> Result<T, String> {
        let word = self.0.next().ok_or("a word is missing")?;
        word.as_ref().parse().map_err(|_| format!("{} is not expected", word.as_ref()))
    }

    /// Reads all other words.
    ///
    /// # Errors
    ///
    /// Returns a description of a word that is wrong.
    pub(crate) fn rest<T: FromStr>(mut self) -> Result<Vec<T>, String> {
        let mut rest = Vec::new();
        while let Some(word) = self.0.next() {
            rest.push(word.as_ref().parse().map_err(|_| format!("{} is not expected", word.as_ref()))?);
        }
        Ok(rest)
    }
}

/// Reads the words of a line.
pub(crate) fn of(line: &str) -> Words<impl Iterator<Item = &str>> {
    Words(line.split_whitespace())
}
