//! The request of the opening handshake.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sockeye::url::Url;
use sockeye::{Request, Result};

use crate::options::{Header, RequestOptions};

/// Builds the request for the options.
pub(crate) fn build(url: &Url, options: &RequestOptions) -> Result<Request> {
    let mut request = Request::from_url(url)?;
    for protocol in &options.subprotocol {
        request.add_protocol(protocol);
    }
    if let Some(origin) = &options.origin {
        request.set_header("Origin", origin)?;
    }
    if let Some(authorization) = authorization(options) {
        request.set_header("Authorization", authorization)?;
    }
    add(&mut request, &options.header)?;
    Ok(request)
}

fn authorization(options: &RequestOptions) -> Option<String> {
    let basic =
        options.basic_auth.as_ref().map(|credentials| format!("Basic {}", STANDARD.encode(credentials)));
    basic.or_else(|| options.bearer.as_ref().map(|token| format!("Bearer {token}")))
}

/// Adds headers of the user. The first one of a name replaces the header of the request, and further ones are added.
fn add(request: &mut Request, headers: &[Header]) -> Result<()> {
    for (index, Header { name, value }) in headers.iter().enumerate() {
        let is_repeated = headers[..index].iter().any(|earlier| earlier.name.eq_ignore_ascii_case(name));
        if is_repeated {
            request.add_header(name, value)?;
        } else {
            request.set_header(name, value)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> RequestOptions {
        RequestOptions {
            header: Vec::new(),
            origin: None,
            subprotocol: Vec::new(),
            basic_auth: None,
            bearer: None,
            location: None,
        }
    }

    fn built(options: &RequestOptions) -> Request {
        build(&Url::parse("ws://user:pass@host/").unwrap(), options).unwrap()
    }

    #[test]
    fn options_replace_the_credentials_of_the_url() {
        assert_eq!(built(&options()).header_text("Authorization"), Some("Basic dXNlcjpwYXNz"));
        let basic = RequestOptions { basic_auth: Some("a:b".into()), ..options() };
        assert_eq!(built(&basic).header_text("Authorization"), Some("Basic YTpi"));
        let bearer = RequestOptions { bearer: Some("token".into()), ..options() };
        assert_eq!(built(&bearer).bearer_token(), Some("token"));
    }

    #[test]
    fn the_first_header_of_a_name_replaces_and_further_ones_are_added() {
        let header = ["Host: other", "Cookie: a=1", "cookie: b=2"].map(|header| header.parse().unwrap());
        let request = built(&RequestOptions { header: header.to_vec(), ..options() });
        let of = |name: &str| {
            let named = request.headers().iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
            named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of("Host"), ["other"]);
        assert_eq!(of("Cookie"), ["a=1", "b=2"]);
    }

    #[test]
    fn a_header_that_must_not_be_sent_is_rejected() {
        let header = vec![Header { name: "X Y".into(), value: "a".into() }];
        let url = Url::parse("ws://host/").unwrap();
        assert!(build(&url, &RequestOptions { header, ..options() }).is_err());
    }
}
