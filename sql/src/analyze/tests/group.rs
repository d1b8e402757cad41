use super::*;
use crate::catalog::{FormatKind, KeyWindow};
use crate::plan::{AggregateNode, Window, WindowKind};

#[test]
fn groups_by_the_key_need_no_repartition() {
    check(
        "CREATE TABLE O AS SELECT ID, COUNT(*) AS N, SUM(A) AS TOTAL FROM S GROUP BY ID;",
        &[
            "Sink: Table O (topic O)",
            "  Projection: ID, KSQL_AGG_VARIABLE_0 AS N, KSQL_AGG_VARIABLE_1 AS TOTAL",
            "    StreamAggregate Aggregate: group=[ID] calls=[COUNT() AS KSQL_AGG_VARIABLE_0, \
             SUM(A) AS KSQL_AGG_VARIABLE_1] emit=changes",
            "      Scan KsqlTopic: Stream S (topic s) [ID, A]",
        ],
    );
}

#[test]
fn other_groups_are_sent_first() {
    check(
        "CREATE TABLE O AS SELECT B, COUNT(*) AS N FROM S WINDOW TUMBLING (SIZE 10 SECONDS) \
         GROUP BY B EMIT FINAL;",
        &[
            "Sink: Table O (topic O)",
            "  Projection: B, KSQL_AGG_VARIABLE_0 AS N, WINDOWSTART, WINDOWEND",
            "    StreamAggregate Aggregate: group=[B] calls=[COUNT() AS KSQL_AGG_VARIABLE_0] \
             window=Tumbling { size_ms: 10000 } grace=0 ms emit=final",
            "      Repartition Aggregate-GroupBy by [B]",
            "        Projection: B",
            "          Scan KsqlTopic: Stream S (topic s) [ID, B]",
        ],
    );
}

#[test]
fn the_same_call_is_computed_once() {
    check(
        "SELECT COUNT(*) AS X, COUNT(*) AS Y FROM NK GROUP BY A EMIT CHANGES;",
        &[
            "Projection: KSQL_AGG_VARIABLE_0 AS X, KSQL_AGG_VARIABLE_0 AS Y",
            "  StreamAggregate Aggregate: group=[A] calls=[COUNT() AS KSQL_AGG_VARIABLE_0] \
             emit=changes",
            "    Repartition Aggregate-GroupBy by [A]",
            "      Scan KsqlTopic: Stream NK (topic nk) [A]",
        ],
    );
}

fn window(clause: &str) -> Window {
    let sql = format!("CREATE TABLE O AS SELECT ID, COUNT(*) FROM S WINDOW {clause} GROUP BY ID;");
    let new = created(&sql);
    let above = super::super::above_store(&new.plan).expect("an aggregation");
    let AggregateNode { window, .. } = above.aggregate;
    assert_eq!(above.nodes.len(), 1, "the projection");
    window.expect("a window")
}

#[test]
fn windows_have_defaults() {
    const DAY_MS: i64 = 86_400_000;
    let w = window("TUMBLING (SIZE 1 HOUR)");
    assert_eq!((w.grace_ms, w.retention_ms), (DAY_MS - 3_600_000, DAY_MS));
    let w = window("TUMBLING (SIZE 2 DAYS)");
    assert_eq!((w.grace_ms, w.retention_ms), (0, 2 * DAY_MS));
    let w = window("HOPPING (SIZE 10 SECONDS, ADVANCE BY 5 SECONDS, GRACE PERIOD 0 SECONDS)");
    assert_eq!(w.kind, WindowKind::Hopping { size_ms: 10_000, advance_ms: 5_000 });
    assert_eq!((w.grace_ms, w.retention_ms), (0, 10_000));
    let w = window("SESSION (5 MINUTES, RETENTION 2 DAYS, GRACE PERIOD 1 HOUR)");
    assert_eq!(w.kind, WindowKind::Session { gap_ms: 300_000 });
    assert_eq!((w.grace_ms, w.retention_ms), (3_600_000, 2 * DAY_MS));
}

#[test]
fn one_row_opens_a_bounded_number_of_windows() {
    // (size, advance, windows of a row that are too many, the least advance)
    let cases = [
        ("1 DAY", "1 MINUTE", None),
        ("2000 MILLISECONDS", "1 MILLISECOND", None),
        ("2001 MILLISECONDS", "1 MILLISECOND", Some((2001, 2))),
        ("1 DAY", "1 MILLISECOND", Some((86_400_000, 43_200))),
        ("1 DAY", "43199 MILLISECONDS", Some((2001, 43_200))),
        ("1 DAY", "43200 MILLISECONDS", None),
    ];
    for (size, advance, refused) in cases {
        let clause = format!("HOPPING (SIZE {size}, ADVANCE BY {advance})");
        let sql = |clause: &str| {
            format!("CREATE TABLE O AS SELECT ID, COUNT(*) FROM S WINDOW {clause} GROUP BY ID;")
        };
        let Some((windows, least_ms)) = refused else {
            window(&clause);
            continue;
        };
        check_err(&sql(&clause), &format!("Each row would be in {windows} windows"));
        // What the hint says is taken.
        window(&format!("HOPPING (SIZE {size}, ADVANCE BY {least_ms} MILLISECONDS)"));
    }
}

#[test]
fn windowed_sinks() {
    let new = created(
        "CREATE TABLE O AS SELECT ID, COUNT(*) AS N, WINDOWSTART AS WS, WINDOWEND FROM S \
         WINDOW HOPPING (SIZE 10 SECONDS, ADVANCE BY 5 SECONDS, RETENTION 3 DAYS) GROUP BY ID;",
    );
    assert_eq!(new.source.window, Some(KeyWindow::Time { size_ms: 10_000, hopping: true }));
    let topic = &new.topic;
    assert_eq!(topic.retention_ms, None);
    assert_eq!(topic.retention_min_ms, Some(3 * 86_400_000));
    assert_eq!(describe(&new.source.columns), "ID INTEGER KEY, N BIGINT, WS BIGINT");
    assert_eq!(sink_of(&new).materialize, None);
}

#[test]
fn groups_of_several_expressions() {
    let new = created(
        "CREATE TABLE O WITH (KEY_FORMAT='JSON') AS SELECT B, A, COUNT(*) AS N FROM S \
         GROUP BY A, B;",
    );
    assert_eq!(describe(&new.source.columns), "A INTEGER KEY, B STRING KEY, N BIGINT");
    assert_eq!(new.source.key_format.kind, FormatKind::Json);
    check_err(
        "CREATE TABLE O AS SELECT B, A, COUNT(*) AS N FROM S GROUP BY A, B;",
        "Key format does not support schema.\nformat: KAFKA",
    );
    check_columns(
        "CREATE TABLE O AS SELECT K1, W->Y->Z AS ZED, COUNT(*) FROM MK GROUP BY W->Y->Z, K1;",
        "ZED STRING KEY, K1 INTEGER KEY, KSQL_COL_0 BIGINT",
    );
}

#[test]
fn tables_are_grouped_with_what_can_be_undone() {
    check(
        "CREATE TABLE O AS SELECT A, COUNT(*) AS N FROM T GROUP BY A;",
        &[
            "Sink: Table O (topic O)",
            "  Projection: A, KSQL_AGG_VARIABLE_0 AS N",
            "    StreamAggregate Aggregate: group=[A] calls=[COUNT() AS KSQL_AGG_VARIABLE_0] \
             emit=changes",
            "      Repartition Aggregate-GroupBy by [A]",
            "        Projection: A",
            "          Scan KsqlTopic: Table T (topic t) materialized [ID, A]",
        ],
    );
    check_err(
        "CREATE TABLE O AS SELECT A, LATEST_BY_OFFSET(ID) AS N FROM T GROUP BY A;",
        "The aggregation function LATEST_BY_OFFSET cannot be applied to a table source, only to a stream source.",
    );
}

#[test]
fn having_filters_groups() {
    check_err(
        "CREATE TABLE O AS SELECT A, COUNT(*) FROM S GROUP BY A HAVING B;",
        "Non-aggregate HAVING expression not part of GROUP BY: B",
    );
    check_err("CREATE STREAM O AS SELECT ID, A FROM S HAVING A;", "HAVING requires a GROUP BY");
    check_err(
        "CREATE TABLE O AS SELECT A, COUNT(*) FROM S GROUP BY A HAVING SUM(A);",
        "Type error in HAVING expression: Should evaluate to boolean but is SUM(A) (INTEGER)",
    );
}

#[test]
fn grouped_selects_are_checked() {
    check_err(
        "CREATE TABLE O AS SELECT A, B, COUNT(*) FROM S GROUP BY A;",
        "Non-aggregate SELECT expression(s) not part of GROUP BY: B",
    );
    check_err("CREATE TABLE O AS SELECT A FROM S GROUP BY A;", "GROUP BY requires aggregate");
    check_err(
        "CREATE TABLE O AS SELECT COUNT(*) FROM S;",
        "CREATE TABLE AS SELECT statement does not support aggregate function [COUNT(ROWTIME)] \
         without a GROUP BY clause.",
    );
    check_err(
        "CREATE TABLE O AS SELECT A, SUM(COUNT()) FROM S GROUP BY A;",
        "Aggregate functions can not be nested: SUM(COUNT())",
    );
    check_err(
        "CREATE TABLE O AS SELECT COUNT(*) FROM S GROUP BY SUM(A);",
        "GROUP BY does not support aggregate functions: SUM is an aggregate function.",
    );
    check_err(
        "CREATE TABLE O AS SELECT COUNT(*) FROM S WHERE SUM(A) GROUP BY A;",
        "WHERE does not support aggregate functions: SUM is an aggregate function.",
    );
    check_err(
        "CREATE TABLE O AS SELECT COUNT(*) FROM S GROUP BY A, B;",
        "must include the grouping expressions A and B in its projection (eg, SELECT A, B...).",
    );
    check_err(
        "CREATE TABLE O AS SELECT A, A AS A2, COUNT(*) FROM S GROUP BY A;",
        "The projection contains a key column more than once: `A` and `A2`.",
    );
}

#[test]
fn window_bounds_belong_to_the_select_list() {
    let with = |select: &str, rest: &str| {
        format!(
            "CREATE TABLE O AS SELECT ID, {select} FROM S WINDOW TUMBLING (SIZE 1 SECOND) \
             GROUP BY ID {rest};"
        )
    };
    let part = "Window bounds column WINDOWSTART can only be used in the SELECT clause of windowed";
    check_err(&with("MIN(WINDOWSTART)", ""), part);
    check_err(&with("COUNT(*)", ", WINDOWSTART"), part);
    check_err(&with("COUNT(*)", "HAVING WINDOWSTART"), part);
    check_err("SELECT COUNT(*) FROM S GROUP BY ID EMIT FINAL;", "EMIT FINAL is only supported");
}

#[test]
fn a_push_query_may_count_everything() {
    check(
        "SELECT COUNT(*) AS N FROM S EMIT CHANGES;",
        &[
            "Projection: KSQL_AGG_VARIABLE_0 AS N",
            "  StreamAggregate Aggregate: group=[KSQL_COL_0] calls=[COUNT() AS \
             KSQL_AGG_VARIABLE_0] emit=changes",
            "    Repartition Aggregate-GroupBy by [KSQL_COL_0]",
            "      Projection: Int32(1) AS KSQL_COL_0",
            "        Scan KsqlTopic: Stream S (topic s) [ID]",
        ],
    );
}
