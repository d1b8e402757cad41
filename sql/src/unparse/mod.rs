//! Syntax tree to canonical SQL, such that `parse(format(ast)) == ast`. Everything prints through
//! [`std::fmt::Display`]; names are quoted only where they must be.

mod expr;
mod names;
mod query;
mod statement;
mod types;

use std::fmt;

pub use self::expr::{parenthesized, shown};
use crate::ast::Statement;

/// The statement with its `;`, ready to be parsed again.
pub fn to_sql(statement: &Statement) -> String {
    format!("{statement};")
}

/// Items between commas.
struct List<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, self.0, |f, item| write!(f, "{item}"))
    }
}

fn write_list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    mut write_item: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write_item(f, item)?;
    }
    Ok(())
}

/// Text in single quotes.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', "''"))
    }
}

#[cfg(test)]
pub(crate) mod arbitrary;
#[cfg(test)]
mod arbitrary_order;
#[cfg(test)]
mod arbitrary_sinks;
#[cfg(test)]
mod tests;
