//! The examples that aggregate functions give of themselves.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, RecordBatch};
use arrow::compute::concat;
use datafusion::common::DFSchema;
use millrace_sql::ast::{Expr, ExprKind};
use millrace_sql::expr::{Evaluator, Typed};
use millrace_sql::functions::{self, FunctionKind};
use millrace_sql::plan::AggregateCall;
use millrace_sql::types::SqlType;

use super::{make, rows};

/// The value of an expression over literals.
fn value(expr: &datafusion::logical_expr::Expr) -> ArrayRef {
    let column: ArrayRef = Arc::new(Int32Array::from(vec![0]));
    let batch = RecordBatch::try_from_iter([("C", column)]).unwrap();
    let schema = DFSchema::try_from(batch.schema().as_ref().clone()).unwrap();
    let mut errors = Vec::new();
    let value = Evaluator::new(expr, &schema).unwrap().column(&batch, &mut errors).unwrap();
    assert!(errors.is_empty(), "{errors:?}");
    value
}

/// What CAST to STRING shows of the only value.
fn text(value: ArrayRef, ty: SqlType) -> String {
    let batch = RecordBatch::try_from_iter([("V", value)]).unwrap();
    let schema = DFSchema::try_from(batch.schema().as_ref().clone()).unwrap();
    let column = Typed::column(datafusion::common::Column::new_unqualified("V"), ty);
    let cast = millrace_sql::expr::ops::cast(column, &SqlType::String).unwrap();
    let texts = Evaluator::new(&cast.expr, &schema).unwrap().column(&batch, &mut vec![]).unwrap();
    arrow::array::AsArray::as_string::<i32>(&texts).value(0).to_string()
}

fn expression(text: &str) -> Expr {
    millrace_sql::parser::parse_expression(text).unwrap()
}

/// Values of rows as one column: NULL takes the type of the others.
fn column(texts: &[&str]) -> (ArrayRef, SqlType) {
    let typed: Vec<Typed> =
        texts.iter().map(|t| functions::constant(&expression(t)).unwrap()).collect();
    let ty = typed.iter().find_map(|value| value.ty.clone()).unwrap();
    let values: Vec<ArrayRef> = typed
        .iter()
        .map(|typed| match &typed.ty {
            Some(_) => value(&typed.expr),
            None => arrow::array::new_null_array(&ty.to_arrow(), 1),
        })
        .collect();
    let values: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
    (concat(&values).unwrap(), ty)
}

#[test]
fn examples_hold() {
    for doc in functions::all().filter(|doc| doc.kind == FunctionKind::Aggregate) {
        let ExprKind::Call { name, args } = expression(doc.example).kind else { panic!("no call") };
        let rows_of =
            |at: usize| -> Vec<&str> {
                doc.example_rows
                    .iter()
                    .map(|row| {
                        if row.starts_with("ARRAY") {
                            row
                        } else {
                            row.split(", ").nth(at).unwrap()
                        }
                    })
                    .collect()
            };
        let (mut typed, mut columns, mut types) = (Vec::new(), Vec::new(), Vec::new());
        for arg in &args {
            match &arg.kind {
                ExprKind::Column { name, .. } => {
                    let at = ["X", "Y", "Z"].iter().position(|x| *x == name.value).unwrap();
                    let (values, ty) = column(&rows_of(at));
                    let column = datafusion::common::Column::new_unqualified(&name.value);
                    typed.push(Typed::column(column, ty.clone()));
                    columns.push(values);
                    types.push(ty);
                }
                _ => typed.push(functions::constant(arg).unwrap()),
            }
        }
        let signature = functions::resolve_aggregate(&name.value, &typed).unwrap();
        let call = AggregateCall {
            function: doc.name.to_string(),
            args: vec![],
            arg_types: types,
            params: signature.params,
            returns: signature.returns.clone(),
            name: "V".into(),
        };
        let mut agg = make(&call).unwrap();
        agg.grow(1);
        let slots = vec![0; doc.example_rows.len()];
        agg.update(&rows(&slots, &columns, 0)).unwrap();
        let got = agg.value(&[0]).unwrap();
        assert_eq!(got.data_type(), &signature.returns.to_arrow(), "{}", doc.name);
        assert_eq!(text(got, signature.returns), doc.example_result, "{}", doc.example);
    }
}
