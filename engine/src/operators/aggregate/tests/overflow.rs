//! Values that a result cannot take in.

use arrow::datatypes::DataType;
use datafusion::logical_expr::cast;
use millrace_sql::plan::WindowKind::{Hopping, Session};

use super::*;

const SUMMED: SqlType = SqlType::Decimal { precision: 2, scale: 0 };

/// `SELECT K, COUNT(*), SUM(CAST(V AS DECIMAL(2, 0))) GROUP BY K`.
fn sums(window: Option<Window>) -> AggregateNode {
    let mut node = plan(window, false, false);
    let arg = cast(ident("V"), DataType::Decimal128(2, 0));
    node.calls.truncate(2);
    node.calls[1].args = vec![arg];
    (node.calls[1].arg_types, node.calls[1].returns) = (vec![SUMMED], SUMMED);
    let fields = node.schema.fields();
    let types = fields.iter().map(|f| SqlType::from_arrow(f.data_type()).unwrap());
    let mut columns: Vec<(String, SqlType)> =
        fields.iter().map(|f| f.name().clone()).zip(types).collect();
    columns.pop();
    columns.last_mut().unwrap().1 = SUMMED;
    node.schema = schema(&columns).unwrap();
    node
}

/// Rows that come out, and the times of those that go to the processing log.
#[track_caller]
fn check(window: Option<Window>, rows: &[Row], want: &[&str], reported: &[i64]) {
    let node = sums(window);
    for coalesce in [false, true] {
        let output = run(&node, rows, coalesce);
        let got: Vec<i64> = output.rejects.iter().map(|reject| reject.time_ms).collect();
        assert_eq!(got, reported, "{:?}", output.rejects);
        let of_field = |reject: &crate::operators::RowReject| {
            let text = "Numeric field overflow: SUM exceeds DECIMAL(2, 0)";
            reject.reason.starts_with(text) && reject.row.is_some()
        };
        assert!(output.rejects.iter().all(of_field), "{:?}", output.rejects);
        if !coalesce {
            assert_eq!(texts(&output, key_columns(&node)), want);
        }
    }
}

#[test]
fn what_does_not_fit_is_left_out_and_reported() {
    let rows = [(Some("a"), 98, 1), (Some("a"), 2, 2), (Some("b"), 2, 3), (Some("a"), 1, 4)];
    check(None, &rows, &["a 1 98 @1", "a 2 98 @2", "b 1 2 @3", "a 3 99 @4"], &[2]);
}

#[test]
fn a_row_of_several_windows_is_reported_once() {
    let rows = [(Some("a"), 98, 7), (Some("a"), 2, 8), (Some("a"), 3, 12)];
    let want = ["a 0 10 1 98 @7", "a 5 15 1 98 @7", "a 0 10 2 98 @8", "a 5 15 2 98 @8"];
    let want = [&want[..], &["a 5 15 3 98 @12", "a 10 20 1 3 @12"]].concat();
    let hopping = window(Hopping { size_ms: 10, advance_ms: 5 }, 0);
    check(Some(hopping), &rows, &want, &[8, 12]);
}

#[test]
fn sessions_that_cannot_be_added_up() {
    let rows = [(Some("a"), 60, 10), (Some("a"), 50, 20), (Some("a"), 4, 15)];
    let want = ["a 10 10 1 60 @10", "a 20 20 1 50 @20", "-a 10 10 @10", "-a 20 20 @20"];
    let want = [&want[..], &["a 10 20 3 64 @20"]].concat();
    check(Some(window(Session { gap_ms: 5 }, 100)), &rows, &want, &[15]);
}

#[test]
fn without_extensions_the_query_stops() {
    let node = AggregateNode { skips_overflow: false, ..sums(None) };
    let mut operator = operator(&node, false);
    let (mut state, mut output) = (MemState::default(), Output::default());
    let rows = batch(&[(Some("a"), 98, 1), (Some("a"), 2, 2)]);
    let stopped = push(&mut *operator, 0, rows, &mut state, &mut output, false);
    let error = stopped.unwrap_err().to_string();
    assert!(error.contains("SUM exceeds DECIMAL(2, 0)"), "{error}");
}
