//! The values of options: URLs, durations, sizes, the parameters of compression.

use std::str::FromStr;
use std::time::Duration;

use sockeye::url::Url;
use sockeye::{Deflate, Proxy};

/// Parses a URL. The scheme can be left out, as in `host:port/path`.
pub(super) fn url(given: &str) -> Result<Url, String> {
    let url = if given.contains("://") { given.to_owned() } else { format!("ws://{given}") };
    let url = Url::parse(&url).map_err(|err| err.to_string())?;
    match url.scheme() {
        "ws" | "wss" => Ok(url),
        other => Err(format!("the scheme is {other}; expected ws or wss")),
    }
}

pub(super) fn proxy(given: &str) -> Result<Proxy, String> {
    Proxy::new(given).map_err(|err| err.to_string())
}

/// Parses a number of seconds, which can be a fraction.
pub(super) fn seconds(given: &str) -> Result<Duration, String> {
    let seconds = given.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "expected a number of seconds".to_owned())
}

/// Parses a number of seconds above zero.
pub(super) fn positive_seconds(given: &str) -> Result<Duration, String> {
    seconds(given)
        .and_then(|time| if time.is_zero() { Err("expected more than zero".to_owned()) } else { Ok(time) })
}

/// How long to wait: seconds, or for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    For(Duration),
    Forever,
}

impl FromStr for Wait {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        if given == "-1" { Ok(Self::Forever) } else { seconds(given).map(Self::For) }
    }
}

/// A number of bytes, with the units `K`, `M` and `G`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) usize);

impl FromStr for Size {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let wrong = || "expected a number of bytes, such as 512, 64K or 16M".to_owned();
        let (digits, shift) = match given.char_indices().last() {
            Some((end, 'k' | 'K')) => (&given[..end], 10),
            Some((end, 'm' | 'M')) => (&given[..end], 20),
            Some((end, 'g' | 'G')) => (&given[..end], 30),
            _ => (given, 0),
        };
        let number: usize = digits.parse().map_err(|_| wrong())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(wrong)
    }
}

/// The parameters of `--compress`: those of RFC 7692, and `level` and `threshold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compression(pub(crate) Deflate);

impl FromStr for Compression {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let mut deflate = Deflate::default();
        for parameter in given.split(',').map(str::trim).filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            set(&mut deflate, name, value)?;
        }
        Ok(Self(deflate))
    }
}

fn set(deflate: &mut Deflate, name: &str, value: &str) -> Result<(), String> {
    let within = |least: u8, most: u8| match value.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{name} must be {least} to {most}")),
    };
    match name {
        "level" => deflate.level = within(1, 9)?,
        "server_max_window_bits" => deflate.server_max_window_bits = within(9, 15)?,
        "client_max_window_bits" => deflate.client_max_window_bits = within(9, 15)?,
        "threshold" => deflate.threshold = value.parse::<Size>()?.0,
        "context_takeover" if value.is_empty() => {
            deflate.server_no_context_takeover = false;
            deflate.client_no_context_takeover = false;
        }
        _ => {
            return Err(format!(
                "unknown parameter {name}; expected level, threshold, context_takeover, server_max_window_bits or \
                 client_max_window_bits"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_of_a_url_can_be_left_out() {
        assert_eq!(url("host:80/a").unwrap().as_str(), "ws://host/a");
        assert_eq!(url("wss://host").unwrap().as_str(), "wss://host/");
        assert!(url("ftp://host").is_err() && url("::").is_err());
    }

    #[test]
    fn durations_are_seconds() {
        assert_eq!(seconds("0.5").unwrap(), Duration::from_millis(500));
        assert_eq!("-1".parse(), Ok(Wait::Forever));
        assert_eq!("2".parse(), Ok(Wait::For(Duration::from_secs(2))));
        for wrong in ["-1", "soon", "", "1e400"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert!(positive_seconds("0").is_err() && "-2".parse::<Wait>().is_err());
    }

    #[test]
    fn sizes_have_units() {
        for (given, bytes) in [("0", 0), ("512", 512), ("64K", 65_536), ("2m", 2 << 20), ("1G", 1 << 30)] {
            assert_eq!(given.parse(), Ok(Size(bytes)));
        }
        for wrong in ["", "K", "-1", "1T", "99999999999999999G", "ä"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn compression_has_parameters() {
        assert_eq!("".parse(), Ok(Compression(Deflate::default())));
        let Compression(deflate) =
            "level=9, context_takeover,client_max_window_bits=10,threshold=1K".parse().unwrap();
        assert_eq!((deflate.level, deflate.client_max_window_bits, deflate.threshold), (9, 10, 1024));
        assert!(!deflate.server_no_context_takeover && !deflate.client_no_context_takeover);
        for wrong in ["level=0", "level", "server_max_window_bits=8", "context_takeover=1", "x"] {
            assert!(wrong.parse::<Compression>().is_err(), "{wrong}");
        }
    }
}
