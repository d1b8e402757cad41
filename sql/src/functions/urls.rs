//! Functions of URLs (RFC 2396).

use std::borrow::Cow;

use super::registry::{Body::*, Scalar};
use crate::expr::frame::Fault;
use crate::expr::kernel::{Int, Str, ok, rows1, rows2};

const URL: &str = "URL";

/// A function of one URL that returns one of its parts.
macro_rules! part {
    ($name:literal, $about:literal, $example:literal = $value:literal, $part:expr) => {
        Scalar {
            name: $name,
            category: URL,
            about: $about,
            example: ($example, $value),
            overloads: &[(
                "(STRING) -> STRING",
                Kernel(|args, frame| {
                    rows1::<Str, Str>(args, frame, |text| {
                        let part: fn(Url<'_>) -> Option<Cow<'_, str>> = $part;
                        Ok(part(Url::parse(text)?))
                    })
                }),
            )],
        }
    };
}

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar {
        name: "URL_DECODE_PARAM",
        category: URL,
        about: "Decodes a form parameter.",
        example: ("URL_DECODE_PARAM('url%20encoded+text')", "url encoded text"),
        overloads: &[(
            "(STRING) -> STRING",
            Kernel(|args, frame| {
                rows1::<Str, Str>(args, frame, |text| decode(text, true).map(Some))
            }),
        )],
    },
    Scalar {
        name: "URL_ENCODE_PARAM",
        category: URL,
        about: "Encodes a form parameter.",
        example: ("URL_ENCODE_PARAM('url encoded')", "url+encoded"),
        overloads: &[(
            "(STRING) -> STRING",
            Kernel(|args, frame| rows1::<Str, Str>(args, frame, |text| ok(encode(text)))),
        )],
    },
    part!(
        "URL_EXTRACT_FRAGMENT",
        "What follows the #.",
        "URL_EXTRACT_FRAGMENT('http://test.com#frag')" = "frag",
        |url| url.fragment.map(decoded)
    ),
    part!(
        "URL_EXTRACT_HOST",
        "The host.",
        "URL_EXTRACT_HOST('http://user@test.com:8080/path')" = "test.com",
        |url| url.host.map(Cow::Borrowed)
    ),
    Scalar {
        name: "URL_EXTRACT_PARAMETER",
        category: URL,
        about: "The first parameter of a name in the query.",
        example: ("URL_EXTRACT_PARAMETER('http://test.com?a%20b=c%20d', 'a b')", "c d"),
        overloads: &[(
            "(STRING, STRING) -> STRING",
            Kernel(|args, frame| {
                rows2::<Str, Str, Str>(args, frame, |text, name| {
                    let query = Url::parse(text)?.query.unwrap_or_default();
                    let pairs =
                        query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
                    let mut named = pairs.filter(|(key, _)| decoded(key) == name);
                    Ok(named.next().map(|(_, value)| decoded(value)))
                })
            }),
        )],
    },
    part!(
        "URL_EXTRACT_PATH",
        "The path.",
        "URL_EXTRACT_PATH('http://test.com/a/b?q=1')" = "/a/b",
        |url| url.path.map(decoded)
    ),
    Scalar {
        name: "URL_EXTRACT_PORT",
        category: URL,
        about: "The port, if the URL has one.",
        example: ("URL_EXTRACT_PORT('http://localhost:8080/path')", "8080"),
        overloads: &[(
            "(STRING) -> INT",
            Kernel(|args, frame| rows1::<Str, Int>(args, frame, |text| Ok(Url::parse(text)?.port))),
        )],
    },
    part!(
        "URL_EXTRACT_PROTOCOL",
        "The scheme.",
        "URL_EXTRACT_PROTOCOL('https://test.com')" = "https",
        |url| url.scheme.map(Cow::Borrowed)
    ),
    part!(
        "URL_EXTRACT_QUERY",
        "What stands between ? and #.",
        "URL_EXTRACT_QUERY('http://test.com?a=b%20c&d=e')" = "a=b c&d=e",
        |url| url.query.map(decoded)
    ),
];

#[derive(Default)]
struct Url<'a> {
    scheme: Option<&'a str>,
    host: Option<&'a str>,
    port: Option<i32>,
    path: Option<&'a str>,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Result<Url<'a>, Fault> {
        let malformed = || Fault::Owned(format!("URL input has invalid syntax: {text}"));
        if text.contains(is_illegal) {
            return Err(malformed());
        }
        valid_escapes(text).ok_or_else(malformed)?;
        let mut url = Url::default();
        let (rest, fragment) = cut(text, '#');
        url.fragment = fragment;
        let scheme_end = rest.find([':', '/', '?']).filter(|at| rest[*at..].starts_with(':'));
        let mut rest = rest;
        if let Some(end) = scheme_end {
            let scheme = &rest[..end];
            let legal = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
            if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(legal)
            {
                return Err(malformed());
            }
            url.scheme = Some(scheme);
            rest = &rest[end + 1..];
            if rest.is_empty() {
                return Err(malformed());
            }
            if !rest.starts_with('/') {
                // An opaque URI, such as mailto:a@b.c, has no parts.
                return Ok(url);
            }
        }
        let (rest, query) = cut(rest, '?');
        url.query = query;
        match rest.strip_prefix("//") {
            None => url.path = Some(rest),
            Some(rest) => {
                let path_at = rest.find('/').unwrap_or(rest.len());
                url.path = Some(&rest[path_at..]);
                url.authority(&rest[..path_at]);
            }
        }
        Ok(url)
    }

    /// `user@host:port`; a registry-based name has neither host nor port.
    fn authority(&mut self, authority: &'a str) {
        let server = authority.rsplit_once('@').map_or(authority, |(_, server)| server);
        let port_at = server.rfind(':').filter(|at| !server[*at..].contains(']'));
        let (host, port) = match port_at {
            Some(at) => (&server[..at], &server[at + 1..]),
            None => (server, ""),
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
        let port = if port.is_empty() { Some(-1) } else { port.parse().ok() };
        if !host.is_empty() && host.chars().all(legal) && port.is_some() {
            self.host = Some(host);
            self.port = port.filter(|port| *port >= 0);
        }
    }
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(head, tail)| (head, Some(tail)))
}

fn is_illegal(c: char) -> bool {
    c.is_ascii_control() || c.is_whitespace() || "\"<>\\^`{|}".contains(c)
}

fn valid_escapes(text: &str) -> Option<()> {
    let mut parts = text.split('%');
    parts.next();
    for part in parts {
        let digits = part.as_bytes().get(..2)?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
    }
    Some(())
}

/// The escapes are known to be valid.
fn decoded(text: &str) -> Cow<'_, str> {
    decode(text, false).unwrap_or(Cow::Borrowed(text))
}

fn decode(text: &str, plus_is_space: bool) -> Result<Cow<'_, str>, Fault> {
    let coded = text.contains('%') || (plus_is_space && text.contains('+'));
    if !coded {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut nibble = || bytes.next().and_then(|digit| (digit as char).to_digit(16));
                let (high, low) = (nibble(), nibble());
                let value = high.zip(low).map(|(high, low)| (high * 16 + low) as u8);
                value.ok_or_else(|| Fault::Owned(format!("a % escape is malformed in: {text}")))?
            }
            b'+' if plus_is_space => b' ',
            byte => byte,
        });
    }
    Ok(Cow::Owned(String::from_utf8_lossy(&out).into_owned()))
}

fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                out.push(byte as char);
            }
            b' ' => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
