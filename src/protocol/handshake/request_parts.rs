//! Parts of a request that programs read: path, query, cookies, and credentials.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use url::form_urlencoded;

use super::Request;

impl Request {
    /// Returns the path of the resource: what comes before the query. It is not decoded.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Request;
    ///
    /// let request = Request::from_url(&"ws://example.com/rooms/7?user=a%20b&user=c".parse()?)?;
    /// assert_eq!((request.path(), request.query()), ("/rooms/7", Some("user=a%20b&user=c")));
    /// let users: Vec<_> = request.query_pairs().map(|(_, value)| value.into_owned()).collect();
    /// assert_eq!(users, ["a b", "c"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn path(&self) -> &str {
        self.resource().split_once('?').map_or(self.resource(), |(path, _)| path)
    }

    /// Returns the query of the resource, if it has one: what comes after the first `?`. It is not decoded.
    ///
    /// See the example of [`path`](Self::path).
    pub fn query(&self) -> Option<&str> {
        self.resource().split_once('?').map(|(_, query)| query)
    }

    /// Returns the names and values in the query, decoded as those of a form (`application/x-www-form-urlencoded`), in their order.
    /// Bytes that are not UTF-8 become U+FFFD.
    ///
    /// See the example of [`path`](Self::path).
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(self.query().unwrap_or_default().as_bytes())
    }

    /// Returns the value of the first header with a name as text, unless there is none or it is not UTF-8.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Request;
    ///
    /// let mut request = Request::from_url(&"ws://example.com/".parse()?)?;
    /// request.set_header("User-Agent", "fish/1")?;
    /// assert_eq!(request.header_text("user-agent"), Some("fish/1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn header_text(&self, header: &str) -> Option<&str> {
        std::str::from_utf8(self.fields().find(header)?).ok()
    }

    /// Returns the value of the first cookie with this name (RFC 6265 §5.4). See [`cookies`](Self::cookies).
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Request;
    ///
    /// let mut request = Request::from_url(&"ws://example.com/".parse()?)?;
    /// request.set_header("Cookie", "theme=dark; session=\"31d4d96e\"")?;
    /// assert_eq!(request.cookie("session"), Some("31d4d96e"));
    /// assert_eq!(request.cookies().count(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Returns the names and values of all cookies, in their order. Quotation marks around a value are not part of it. Nothing else is
    /// decoded. What is not UTF-8 or has no `=` is left out.
    ///
    /// See the example of [`cookie`](Self::cookie).
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields()
            .all_named("Cookie")
            .flat_map(|value| value.split(|byte| *byte == b';'))
            .filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='))
            .map(|(name, value)| (name.trim(), unquoted(value.trim())))
    }

    /// Returns the token of `Authorization: Bearer` (RFC 6750 §2.1). `None` if there is another scheme, or more than one `Authorization`.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::{Request, secrets_match};
    ///
    /// let mut request = Request::from_url(&"ws://example.com/".parse()?)?;
    /// request.set_header("Authorization", "Bearer 31d4d96e")?;
    /// let is_known = request.bearer_token().is_some_and(|token| secrets_match(token, "31d4d96e"));
    /// assert!(is_known);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bearer_token(&self) -> Option<&str> {
        self.credentials("Bearer")
    }

    /// Returns the user and the password of `Authorization: Basic` (RFC 7617 §2). `None` if they are not UTF-8, if there is another scheme,
    /// or more than one `Authorization`.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockeye::Request;
    ///
    /// let request = Request::from_url(&"ws://ann:secret:1@example.com/".parse()?)?;
    /// assert_eq!(request.basic_credentials(), Some(("ann".to_owned(), "secret:1".to_owned())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn basic_credentials(&self) -> Option<(String, String)> {
        let decoded = STANDARD.decode(self.credentials("Basic")?).ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        decoded.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
    }

    /// Returns what follows the scheme of the only `Authorization` (RFC 9110 §11.6.2).
    fn credentials(&self, scheme: &str) -> Option<&str> {
        let mut all = self.fields().all_named("Authorization");
        let (Some(value), None) = (all.next(), all.next()) else { return None };
        let (found, credentials) = std::str::from_utf8(value).ok()?.trim().split_once(' ')?;
        found.eq_ignore_ascii_case(scheme).then(|| credentials.trim_start())
    }
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// Returns whether a secret that a peer has sent is the expected one. How long this takes reveals nothing about the expected one except
/// its length.
///
/// The comparison of two strings ends at the first difference, so a peer could find a token one character after the other.
///
/// See the example of [`Request::bearer_token`].
pub fn secrets_match(given: impl AsRef<[u8]>, expected: impl AsRef<[u8]>) -> bool {
    // The digests are unpredictable, so the place where they differ says nothing about the secrets.
    let key: [u8; 32] = rand::random();
    let digest = |secret: &[u8]| Sha1::new_with_prefix(key).chain_update(secret).finalize();
    digest(given.as_ref()) == digest(expected.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(resource: &str, fields: &[(&str, &[u8])]) -> Request {
        let mut head = format!("GET {resource} HTTP/1.1\r\nHost: example.com\r\n").into_bytes();
        for (name, value) in fields {
            head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        head.extend(b"\r\n");
        Request::parse(&head).unwrap().unwrap()
    }

    #[test]
    fn paths_and_queries_are_divided_at_the_first_question_mark() {
        for (resource, path, query) in
            [("/", "/", None), ("/a?", "/a", Some("")), ("/a?b=?&c", "/a", Some("b=?&c"))]
        {
            let request = request(resource, &[]);
            assert_eq!((request.path(), request.query()), (path, query), "{resource}");
        }
        let request = request("/?a+b=%C3%A9&c&=d&%ff=1", &[]);
        let pairs: Vec<_> = request.query_pairs().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(pairs, ["a b=é", "c=", "=d", "\u{fffd}=1"]);
    }

    #[test]
    fn cookies_are_read_from_all_headers() {
        let fields: [(&str, &[u8]); 3] = [
            ("Cookie", b"a=1;b = 2 ; c; d=x=y;a=3"),
            ("cookie", b"e=\"q\"; f=\""),
            ("Cookie", b"g=\xff; h="),
        ];
        let request = request("/", &fields);
        let expected = [("a", "1"), ("b", "2"), ("d", "x=y"), ("a", "3"), ("e", "q"), ("f", "\""), ("h", "")];
        assert_eq!(request.cookies().collect::<Vec<_>>(), expected);
        assert_eq!((request.cookie("a"), request.cookie("A"), request.cookie("c")), (Some("1"), None, None));
    }

    #[test]
    fn credentials_have_one_scheme() {
        let authorized = |value: &str| request("/", &[("Authorization", value.as_bytes())]);
        assert_eq!(authorized("bearer  a.b").bearer_token(), Some("a.b"));
        for other in ["Bearer", "Basic YTpi", "Bearera b", ""] {
            assert_eq!(authorized(other).bearer_token(), None, "{other}");
        }
        let basic = |value: &str| authorized(value).basic_credentials();
        assert_eq!(basic("BASIC YTpiOmM="), Some(("a".into(), "b:c".into())));
        assert_eq!(basic("Basic Og=="), Some((String::new(), String::new())));
        for invalid in ["Basic YQ==", "Basic YTpi=", "Basic /zo=", "Basic ?", "Bearer YTpiOmM="] {
            assert_eq!(basic(invalid), None, "{invalid}");
        }
        let twice: [(&str, &[u8]); 2] = [("Authorization", b"Bearer a"), ("authorization", b"Bearer b")];
        assert_eq!(request("/", &twice).bearer_token(), None, "it is unclear which one counts");
    }

    #[test]
    fn equal_secrets_match() {
        assert!(secrets_match("token", b"token") && secrets_match("", ""));
        assert!(
            !secrets_match("token", "tokem") && !secrets_match("token", "toke") && !secrets_match("", "t")
        );
    }
}
