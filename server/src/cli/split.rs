//! Text typed or read from a file as statements: at `;` outside of quotes and comments.

/// Complete statements (with their `;`), and the rest that none ends.
pub fn split(text: &str) -> (Vec<String>, String) {
    let mut statements = Vec::new();
    let mut start = 0;
    let mut scanner = Scanner::new(text);
    while let Some((at, c)) = scanner.next_code() {
        if c == ';' {
            let statement = text[start..=at].trim();
            if code(statement).trim() != ";" {
                statements.push(statement.to_string());
            }
            start = at + 1;
        }
    }
    let rest = text[start..].trim();
    let rest = if code(rest).trim().is_empty() && !scanner.open { "" } else { rest };
    (statements, rest.to_string())
}

/// The text without comments; each becomes a blank.
pub fn code(text: &str) -> String {
    let mut scanner = Scanner::new(text);
    let mut out = String::new();
    let mut end = 0;
    while let Some((at, c)) = scanner.next_code() {
        // A quoted part is one piece of code that starts with its quote.
        if at > end && !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&text[at..scanner.at]);
        let _ = c;
        end = scanner.at;
    }
    out
}

/// The words of a statement outside of quotes, upper case.
pub fn words(text: &str) -> Vec<String> {
    let mut plain = String::new();
    let code = code(text);
    let mut scanner = Scanner::new(&code);
    while let Some((_, c)) = scanner.next_code() {
        plain.push(if c.is_alphanumeric() || c == '_' { c } else { ' ' });
    }
    plain.split_whitespace().map(str::to_uppercase).collect()
}

/// Walks over a text and skips comments; a quoted part counts as one character, its quote.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// The text ended inside a quoted part or a comment.
    open: bool,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a str) -> Self {
        Scanner { text, at: 0, open: false }
    }

    fn next_code(&mut self) -> Option<(usize, char)> {
        loop {
            let rest = &self.text[self.at..];
            let c = rest.chars().next()?;
            let at = self.at;
            if rest.starts_with("--") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if let Some(inside) = rest.strip_prefix("/*") {
                let end = inside.find("*/");
                self.open |= end.is_none();
                self.at += end.map_or(rest.len(), |i| i + 4);
            } else if matches!(c, '\'' | '"' | '`') {
                let end = rest[1..].find(c);
                self.open |= end.is_none();
                self.at += end.map_or(rest.len(), |i| i + 2);
                return Some((at, c));
            } else {
                self.at += c.len_utf8();
                return Some((at, c));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, statements: &[&str], rest: &str) {
        let (got, got_rest) = split(text);
        assert_eq!(got, statements, "{text:?}");
        assert_eq!(got_rest, rest, "{text:?}");
    }

    #[test]
    fn statements() {
        check("SHOW STREAMS; SHOW TABLES;", &["SHOW STREAMS;", "SHOW TABLES;"], "");
        check("SELECT ';' FROM", &[], "SELECT ';' FROM");
        check("A 'it''s;' \"x;\" `y;`;", &["A 'it''s;' \"x;\" `y;`;"], "");
        check("-- no; \nA /* ; */ b;\n-- end", &["-- no; \nA /* ; */ b;"], "");
        check(";;  ;", &[], "");
        check("A; 'open", &["A;"], "'open");
        check("A; /* open", &["A;"], "/* open");
        check("ü; é", &["ü;"], "é");
    }

    #[test]
    fn words_are_outside_of_quotes() {
        assert_eq!(words("select 'EMIT' /* emit */ from x -- emit"), ["SELECT", "FROM", "X"]);
        assert_eq!(words("print `t` limit 3;"), ["PRINT", "LIMIT", "3"]);
    }
}
