//! The syntax tree of ksqlDB's language, one noun per file. Places in the text ([`Loc`]) and
//! whether a name was quoted never take part in equality, so `parse(format(ast)) == ast` holds.

mod expr;
mod names;
mod query;
mod statement;
mod types;

pub use expr::{BinaryOp, CaseBranch, Expr, ExprKind, Literal, UnaryOp};
pub use names::{Ident, Loc};
pub use query::{
    AliasedSource, Emit, Extension, Interval, IntervalUnit, Join, JoinType, OrderBy, OrderItem,
    Query, Relation, SelectItem, WindowClause, WindowSpec, Within,
};
pub use statement::{
    AssertSchema, AssertTopic, AssertValues, ColumnDef, ColumnMarker, ConnectorKind, CreateAs,
    CreateConnector, CreateSink, CreateSource, Describe, DropSink, DropSource, InsertInto,
    InsertValues, Print, Properties, Property, QueryTarget, Show, Statement,
};
pub use types::{FieldDef, ScalarType, TypeExpr, TypeKind};
