//! The command line.

use std::time::Duration;

use url::Url;

pub(crate) const USAGE: &str = "\
cli [URL] [OPTIONS]

URL                      where to connect to [ws://127.0.0.1:3012]
--protocol NAME          offers a subprotocol; may be given several times
--header 'NAME: VALUE'   sends a header with the request; may be given several times
--ping SECS              pings the server that often
--linger SECS            when the input has ended, waits that long for answers [2]
--insecure               does not verify the certificate of a wss server
--quiet                  shows messages and errors only
--help                   shows this";

/// What can be typed besides messages.
pub(crate) const COMMANDS: &str = "\
/ping                    pings the server, and shows how long the answer took
/close [CODE [REASON]]   closes the connection
/quit                    closes the connection and ends; so do Ctrl-D and Ctrl-C
//TEXT                   sends /TEXT";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) url: Url,
    pub(crate) protocols: Vec<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) ping: Option<Duration>,
    pub(crate) linger: Duration,
    pub(crate) quiet: bool,
    pub(crate) insecure: bool,
}

impl Options {
    /// `None` when help is asked for; an error says what is wrong with the arguments.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Option<Self>, String> {
        let mut arguments = arguments.into_iter();
        let mut url = None;
        let mut protocols = Vec::new();
        let mut headers = Vec::new();
        let (mut ping, mut linger, mut quiet, mut insecure) = (None, Duration::from_secs(2), false, false);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--protocol" => protocols.push(value()?),
                "--header" => headers.push(header(&value()?)?),
                "--ping" => ping = Some(seconds(&value()?)?),
                "--linger" => linger = seconds(&value()?)?,
                "--quiet" => quiet = true,
                "--insecure" => insecure = true,
                "--help" | "-h" => return Ok(None),
                _ if argument.starts_with('-') => return Err(format!("{argument} is not known\n\n{USAGE}")),
                _ if url.is_some() => return Err(format!("one URL is enough, and {argument} is the second")),
                _ => url = Some(argument),
            }
        }
        let url = address(url.as_deref().unwrap_or("ws://127.0.0.1:3012"))?;
        Ok(Some(Self { url, protocols, headers, ping, linger, quiet, insecure }))
    }
}

/// `host:port/path` is enough.
fn address(given: &str) -> Result<Url, String> {
    let whole = if given.contains("://") { given.to_owned() } else { format!("ws://{given}") };
    Url::parse(&whole).map_err(|err| format!("{given} is not a URL: {err}"))
}

fn header(given: &str) -> Result<(String, String), String> {
    match given.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().into(), value.trim().into())),
        _ => Err(format!("'{given}' is not a header; it needs to be 'NAME: VALUE'")),
    }
}

fn seconds(given: &str) -> Result<Duration, String> {
    given
        .parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("'{given}' is not a number of seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Result<Option<Options>, String> {
        Options::parse(arguments.split('|').filter(|argument| !argument.is_empty()).map(str::to_owned))
    }

    #[test]
    fn nothing_is_needed() {
        let options = parse("").unwrap().unwrap();
        assert_eq!(options.url.as_str(), "ws://127.0.0.1:3012/");
        assert_eq!((options.ping, options.linger, options.quiet), (None, Duration::from_secs(2), false));
    }

    #[test]
    fn options_stand_before_and_behind_the_url() {
        let options = parse("--quiet|example.com/x|--protocol|a|--ping|0.5|--header|X-A: b: c|--protocol|b");
        let options = options.unwrap().unwrap();
        assert_eq!(options.url.as_str(), "ws://example.com/x");
        assert_eq!(options.protocols, ["a", "b"]);
        assert_eq!(options.headers, [("X-A".to_owned(), "b: c".to_owned())]);
        assert_eq!((options.ping, options.quiet), (Some(Duration::from_millis(500)), true));
    }

    #[test]
    fn help_is_no_error_and_nonsense_is() {
        assert!(parse("a|--help|--nonsense").unwrap().is_none());
        for nonsense in
            ["--nonsense", "a|b", "--ping", "--ping|soon", "--ping|-1", "--header|x", "--header|: x", ":::"]
        {
            assert!(parse(nonsense).is_err(), "{nonsense}");
        }
    }
}
