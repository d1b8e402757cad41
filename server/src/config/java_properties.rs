//! Java's `.properties` syntax: comments, line continuation, three separators, escapes.

/// Name and value in the order of the file, later lines of the same name last.
///
/// # Errors
/// A malformed `\uXXXX`, with the line's number.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    for (number, line) in logical_lines(text) {
        let (name, value) = split(&line);
        let at = |e: String| format!("line {number}: {e}");
        pairs.push((unescape(name).map_err(at)?, unescape(value).map_err(at)?));
    }
    Ok(pairs)
}

/// Lines joined over a backslash at their end; without blank lines and comments.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (i, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if open.is_none() && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let (number, mut joined) = open.take().unwrap_or((i + 1, String::new()));
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        if backslashes % 2 == 1 {
            joined.push_str(&line[..line.len() - 1]);
            open = Some((number, joined));
        } else {
            joined.push_str(line);
            lines.push((number, joined));
        }
    }
    lines.extend(open);
    lines
}

/// At the first `=`, `:` or blank that no backslash protects.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    for (i, c) in line.char_indices() {
        if !escaped && (c == '=' || c == ':' || c.is_whitespace()) {
            let rest = line[i..].trim_start();
            let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
            return (&line[..i], rest.trim_start());
        }
        escaped = c == '\\' && !escaped;
    }
    (line, "")
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let c = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4);
                let c = c.and_then(char::from_u32);
                out.push(c.ok_or_else(|| format!("'\\u{digits}' is no character"))?);
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    Ok(out.trim_end().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_syntax() {
        let cases: [(&str, &[(&str, &str)]); 9] = [
            ("a=b", &[("a", "b")]),
            ("a : b\n  c d e ", &[("a", "b"), ("c", "d e")]),
            ("# no\n! no\n\nx", &[("x", "")]),
            ("a=b\\\n   c\\\nd", &[("a", "bcd")]),
            ("a=b\\\\\nc=d", &[("a", "b\\"), ("c", "d")]),
            ("a\\ b\\==c\\td", &[("a b=", "c\td")]),
            ("u=\\u00fc=:", &[("u", "ü=:")]),
            ("a=b\r\nc=d\r\n", &[("a", "b"), ("c", "d")]),
            ("last=\\", &[("last", "")]),
        ];
        for (text, expected) in cases {
            let got = parse(text).unwrap();
            let got: Vec<_> = got.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            assert_eq!(got, expected, "{text:?}");
        }
        assert_eq!(parse("a=1\nb=\\u12").unwrap_err(), "line 2: '\\u12' is no character");
    }
}
