//! Java's syntax as a tree, for the engine that backtracks.

use std::sync::Arc;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, HirKind};

use super::class;
use super::translate::{DOT, Flags, Translator, invalid, unsupported};
use crate::expr::frame::Fault;

/// How deep groups may be nested.
const GROUPS_DEEP_MAX: u32 = 100;

/// A pattern, or a part of it.
pub(super) enum Node {
    Set(Set),
    Assert(Assert),
    /// The text of an earlier group once more.
    BackReference {
        group: usize,
        fold: bool,
    },
    Sequence(Vec<Node>),
    /// The first alternative that goes on to a match.
    Choice(Vec<Node>),
    Repeat {
        node: Box<Node>,
        min: u32,
        /// `None`: any number.
        max: Option<u32>,
        greed: Greed,
    },
    Group(usize, Box<Node>),
    /// What has matched is not matched in another way.
    Atomic(Box<Node>),
    Look {
        node: Box<Node>,
        behind: bool,
        negative: bool,
    },
}

/// One of these characters: sorted ranges that do not meet, with their ends.
#[derive(Clone)]
pub(super) struct Set(Arc<[(char, char)]>);

#[derive(Clone, Copy)]
pub(super) enum Assert {
    Start,
    End,
    /// The end, or before the line terminator there.
    LastEnd,
    LineStart,
    LineEnd,
    Boundary,
    NoBoundary,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Greed {
    Greedy,
    Lazy,
    Possessive,
}

/// A parsed pattern.
pub(super) struct Syntax {
    pub node: Node,
    /// Groups, the whole match included.
    pub groups: usize,
}

impl Set {
    pub fn contains(&self, c: char) -> bool {
        let at = self.0.partition_point(|(_, end)| *end < c);
        self.0.get(at).is_some_and(|(start, _)| *start <= c)
    }
}

impl Node {
    /// The fewest and the most characters that it matches; no most: there is none.
    pub fn width(&self) -> (usize, Option<usize>) {
        match self {
            Node::Set(_) => (1, Some(1)),
            Node::Assert(_) | Node::Look { .. } => (0, Some(0)),
            Node::BackReference { .. } => (0, None),
            Node::Group(_, node) | Node::Atomic(node) => node.width(),
            Node::Sequence(nodes) => {
                nodes.iter().map(Node::width).fold((0, Some(0)), |sum, one| {
                    let most = sum.1.zip(one.1).map(|(a, b)| a.saturating_add(b));
                    (sum.0.saturating_add(one.0), most)
                })
            }
            Node::Choice(nodes) => {
                let widths = nodes.iter().map(Node::width);
                let merge = |a: (usize, Option<usize>), b: (usize, Option<usize>)| {
                    (a.0.min(b.0), a.1.zip(b.1).map(|(a, b)| a.max(b)))
                };
                widths.reduce(merge).unwrap_or((0, Some(0)))
            }
            Node::Repeat { node, min, max, .. } => {
                let (least, most) = node.width();
                let times = |n: usize, times: u32| n.saturating_mul(times as usize);
                (times(least, *min), most.zip(*max).map(|(most, max)| times(most, max)))
            }
        }
    }
}

/// # Errors
/// What is no pattern, and what is not supported.
pub(super) fn parse(pattern: &str) -> Result<Syntax, Fault> {
    let text = Translator::new(&unquoted(pattern));
    let mut parser = Parser { text, groups: 1, names: Vec::new(), deep: 0 };
    let node = parser.choice()?;
    match parser.text.peek() {
        None => Ok(Syntax { node, groups: parser.groups }),
        Some(_) => Err(invalid("a ) has no (")),
    }
}

/// What `\Q` and `\E` enclose, with escapes instead.
fn unquoted(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' if rest.as_str().starts_with('Q') => {
                rest.next();
                let (quoted, after) =
                    rest.as_str().split_once("\\E").unwrap_or((rest.as_str(), ""));
                for c in quoted.chars() {
                    if c.is_ascii() && !c.is_ascii_alphanumeric() {
                        out.push('\\');
                    }
                    out.push(c);
                }
                rest = after.chars();
            }
            '\\' => out.extend(std::iter::once(c).chain(rest.next())),
            c => out.push(c),
        }
    }
    out
}

struct Parser {
    /// The text, and what translates its classes of characters.
    text: Translator,
    groups: usize,
    names: Vec<(String, usize)>,
    deep: u32,
}

impl Parser {
    /// Alternatives, to the `)` of their group or the end.
    fn choice(&mut self) -> Result<Node, Fault> {
        let mut nodes = vec![self.sequence()?];
        while self.text.accept("|") {
            nodes.push(self.sequence()?);
        }
        match (nodes.pop(), nodes.is_empty()) {
            (Some(only), true) => Ok(only),
            (last, _) => {
                nodes.extend(last);
                Ok(Node::Choice(nodes))
            }
        }
    }

    fn sequence(&mut self) -> Result<Node, Fault> {
        let mut nodes = Vec::new();
        while let Some(c) = self.text.peek().filter(|c| !matches!(c, '|' | ')')) {
            if self.text.flags.comments && self.blank(c) {
                continue;
            }
            if let Some(node) = self.atom()? {
                let node = self.quantified(node)?;
                nodes.push(node);
            }
        }
        Ok(Node::Sequence(nodes))
    }

    /// Goes past white space or a comment.
    fn blank(&mut self, c: char) -> bool {
        match c {
            '#' => while self.text.next().is_some_and(|c| !is_line_end(c)) {},
            c if c.is_ascii_whitespace() || c == '\x0B' => {
                self.text.next();
            }
            _ => return false,
        }
        true
    }

    /// `None`: flags for what follows.
    fn atom(&mut self) -> Result<Option<Node>, Fault> {
        let Some(c) = self.text.next() else { return Ok(None) };
        let multi_line = self.text.flags.multi_line;
        Ok(Some(match c {
            '(' => return self.group(),
            '[' => {
                class::class(&mut self.text)?;
                self.set()?
            }
            '.' if self.text.flags.dot_all => self.set_of("(?s:.)")?,
            '.' => self.set_of(DOT)?,
            '^' => Node::Assert(if multi_line { Assert::LineStart } else { Assert::Start }),
            '$' => Node::Assert(if multi_line { Assert::LineEnd } else { Assert::LastEnd }),
            '\\' => self.escape()?,
            '*' | '+' | '?' | '{' => {
                return Err(invalid(&format!("there is nothing that {c} could repeat")));
            }
            c => self.set_of(&regex_syntax::escape(c.encode_utf8(&mut [0; 4])))?,
        }))
    }

    /// After `(`, to its `)`.
    fn group(&mut self) -> Result<Option<Node>, Fault> {
        let outer = self.text.flags;
        let mut wrap: Box<dyn FnOnce(Box<Node>) -> Node> = Box::new(|node| *node);
        let look = |behind, negative| move |node| Node::Look { node, behind, negative };
        if !self.text.accept("?") {
            let group = self.new_group();
            wrap = Box::new(move |node| Node::Group(group, node));
        } else if self.text.accept("=") {
            wrap = Box::new(look(false, false));
        } else if self.text.accept("!") {
            wrap = Box::new(look(false, true));
        } else if self.text.accept("<=") {
            wrap = Box::new(look(true, false));
        } else if self.text.accept("<!") {
            wrap = Box::new(look(true, true));
        } else if self.text.accept(">") {
            wrap = Box::new(Node::Atomic);
        } else if self.text.accept("<") {
            let name = self.name()?;
            let group = self.new_group();
            self.names.push((name, group));
            wrap = Box::new(move |node| Node::Group(group, node));
        } else if !self.text.accept(":") && !self.text.inline_flags()? {
            return Ok(None);
        }
        self.deep += 1;
        if self.deep > GROUPS_DEEP_MAX {
            return Err(invalid("its groups are nested too deep"));
        }
        let node = self.choice()?;
        self.deep -= 1;
        self.text.flags = outer;
        match self.text.accept(")") {
            true => Ok(Some(wrap(Box::new(node)))),
            false => Err(invalid("unclosed group")),
        }
    }

    fn new_group(&mut self) -> usize {
        self.groups += 1;
        self.groups - 1
    }

    /// To the `>` behind a name.
    fn name(&mut self) -> Result<String, Fault> {
        let mut name = String::new();
        loop {
            match self.text.next() {
                Some('>') if !name.is_empty() => return Ok(name),
                Some(c) if c.is_ascii_alphanumeric() => name.push(c),
                _ => return Err(invalid("a group has no name of letters and digits")),
            }
        }
    }

    /// After a backslash.
    fn escape(&mut self) -> Result<Node, Fault> {
        let c = self.text.peek();
        let assert = match c {
            Some('b') => Some(Assert::Boundary),
            Some('B') => Some(Assert::NoBoundary),
            Some('A') => Some(Assert::Start),
            Some('Z') => Some(Assert::LastEnd),
            Some('z') => Some(Assert::End),
            _ => None,
        };
        if let Some(assert) = assert {
            self.text.next();
            return Ok(Node::Assert(assert));
        }
        match c {
            Some('R') => {
                self.text.next();
                let both = vec![self.set_of(r"\r")?, self.set_of(r"\n")?];
                let one = self.set_of(r"[\n\x0B\f\r\x{85}\x{2028}\x{2029}]")?;
                Ok(Node::Choice(vec![Node::Sequence(both), one]))
            }
            Some('1'..='9' | 'k') => self.back_reference(),
            Some(c @ ('G' | 'X' | 'N')) => Err(unsupported(&format!(r"\{c}"))),
            Some(c) => {
                class::escape(&mut self.text)?;
                if matches!(c, 'x' | 'u') {
                    self.code_point(c);
                }
                self.set()
            }
            None => Err(invalid("it ends with a lone backslash")),
        }
    }

    /// After `\x` or `\u`: the digits are copied.
    fn code_point(&mut self, c: char) {
        let digits = match (self.text.peek(), c) {
            (Some('{'), _) => usize::MAX,
            (_, 'x') => 2,
            _ => 4,
        };
        for _ in 0..digits {
            let Some(c) = self.text.next() else { break };
            self.text.out.push(c);
            if c == '}' {
                break;
            }
        }
    }

    /// Before the number of a group, which has as many digits as there are groups so far, or `k`.
    fn back_reference(&mut self) -> Result<Node, Fault> {
        let fold = self.text.flags.fold;
        if self.text.accept("k") {
            if !self.text.accept("<") {
                return Err(invalid(r"\k needs the <name> of a group"));
            }
            let name = self.name()?;
            let group = self.names.iter().find(|(known, _)| *known == name);
            let Some(&(_, group)) = group else {
                return Err(Fault::Owned(format!("invalid pattern: there is no group <{name}>")));
            };
            return Ok(Node::BackReference { group, fold });
        }
        let mut group = 0;
        while let Some(digit) = self.text.peek().and_then(|c| c.to_digit(10)) {
            let longer = group * 10 + digit as usize;
            if group > 0 && longer >= self.groups {
                break;
            }
            group = longer;
            self.text.next();
        }
        match group < self.groups {
            true => Ok(Node::BackReference { group, fold }),
            false => Err(Fault::Owned(format!("invalid pattern: there is no group {group}"))),
        }
    }

    /// The set that the translation stands for.
    fn set(&mut self) -> Result<Node, Fault> {
        let text = std::mem::take(&mut self.text.out);
        self.set_of(&text)
    }

    /// The set that a class or character of Rust's syntax is.
    fn set_of(&self, text: &str) -> Result<Node, Fault> {
        let Flags { fold, comments, .. } = self.text.flags;
        let parsed = ParserBuilder::new()
            .case_insensitive(fold)
            .ignore_whitespace(comments)
            .build()
            .parse(text)
            .map_err(|error| Fault::Owned(format!("invalid pattern: {error}")))?;
        let ranges = match parsed.into_kind() {
            HirKind::Class(Class::Unicode(class)) => {
                class.ranges().iter().map(|range| (range.start(), range.end())).collect()
            }
            // No character at all.
            HirKind::Class(Class::Bytes(_)) => Arc::default(),
            HirKind::Literal(literal) => {
                let text = String::from_utf8_lossy(&literal.0);
                text.chars().take(1).map(|c| (c, c)).collect()
            }
            _ => return Err(invalid(&format!("{text} is no class of characters"))),
        };
        Ok(Node::Set(Set(ranges)))
    }

    fn quantified(&mut self, node: Node) -> Result<Node, Fault> {
        let (min, max) = match () {
            () if self.text.accept("*") => (0, None),
            () if self.text.accept("+") => (1, None),
            () if self.text.accept("?") => (0, Some(1)),
            () if self.text.accept("{") => self.counts()?,
            () => return Ok(node),
        };
        let greed = match () {
            () if self.text.accept("?") => Greed::Lazy,
            () if self.text.accept("+") => Greed::Possessive,
            () => Greed::Greedy,
        };
        Ok(Node::Repeat { node: Box::new(node), min, max, greed })
    }

    /// After `{`, to its `}`.
    fn counts(&mut self) -> Result<(u32, Option<u32>), Fault> {
        let mut text = String::new();
        loop {
            match self.text.next() {
                Some('}') => break,
                Some(c) => text.push(c),
                None => return Err(invalid("a { has no }")),
            }
        }
        let number = |text: &str| {
            let number = text.parse::<u32>();
            number.map_err(|_| invalid(&format!("{{{text}}} is no number of repetitions")))
        };
        let (min, max) = match text.split_once(',') {
            None => (number(&text)?, Some(number(&text)?)),
            Some((min, "")) => (number(min)?, None),
            Some((min, max)) => (number(min)?, Some(number(max)?)),
        };
        match max.is_none_or(|max| min <= max) {
            true => Ok((min, max)),
            false => Err(invalid(&format!("{{{text}}} ends before it starts"))),
        }
    }
}

/// What ends a line in Java.
pub(super) fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}
