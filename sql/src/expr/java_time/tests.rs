use super::*;

fn format(pattern: &str, ms: i64, zone: &str) -> String {
    let pattern = TimePattern::new(pattern).expect("a pattern");
    let zone = Zone::parse(zone).expect("a zone");
    let mut out = String::new();
    match pattern.format(&Moment::at(ms, zone), &mut out) {
        Ok(()) => out,
        Err(message) => message,
    }
}

#[test]
fn formats_as_java_does() {
    const MS: i64 = 1_620_000_123_456; // 2021-05-03T00:02:03.456Z
    for (pattern, zone, want) in [
        ("yyyy-MM-dd'T'HH:mm:ss.SSS", "UTC", "2021-05-03T00:02:03.456"),
        ("yyyy-MM-dd HH:mm:ss Z", "America/Los_Angeles", "2021-05-02 17:02:03 -0700"),
        ("d MMM yy, h:mm a", "UTC", "3 May 21, 12:02 AM"),
        ("EEEE EEE MMMM D", "UTC", "Monday Mon May 123"),
        ("X XX XXX x xxx", "+05:30", "+0530 +0530 +05:30 +0530 +05:30"),
        ("X XXX x xxx Z", "UTC", "Z Z +00 +00:00 +0000"),
        ("VV", "Europe/Paris", "Europe/Paris"),
        ("k K H", "UTC", "24 0 0"),
        ("''yyyy''''", "UTC", "'2021''"),
        ("yyyy[-MM]", "UTC", "2021-05"),
        ("QQQ q SSSSSS", "UTC", "Q2 2 456000"),
    ] {
        assert_eq!(format(pattern, MS, zone), want, "{pattern}");
    }
    assert_eq!(format("uuuu-MM-dd", -62_167_219_200_000 - DAY_MS, "UTC"), "-0001-12-31");
}

#[test]
fn parses_as_java_does() {
    let check = |pattern: &str, text: &str, want: Option<i64>| {
        let pattern = TimePattern::new(pattern).expect("a pattern");
        let got = pattern.parse(text).and_then(|parsed| parsed.timestamp(Zone::UTC));
        assert_eq!(got.as_ref().ok(), want.as_ref(), "{text}: {got:?}");
    };
    check("yyyy-MM-dd'T'HH:mm:ss.SSS", "2021-05-03T00:02:03.456", Some(1_620_000_123_456));
    check("yyyy-MM-dd'T'HH:mm:ssX", "2021-05-03T02:02:03+02", Some(1_620_000_123_000));
    check("yyyy-MM-dd'T'HH:mm:ssXXX", "2021-05-03T00:02:03Z", Some(1_620_000_123_000));
    check("yyyy-MM-dd HH:mm:ss VV", "2021-05-03 02:02:03 Europe/Paris", Some(1_620_000_123_000));
    check("yyyyMMdd", "20210503", Some(18_750 * DAY_MS));
    check("d MMM yyyy", "3 may 2021", Some(18_750 * DAY_MS));
    check("d MMMM yyyy", "3 MAY 2021", Some(18_750 * DAY_MS));
    check("HH:mm", "01:30", Some(5_400_000));
    check("hh:mm a", "01:30 pm", Some(48_600_000));
    check("yyyy", "2020", Some(1_577_836_800_000));
    check("yyyy-MM-dd[ HH:mm]", "2021-05-03", Some(18_750 * DAY_MS));
    check("yyyy-MM-dd[ HH:mm]", "2021-05-03 01:00", Some(18_750 * DAY_MS + 3_600_000));
    check("yyyy-MM-dd", "2021-02-31", Some(18_686 * DAY_MS));
    check("yyyy-MM-dd", "2021-13-31", None);
    check("yyyy-MM-dd", "2021-12-31x", None);
    check("yyyy-MM-dd", "21-12-31", None);
    check("yyyy-MM-dd", "ü", None);
    check("yyyy-MM-dd", "12345-01-01", None);
    check("yyyy-MM-dd", "+2021-05-03", None);
    check("yyyy-MM-dd", "+12021-05-03", Some(3_671_175 * DAY_MS));
    check("yyyy-MM-dd", "0000-05-03", None);
    check("uuuu-MM-dd", "0000-01-01", Some(-719_528 * DAY_MS));
    check("EEE, d MMM yyyy", "Mon, 3 May 2021", Some(18_750 * DAY_MS));
    check("EEE, d MMM yyyy", "Tue, 3 May 2021", None);
    check("yyyy-MM-dd HH:mm", "2021-05-02 24:00", Some(18_750 * DAY_MS));
    check("yyyy-MM-dd HH:mm", "2021-05-02 24:01", None);
    check("hh:mm a", "13:30 pm", None);
    check("kk:mm", "24:30", Some(1_800_000));
    check("kk:mm", "25:30", None);
}

#[test]
fn refuses_bad_patterns() {
    for pattern in ["yyyy-MM-dd'T", "b", "HHH", "yyyy]", "{", "w"] {
        assert!(TimePattern::new(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn days_and_dates_are_inverse() {
    for days in (-2_000_000..2_000_000).step_by(97) {
        let (year, month, day) = civil::date_of(days);
        assert_eq!(civil::days_of(year, month, day), days);
    }
    assert_eq!(civil::date_of(0), (1970, 1, 1));
    assert_eq!(civil::day_of_week(0), 4);
    assert_eq!(civil::day_of_year(civil::days_of(2020, 12, 31)), 366);
}

#[test]
fn iso_texts_may_be_partial() {
    let check =
        |text: &str, want: Option<i64>| assert_eq!(iso::timestamp(text).ok(), want, "{text}");
    check("2020", Some(1_577_836_800_000));
    check("2020-02-03", Some(1_580_688_000_000));
    check("2020-02-03T12", Some(1_580_731_200_000));
    check("2020-02-03T12:00", Some(1_580_731_200_000));
    check("2020-02-03T12:00:00.5", Some(1_580_731_200_500));
    check("2020-02-03T12:00:00Z", Some(1_580_731_200_000));
    check("2020-02-03T14:00:00+02:00", Some(1_580_731_200_000));
    check("2020-02-03T14:00:00+0200", Some(1_580_731_200_000));
    check("2020-13", None);
    // The pattern takes the last day of the month for a day that it does not have.
    check("2020-02-30", Some(1_582_934_400_000));
    check("2020-02-32", None);
    // The text is completed as ksqlDB does it, whatever comes out.
    check("2020-02-03T1", Some(1_580_724_000_000));
    check("2020-02-03T12:5", Some(1_580_734_200_000));
    check("2020-02-03T24", Some(1_580_774_400_000));
    check("2017-12-31T24", Some(1_514_764_800_000));
    check("2020-02-10T08:31:44.001+0000", Some(1_581_323_504_001));
    check("2020-02-10T10:31:44.001+02:00", Some(1_581_323_504_001));
    check("2018-01-01T1:2:3:4", None);
    check("2018-01-01-01", None);
    check("2020-02-03T12:00:00.1234", None);
    check("2020T12:00", None);
    check("2020-02-03 12:00", None);
    check("2020-02-03t12:00", None);
    check("2020-02-03Z", None);
    check("2020-02-03T12:00z", None);
    check("2020-02-03T12:00+123", None);
    check("42", None);
    check("soon", None);
    check("", None);
}

#[test]
fn dates_and_times_of_day_are_strict() {
    let date = |text: &str, want: Option<i32>| assert_eq!(iso::date(text), want, "{text}");
    date("2021-05-03", Some(18_750));
    date("2021-05", Some(18_748));
    date("2021", Some(18_628));
    date("0000-01-01", Some(-719_528));
    date("-0001-01-01", Some(-719_893));
    date("+12021-05-03", Some(3_671_175));
    for text in [
        "42",
        "",
        "-",
        "2021-",
        "2021-5",
        "2021-5-3",
        "2021-02-29",
        "12021-05-03",
        "+2021-05-03",
        "-0000-01-01",
        "2021-05-03T00:00",
        "2021-05-03-01",
        "999999999-01-01",
        "ü",
    ] {
        date(text, None);
    }
    let time = |text: &str, want: Option<i32>| assert_eq!(iso::time(text), want, "{text}");
    time("10:20:30.123", Some(37_230_123));
    time("10:20:30.1239", Some(37_230_123));
    time("10:20:30.", Some(37_230_000));
    time("10:20:30", Some(37_230_000));
    time("10:20", Some(37_200_000));
    for text in ["10", "1:20", "10:2", "25:00", "24:00", "10:60", "10:20:30,1", "", "10:20Z"] {
        time(text, None);
    }
}
