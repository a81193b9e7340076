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
        parse(word.as_ref())
    }

    /// Reads all other words.
    ///
    /// # Errors
    ///
    /// Returns a description of a word that is wrong.
    pub(crate) fn rest<T: FromStr>(self) -> Result<Vec<T>, String> {
        self.0.map(|word| parse(word.as_ref())).collect()
    }
}

fn parse<T: FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word} is not expected"))
}

/// Reads the words of a line.
pub(crate) fn of(line: &str) -> Words<impl Iterator<Item = &str>> {
    Words(line.split_whitespace())
}
