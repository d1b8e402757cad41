//! Functions of arrays and maps.

use super::check;

#[test]
fn collections() {
    check(&[
        ("ARRAY_LENGTH(CAST(NULL AS ARRAY<INT>))", "null"),
        ("ARRAY_CONTAINS(ARRAY[1, NULL], NULL)", "true"),
        ("ARRAY_CONTAINS(CAST(NULL AS ARRAY<INT>), 1)", "false"),
        ("ARRAY_JOIN(ARRAY['a', NULL, 'b'])", "a,null,b"),
        ("ARRAY_JOIN(ARRAY[ARRAY[1]])", "refused: ..."),
        ("ARRAY_CONCAT(ARRAY[1], CAST(NULL AS ARRAY<INT>))", "[1]"),
        ("ARRAY_MAX(ARRAY[NULL, 'b', 'a'])", "b"),
        ("ARRAY_MIN(CAST(NULL AS ARRAY<INT>))", "null"),
        ("ARRAY_SORT(ARRAY[3, 1, NULL, 2])", "[1, 2, 3, null]"),
        ("ARRAY_SORT(ARRAY[3, 1], 'sideways')", "null"),
        ("ARRAY_UNION(ARRAY[1, NULL], ARRAY[NULL, 2])", "[1, null, 2]"),
        ("ARRAY_INTERSECT(ARRAY[MAP('a' := 1)], ARRAY[MAP('a' := 1)])", "[{a=1}]"),
        ("ARRAY_EXCEPT(CAST(NULL AS ARRAY<INT>), ARRAY[1])", "null"),
        ("ARRAY_REMOVE(ARRAY[1, NULL], NULL)", "[1]"),
        ("GENERATE_SERIES(3, 1)", "[3, 2, 1]"),
        ("GENERATE_SERIES(1, 3, -1)", "error: GENERATE_SERIES step has wrong sign"),
        (
            "GENERATE_SERIES(1, 9000000000000000000)",
            "error: GENERATE_SERIES would make too many items",
        ),
        ("SLICE(ARRAY[1, 2, 3], NULL, 2)", "[1, 2]"),
        ("SLICE(ARRAY[1, 2, 3], 0, 2)", "null"),
        ("SLICE(ARRAY[1, 2, 3], 2, 4)", "null"),
        ("AS_MAP(ARRAY['a', 'b'], ARRAY[1])", "{a=1, b=null}"),
        ("MAP_UNION(CAST(NULL AS MAP<STRING, INT>), MAP('a' := 1))", "{a=1}"),
        ("SPLIT_TO_MAP('a=1&b&a=2', '&', '=')", "{a=2}"),
        ("ENTRIES(MAP('b' := 1, 'a' := 2), TRUE)", "[Struct{K=a,V=2}, Struct{K=b,V=1}]"),
        ("EXTRACTJSONFIELD('{\"a\": {\"b\": \"x\"}}', '$.a')", "{\"b\":\"x\"}"),
        ("EXTRACTJSONFIELD('{\"a\": \"x\"}', '$.b')", "null"),
        ("EXTRACTJSONFIELD('{\"a b\": 1.0}', '$[\"a b\"]')", "1.0"),
        ("EXTRACTJSONFIELD('{', '$.b')", "error: Invalid JSON format..."),
        ("IS_JSON_STRING('')", "false"),
        ("IS_JSON_STRING(CAST(NULL AS STRING))", "false"),
        ("JSON_ARRAY_CONTAINS('[1, \"a\", 2.0]', 'a')", "true"),
        ("JSON_ARRAY_CONTAINS('[2.0]', 2)", "false"),
        ("JSON_ARRAY_CONTAINS('[1, null]', NULL)", "true"),
        ("JSON_ARRAY_CONTAINS('[1]', NULL)", "false"),
        ("JSON_ARRAY_LENGTH('{}')", "null"),
        ("JSON_CONCAT('[1]', '2', '{\"a\": 3}')", "[1,2,{\"a\":3}]"),
        ("JSON_KEYS('[]')", "null"),
        (
            "TO_JSON_STRING(STRUCT(B := 1.50, A := MAP('x' := 1e0)))",
            "{\"A\":{\"x\":1.0},\"B\":1.50}",
        ),
        ("TO_JSON_STRING(ARRAY[1e10, -2.5e-7, 1.5e0])", "[1.0E10,-2.5E-7,1.5]"),
        ("TO_JSON_STRING(CAST(NULL AS INT))", "null"),
        ("TO_JSON_STRING('a')", "\"a\""),
    ]);
}
