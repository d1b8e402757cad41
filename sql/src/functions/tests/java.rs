//! What Java does that nobody would guess.

use super::check;

#[test]
fn functions_have_the_corners_of_java() {
    check(&[
        ("CHR('\\u0041bc\\t\\101')", "Abc\tA"),
        ("CHR('\\u00zz')", "error: Unable to parse unicode value..."),
        ("INITCAP('  the QUICK\tfox')", "The Quick\tFox"),
        ("INSTR('CORPORATE FLOOR', 'OR', -3)", "5"),
        ("INSTR('CORPORATE FLOOR', 'OR', -2)", "5"),
        ("INSTR('CORPORATE FLOOR', 'OR', -1)", "14"),
        ("INSTR('CORPORATE FLOOR', 'OR', -1, 2)", "5"),
        ("REGEXP_SPLIT_TO_ARRAY('axb', 'x*')", "[a, , b]"),
        ("REGEXP_SPLIT_TO_ARRAY('abc', '')", "[a, b, c]"),
        ("SLICE(ARRAY[1, 2], 3, 2)", "[]"),
        ("SLICE(ARRAY[1, 2], 4, 2)", "null"),
        ("INT_FROM_BYTES(TO_BYTES('01000000', 'hex'), 'little_endian')", "1"),
        ("TO_BYTES('0x61', 'hex')", "error: ..."),
        ("ENCODE('0x161', 'hex', 'ascii')", "\u{1}a"),
        ("ENCODE('YW Jj', 'base64', 'utf8')", "abc"),
        ("IS_JSON_STRING('{} x')", "true"),
        ("IS_JSON_STRING('')", "false"),
        ("EXTRACTJSONFIELD('{\"a\":1e5}', '$.a')", "1E+5"),
        ("JSON_CONCAT('[1e5]', '1.50')", "[100000,1.50]"),
        ("CAST(DATEADD(HOURS, 1, FROM_DAYS(-1)) AS STRING)", "1970-01-01"),
        ("STRINGTODATE('2021-05', 'yyyy-MM')", "error: Unable to obtain a date..."),
        ("MASK('aB1', '', 'x', 'n', '-')", "error: Invalid mask character..."),
    ]);
}

#[test]
fn decimals_have_38_digits() {
    check(&[
        ("12345678901234567890.5 * 1000000000.25", "12345678904320987615808641972.625"),
        ("99999999999999999999.5 * 99999999999999999999.5", "error: Rounding necessary..."),
        ("99999999999999999999999999999999999999. + 1.5", "error: Rounding necessary..."),
        ("1.5[1]", "refused: Subscript expression (1.5[1]) do not apply to DECIMAL(2, 1)."),
    ]);
}
