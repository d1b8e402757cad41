//! One token with its place.

use super::keyword::Keyword;
use crate::error::Span;

/// A token; white space and comments are gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub kind: TokenKind,
    /// The word as written, the content of quotes with doubled quotes undone, the digits of a
    /// number, the name of a variable; empty for symbols.
    pub text: String,
    pub span: Span,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// An unquoted word; `None` if it is no keyword.
    Word(Option<Keyword>),
    /// A name in back-ticks or double quotes.
    Quoted,
    /// Text in single quotes.
    String,
    Number,
    /// `${name}`.
    Variable,
    Symbol(Symbol),
    /// After the last token.
    End,
}

macro_rules! symbols {
    ($($name:ident $text:literal)*) => {
        /// A mark of the grammar.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Symbol { $($name,)* }

        impl Symbol {
            /// From the text of the mark.
            pub fn from_text(text: &str) -> Option<Symbol> {
                match text {
                    $($text => Some(Symbol::$name),)*
                    "!=" => Some(Symbol::NotEq),
                    _ => None,
                }
            }

            /// The mark as text.
            pub fn text(self) -> &'static str {
                match self { $(Symbol::$name => $text,)* }
            }
        }
    };
}

symbols! {
    LParen "(" RParen ")" LBracket "[" RBracket "]" Comma "," Period "." Semicolon ";"
    Eq "=" NotEq "<>" Lt "<" LtEq "<=" Gt ">" GtEq ">="
    Plus "+" Minus "-" Star "*" Slash "/" Percent "%" Concat "||"
    Arrow "->" FatArrow "=>" Assign ":="
}
