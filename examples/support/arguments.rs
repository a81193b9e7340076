//! The command line of the examples.

#![expect(clippy::print_stdout, reason = "--help prints")]

use std::collections::VecDeque;
use std::str::FromStr;
use std::{env, process};

use sockeye::url::Url;

use super::failure::{Failure, Result};

/// The default URL of the clients: that of the servers' default address.
pub(crate) const URL: &str = "ws://127.0.0.1:3012";

/// The arguments that have not been read yet.
pub(crate) struct Arguments {
    positional: VecDeque<String>,
    /// The options, each with its value if it has one.
    options: Vec<(String, Option<String>)>,
}

impl Arguments {
    /// Reads the command line. `--help` prints `usage` and ends the program.
    ///
    /// An option is accepted if a line of `usage` begins with it. It has a value if the next word is in capitals, as in `--workers N`.
    pub(crate) fn parse(usage: &str) -> Result<Self> {
        let mut given = env::args().skip(1);
        let (mut positional, mut options) = (VecDeque::new(), Vec::new());
        while let Some(argument) = given.next() {
            if argument == "--help" || argument == "-h" {
                println!("{usage}");
                process::exit(0);
            }
            if !argument.starts_with('-') {
                positional.push_back(argument);
                continue;
            }
            let value = if has_value(usage, &argument)? { given.next() } else { None };
            options.push((argument, value));
        }
        Ok(Self { positional, options })
    }

    /// Returns whether the option was given.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|(given, _)| given == option)
    }

    /// Returns the number after the option, or `None` if the option was not given.
    pub(crate) fn value(&self, option: &str) -> Result<Option<usize>> {
        let Some(value) = self.given(option) else { return Ok(None) };
        match value.unwrap_or_default().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Failure::new(format!("{option} needs a number; --help describes it"))),
        }
    }

    /// Returns the text after the option, or `None` if the option was not given.
    pub(crate) fn text(&self, option: &str) -> Result<Option<&str>> {
        match self.given(option) {
            Some(None) => Err(Failure::new(format!("{option} needs a value; --help describes it"))),
            given => Ok(given.flatten()),
        }
    }

    /// Returns the value of the last option with this name.
    fn given(&self, option: &str) -> Option<Option<&str>> {
        self.options.iter().rfind(|(given, _)| given == option).map(|(_, value)| value.as_deref())
    }

    /// Returns the next positional argument.
    pub(crate) fn next(&mut self) -> Option<String> {
        self.positional.pop_front()
    }

    /// Returns the address to listen on, `HOST:PORT`. Default: 127.0.0.1:3012.
    pub(crate) fn address(&mut self) -> Result<String> {
        let address = self.next().unwrap_or_else(|| "127.0.0.1:3012".into());
        match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(address),
            _ => Err(Failure::new(format!("{address} is not an address; expected HOST:PORT"))),
        }
    }

    /// Returns the URL to connect to.
    pub(crate) fn url(&mut self, default: &str) -> Result<Url> {
        parse_url(self.next().as_deref().unwrap_or(default))
    }

    /// Returns the next argument as a number above zero.
    pub(crate) fn number<N: FromStr + Default + PartialOrd>(&mut self) -> Result<Option<N>> {
        let Some(argument) = self.next() else { return Ok(None) };
        match argument.parse() {
            Ok(number) if number > N::default() => Ok(Some(number)),
            _ => Err(Failure::new(format!("{argument} is not a number above zero"))),
        }
    }

    /// Checks that all arguments have been read.
    pub(crate) fn end(mut self) -> Result {
        match self.next() {
            Some(argument) => Err(Failure::new(format!("unexpected argument {argument}; see --help"))),
            None => Ok(()),
        }
    }
}

/// Returns whether a known option has a value.
fn has_value(usage: &str, option: &str) -> Result<bool> {
    let mut lines = usage.lines().map(|line| line.split(' '));
    let Some(mut words) = lines.find_map(|mut words| (words.next() == Some(option)).then_some(words)) else {
        return Err(Failure::new(format!("unknown option {option}; --help lists the options")));
    };
    let next = words.next().unwrap_or_default();
    Ok(!next.is_empty() && next.chars().all(|letter| letter.is_ascii_uppercase()))
}

/// Parses the URL of a WebSocket server.
pub(crate) fn parse_url(url: &str) -> Result<Url> {
    let parsed = Url::parse(url).map_err(|error| format!("{url} is not a URL: {error}"))?;
    match parsed.scheme() {
        "ws" | "wss" => Ok(parsed),
        other => Err(Failure::new(format!("{url} has the scheme {other}; expected ws or wss"))),
    }
}
