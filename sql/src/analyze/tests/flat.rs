//! Table functions and lambdas in statements.

use super::{check, check_columns, check_err};

#[test]
fn table_functions_are_columns_of_a_node_below() {
    check(
        "CREATE STREAM O AS SELECT ID, EXPLODE(ARRAY[A, 1]) + A AS X FROM S WHERE A > 1;",
        &[
            "Sink: Stream O (topic O)",
            "  Projection: ID, +(KSQL_SYNTH_0, A) AS X",
            "    FlatMap [EXPLODE(guard(ARRAY(A, Int32(1))))]",
            "      Filter: >(A, Int32(1))",
            "        Scan KsqlTopic: Stream S (topic s) [ID, A]",
        ],
    );
    check_columns(
        "CREATE STREAM O AS SELECT ID, EXPLODE(ARRAY[A]), CUBE_EXPLODE(ARRAY[B]) AS C FROM S;",
        "ID INTEGER KEY, KSQL_COL_0 INTEGER, C ARRAY<STRING>",
    );
    check_columns(
        "CREATE STREAM O AS SELECT K1, K2, EXPLODE(ARRAY[W])->X FROM MK;",
        "K1 INTEGER KEY, K2 STRING KEY, X INTEGER",
    );
}

#[test]
fn table_functions_are_refused_elsewhere() {
    for (sql, part) in [
        (
            "CREATE TABLE O AS SELECT ID, EXPLODE(ARRAY[A]), COUNT(*) FROM S GROUP BY ID;",
            "Table functions cannot be used with aggregations.",
        ),
        (
            "CREATE STREAM O AS SELECT ID, EXPLODE(EXPLODE(ARRAY[ARRAY[A]])) FROM S;",
            "Table functions cannot be nested: EXPLODE(EXPLODE())",
        ),
        (
            "CREATE STREAM O AS SELECT ID, CASE WHEN A = 1 THEN EXPLODE(ARRAY[A]) END FROM S;",
            "Table functions cannot be used in CASE: (CASE WHEN (A = 1) THEN EXPLODE(ARRAY[A]) END)",
        ),
        (
            "CREATE TABLE O AS SELECT ID, EXPLODE(ARRAY[A]) FROM T;",
            "Table source is not supported with table functions",
        ),
        (
            "CREATE STREAM O AS SELECT ID FROM S WHERE EXPLODE(ARRAY[A]) = 1;",
            "Can't find any functions with the name 'EXPLODE'",
        ),
        (
            "CREATE STREAM O AS SELECT ID, EXPLODE(A) FROM S;",
            "Function 'explode' does not accept parameters (INTEGER).\nValid alternatives are:\n\
             explode(ARRAY<DECIMAL> input)\nexplode(ARRAY<T> list)",
        ),
    ] {
        check_err(sql, part);
    }
}

#[test]
fn lambdas_see_columns_and_hide_none() {
    check_columns(
        "CREATE STREAM O AS SELECT ID, TRANSFORM(ARRAY[A], X => X + A + C) AS L FROM S;",
        "ID INTEGER KEY, L ARRAY<DOUBLE>",
    );
    for (sql, part) in [
        (
            "CREATE STREAM O AS SELECT ID, TRANSFORM(ARRAY[A], B => B + 1) FROM S;",
            "Lambda function argument can't be a column name: B",
        ),
        (
            "CREATE STREAM O AS SELECT ID, \
             TRANSFORM(ARRAY[ARRAY[A]], X => TRANSFORM(X, X => X)) FROM S;",
            "Reusing lambda arguments in nested lambda is not allowed",
        ),
        (
            "CREATE STREAM O AS SELECT ID, TRANSFORM(ARRAY[A], X => Y) FROM S;",
            "SELECT column 'Y' cannot be resolved.",
        ),
    ] {
        check_err(sql, part);
    }
}
