//! How fast single stages are, in one thread: rows per second of CPU over batches of bids. An
//! argument picks stages by name.
//!
//! Run it as `cargo run -p millrace-benches --bin stages`, with `CARGO_PROFILE_DEV_OPT_LEVEL=3` for
//! figures that mean something.

use criterion::{BatchSize, Criterion, Throughput};
use millrace_benches::{bids, cpu_time::CpuTime};
use millrace_connectors::formats::StandardFormats;
use millrace_engine::format::{EncodedRows, Formats};
use millrace_engine::log::RawBatch;
use millrace_sql::catalog::FormatKind;
use millrace_sql::plan::ScanColumn;

/// Rows of a batch.
const ROWS: usize = 10_000;

fn main() {
    let mut criterion = Criterion::default().with_measurement(CpuTime).without_plots();
    if let Some(filter) = std::env::args().nth(1) {
        criterion = criterion.with_filter(filter);
    }
    decode(&mut criterion, "decode", &bids::batch(ROWS));
    decode(&mut criterion, "decode short", &bids::short_batch(ROWS));
    for kind in [FormatKind::Avro, FormatKind::Protobuf, FormatKind::JsonSr] {
        decode_with_schema(&mut criterion, kind);
    }
    encode(&mut criterion);
    criterion.final_summary();
}

fn decode(criterion: &mut Criterion<CpuTime>, name: &str, raw: &RawBatch) {
    let source = bids::source();
    let bytes = raw.records.iter().enumerate().filter_map(|(i, _)| raw.value(i)).map(<[u8]>::len);
    println!("{ROWS} bids of {} bytes on average", bytes.sum::<usize>() / ROWS);
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(ROWS as u64));
    let cases: [(&str, &[usize]); 4] = [
        ("none", &[]),
        ("2 of 7", &[0, 5]),
        ("3 of 7", &[0, 1, 2]),
        ("7 of 7", &[0, 1, 2, 3, 4, 5, 6]),
    ];
    for (name, columns) in cases {
        let columns: Vec<_> = columns.iter().map(|i| ScanColumn::Declared(*i)).collect();
        let mut decoder = StandardFormats.decoder(&source, &columns).expect("a decoder of bids");
        group.bench_function(name, |bencher| {
            bencher.iter(|| decoder.decode(raw, 0..ROWS).expect("good records"));
        });
    }
    group.finish();
}

fn decode_with_schema(criterion: &mut Criterion<CpuTime>, kind: FormatKind) {
    let bids = bids::in_format(kind, ROWS).expect("bids in any format");
    let raw = &bids.raw;
    let bytes = raw.records.iter().enumerate().filter_map(|(i, _)| raw.value(i)).map(<[u8]>::len);
    println!("{ROWS} bids in {} of {} bytes on average", kind.name(), bytes.sum::<usize>() / ROWS);
    let mut group = criterion.benchmark_group(format!("decode {}", kind.name()));
    group.throughput(Throughput::Elements(ROWS as u64));
    let cases: [(&str, &[usize]); 2] = [("3 of 7", &[0, 1, 2]), ("7 of 7", &[0, 1, 2, 3, 4, 5, 6])];
    for (name, columns) in cases {
        let columns: Vec<_> = columns.iter().map(|i| ScanColumn::Declared(*i)).collect();
        let mut decoder = bids.formats.decoder(&bids.source, &columns).expect("a decoder of bids");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let ready = decoder.ready(raw, 0..ROWS);
                decoder.decode(raw, 0..ready).expect("good records")
            });
        });
    }
    group.finish();
    let all: Vec<_> = (0..bids.source.columns.len()).map(ScanColumn::Declared).collect();
    let mut decoder = bids.formats.decoder(&bids.source, &all).expect("a decoder of bids");
    let rows = decoder.decode(raw, 0..ROWS).expect("good records").rows;
    let mut encoder = bids.formats.encoder(&bids.source).expect("an encoder of bids");
    let mut group = criterion.benchmark_group(format!("encode {}", kind.name()));
    group.throughput(Throughput::Elements(ROWS as u64));
    let mut out = EncodedRows::default();
    group.bench_function("7 of 7", |bencher| {
        bencher.iter(|| {
            out.clear();
            encoder.encode(&rows, None, &mut out).expect("the schema holds bids");
        });
    });
    group.finish();
}

fn encode(criterion: &mut Criterion<CpuTime>) {
    let source = bids::source();
    let raw = bids::batch(ROWS);
    let all: Vec<_> = (0..source.columns.len()).map(ScanColumn::Declared).collect();
    let mut decoder = StandardFormats.decoder(&source, &all).expect("a decoder of bids");
    let rows = decoder.decode(&raw, 0..ROWS).expect("good records").rows;
    let mut encoder = StandardFormats.encoder(&source).expect("an encoder of bids");
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(ROWS as u64));
    let mut out = EncodedRows::default();
    group.bench_function("7 of 7", |bencher| {
        bencher.iter_batched_ref(
            || (),
            |()| {
                out.clear();
                encoder.encode(&rows, None, &mut out).expect("JSON holds bids");
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}
