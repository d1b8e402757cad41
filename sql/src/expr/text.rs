//! Expressions as SQL text, for messages.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;

use super::lambda::Lambdas;
use super::op::{Op, OpKind, as_op};
use crate::types::SqlType;

/// The text that ksqlDB would show for `expr`: guards and implicit casts are not seen.
pub(crate) fn sql_text(expr: &Expr) -> String {
    match expr {
        Expr::Column(column) => column.name.clone(),
        Expr::Alias(alias) => sql_text(&alias.expr),
        Expr::Literal(value, _) => literal_text(value),
        Expr::ScalarFunction(call) => match as_op(&call.func) {
            Some(op) => op_text(op, &call.args),
            None => expr.to_string(),
        },
        other => other.to_string(),
    }
}

fn literal_text(value: &ScalarValue) -> String {
    match value {
        ScalarValue::Utf8(Some(text)) => format!("'{}'", text.replace('\'', "''")),
        value if value.is_null() => "null".to_string(),
        ScalarValue::List(list) => format!("ARRAY[{}]", items_text(&list.value(0)).join(", ")),
        ScalarValue::Map(map) => {
            let (keys, values) = (items_text(map.keys()), items_text(map.values()));
            let pairs = keys.into_iter().zip(values).flat_map(|(key, value)| [key, value]);
            format!("MAP({})", pairs_text(&pairs.collect::<Vec<_>>()))
        }
        ScalarValue::Struct(members) => {
            let texts: Vec<String> = members.columns().iter().flat_map(items_text).collect();
            struct_text(members.data_type(), &texts)
        }
        value => value.to_string(),
    }
}

fn items_text(array: &ArrayRef) -> Vec<String> {
    let item = |at| {
        ScalarValue::try_from_array(array, at)
            .map_or_else(|_| String::new(), |value| literal_text(&value))
    };
    (0..array.len()).map(item).collect()
}

fn op_text(op: &Op, args: &[Expr]) -> String {
    let texts: Vec<String> = args.iter().map(sql_text).collect();
    match (&op.kind, op.name.as_str(), texts.as_slice()) {
        (OpKind::Lambda(_, lambdas), name, texts) => lambda_text(lambdas, name, texts),
        (OpKind::Guard, _, [inner]) | (_, "implicit_cast", [inner]) => inner.clone(),
        (_, "cast", [inner]) => {
            let ty = SqlType::from_arrow(op.returns());
            format!("CAST({inner} AS {})", ty.map_or_else(String::new, |ty| ty.to_string()))
        }
        (OpKind::Case, ..) => case_text(&texts),
        (_, "[]", [base, index]) => format!("{base}[{index}]"),
        (_, "->", [base, field]) => format!("{base}->{}", field.trim_matches('\'')),
        (_, "IS NULL" | "IS NOT NULL", [value]) => format!("({value} {})", op.name),
        (_, "BETWEEN", [value, low, high]) => format!("({value} BETWEEN {low} AND {high})"),
        (_, "IN", [value, list @ ..]) => format!("({value} IN ({}))", list.join(", ")),
        (_, "ARRAY", items) => format!("ARRAY[{}]", items.join(", ")),
        (_, "MAP", entries) => format!("MAP({})", pairs_text(entries)),
        (_, "STRUCT", members) => struct_text(op.returns(), members),
        (_, "NOT", [value]) => format!("(NOT {value})"),
        (_, "-", [value]) => format!("-{value}"),
        (_, name, [left, right]) if is_infix(name) => format!("({left} {name} {right})"),
        (_, name, args) => format!("{name}({})", args.join(", ")),
    }
}

fn lambda_text(lambdas: &Lambdas, name: &str, args: &[String]) -> String {
    let mut texts = args[..args.len().saturating_sub(lambdas.captures)].to_vec();
    texts.extend(lambdas.list.iter().map(|lambda| {
        let params = lambda.params(lambdas.captures).join(", ");
        format!("({params}) => {}", sql_text(lambda.body()))
    }));
    format!("{name}({})", texts.join(", "))
}

fn is_infix(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_alphabetic())
        || matches!(name, "AND" | "OR" | "LIKE" | "IS DISTINCT FROM" | "IS NOT DISTINCT FROM")
}

fn case_text(parts: &[String]) -> String {
    let mut out = "(CASE".to_string();
    for pair in parts.chunks(2) {
        match pair {
            [condition, value] => out.push_str(&format!(" WHEN {condition} THEN {value}")),
            [otherwise] => out.push_str(&format!(" ELSE {otherwise}")),
            _ => {}
        }
    }
    out + " END)"
}

fn pairs_text(parts: &[String]) -> String {
    let pairs = parts.chunks(2).map(|pair| pair.join(":="));
    pairs.collect::<Vec<_>>().join(", ")
}

fn struct_text(ty: &DataType, members: &[String]) -> String {
    let DataType::Struct(fields) = ty else { return members.join(", ") };
    let members =
        fields.iter().zip(members).map(|(field, text)| format!("{}:={text}", field.name()));
    format!("STRUCT({})", members.collect::<Vec<_>>().join(", "))
}
