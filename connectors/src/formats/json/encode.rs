//! Columns to JSON: one writer per column and batch, one output buffer.

use millrace_engine::codec::view::ColumnView;
use millrace_sql::types::SqlType;

use crate::formats::{base64, java};

/// Names of members, ready to be written: `"NAME":`.
#[derive(Debug, Clone)]
pub struct Layout {
    names: Vec<Vec<u8>>,
    children: Vec<Layout>,
    /// A map is an array of entries.
    entries: bool,
}

impl Layout {
    /// Of an object with these members.
    pub fn of_object<'a>(members: impl Iterator<Item = (&'a str, &'a SqlType)>) -> Self {
        let (names, children) = members.map(|(name, ty)| (label(name), Self::of(ty))).unzip();
        Layout { names, children, entries: false }
    }

    /// Writes maps as arrays of entries, as Connect's converters do.
    pub fn with_entries(mut self) -> Self {
        self.entries = true;
        self.children = self.children.into_iter().map(Self::with_entries).collect();
        self
    }

    /// Of a value of type `ty`.
    pub fn of(ty: &SqlType) -> Self {
        match ty {
            SqlType::Array(item) | SqlType::Map(_, item) => {
                Layout { names: Vec::new(), children: vec![Self::of(item)], entries: false }
            }
            SqlType::Struct(fields) => {
                Self::of_object(fields.iter().map(|field| (field.name.as_str(), &field.ty)))
            }
            _ => Layout { names: Vec::new(), children: Vec::new(), entries: false },
        }
    }
}

fn label(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_string(name.as_bytes(), &mut out);
    out.push(b':');
    out
}

/// Appends the object whose members are row `row` of `columns`.
pub fn write_object(layout: &Layout, columns: &[ColumnView<'_>], row: usize, out: &mut Vec<u8>) {
    let mut before = b'{';
    let members = layout.names.iter().zip(&layout.children);
    for ((name, layout), column) in members.zip(columns) {
        out.push(before);
        before = b',';
        out.extend_from_slice(name);
        write_value(layout, column, row, out);
    }
    if before == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}

/// Appends row `row` of `column`.
pub fn write_value(layout: &Layout, column: &ColumnView<'_>, row: usize, out: &mut Vec<u8>) {
    if column.is_null(row) {
        return out.extend_from_slice(b"null");
    }
    match column {
        ColumnView::Int64(values) => java::write_i64(values.values[row], out),
        ColumnView::String(texts) => write_string(texts.value(row).as_bytes(), out),
        ColumnView::Int32(values) => java::write_i64(i64::from(values.values[row]), out),
        ColumnView::Boolean(bits) => {
            out.extend_from_slice(if bits.value(row) { b"true" } else { b"false" });
        }
        ColumnView::Double(values) => write_double(values.values[row], out),
        ColumnView::Decimal(values, scale) => java::write_decimal(values.values[row], *scale, out),
        ColumnView::Bytes(bytes) => {
            out.push(b'"');
            base64::encode(bytes.value(row), out);
            out.push(b'"');
        }
        ColumnView::List(ranges, items) => {
            let Some(layout) = layout.children.first() else { return };
            out.push(b'[');
            for (i, item) in ranges.get(row).unwrap_or_default().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_value(layout, items, item, out);
            }
            out.push(b']');
        }
        ColumnView::Map(ranges, keys, values) if layout.entries => {
            let Some(layout) = layout.children.first() else { return };
            let mut before = b'[';
            for item in ranges.get(row).unwrap_or_default() {
                out.push(before);
                before = b',';
                out.extend_from_slice(b"{\"key\":");
                let name =
                    if let ColumnView::String(names) = &**keys { names.value(item) } else { "" };
                write_string(name.as_bytes(), out);
                out.extend_from_slice(b",\"value\":");
                write_value(layout, values, item, out);
                out.push(b'}');
            }
            out.extend_from_slice(if before == b'[' { b"[]" } else { b"]" });
        }
        ColumnView::Map(ranges, keys, values) => {
            let Some(layout) = layout.children.first() else { return };
            out.push(b'{');
            for (i, item) in ranges.get(row).unwrap_or_default().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_name(keys, item, out);
                write_value(layout, values, item, out);
            }
            out.push(b'}');
        }
        ColumnView::Struct(_, fields) => write_object(layout, fields, row, out),
    }
}

/// A map's key and the colon. Only STRING keys get here: the layout's maker checks the types.
fn write_name(keys: &ColumnView<'_>, item: usize, out: &mut Vec<u8>) {
    let name = if let ColumnView::String(names) = keys { names.value(item) } else { "" };
    write_string(name.as_bytes(), out);
    out.push(b':');
}

/// NaN and the infinities are no JSON numbers; Jackson quotes them.
fn write_double(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        return java::write_f64(value, out);
    }
    out.push(b'"');
    java::write_f64(value, out);
    out.push(b'"');
}

/// 0: the byte stands for itself; `u`: needs `\u00XX`; else the letter behind the backslash.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut i = 0;
    while i < 0x20 {
        escapes[i] = b'u';
        i += 1;
    }
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes[8] = b'b';
    escapes[9] = b't';
    escapes[10] = b'n';
    escapes[12] = b'f';
    escapes[13] = b'r';
    escapes
};

/// Appends UTF-8 text in quotes.
pub fn write_string(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = first_escape(rest) {
        let byte = rest[at];
        out.extend_from_slice(&rest[..at]);
        match ESCAPES[usize::from(byte)] {
            b'u' => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            letter => out.extend_from_slice(&[b'\\', letter]),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// The first byte that cannot stand for itself; looks at eight bytes at a time.
fn first_escape(text: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let (words, _) = text.as_chunks::<8>();
    let mut clean = 0;
    for word in words {
        let word = u64::from_ne_bytes(*word);
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        let special = (word.wrapping_sub(ONES * 0x20) & !word)
            | (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash);
        if special & (ONES << 7) != 0 {
            break;
        }
        clean += 8;
    }
    let special = |byte: &u8| ESCAPES[usize::from(*byte)] != 0;
    Some(clean + text[clean..].iter().position(special)?)
}
