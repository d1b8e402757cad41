//! Functions of BYTES and their encodings.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder, ListBuilder};
use arrow::error::ArrowError;

use super::md5;
use super::registry::{Body::*, Scalar};
use crate::expr::base64;
use crate::expr::frame::{Fault, Frame};
use crate::expr::kernel::{Args, Big, Bin, Dbl, Int, Ret, RowResult, Str, rows1, rows2, rows3};

const BYTES: &str = "STRING";

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar {
        name: "BIGINT_FROM_BYTES",
        category: BYTES,
        about: "The BIGINT in 8 bytes; BIG_ENDIAN (the default) or LITTLE_ENDIAN.",
        example: ("BIGINT_FROM_BYTES(TO_BYTES('0000000000000102', 'hex'))", "258"),
        overloads: &[
            ("(BYTES) -> BIGINT", Kernel(|a, f| number::<8, Big, _>(a, f, i64::from_be_bytes))),
            (
                "(BYTES, STRING) -> BIGINT",
                Kernel(|a, f| number::<8, Big, _>(a, f, i64::from_be_bytes)),
            ),
        ],
    },
    Scalar {
        name: "DOUBLE_FROM_BYTES",
        category: BYTES,
        about: "The DOUBLE in 8 bytes; BIG_ENDIAN (the default) or LITTLE_ENDIAN.",
        example: ("DOUBLE_FROM_BYTES(TO_BYTES('3FF0000000000000', 'hex'))", "1.0"),
        overloads: &[
            ("(BYTES) -> DOUBLE", Kernel(|a, f| number::<8, Dbl, _>(a, f, f64::from_be_bytes))),
            (
                "(BYTES, STRING) -> DOUBLE",
                Kernel(|a, f| number::<8, Dbl, _>(a, f, f64::from_be_bytes)),
            ),
        ],
    },
    Scalar {
        name: "ENCODE",
        category: BYTES,
        about: "Text from one encoding (hex, utf8, ascii, base64) to another.",
        example: ("ENCODE('4578616D706C6521', 'hex', 'ascii')", "Example!"),
        overloads: &[("(STRING, STRING, STRING) -> STRING", Kernel(encode))],
    },
    Scalar {
        name: "FROM_BYTES",
        category: BYTES,
        about: "BYTES as text: hex, utf8, ascii or base64.",
        example: ("FROM_BYTES(TO_BYTES('abc', 'utf8'), 'hex')", "616263"),
        overloads: &[(
            "(BYTES, STRING) -> STRING",
            Kernel(|args, frame| {
                rows2::<Bin, Str, Str>(args, frame, |bytes, encoding| {
                    to_text(bytes, Encoding::parse(encoding)?)
                })
            }),
        )],
    },
    Scalar {
        name: "INT_FROM_BYTES",
        category: BYTES,
        about: "The INT in 4 bytes; BIG_ENDIAN (the default) or LITTLE_ENDIAN.",
        example: ("INT_FROM_BYTES(TO_BYTES('01000000', 'hex'), 'LITTLE_ENDIAN')", "1"),
        overloads: &[
            ("(BYTES) -> INT", Kernel(|a, f| number::<4, Int, _>(a, f, i32::from_be_bytes))),
            (
                "(BYTES, STRING) -> INT",
                Kernel(|a, f| number::<4, Int, _>(a, f, i32::from_be_bytes)),
            ),
        ],
    },
    Scalar {
        name: "MD5",
        category: BYTES,
        about: "The MD5 digest of a text, in hexadecimal.",
        example: ("MD5('abc')", "900150983cd24fb0d6963f7d28e17f72"),
        overloads: &[(
            "(STRING) -> STRING",
            Kernel(|args, frame| {
                rows1::<Str, Str>(args, frame, |text| {
                    let digest = md5::digest(text.as_bytes());
                    let hex = to_text(&digest, Encoding::Hex)?;
                    Ok(hex.map(|hex| Cow::Owned(hex.to_lowercase())))
                })
            }),
        )],
    },
    Scalar {
        name: "TO_BYTES",
        category: BYTES,
        about: "The BYTES that a text stands for: hex, utf8, ascii or base64.",
        example: ("CAST(LEN(TO_BYTES('YWJj', 'base64')) AS STRING)", "3"),
        overloads: &[(
            "(STRING, STRING) -> BYTES",
            Kernel(|args, frame| {
                rows2::<Str, Str, Bin>(args, frame, |text, encoding| {
                    from_text(text, Encoding::parse(encoding)?).map(|bytes| Some(bytes.into()))
                })
            }),
        )],
    },
];

fn number<const N: usize, R: for<'v> Ret<Value<'v> = V>, V>(
    args: &Args<'_>,
    frame: &mut Frame,
    parse: fn([u8; N]) -> V,
) -> Result<ArrayRef, ArrowError> {
    let read = |bytes: &[u8], order: &str| -> RowResult<V> {
        let mut bytes: [u8; N] = bytes
            .try_into()
            .map_err(|_| Fault::Owned(format!("Number of bytes must be equal to {N}")))?;
        match order.to_ascii_uppercase().as_str() {
            "BIG_ENDIAN" => {}
            "LITTLE_ENDIAN" => bytes.reverse(),
            _ => return Err("Byte order must be BIG_ENDIAN or LITTLE_ENDIAN".into()),
        }
        Ok(Some(parse(bytes)))
    };
    match args.cols.len() {
        1 => rows1::<Bin, R>(args, frame, |bytes| read(bytes, "BIG_ENDIAN")),
        _ => rows2::<Bin, Str, R>(args, frame, read),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Encoding {
    Hex,
    Utf8,
    Ascii,
    Base64,
}

impl Encoding {
    fn parse(name: &str) -> Result<Encoding, Fault> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "hex" => Encoding::Hex,
            "utf8" => Encoding::Utf8,
            "ascii" => Encoding::Ascii,
            "base64" => Encoding::Base64,
            _ => {
                let want = "Supported encodings are: hex, utf8, ascii and base64";
                return Err(Fault::Owned(format!("Unknown encoding type '{name}'. {want}")));
            }
        })
    }
}

fn to_text(bytes: &[u8], encoding: Encoding) -> RowResult<Cow<'_, str>> {
    Ok(Some(match encoding {
        Encoding::Hex => {
            let mut text = String::with_capacity(bytes.len() * 2);
            for byte in bytes {
                let _ = write!(text, "{byte:02X}");
            }
            text.into()
        }
        Encoding::Utf8 => String::from_utf8_lossy(bytes),
        Encoding::Ascii => {
            let shown = |byte: &u8| if byte.is_ascii() { *byte as char } else { '\u{fffd}' };
            bytes.iter().map(shown).collect::<String>().into()
        }
        Encoding::Base64 => base64::encode(bytes).into(),
    }))
}

fn from_text(text: &str, encoding: Encoding) -> Result<Vec<u8>, Fault> {
    match encoding {
        Encoding::Hex => from_hex(text).ok_or("the text is not hexadecimal".into()),
        Encoding::Utf8 => Ok(text.as_bytes().to_vec()),
        Encoding::Ascii => {
            Ok(text.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' }).collect())
        }
        Encoding::Base64 => base64::decode(text).ok_or("the text is not base64".into()),
    }
}

/// What ENCODE takes for hexadecimal digits: also `X'616263'`, and `0x616263`, where alone the
/// number of digits may be odd.
fn hex_digits(text: &str) -> Cow<'_, str> {
    if let Some(digits) = text.strip_prefix("0x") {
        return match digits.len() % 2 {
            0 => Cow::Borrowed(digits),
            _ => Cow::Owned(format!("0{digits}")),
        };
    }
    let quoted = text.strip_prefix(['X', 'x']).and_then(|rest| rest.strip_prefix('\''));
    Cow::Borrowed(quoted.and_then(|rest| rest.strip_suffix('\'')).unwrap_or(text))
}

/// Pairs of digits.
fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let nibble = |digit: &u8| (*digit as char).to_digit(16).map(|value| value as u8);
    if digits.len() % 2 == 1 {
        return None;
    }
    let pair = |pair: &[u8]| Some(nibble(&pair[0])? << 4 | nibble(&pair[1])?);
    digits.chunks_exact(2).map(pair).collect()
}

/// What ENCODE takes for base64: other characters are skipped, as are a lone last symbol and what
/// follows the padding.
fn base64_symbols(text: &str) -> String {
    let symbol = |c: &char| c.is_ascii_alphanumeric() || "+/-_".contains(*c);
    let text = text.split('=').next().unwrap_or_default();
    let mut symbols: String = text
        .chars()
        .filter(symbol)
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    if symbols.len() % 4 == 1 {
        symbols.pop();
    }
    symbols
}

fn encode(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows3::<Str, Str, Str, Str>(args, frame, |text, from, to| {
        let (from, to) = (Encoding::parse(from)?, Encoding::parse(to)?);
        if from == to {
            return Err("the two encodings of ENCODE are the same".into());
        }
        let bytes = match from {
            Encoding::Hex => from_text(&hex_digits(text), from)?,
            Encoding::Base64 => from_text(&base64_symbols(text), from)?,
            _ => from_text(text, from)?,
        };
        let text = to_text(&bytes, to)?;
        Ok(text.map(|text| {
            let text = text.into_owned();
            Cow::Owned(if to == Encoding::Hex { text.to_lowercase() } else { text })
        }))
    })
}

/// SPLIT of BYTES; every byte on its own if the delimiter is empty.
pub(super) fn split(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let mut out = ListBuilder::with_capacity(BinaryBuilder::new(), args.rows);
    for row in 0..args.rows {
        let (bytes, delimiter) = (args.col(0)?.get::<Bin>(row)?, args.col(1)?.get::<Bin>(row)?);
        let (Some(bytes), Some(delimiter)) = (bytes, delimiter) else {
            out.append_null();
            continue;
        };
        let mut rest = bytes;
        let size = delimiter.len();
        loop {
            let cut = match size {
                0 => (rest.len() > 1).then_some(1),
                _ => rest.windows(size).position(|window| window == delimiter),
            };
            let Some(cut) = cut else { break };
            out.values().append_value(&rest[..cut]);
            rest = &rest[cut + size..];
        }
        out.values().append_value(rest);
        out.append(true);
    }
    Ok(Arc::new(out.finish()))
}
