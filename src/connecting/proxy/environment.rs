//! Proxies in environment variables, as other programs read them.

use std::ffi::OsString;
use std::sync::Arc;

use super::Proxy;
use super::bypass::Bypass;
use super::server::ProxyServer;
use crate::error::{Error, ErrorKind, Result};

/// Returns the value of a variable.
type Lookup<'v> = &'v dyn Fn(&str) -> Option<OsString>;

/// Which spellings of a name count. Lower case has precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Any,
    LowerCase,
}

/// What a variable contains.
#[derive(Debug)]
enum Setting {
    Unset,
    /// The proxy. `None` means a direct connection.
    Set(Option<Arc<ProxyServer>>),
}

/// Reads the proxies.
pub(super) fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Proxy> {
    let variable: Lookup<'_> = &variable;
    // "httpoxy": a web server passes the header `Proxy` of a client to a CGI program as HTTP_PROXY.
    let is_cgi = variable("REQUEST_METHOD").is_some();
    let plain = setting("http_proxy", if is_cgi { Spelling::LowerCase } else { Spelling::Any }, variable)?;
    let encrypted = setting("https_proxy", Spelling::Any, variable)?;
    let all = match setting("all_proxy", Spelling::Any, variable)? {
        Setting::Set(server) => server,
        Setting::Unset => None,
    };
    let choose = |setting| match setting {
        Setting::Set(server) => server,
        Setting::Unset => all.clone(),
    };
    let bypass = text("no_proxy", Spelling::Any, variable)?.map(|(_, list)| Bypass::parse(&list));
    Ok(Proxy { plain: choose(plain), encrypted: choose(encrypted), bypass: bypass.unwrap_or_default() })
}

/// Returns the proxy in a variable, whose name is given in lower case.
fn setting(name: &str, spelling: Spelling, variable: Lookup<'_>) -> Result<Setting> {
    let Some((name, value)) = text(name, spelling, variable)? else { return Ok(Setting::Unset) };
    let value = value.trim();
    if value.is_empty() {
        return Ok(Setting::Set(None));
    }
    let url = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    match ProxyServer::parse(&url) {
        Ok(server) => Ok(Setting::Set(Some(Arc::new(server)))),
        Err(err) => Err(Error::new(err.kind, format!("{name}: {}", err.details))),
    }
}

/// Returns the name of a variable as it is spelled, and its value.
fn text(name: &str, spelling: Spelling, variable: Lookup<'_>) -> Result<Option<(String, String)>> {
    let names = [Some(name.to_owned()), (spelling == Spelling::Any).then(|| name.to_ascii_uppercase())];
    let found = names.into_iter().flatten().find_map(|name| variable(&name).map(|value| (name, value)));
    let Some((name, value)) = found else { return Ok(None) };
    match value.into_string() {
        Ok(value) => Ok(Some((name, value))),
        Err(_) => Err(Error::new(ErrorKind::Protocol, format!("{name}: the value is not UTF-8"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The proxies that variables set for `ws` and `wss` URLs.
    fn addresses(variables: &[(&str, &str)]) -> [Option<String>; 2] {
        let proxy = read_from(variables).unwrap();
        ["ws://example.com/", "wss://example.com/"].map(|url| proxy.address_for(&url.parse().unwrap()))
    }

    fn read_from(variables: &[(&str, &str)]) -> Result<Proxy> {
        read(|name| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.into()))
    }

    fn both(ws: Option<&str>, wss: Option<&str>) -> [Option<String>; 2] {
        [ws, wss].map(|address| address.map(str::to_owned))
    }

    #[test]
    fn each_scheme_has_a_variable() {
        let (a, b, c) = ("http://a.example:1", "socks5://b.example:2", "c.example:3");
        for (variables, expected) in [
            (vec![], both(None, None)),
            (vec![("HTTP_PROXY", a)], both(Some("a.example:1"), None)),
            (vec![("HTTPS_PROXY", a)], both(None, Some("a.example:1"))),
            (vec![("ALL_PROXY", b)], both(Some("b.example:2"), Some("b.example:2"))),
            (vec![("all_proxy", b), ("https_proxy", c)], both(Some("b.example:2"), Some("c.example:3"))),
            (vec![("HTTP_PROXY", a), ("http_proxy", c)], both(Some("c.example:3"), None)),
            // An empty value means a direct connection.
            (vec![("ALL_PROXY", b), ("http_proxy", "")], both(None, Some("b.example:2"))),
        ] {
            assert_eq!(addresses(&variables), expected, "{variables:?}");
        }
    }

    #[test]
    fn upper_case_http_proxy_does_not_count_in_a_cgi_program() {
        let (evil, own) = (("HTTP_PROXY", "http://evil.example"), ("http_proxy", "http://own.example"));
        let cgi = ("REQUEST_METHOD", "GET");
        assert_eq!(addresses(&[evil, cgi]), both(None, None));
        assert_eq!(addresses(&[evil, own, cgi]), both(Some("own.example:80"), None));
        assert_eq!(addresses(&[evil]), both(Some("evil.example:80"), None));
    }

    #[test]
    fn no_proxy_lists_exceptions() {
        let proxy = ("ALL_PROXY", "http://a.example:1");
        assert_eq!(addresses(&[proxy, ("NO_PROXY", "localhost,.example.com")]), both(None, None));
        assert_eq!(
            addresses(&[proxy, ("NO_PROXY", "*"), ("no_proxy", "example.com:443")]),
            both(Some("a.example:1"), None)
        );
    }

    #[test]
    fn an_invalid_value_is_an_error_with_the_name_of_the_variable() {
        let err = read_from(&[("HTTPS_PROXY", "ftp://user:secret@a.example")]).unwrap_err();
        let expected = "HTTPS_PROXY: cannot use the proxy ftp://***@a.example/: \
                        the scheme is not one of http, socks5 and socks5h";
        assert_eq!(err.to_string(), expected);
    }
}
