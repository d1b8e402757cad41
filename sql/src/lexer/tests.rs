//! Cases are text and the tokens expected, each as `kind:text`.

use super::*;

fn show(token: &Token) -> String {
    match token.kind {
        TokenKind::Word(None) => format!("w:{}", token.text),
        TokenKind::Word(Some(keyword)) => format!("k:{}", keyword.text()),
        TokenKind::Quoted => format!("q:{}", token.text),
        TokenKind::String => format!("s:{}", token.text),
        TokenKind::Number => format!("n:{}", token.text),
        TokenKind::Variable => format!("v:{}", token.text),
        TokenKind::Symbol(symbol) => symbol.text().to_owned(),
        TokenKind::End => String::new(),
    }
}

fn check(sql: &str, expected: &str) {
    let tokens = tokenize(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
    let shown: Vec<String> = tokens.iter().map(show).collect();
    assert_eq!(shown.join(" ").trim_end(), expected, "{sql}");
}

#[test]
fn words_numbers_and_quotes() {
    check("select Foo", "k:SELECT w:Foo");
    check("a_1@b _x 1abc 0xAB 0xzz 1L", "w:a_1@b w:_x w:1abc w:0xAB w:0xzz w:1L");
    check("`a``b` \"c\"\"d\" 'e''f'", "q:a`b q:c\"d s:e'f");
    check("'' `` \"\"", "s: q: q:");
    check("1 1.0 .5 5. 1e3 1.5E-2 2e+5", "n:1 n:1.0 n:.5 n:5. n:1e3 n:1.5E-2 n:2e+5");
    check("'a\\n'", "s:a\\n");
    check("'it''s -- no comment; /* */'", "s:it's -- no comment; /* */");
    check("a.b a.*  a . b", "w:a . w:b w:a . * w:a . w:b");
    check("n x N1 x1 national", "w:n w:x w:N1 w:x1 w:national");
}

#[test]
fn symbols() {
    check("a->b=>c:=d", "w:a -> w:b => w:c := w:d");
    check("<> != <= >= < > = ||", "<> <> <= >= < > = ||");
    check("ARRAY<ARRAY<INT>>", "k:ARRAY < k:ARRAY < w:INT > >");
    check("a>-1 b<-1 c=-1", "w:a > - n:1 w:b < - n:1 w:c = - n:1");
    check("a%b+c", "w:a % w:b + w:c");
    check("(x,y)=>x[1];", "( w:x , w:y ) => w:x [ n:1 ] ;");
}

#[test]
fn comments_and_variables() {
    check("a -- b\n c /* d ; */ e --@ f: g\n", "w:a w:c w:e");
    check("a /* b -- */ c", "w:a w:c");
    check("-- only", "");
    check("${a} ${b_1}${c}", "v:a v:b_1 v:c");
    check("'${a}'", "s:${a}");
}

#[test]
fn spans_are_bytes_also_after_wide_text() {
    let sql = "'äöü' /* ß\n€ */ abc -- ü\n  `ñ`";
    for (token, text) in tokenize(sql).expect("fine").iter().zip(["'äöü'", "abc", "`ñ`", ""]) {
        assert_eq!(&sql[token.span.start..token.span.end], text);
    }
}

#[test]
fn refusals_say_where() {
    let cases = [
        ("a 'b", "line 1:3: Syntax Error\nthe text is not closed with '", 2),
        ("a\n `b", "line 2:2: Syntax Error\nthe name is not closed with `", 3),
        ("a /* b", "line 1:7: Syntax Error\nthe comment is not closed with */", 6),
        ("a # b", "line 1:3: Syntax Error\nSyntax error at or near '#' at line 1:3", 2),
        ("a ${ b}", "line 1:3: Syntax Error\nSyntax error at or near '$' at line 1:3", 2),
        ("$a", "line 1:1: Syntax Error\nSyntax error at or near '$a' at line 1:1", 0),
        ("ä", "line 1:1: Syntax Error\nSyntax error at or near 'ä' at line 1:1", 0),
        ("x'00'", "line 1:1: Syntax Error\nSyntax error at or near 'x'00'' at line 1:1", 0),
        ("$$a$$", "line 1:1: Syntax Error\nSyntax error at or near '$$a$$' at line 1:1", 0),
    ];
    for (sql, message, at) in cases {
        let error = tokenize(sql).expect_err(sql);
        assert_eq!(error.message, message, "{sql}");
        assert_eq!(error.span.map(|s| s.start), Some(at), "{sql}");
    }
}

#[test]
fn limits_hold() {
    let long = format!("'{}'", "x".repeat(SQL_BYTES_MAX));
    assert!(tokenize(&long).expect_err("too long").message.contains("bytes"));
    let many = "a ".repeat(TOKENS_MAX + 1);
    assert!(tokenize(&many).expect_err("too many").message.contains("tokens"));
}
