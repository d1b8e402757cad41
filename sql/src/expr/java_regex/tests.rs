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
    ]);
}

#[test]
fn matches_of_nothing() {
    check(&[("a*", "baac", "|aa||"), ("", "ab", "||")]);
}

#[test]
fn what_is_no_pattern_or_not_supported() {
    for (pattern, want) in [
        (r"\G", r"\G is not supported"),
        (r"\w+(?=,)", "look-ahead (?= is not supported"),
        (r"(?<!a)b", "look-behind (?<! is not supported"),
        (r"(\w)\1", r"a back-reference \1 is not supported"),
        (r"(?<q>a)\k<q>", r"a back-reference \k is not supported"),
        ("(?>a+)b", "an atomic group (?> is not supported"),
        ("a++b", "a possessive quantifier"),
        ("[ab]{1,2}+", "a possessive quantifier"),
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
