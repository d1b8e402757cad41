//! Window bounds behind the bytes of a windowed key.

use millrace_sql::catalog::KeyWindow;

/// A key without its window, and the window: `[start, end)` in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowedKey<'a> {
    pub inner: &'a [u8],
    pub start_ms: i64,
    pub end_ms: i64,
}

/// Splits the bounds off.
///
/// # Errors
/// When the key is too short to have them.
pub fn split(window: KeyWindow, key: &[u8]) -> Result<WindowedKey<'_>, String> {
    let too_short = || format!("a windowed key of {} bytes has no room for its window", key.len());
    match window {
        KeyWindow::Time { size_ms, .. } => {
            let (inner, start) = key.split_last_chunk::<8>().ok_or_else(too_short)?;
            let start_ms = i64::from_be_bytes(*start);
            Ok(WindowedKey { inner, start_ms, end_ms: start_ms.saturating_add(size_ms) })
        }
        KeyWindow::Session => {
            let (rest, start) = key.split_last_chunk::<8>().ok_or_else(too_short)?;
            let (inner, end) = rest.split_last_chunk::<8>().ok_or_else(too_short)?;
            let (start_ms, end_ms) = (i64::from_be_bytes(*start), i64::from_be_bytes(*end));
            Ok(WindowedKey { inner, start_ms, end_ms })
        }
    }
}

/// Appends the bounds behind a key.
pub fn write(window: KeyWindow, start_ms: i64, end_ms: i64, out: &mut Vec<u8>) {
    if window == KeyWindow::Session {
        out.extend_from_slice(&end_ms.to_be_bytes());
    }
    out.extend_from_slice(&start_ms.to_be_bytes());
}
