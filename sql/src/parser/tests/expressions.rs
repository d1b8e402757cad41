//! Expressions and types. The canonical text shows the tree by its parentheses.

use crate::ast::{ExprKind, IntervalUnit, Literal};
use crate::parser::{parse_expression, parse_type};
use crate::unparse::parenthesized;

fn check(cases: &[(&str, &str)]) {
    for (sql, expected) in cases {
        let expr = parse_expression(sql).unwrap_or_else(|e| panic!("{}", e.render(sql)));
        assert_eq!(parenthesized(&expr).to_string(), *expected, "{sql}");
    }
}

#[test]
fn precedence() {
    check(&[
        ("a + b * c", "(A + (B * C))"),
        ("a * b + c", "((A * B) + C)"),
        ("(a + b) * c", "((A + B) * C)"),
        ("a - b - c", "((A - B) - C)"),
        ("a - (b - c)", "(A - (B - C))"),
        ("a / b % c * d", "(((A / B) % C) * D)"),
        ("a || b + c", "(A || (B + C))"),
        ("a || b || c", "((A || B) || C)"),
        ("a + b || c = d", "(((A + B) || C) = D)"),
        ("a = b AND c = d", "((A = B) AND (C = D))"),
        ("a OR b AND c", "(A OR (B AND C))"),
        ("a AND b OR c AND d", "((A AND B) OR (C AND D))"),
        ("NOT a AND b", "((NOT A) AND B)"),
        ("NOT a = b", "(NOT (A = B))"),
        ("NOT NOT a", "(NOT (NOT A))"),
        ("NOT (a AND b)", "(NOT (A AND B))"),
        ("a AND NOT b", "(A AND (NOT B))"),
        ("a = 1 OR NOT b IS NULL AND c", "((A = 1) OR ((NOT (B IS NULL)) AND C))"),
        ("-a * b", "(-A * B)"),
        ("- -a", "- -A"),
        ("-a->b", "-A->B"),
        ("-a[1]", "-A[1]"),
        ("+a - -b", "(+A - -B)"),
        ("1 - -1", "(1 - -1)"),
        ("1-1", "(1 - 1)"),
        ("-(1)", "-(1)"),
        ("a < -1", "(A < -1)"),
        ("a<>b", "(A <> B)"),
        ("a!=b", "(A <> B)"),
        ("(a = b) = c", "((A = B) = C)"),
        ("a <= b", "(A <= B)"),
        ("a >= b", "(A >= B)"),
        ("((((a))))", "A"),
    ]);
}

#[test]
fn predicates() {
    check(&[
        ("a IS NULL", "(A IS NULL)"),
        ("a is not null", "(A IS NOT NULL)"),
        ("a + 1 IS NULL", "((A + 1) IS NULL)"),
        ("a IS DISTINCT FROM b", "(A IS DISTINCT FROM B)"),
        ("a IS NOT DISTINCT FROM b + 1", "(A IS NOT DISTINCT FROM (B + 1))"),
        ("a BETWEEN 1 AND 2", "(A BETWEEN 1 AND 2)"),
        ("a BETWEEN 1 AND 2 AND b", "((A BETWEEN 1 AND 2) AND B)"),
        ("a NOT BETWEEN b + 1 AND c * 2", "(A NOT BETWEEN (B + 1) AND (C * 2))"),
        ("a IN (1)", "(A IN (1))"),
        ("a IN (1, 2, b OR c)", "(A IN (1, 2, (B OR C)))"),
        ("a NOT IN ('x', 'y')", "(A NOT IN ('x', 'y'))"),
        ("a LIKE 'x%'", "(A LIKE 'x%')"),
        ("a NOT LIKE b || '%' ESCAPE '!'", "(A NOT LIKE (B || '%') ESCAPE '!')"),
        ("a LIKE 'x' ESCAPE '''' AND b", "((A LIKE 'x' ESCAPE '''') AND B)"),
        ("NOT a LIKE 'x'", "(NOT (A LIKE 'x'))"),
    ]);
}

#[test]
fn literals() {
    check(&[
        ("1", "1"),
        ("-1", "-1"),
        ("2147483647", "2147483647"),
        ("-2147483648", "-2147483648"),
        ("2147483648", "2147483648"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("007", "7"),
        ("1.0", "1.0"),
        ("1.50", "1.50"),
        (".5", ".5"),
        ("-.5", "-.5"),
        ("5.", "5."),
        ("1e3", "1E3"),
        ("1.5E-2", "1.5E-2"),
        ("-2e+5", "-2E5"),
        ("DECIMAL '12'", "DECIMAL '12'"),
        ("DECIMAL '1.20'", "1.20"),
        ("\"DECIMAL\" '-1.2'", "-1.2"),
        ("'it''s'", "'it''s'"),
        ("''", "''"),
        ("'\\n'", "'\\n'"),
        ("'${x}'", "'${x}'"),
        ("TRUE", "true"),
        ("false", "false"),
        ("null", "null"),
    ]);
}

#[test]
fn literal_types() {
    let cases = [
        ("1", Literal::Integer(1)),
        ("2147483648", Literal::Bigint(2_147_483_648)),
        ("-2147483648", Literal::Integer(i32::MIN)),
        ("-9223372036854775808", Literal::Bigint(i64::MIN)),
        ("1.0", Literal::Decimal("1.0".into())),
        ("1e0", Literal::Double(1.0)),
        ("true", Literal::Boolean(true)),
        ("NULL", Literal::Null),
        ("'a'", Literal::String("a".into())),
    ];
    for (sql, expected) in cases {
        let expr = parse_expression(sql).expect(sql);
        assert_eq!(expr.kind, ExprKind::Literal(expected), "{sql}");
    }
}

#[test]
fn names() {
    check(&[
        ("abc", "ABC"),
        ("`abc`", "`abc`"),
        ("\"abc\"", "`abc`"),
        ("`ABC`", "ABC"),
        ("`a``b`", "`a``b`"),
        ("\"a\"\"b\"", "`a\"b`"),
        ("a@b_1", "A@B_1"),
        ("1abc", "`1ABC`"),
        ("_x", "_X"),
        ("a.b", "A.B"),
        ("`a`.b->c", "`a`.B->C"),
        ("a._b", "A._B"),
        ("`select`", "`select`"),
        ("`SELECT`", "`SELECT`"),
        ("key", "KEY"),
        ("id + date", "(ID + DATE)"),
        ("timestamp", "TIMESTAMP"),
        ("array", "`ARRAY`"),
        ("map->a", "`MAP`->A"),
        ("struct.a", "`STRUCT`.A"),
        ("header = 1", "(HEADER = 1)"),
        ("year - month", "(YEAR - MONTH)"),
        ("order", "ORDER"),
    ]);
}

#[test]
fn operands() {
    check(&[
        ("a->b->c", "A->B->C"),
        ("a[1][2]->b", "A[1][2]->B"),
        ("a['k']", "A['k']"),
        ("a[b + 1]", "A[(B + 1)]"),
        ("(a + b)->c", "(A + B)->C"),
        ("f()", "F()"),
        ("f(a, b + 1)", "F(A, (B + 1))"),
        ("f(a)->b", "F(A)->B"),
        ("f(a)[1]", "F(A)[1]"),
        ("count(*)", "COUNT(*)"),
        ("CAST(a AS INT)", "CAST(A AS INTEGER)"),
        ("CAST(a + 1 AS DECIMAL(4, 2))", "CAST((A + 1) AS DECIMAL(4, 2))"),
        ("CAST(a AS STRUCT<b INT>)->b", "CAST(A AS STRUCT<B INTEGER>)->B"),
        ("CASE WHEN a THEN 1 END", "(CASE WHEN A THEN 1 END)"),
        (
            "case when a then 1 when b then 2 else 3 end",
            "(CASE WHEN A THEN 1 WHEN B THEN 2 ELSE 3 END)",
        ),
        ("CASE a WHEN 1 THEN 2 END", "(CASE A WHEN 1 THEN 2 END)"),
        ("CASE WHEN a = 1 OR b THEN 1 END + 1", "((CASE WHEN ((A = 1) OR B) THEN 1 END) + 1)"),
        ("ARRAY[]", "ARRAY[]"),
        ("ARRAY[1, a + 2]", "ARRAY[1, (A + 2)]"),
        ("ARRAY[ARRAY[1]][1]", "ARRAY[ARRAY[1]][1]"),
        ("MAP()", "MAP()"),
        ("MAP('a' := 1, b := c + 1)", "MAP('a':=1, B:=(C + 1))"),
        ("STRUCT()", "STRUCT()"),
        ("STRUCT(a := 1, `b` := 'x')->a", "STRUCT(A:=1, `b`:='x')->A"),
        ("MAP('a' := 1)['a']", "MAP('a':=1)['a']"),
    ]);
}

#[test]
fn lambdas_and_units() {
    check(&[
        ("TRANSFORM(a, x => x + 1)", "TRANSFORM(A, X => (X + 1))"),
        ("transform(a, (x) => x)", "TRANSFORM(A, X => X)"),
        ("TRANSFORM(m, (k, v) => k, (k, v) => v)", "TRANSFORM(M, (K, V) => K, (K, V) => V)"),
        ("REDUCE(a, 0, (s, x) => s + x)", "REDUCE(A, 0, (S, X) => (S + X))"),
        (
            "TRANSFORM(a, x => FILTER(x, y => y > 1 AND y < 5))",
            "TRANSFORM(A, X => FILTER(X, Y => ((Y > 1) AND (Y < 5))))",
        ),
        ("f((a))", "F(A)"),
        ("f((a), (b))", "F(A, B)"),
        ("TIMESTAMPADD(HOURS, 2, ts)", "TIMESTAMPADD(HOURS, 2, TS)"),
        ("DATEADD(millisecond, 2, d)", "DATEADD(MILLISECONDS, 2, D)"),
        ("DATEADD(day, 2, d)", "DATEADD(DAY, 2, D)"),
        ("f(`DAY`, `DAYS`)", "F(`DAY`, `DAYS`)"),
    ]);
}

#[test]
fn units_are_known_reserved_or_not() {
    let cases = [
        ("f(DAYS)", Some(IntervalUnit::Days)),
        ("f(day)", Some(IntervalUnit::Days)),
        ("f(Millisecond)", Some(IntervalUnit::Milliseconds)),
        ("f(`DAY`)", None),
        ("f(year)", None),
        ("f(a.day)", None),
    ];
    for (sql, expected) in cases {
        let ExprKind::Call { args, .. } = parse_expression(sql).expect(sql).kind else {
            panic!("{sql} is a call");
        };
        assert_eq!(args[0].as_unit(), expected, "{sql}");
    }
}

#[test]
fn types() {
    let cases = [
        ("int", "INTEGER"),
        ("INTEGER", "INTEGER"),
        ("bigint", "BIGINT"),
        ("boolean", "BOOLEAN"),
        ("double", "DOUBLE"),
        ("varchar", "STRING"),
        ("VARCHAR(255)", "STRING"),
        ("VARCHAR(STRING)", "STRING"),
        ("string", "STRING"),
        ("bytes", "BYTES"),
        ("date", "DATE"),
        ("time", "TIME"),
        ("timestamp", "TIMESTAMP"),
        ("decimal(10,2)", "DECIMAL(10, 2)"),
        ("DECIMAL(50, 30)", "DECIMAL(50, 30)"),
        ("array<int>", "ARRAY<INTEGER>"),
        ("INT ARRAY", "ARRAY<INTEGER>"),
        ("INT ARRAY ARRAY", "ARRAY<ARRAY<INTEGER>>"),
        ("MAP<STRING, ARRAY<MAP<STRING, INT>>>", "MAP<STRING, ARRAY<MAP<STRING, INTEGER>>>"),
        ("STRUCT<>", "STRUCT<>"),
        ("STRUCT< >", "STRUCT<>"),
        ("STRUCT<a INT, `b` STRUCT<c DATE>>", "STRUCT<A INTEGER, `b` STRUCT<C DATE>>"),
        ("STRUCT<date DATE, key STRING>", "STRUCT<DATE DATE, KEY STRING>"),
        ("STRUCT<a INT> ARRAY", "ARRAY<STRUCT<A INTEGER>>"),
        ("address", "ADDRESS"),
        ("`Address`", "`Address`"),
        ("`INT`", "`INT`"),
        ("ARRAY<address>", "ARRAY<ADDRESS>"),
    ];
    for (sql, expected) in cases {
        let ty = parse_type(sql).unwrap_or_else(|e| panic!("{}", e.render(sql)));
        assert_eq!(ty.to_string(), expected, "{sql}");
    }
}

#[test]
fn places_cover_what_they_mean() {
    let cases = [
        (" a + b ", "a + b"),
        ("a->b[1]", "a->b[1]"),
        ("(a)", "a"),
        ("f( a )", "f( a )"),
        ("NOT a", "NOT a"),
        ("CASE WHEN a THEN 1 END", "CASE WHEN a THEN 1 END"),
        ("'ä' || b", "'ä' || b"),
    ];
    for (sql, expected) in cases {
        let span = parse_expression(sql).expect(sql).span();
        assert_eq!(&sql[span.start..span.end], expected);
    }
}
