//! From Java's syntax to Rust's. What is the same in both is copied.

use super::class;
use crate::expr::frame::Fault;

/// What a pattern is in Rust's syntax.
pub(super) struct Translation {
    pub source: String,
    pub needs: Needs,
}

/// What the linear engine does not do as Java does.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Needs {
    /// The pattern has what only backtracking finds; the translation is of no use.
    pub backtracking: bool,
    /// It asks for the end of the text, which in Java is before a last line terminator, too.
    pub text_end: bool,
    /// It asks for the starts or ends of lines, which Java has at all of its line terminators.
    pub lines: bool,
}

/// # Errors
/// What is not supported, and what is no pattern as far as it is seen here.
pub(super) fn translate(pattern: &str) -> Result<Translation, Fault> {
    let mut translator = Translator::new(pattern);
    while let Some(c) = translator.next() {
        translator.step(c)?;
    }
    Ok(Translation { source: translator.out, needs: translator.needs })
}

/// Flags of a place in a pattern.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    pub dot_all: bool,
    pub multi_line: bool,
    /// Of any case.
    pub fold: bool,
    /// White space and comments count for nothing.
    pub comments: bool,
}

pub(super) struct Translator {
    chars: Vec<char>,
    at: usize,
    pub out: String,
    pub flags: Flags,
    /// Flags outside of the groups that are open.
    outer: Vec<Flags>,
    needs: Needs,
}

pub(super) const DOT: &str = r"[^\n\r\x{85}\x{2028}\x{2029}]";
const LINE_BREAK: &str = r"(?:\r\n|[\n\x0B\f\r\x{85}\x{2028}\x{2029}])";

pub(super) fn unsupported(what: &str) -> Fault {
    Fault::Owned(format!("invalid pattern: {what} is not supported"))
}

pub(super) fn invalid(what: &str) -> Fault {
    Fault::Owned(format!("invalid pattern: {what}"))
}

impl Translator {
    pub fn new(pattern: &str) -> Self {
        Translator {
            chars: pattern.chars().collect(),
            at: 0,
            out: String::with_capacity(2 * pattern.len()),
            flags: Flags::default(),
            outer: Vec::new(),
            needs: Needs::default(),
        }
    }

    pub fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    pub fn accept(&mut self, wanted: &str) -> bool {
        let ahead = self.chars[self.at..].iter();
        let found = ahead.zip(wanted.chars()).filter(|(c, want)| *c == want).count();
        let found = found == wanted.chars().count();
        if found {
            self.at += wanted.chars().count();
        }
        found
    }

    fn step(&mut self, c: char) -> Result<(), Fault> {
        match c {
            '\\' => self.escape()?,
            '[' => class::class(self)?,
            '(' => self.group()?,
            ')' => {
                self.flags = self.outer.pop().unwrap_or_default();
                self.out.push(')');
            }
            '.' if !self.flags.dot_all => self.out.push_str(DOT),
            '^' | '$' => {
                self.needs.lines |= self.flags.multi_line;
                self.needs.text_end |= c == '$';
                self.out.push(c);
            }
            '*' | '+' | '?' => {
                self.out.push(c);
                self.quantified();
            }
            '{' => {
                self.out.push('{');
                while let Some(c) = self.next() {
                    self.out.push(c);
                    if c == '}' {
                        break;
                    }
                }
                self.quantified();
            }
            c => self.out.push(c),
        }
        Ok(())
    }

    /// After a quantifier: it may be lazy or possessive.
    fn quantified(&mut self) {
        if self.accept("?") {
            self.out.push('?');
        } else if self.accept("+") {
            self.needs.backtracking = true;
        }
    }

    /// After `(`.
    fn group(&mut self) -> Result<(), Fault> {
        let outer = self.flags;
        if !self.accept("?") {
            self.out.push('(');
            self.outer.push(outer);
            return Ok(());
        }
        if ["=", "!", "<=", "<!", ">"].iter().any(|opens| self.accept(opens)) {
            self.needs.backtracking = true;
            self.out.push_str("(?:");
            self.outer.push(outer);
            return Ok(());
        }
        if self.accept(":") {
            self.out.push_str("(?:");
            self.outer.push(outer);
            return Ok(());
        }
        if self.accept("<") {
            self.out.push_str("(?<");
            self.outer.push(outer);
            return Ok(());
        }
        if self.inline_flags()? {
            self.outer.push(outer);
        }
        Ok(())
    }

    /// `(?i)`, `(?s-m:`; true where they are of a group that opens.
    pub fn inline_flags(&mut self) -> Result<bool, Fault> {
        let mut on = true;
        let (mut set, mut unset) = (String::new(), String::new());
        loop {
            match self.next() {
                Some('-') if on => on = false,
                Some(c @ ('i' | 'm' | 's' | 'x')) => {
                    match c {
                        'i' => self.flags.fold = on,
                        'm' => self.flags.multi_line = on,
                        's' => self.flags.dot_all = on,
                        _ => self.flags.comments = on,
                    }
                    if on { set.push(c) } else { unset.push(c) }
                }
                // Case is folded by Unicode's rules anyway.
                Some('u') => {}
                Some(c @ (')' | ':')) => {
                    let minus = if unset.is_empty() { "" } else { "-" };
                    let empty = set.is_empty() && unset.is_empty();
                    match c {
                        ')' if empty => {}
                        c => self.out.push_str(&format!("(?{set}{minus}{unset}{c}")),
                    }
                    return Ok(c == ':');
                }
                Some(c @ ('d' | 'U')) => return Err(unsupported(&format!("the flag (?{c})"))),
                _ => return Err(invalid("a group starts with an unknown (?")),
            }
        }
    }

    /// After a backslash outside of classes.
    fn escape(&mut self) -> Result<(), Fault> {
        let Some(c) = self.peek() else { return Err(invalid("it ends with a lone backslash")) };
        match c {
            'b' | 'B' | 'A' | 'z' => {
                self.at += 1;
                self.out.extend(['\\', c]);
            }
            'Z' => {
                self.at += 1;
                self.needs.text_end = true;
                self.out.push_str(r"\z");
            }
            'R' => {
                self.at += 1;
                self.out.push_str(LINE_BREAK);
            }
            'k' | '1'..='9' => {
                self.at += 1;
                self.needs.backtracking = true;
            }
            'G' | 'X' | 'N' => return Err(unsupported(&format!(r"\{c}"))),
            _ => class::escape(self)?,
        }
        Ok(())
    }
}
