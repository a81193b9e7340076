//! The command line.

use std::time::Duration;

use sockeye::url::Url;

pub(crate) const USAGE: &str = "\
Usage: cli [URL] [OPTIONS]

Sends every line that is typed or piped in, and prints what the server sends.

URL                      the server [ws://127.0.0.1:3012]
--protocol NAME          offer a subprotocol; can be repeated
--header 'NAME: VALUE'   send a header with the request; can be repeated
--ping SECONDS           ping the server at this interval
--linger SECONDS         after the end of the input, wait this long for answers [2]
--insecure               accept any certificate of a wss server; requires the feature rustls or ssl
--quiet                  print messages and errors only
--help                   print this";

/// What can be typed besides messages.
pub(crate) const COMMANDS: &str = "\
/ping                    ping the server, and print the round-trip time
/close [CODE [REASON]]   close the connection
/quit                    close the connection and end the program, as Ctrl-D and Ctrl-C do
//TEXT                   send /TEXT";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) url: Url,
    pub(crate) protocols: Vec<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) ping: Option<Duration>,
    pub(crate) linger: Duration,
    pub(crate) is_quiet: bool,
    pub(crate) is_insecure: bool,
}

impl Options {
    /// Parses the arguments. Returns `None` if they ask for help, and an error that explains what is wrong with them.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Option<Self>, String> {
        let mut arguments = arguments.into_iter();
        let mut url = None;
        let mut protocols = Vec::new();
        let mut headers = Vec::new();
        let (mut ping, mut linger, mut is_quiet, mut is_insecure) =
            (None, Duration::from_secs(2), false, false);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--protocol" => protocols.push(value()?),
                "--header" => headers.push(header(&value()?)?),
                "--ping" => ping = Some(seconds(&value()?)?),
                "--linger" => linger = seconds(&value()?)?,
                "--quiet" => is_quiet = true,
                "--insecure" => is_insecure = true,
                "--help" | "-h" => return Ok(None),
                _ if argument.starts_with('-') => {
                    return Err(format!("unknown option {argument}; --help lists the options"));
                }
                _ if url.is_some() => return Err(format!("unexpected argument {argument}; see --help")),
                _ => url = Some(argument),
            }
        }
        let url = parse_url(url.as_deref().unwrap_or("ws://127.0.0.1:3012"))?;
        Ok(Some(Self { url, protocols, headers, ping, linger, is_quiet, is_insecure }))
    }
}

/// Parses a URL. The scheme can be omitted, as in `host:port/path`.
fn parse_url(given: &str) -> Result<Url, String> {
    let url = if given.contains("://") { given.to_owned() } else { format!("ws://{given}") };
    let url = Url::parse(&url).map_err(|err| format!("{given} is not a URL: {err}"))?;
    match url.scheme() {
        "ws" | "wss" => Ok(url),
        other => Err(format!("{given} has the scheme {other}; expected ws or wss")),
    }
}

fn header(given: &str) -> Result<(String, String), String> {
    match given.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().into(), value.trim().into())),
        _ => Err(format!("'{given}' is not a header; expected 'NAME: VALUE'")),
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
    fn every_argument_has_a_default() {
        let options = parse("").unwrap().unwrap();
        assert_eq!(options.url.as_str(), "ws://127.0.0.1:3012/");
        assert_eq!((options.ping, options.linger, options.is_quiet), (None, Duration::from_secs(2), false));
    }

    #[test]
    fn options_can_precede_and_follow_the_url() {
        let options = parse("--quiet|example.com/x|--protocol|a|--ping|0.5|--header|X-A: b: c|--protocol|b");
        let options = options.unwrap().unwrap();
        assert_eq!(options.url.as_str(), "ws://example.com/x");
        assert_eq!(options.protocols, ["a", "b"]);
        assert_eq!(options.headers, [("X-A".to_owned(), "b: c".to_owned())]);
        assert_eq!((options.ping, options.is_quiet), (Some(Duration::from_millis(500)), true));
    }

    #[test]
    fn help_is_accepted_and_unknown_arguments_are_rejected() {
        assert!(parse("a|--help|--nonsense").unwrap().is_none());
        for nonsense in [
            "--nonsense",
            "a|b",
            "--ping",
            "--ping|soon",
            "--ping|-1",
            "--header|x",
            "--header|: x",
            ":::",
            "ftp://a",
        ] {
            assert!(parse(nonsense).is_err(), "{nonsense}");
        }
    }
}
