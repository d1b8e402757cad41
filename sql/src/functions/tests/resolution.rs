//! Which overload a call means.

use super::check;

#[test]
fn overloads_are_preferred_as_in_ksqldb() {
    check(&[
        // As it is before any cast.
        ("ABS(1)", "1"),
        ("ABS(1.5)", "1.5"),
        ("SQRT(16)", "4.0"),
        ("SQRT(2.25)", "1.5"),
        ("POWER(2, 3)", "8.0"),
        ("POWER(2, 3e0)", "8.0"),
        // Several with casts: DECIMAL and DOUBLE, BIGINT and DOUBLE.
        (
            "GREATEST(1, 2147483648)",
            "refused: Function 'greatest' cannot be resolved due to ambiguous method parameters \
             (INTEGER, BIGINT)....",
        ),
        ("POWER(2, 2147483648)", "refused: Function 'power' cannot be resolved..."),
        ("GREATEST(1, 2147483648, 1e0)", "2.147483648E9"),
        ("GREATEST(1.25, 2.5, NULL)", "2.50"),
        // No variadic parameter wins, then more parameters.
        ("SUBSTRING('abc', 2)", "bc"),
        ("CONCAT('a', 'b')", "ab"),
        ("ABS(NULL)", "refused: Function 'abs' cannot be resolved due to ambiguous..."),
        ("LEN(1)", "refused: Function 'len' does not accept parameters (INTEGER)...."),
        ("COALESCE(1, 2147483648)", "1"),
        ("CAST(ENTRIES(MAP('a' := 1.5), TRUE) AS STRING)", "[Struct{K=a,V=1.5}]"),
    ]);
}
