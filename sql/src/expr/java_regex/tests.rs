use super::JavaRegex;

/// The matches of a pattern in a text, parted by `|`, or the error.
fn matches(pattern: &str, text: &str) -> String {
    let regex = match JavaRegex::new(pattern) {
        Ok(regex) => regex,
        Err(fault) => return format!("error: {fault}"),
    };
    let mut found = Vec::new();
    let done = regex.each_match(text, |(start, end), _| {
        found.push(text[start..end].to_owned());
        Ok(())
    });
    match done {
        Ok(()) => found.join("|"),
        Err(fault) => format!("error: {fault}"),
    }
}

#[track_caller]
fn check(cases: &[(&str, &str, &str)]) {
    for (pattern, text, want) in cases {
        assert_eq!(matches(pattern, text), *want, "{pattern} in {text:?}");
    }
}

#[test]
fn classes_are_those_of_java() {
    check(&[
        // Of ASCII only.
        (r"\d+", "12\u{663}", "12"),
        (r"\w+", "aé_1", "a|_1"),
        (r"[\d.]+", "1.5 x", "1.5"),
        (r"[^\s]+", "a b", "a|b"),
        (r"\p{Lower}+", "aéb", "a|b"),
        (r"\p{javaLowerCase}+", "aéB", "aé"),
        (r"\P{Lower}+", "aéb", "é"),
        (r"[\p{Alpha}&&[^b]]+", "abc", "a|c"),
        (r"\p{IsLatin}+", "aéλ", "aé"),
        (r"\p{IsAlphabetic}+", "aéλ1", "aéλ"),
        (r"\p{L}+\pN", "é1", "é1"),
        (r"[a-c[x-z]]+", "abxq", "abx"),
        (r"[a-z&&[^m-p]]+", "lmz", "l|z"),
        (r"[[:a]]+", "[:ab", ":a"),
        (r"[]a]+", "]ab", "]a"),
        (r"[~:]+", "a~:", "~:"),
        (r"[--/]+", "+-./", "-./"),
        (r"[+--]+", "*+,-.", "+,-"),
        (r"[\w-]+", "a-b.", "a-b"),
        (r"\h\v?", "a\t\nb", "\t\n"),
        (r"a\Rb", "a\r\nb a\nb", "a\r\nb|a\nb"),
    ]);
}

#[test]
fn text_may_be_quoted_and_escaped() {
    check(&[
        (r"\Qa.b\E+", "a.bb aXb", "a.bb"),
        (r"\Q(*", "a(*", "(*"),
        (r"[\Q]-[\E]+", "a]-[", "]-["),
        (r"\<\w\>", "<a>", "<a>"),
        (r"\0101\x42\u0043\x{44}", "ABCD", "ABCD"),
        (r"\t\e\cA", "\t\u{1b}\u{1}", "\t\u{1b}\u{1}"),
        (r"(?x) a \  b # c", "a b", "a b"),
        (r"(?x) a \s \h b [^\S]", "a  b c", "a  b "),
        (r"(?i)é(?-i)B", "ÉB Éb", "ÉB"),
        (r"(?u:a)(?u)b", "ab", "ab"),
    ]);
}

#[test]
fn lines_end_as_in_java() {
    check(&[
        ("a.", "a\n a\r a\u{85} ab", "ab"),
        ("(?s)a.", "a\n", "a\n"),
        ("(?s:a.)a.", "a\nab a\na\n", "a\nab"),
        ("a$", "a", "a"),
        (r"a\Z", "a", "a"),
        (r"a\z", "a\n", ""),
        ("(?m)^a$", "a\na\n", "a|a"),
        ("^a", "a\na", "a"),
        // Before the last line terminator, too.
        ("a$", "a\n", "a"),
        (r"a\Z", "a\r\n", "a"),
        ("a$", "a\n\n", ""),
        ("a\r$", "a\r\n", ""),
        ("[a\n]*$", "a\n", "a\n|"),
        ("$", "a\u{2028}", "|"),
        (r"(\w+)$", "one two\n", "two"),
        // After the last line terminator no line starts; all of them end lines.
        ("(?m)^", "a\nb\n", "|"),
        ("(?m)^.$", "a\r\nb\u{85}c\rd", "a|b|c|d"),
        ("(?m)^$", "", ""),
        ("(?m)x$", "x\rx\u{2029}", "x|x"),
    ]);
}

#[test]
fn what_needs_backtracking() {
    check(&[
        (r"\w+(?=,)", "ab, cd", "ab"),
        (r"\w+(?!\w|,)", "ab, cd", "cd"),
        (r"(?<=\$)\d+", "$12 13", "12"),
        (r"(?<!\$|\d)\d+", "$12 13", "13"),
        (r"(?<=a{1,3}b?)c", "aabc bc ac", "c|c"),
        (r"(?=(\w+))\1:", "ab: c", "ab:"),
        (r"(\w)\1", "aabbc", "aa|bb"),
        (r"(?i)(a)\1", "aA", "aA"),
        (r"(?i)(ß)\1", "ßs ßß", "ßß"),
        (r"(?<q>['\x22]).*?\k<q>", "'a\"' \"b'\"", "'a\"'|\"b'\""),
        // Ten groups: \10; fewer: the first, and a zero.
        (r"(a)\10", "aa0", "aa0"),
        (r"(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)\10", "abcdefghijj", "abcdefghijj"),
        // A group that took no part is nowhere.
        (r"(a)?\1b", "b aab", "aab"),
        ("(?>a+)ab", "aaab", ""),
        ("(?>a|ab)c", "abc ac", "ac"),
        ("a++b", "aab", "aab"),
        ("a*+a", "aaa", ""),
        ("[ab]{1,2}+b", "abb ab", "abb"),
        (r#""(?:[^"\\]++|\\.)*+""#, r#"x "a\"b" y"#, r#""a\"b""#),
        (r"(?:a?)*?(?=c)", "aac", "aa|"),
        (r"(a*)*+b(?=c)", "aabc", "aab"),
        (r"(?x) a (?= b ) # ahead", "ab a", "a"),
        (r"(?s)a.(?=b)", "a\nb", "a\n"),
        (r"(?i:A)(?=B)", "aB ab", "a"),
        (r"\Qa+\E{2}(?!x)", "a++", "a++"),
        (r"\x41\u0042(?=\x{43})", "ABC", "AB"),
        (r"[\p{Alpha}&&[^b]]+(?=\R|$)", "abac\r\nca", "ac|ca"),
        (r"\bx(?!\B)", "x xy", "x"),
        (r"^(?=.*\d)(?=.*[a-z]).{4,}$", "abc1\n", "abc1"),
        (r"(?=é)\P{ASCII}{2}?", "aéèa", "éè"),
    ]);
}

#[test]
fn groups_are_where_they_matched_last() {
    for (pattern, text, want) in [
        (r"(?:(a)|b)*(?=$)", "ab", vec![Some((0, 2)), Some((0, 1))]),
        (r"(?!(a)c)(a)b", "ab", vec![Some((0, 2)), None, Some((0, 1))]),
        (r"(?=(a+))a", "aa", vec![Some((0, 1)), Some((0, 2))]),
        (
            r"(a|ab)(c|bcd)(d*)(?=$)",
            "abcd",
            vec![Some((0, 4)), Some((0, 1)), Some((1, 4)), Some((4, 4))],
        ),
    ] {
        let (mut spans, regex) = (Vec::new(), JavaRegex::new(pattern).unwrap());
        assert_eq!(regex.find(text, &mut spans), Ok(true), "{pattern}");
        assert_eq!(spans, want, "{pattern}");
    }
}

#[test]
fn no_text_takes_for_ever() {
    let text = "a".repeat(1 << 16);
    for pattern in [
        "(a+)+(?=b)",
        "(?:a|a)*(?!a)b",
        r"(a*)\1b",
        "(?=[^b]*b)",
        "(?<=a{0,5000})b",
        "(?:(?=a)a)*+b",
    ] {
        let got = matches(pattern, &text);
        assert!(
            got.starts_with("error: the regular expression needs more than"),
            "{pattern}: {got}"
        );
    }
    // What grows with the text only is done.
    assert_eq!(matches("a(?=b)", &(text + "b")), "a");
}

#[test]
fn matches_of_nothing() {
    check(&[("a*", "baac", "|aa||"), ("", "ab", "||")]);
}

#[test]
fn what_is_no_pattern_or_not_supported() {
    for (pattern, want) in [
        (r"\G", r"\G is not supported"),
        (r"(?=a)\G", r"\G is not supported"),
        ("(?<=a+)b", "no obvious maximum length"),
        (r"(?<=(a)\1)b", "no obvious maximum length"),
        (r"\1(a)", "there is no group 1"),
        (r"(?<q>a)\k<r>", "there is no group <r>"),
        (r"(?<q>a)\k", "needs the <name>"),
        ("(?=a", "unclosed group"),
        ("(?=a))", "has no ("),
        ("(?=a)|*", "nothing that * could repeat"),
        ("(?=a){2,1}", "ends before it starts"),
        ("(?=a){x}", "no number of repetitions"),
        ("(?=a){2", "has no }"),
        ("(?=(?:x{900}){900})", "too long"),
        (r"\y", r"\y means nothing here"),
        (r"(?U)\w", "the flag (?U) is not supported"),
        (r"\p{InGreek}", "a block of Unicode"),
        (r"\p{javaMirrored}", r"\p{javaMirrored} is not supported"),
        (r"\p{Nothing}", "Unicode property not found"),
        ("[a", "has no ]"),
        ("[[:a]+", "has no ]"),
        ("(a", "unclosed group"),
        ("a\\", "lone backslash"),
        ("(?Pa)", "unknown (?"),
        (r"\p{L", "has no }"),
        ("(x{900}){900}", "invalid pattern"),
    ] {
        let got = matches(pattern, "text");
        assert!(
            got.starts_with("error: invalid pattern") && got.contains(want),
            "{pattern}: {got}"
        );
    }
}
