//! Text that is not JSON: refused, wherever it breaks.

use super::*;

#[test]
fn malformed_text_is_refused() {
    let deep = [r#"{"A":"#, &"[".repeat(10_000)].concat();
    let deep_closed = [r#"{"A":"#, &"[".repeat(10_000), &"]".repeat(10_000), "}"].concat();
    let cases: [(&[u8], &str); 38] = [
        (b"", "byte 0: the text ends too early"),
        (b"   ", "the text ends too early"),
        (b"{", "the text ends too early"),
        (b"{]", "a name in quotes is missing"),
        (b"{\"A\"}", "a colon is missing"),
        (b"{\"A\":}", "not a value"),
        (b"{\"A\":1,}", "a name in quotes is missing"),
        (b"{\"A\":1 \"B\":2}", "a comma or the end"),
        (b"{,\"A\":1}", "a name in quotes is missing"),
        (b"{A:1}", "a name in quotes is missing"),
        (b"{'A':1}", "a name in quotes is missing"),
        (b"{\"A\":01}", "unexpected character after a value"),
        (b"{\"A\":-}", "not a value"),
        (b"{\"A\":+1}", "not a value"),
        (b"{\"A\":.5}", "not a value"),
        (b"{\"A\":1.}", "not a value"),
        (b"{\"A\":1e}", "not a value"),
        (b"{\"A\":1x}", "unexpected character after a value"),
        (b"{\"A\":0x1F}", "unexpected character after a value"),
        (b"{\"A\":NaN}", "not a value"),
        (b"{\"A\":tru}", "not a value"),
        (b"{\"A\":truee}", "unexpected character after a value"),
        (b"{\"A\":nul}", "not a value"),
        (b"{\"A\":True}", "not a value"),
        (b"{\"A\":\"x}", "the text ends too early"),
        (b"{\"A\":\"\\x\"}", "an unknown escape"),
        (b"{\"A\":\"\\u12G4\"}", "an invalid \\u escape"),
        (b"{\"A\":\"\\uD800\"}", "half of a surrogate pair"),
        (b"{\"A\":\"\\uD800\\u0041\"}", "half of a surrogate pair"),
        (b"{\"A\":\"\\uDC00\"}", "half of a surrogate pair"),
        (b"{\"A\":\"a\nb\"}", "a control character in a string"),
        (b"{\"A\":\"\xff\"}", "byte 6: not UTF-8"),
        (b"{\"A\":\"\xed\xa0\x80\"}", "not UTF-8"),
        (b"{\"A\":[1,]}", "not a value"),
        (b"{\"A\":[1}", "a comma or the end"),
        (b"{\"A\":{\"B\":1]", "a comma or the end"),
        (deep.as_bytes(), "nested more than 64 deep"),
        (deep_closed.as_bytes(), "nested more than 64 deep"),
    ];
    for (record, reason) in cases {
        check_error("A STRING, Z INT", record, reason);
    }
    let unknown = [r#"{"unknown":"#, &"{\"x\":".repeat(10_000)].concat();
    check_error("A STRING", unknown.as_bytes(), "nested more than 64 deep");
}

#[test]
fn a_record_cut_off_anywhere_is_refused() {
    let record = r#" {"A":12,"B":"ü\n\u00e9","C":{"D":[1.5e3,true,null]},"M":{"k":"v"},"X":[{}]}"#;
    let schema = "A INT, B STRING, C STRUCT<D ARRAY<STRING>>, M MAP<STRING, STRING>";
    let want = r#"{"A":12,"B":"ü\né","C":{"D":["1.5E+3","true",null]},"M":{"k":"v"}}"#;
    check(schema, record, want);
    for len in 0..record.len() {
        check_error(schema, &record.as_bytes()[..len], "invalid JSON at byte");
    }
}

#[test]
fn every_single_byte_damaged_never_panics() {
    let record = r#"{"A":12,"B":"ü\u00e9","C":{"D":[1.5e3,true]},"M":{"k":1},"N":"AQI="}"#;
    let schema = "A BIGINT, B STRING, C STRUCT<D ARRAY<STRING>>, M MAP<STRING, INT>, N BYTES";
    let mut columns =
        Columns::new(&json(), fields(schema), Default::default()).expect("types of JSON");
    for at in 0..record.len() {
        for byte in 0..=255 {
            let mut bad = record.as_bytes().to_vec();
            bad[at] = byte;
            let kept = columns.push(&bad).map(|_| ());
            let unread = read(&json(), &unwanted(schema), &bad).map(|_| ());
            assert_eq!(kept, unread, "{}", String::from_utf8_lossy(&bad));
        }
    }
    columns.finish().expect("valid columns");
}
