//! SELECT, one clause per line.

use std::fmt::{self, Display, Formatter};

use super::{expr, write_list};
use crate::ast::{
    AliasedSource, Emit, Interval, Join, JoinType, OrderItem, Query, SelectItem, WindowClause,
    WindowSpec, Within,
};

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.distinct { "SELECT DISTINCT" } else { "SELECT" })?;
        for (i, item) in self.items.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}\n  {item}")?;
        }
        write!(f, "\nFROM {}", self.from.first)?;
        for join in &self.from.joins {
            write!(f, "\n{join}")?;
        }
        if let Some(window) = &self.window {
            write!(f, "\n{window}")?;
        }
        if let Some(filter) = &self.filter {
            write!(f, "\nWHERE {filter}")?;
        }
        for (clause, list) in [("GROUP", &self.group_by), ("PARTITION", &self.partition_by)] {
            if !list.is_empty() {
                write!(f, "\n{clause} BY ")?;
                write_list(f, list, |f, item| write!(f, "{}", expr::value(item)))?;
            }
        }
        if let Some(having) = &self.having {
            write!(f, "\nHAVING {having}")?;
        }
        for query in &self.union_all {
            write!(f, "\nUNION ALL\n{query}")?;
        }
        match self.emit {
            Some(Emit::Changes) => f.write_str("\nEMIT CHANGES")?,
            Some(Emit::Final) => f.write_str("\nEMIT FINAL")?,
            None => {}
        }
        if let Some(order_by) = &self.order_by {
            f.write_str("\nORDER BY ")?;
            write_list(f, &order_by.items, |f, item| item.fmt(f))?;
        }
        match self.limit {
            Some(limit) => write!(f, "\nLIMIT {limit}"),
            None => Ok(()),
        }
    }
}

impl Display for OrderItem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.expr)?;
        f.write_str(if self.descending { " DESC" } else { "" })?;
        match self.nulls_first {
            Some(true) => f.write_str(" NULLS FIRST"),
            Some(false) => f.write_str(" NULLS LAST"),
            None => Ok(()),
        }
    }
}

impl Display for SelectItem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            SelectItem::Expr { expr, alias: None } => expr.fmt(f),
            SelectItem::Expr { expr, alias: Some(alias) } => write!(f, "{expr} {alias}"),
            SelectItem::All { source: None, .. } => f.write_str("*"),
            SelectItem::All { source: Some(source), .. } => write!(f, "{source}.*"),
            SelectItem::StructAll { base, .. } => write!(f, "{}->*", expr::operand(base)),
        }
    }
}

impl Display for AliasedSource {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(query) = &self.subquery {
            return write!(f, "(\n{query}\n) {}", self.name);
        }
        match &self.alias {
            Some(alias) => write!(f, "{} {alias}", self.name),
            None => self.name.fmt(f),
        }
    }
}

impl Display for Join {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            JoinType::Inner => "INNER",
            JoinType::Left => "LEFT OUTER",
            JoinType::Right => "RIGHT OUTER",
            JoinType::Full => "FULL OUTER",
        };
        write!(f, "{kind} JOIN {}", self.right)?;
        if let Some(within) = &self.within {
            write!(f, " {within}")?;
        }
        write!(f, " ON {}", self.on)
    }
}

impl Display for Within {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.before == self.after {
            true => write!(f, "WITHIN {}", self.before)?,
            false => write!(f, "WITHIN ({}, {})", self.before, self.after)?,
        }
        match &self.grace {
            Some(grace) => write!(f, " GRACE PERIOD {grace}"),
            None => Ok(()),
        }
    }
}

impl Display for WindowClause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("WINDOW ")?;
        if let Some(name) = &self.name {
            write!(f, "{name} ")?;
        }
        match &self.spec {
            WindowSpec::Tumbling { size } => write!(f, "TUMBLING (SIZE {size}")?,
            WindowSpec::Hopping { size, advance } => {
                write!(f, "HOPPING (SIZE {size}, ADVANCE BY {advance}")?;
            }
            WindowSpec::Session { gap } => write!(f, "SESSION ({gap}")?,
        }
        if let Some(retention) = &self.retention {
            write!(f, ", RETENTION {retention}")?;
        }
        if let Some(grace) = &self.grace {
            write!(f, ", GRACE PERIOD {grace}")?;
        }
        f.write_str(")")
    }
}

impl Display for Interval {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.value, self.unit.word())
    }
}
