//! `${name}`: a variable stands for exactly one constant or name, or for text inside quotes. It is
//! put in after the text was cut into tokens, so no value can change the shape of a statement.

use std::collections::BTreeMap;

use crate::error::{Result, Span, SqlError};
use crate::lexer::{Keyword, Symbol, Token, TokenKind, tokenize};

/// Values by name; names are compared without regard to case.
#[derive(Debug, Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_ascii_uppercase()).map(String::as_str)
    }

    /// Defines a variable, or gives it another value.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_ascii_uppercase(), value.into());
    }

    /// Forgets a variable.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(&name.to_ascii_uppercase());
    }

    /// Names (upper case) and values, in order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: AsRef<str>, V: Into<String>> FromIterator<(N, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut variables = Variables::default();
        for (name, value) in pairs {
            variables.set(name.as_ref(), value);
        }
        variables
    }
}

/// The tokens with every variable replaced; places stay those of the text.
///
/// # Errors
/// An unknown variable, and a value that is more than one constant or name.
pub(super) fn substitute(tokens: &[Token], variables: &Variables) -> Result<Vec<Token>> {
    let mut out = Vec::with_capacity(tokens.len());
    for token in tokens {
        match token.kind {
            TokenKind::Variable => replace(token, variables, &mut out)?,
            TokenKind::String | TokenKind::Quoted if token.text.contains("${") => {
                let text = fill(&token.text, token.span, variables)?;
                out.push(Token { kind: token.kind, text, span: token.span });
            }
            _ => out.push(token.clone()),
        }
    }
    Ok(out)
}

fn replace(token: &Token, variables: &Variables, out: &mut Vec<Token>) -> Result<()> {
    let value = look_up(&token.text, token.span, variables)?;
    let not_one = || {
        let message =
            format!("The value of variable {} is no single constant or name: {value}", token.text);
        SqlError::invalid(message)
            .at(token.span)
            .hint("text must stand in single quotes inside the value, e.g. DEFINE v='''text'''")
    };
    let parts = tokenize(value).map_err(|_| not_one())?;
    let is_one = match parts.as_slice() {
        [one, end] => end.kind == TokenKind::End && may_stand_alone(one),
        [minus, number, end] => {
            minus.kind == TokenKind::Symbol(Symbol::Minus)
                && number.kind == TokenKind::Number
                && end.kind == TokenKind::End
        }
        _ => false,
    };
    if !is_one {
        return Err(not_one());
    }
    let span = token.span;
    let parts = parts.into_iter().filter(|part| part.kind != TokenKind::End);
    out.extend(parts.map(|part| Token { span, ..part }));
    Ok(())
}

fn may_stand_alone(token: &Token) -> bool {
    match token.kind {
        TokenKind::Quoted | TokenKind::String | TokenKind::Number | TokenKind::Word(None) => true,
        TokenKind::Word(Some(word)) => {
            !word.is_reserved() || matches!(word, Keyword::True | Keyword::False | Keyword::Null)
        }
        _ => false,
    }
}

/// Replaces `${name}` inside quotes by the bare value. `${` before anything else is just text.
fn fill(text: &str, span: Span, variables: &Variables) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let inside = &rest[at + 2..];
        let length = inside.bytes().take_while(|b| is_name_byte(*b)).count();
        if length > 0 && inside[length..].starts_with('}') {
            out.push_str(look_up(&inside[..length], span, variables)?);
            rest = &inside[length + 1..];
        } else {
            out.push_str("${");
            rest = inside;
        }
        if out.len() > crate::lexer::SQL_BYTES_MAX {
            let message = "The text with its variables replaced is too long";
            return Err(SqlError::invalid(message).at(span));
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'@'
}

fn look_up<'a>(name: &str, span: Span, variables: &'a Variables) -> Result<&'a str> {
    variables.get(name).ok_or_else(|| {
        SqlError::invalid(format!("Variable {name} is not defined"))
            .at(span)
            .hint(format!("DEFINE {name} = '..' comes first"))
    })
}
