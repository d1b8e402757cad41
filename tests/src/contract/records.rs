//! Records: what goes in comes out.

use millrace_engine::ids::{Offset, Timestamp, Tp};
use millrace_engine::log::{AppendIf, HeaderRef, Record, RecordRef, SendError};

use super::ctx::{Ctx, IN_2013};
use super::{Case, Need, case};

pub const CASES: &[Case] = &[
    case("order_is_kept", Need::Nothing, order_is_kept),
    case("offsets_rise_with_gaps", Need::Nothing, offsets_rise_with_gaps),
    case("absent_is_not_empty", Need::Nothing, absent_is_not_empty),
    case("headers_keep_order_and_repeat", Need::Nothing, headers_keep_order_and_repeat),
    case("timestamps_are_kept", Need::Nothing, timestamps_are_kept),
    case("append_answers_first_offset", Need::Nothing, append_answers_first_offset),
    case("append_if_done_and_moved", Need::Nothing, append_if_done_and_moved),
    case("append_if_fences", Need::Nothing, append_if_fences),
    case("large_record_is_refused", Need::Nothing, large_record_is_refused),
    case("one_mebibyte_less_a_bit_fits", Need::Nothing, one_mebibyte_less_a_bit_fits),
    case("append_to_a_gone_topic", Need::Nothing, append_to_a_gone_topic),
];

fn order_is_kept(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let expected: Vec<String> = (0..3000).map(|i| format!("v{i}")).collect();
    let mut writer = ctx.writer("w");
    for part in expected.chunks(1000) {
        let part: Vec<&str> = part.iter().map(String::as_str).collect();
        ctx.send(&mut *writer, tp, &part);
        writer = ctx.commit(writer);
    }
    let read = ctx.read(tp);
    assert!(read.is_sorted_by(|a, b| a.offset < b.offset), "offsets must rise");
    assert_eq!(super::ctx::values(&read), expected);
}

fn offsets_rise_with_gaps(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let mut writer = ctx.writer("w");
    for value in ["a", "b", "c"] {
        ctx.send(&mut *writer, tp, &[value]);
        writer = ctx.commit(writer);
    }
    let offsets: Vec<_> = ctx.read(tp).iter().map(|record| record.offset).collect();
    assert_eq!(offsets[0], 0);
    assert!(offsets[1] > 1 && offsets[2] > offsets[1] + 1, "control records: {offsets:?}");
}

fn absent_is_not_empty(ctx: &Ctx) {
    let tp = ctx.tp("t");
    type Bytes<'a> = Option<&'a [u8]>;
    let pairs: [(Bytes<'_>, Bytes<'_>); 5] = [
        (None, None),
        (Some(b""), None),
        (None, Some(b"")),
        (Some(b""), Some(b"")),
        (Some(b"k"), Some(b"v")),
    ];
    let mut writer = ctx.writer("w");
    for (key, value) in pairs {
        ctx.send_record(&mut *writer, tp, key, value, &[]);
    }
    ctx.commit(writer);
    let records: Vec<_> = pairs.iter().map(|(k, v)| Record::new(IN_2013, *k, *v)).collect();
    ctx.append_records(tp, &records);
    let read = ctx.read(tp);
    let got: Vec<_> = read.iter().map(|r| (r.key.as_deref(), r.value.as_deref())).collect();
    assert_eq!(got, [pairs, pairs].concat());
}

fn headers_keep_order_and_repeat(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let headers: [HeaderRef<'_>; 5] =
        [("b", Some(b"1")), ("a", Some(b"")), ("b", Some(b"2")), ("", Some(b"x")), ("null", None)];
    let owned = headers.map(|(n, v)| (n.to_owned(), v.map(<[u8]>::to_vec))).to_vec();
    let mut writer = ctx.writer("w");
    ctx.send_record(&mut *writer, tp, None, Some(b"v"), &headers);
    ctx.commit(writer);
    let record = Record { headers: owned.clone(), ..Record::new(IN_2013, None, Some(b"v")) };
    ctx.append_records(tp, &[record, Record::new(IN_2013, None, None)]);
    let read: Vec<_> = ctx.read(tp).into_iter().map(|record| record.headers).collect();
    assert_eq!(read, [owned.clone(), owned, Vec::new()]);
}

fn timestamps_are_kept(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let times = [0, 1, IN_2013.0, 1_700_000_000_000];
    let records: Vec<_> =
        times.iter().map(|ms| Record::new(Timestamp(*ms), None, Some(b"v"))).collect();
    ctx.append_records(tp, &records);
    let read: Vec<_> = ctx.read(tp).iter().map(|record| record.timestamp).collect();
    assert_eq!(read, times);
}

fn append_answers_first_offset(ctx: &Ctx) {
    let tp = ctx.tp("t");
    assert_eq!(ctx.append(tp, &["a", "b"]), Offset(0));
    assert_eq!(ctx.append(tp, &["c"]), Offset(2));
    ctx.check_values(tp, &["a", "b", "c"]);
    assert_eq!(ctx.ends(tp).hw, Offset(3));
}

fn append_if_done_and_moved(ctx: &Ctx) {
    let tp = ctx.tp("t");
    assert_eq!(ctx.append_if("w", tp, Offset(0), "a"), AppendIf::Done(Offset(0)));
    let end = ctx.ends(tp).hw;
    assert_eq!(ctx.append_if("w", tp, Offset(0), "b"), AppendIf::Moved(end));
    assert_eq!(ctx.append_if("other", tp, end, "c"), AppendIf::Done(end));
    ctx.check_values(tp, &["a", "c"]);
}

fn append_if_fences(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let mut writer = ctx.writer("w");
    ctx.send(&mut *writer, tp, &["lost"]);
    ctx.acked(&mut *writer);
    // What the older writer left open is aborted first, which moves the end.
    let AppendIf::Moved(end) = ctx.append_if("w", tp, Offset(0), "a") else {
        panic!("the aborted transaction must count");
    };
    assert_eq!(ctx.append_if("w", tp, end, "a"), AppendIf::Done(end));
    ctx.check_values(tp, &["a"]);
}

fn large_record_is_refused(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let value = vec![b'x'; 1024 * 1024 + 1];
    let record = RecordRef { timestamp: IN_2013, key: None, value: Some(&value), headers: &[] };
    let mut writer = ctx.writer("w");
    ctx.send(&mut *writer, tp, &["a"]);
    let refused = writer.send(tp, &record);
    assert!(matches!(refused, Err(SendError::TooLarge { .. })), "{refused:?}");
    ctx.send(&mut *writer, tp, &["b"]);
    ctx.commit(writer);
    ctx.check_values(tp, &["a", "b"]);
}

fn one_mebibyte_less_a_bit_fits(ctx: &Ctx) {
    let tp = ctx.tp("t");
    let value = vec![b'x'; 1024 * 1024 - 1024];
    let mut writer = ctx.writer("w");
    ctx.send_record(&mut *writer, tp, None, Some(&value), &[]);
    ctx.commit(writer);
    assert_eq!(ctx.read(tp)[0].value.as_ref().map(Vec::len), Some(value.len()));
}

fn append_to_a_gone_topic(ctx: &Ctx) {
    let topic = ctx.topic("t", 1);
    ctx.delete(topic);
    let record = [Record::new(IN_2013, None, Some(b"v"))];
    let answer = ctx.ready(|| ctx.log().append(Tp::new(topic, 0), &record));
    assert!(matches!(answer, Err(millrace_engine::log::LogError::Gone(_))), "{answer:?}");
}
