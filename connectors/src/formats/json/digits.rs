//! Decimal digits, eight at a time, in the bytes of a word.

const ONES: u64 = 0x0101_0101_0101_0101;
const ZEROS: u64 = ONES * 0x30;
/// Added to a byte from 0 to 9 it leaves the top bit clear; to one from 10 to 127 it sets it.
const ABOVE_NINE: u64 = ONES * 0x76;
const TOP_BITS: u64 = ONES * 0x80;
const POWERS: [i64; 9] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// How many digits a word starts with, its lowest byte first.
#[inline(always)]
fn leading(word: u64) -> usize {
    let values = word ^ ZEROS;
    // A carry only reaches bytes behind one that is no digit itself.
    let others = (values.wrapping_add(ABOVE_NINE) | values) & TOP_BITS;
    others.trailing_zeros() as usize / 8
}

/// The value of the first `count` digits, 1 to 8, of a word that starts with as many.
#[inline(always)]
fn value(word: u64, count: usize) -> i64 {
    // Zeros in front keep the value.
    let digits = (word ^ ZEROS).wrapping_shl(64 - 8 * count as u32);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00FF_00FF_00FF_00FF;
    let quads = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_FFFF_0000_FFFF;
    (quads.wrapping_mul(10_000).wrapping_add(quads >> 32) & 0xFFFF_FFFF) as i64
}

/// The value of eight digits; `None` if one is no digit.
#[inline]
pub fn eight(word: u64) -> Option<i64> {
    (leading(word) == 8).then(|| value(word, 8))
}

/// Reads a whole number as JSON writes it, of at most 15 digits, with a comma or the end of its
/// object behind it: its value, and where it ends. `None` for all else, also so near to the end of
/// the text that no word can be read.
#[inline(always)]
pub fn plain(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let negative = *bytes.get(at)? == b'-';
    let start = at + usize::from(negative);
    let rest = bytes.get(start..)?;
    let word = u64::from_le_bytes(*rest.first_chunk()?);
    let mut count = leading(word);
    if count == 0 || (count > 1 && rest[0] == b'0') {
        return None;
    }
    let mut number = value(word, count);
    if count == 8 {
        let word = u64::from_le_bytes(*rest[8..].first_chunk()?);
        match leading(word) {
            0 => {}
            8 => return None,
            more => {
                number = number.wrapping_mul(POWERS[more]).wrapping_add(value(word, more));
                count += more;
            }
        }
    }
    if !matches!(rest.get(count), Some(b',' | b'}')) {
        return None;
    }
    Some((if negative { -number } else { number }, start + count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_their_text() {
        for text in ["0", "7", "10", "90", "1234567", "12345678", "99999999", "00000000"] {
            for behind in ["", ",", "x", "/", ":", "\u{7f}", "ü", "\0", "-1"] {
                let line = [text, behind, "\u{ff}\u{ff}\u{ff}\u{ff}"].concat();
                let word = u64::from_le_bytes(*line.as_bytes().first_chunk().expect("8 bytes"));
                let len = text.len() + behind.bytes().take_while(u8::is_ascii_digit).count();
                assert_eq!(leading(word), len.min(8), "{line}");
                assert_eq!(value(word, len.min(8)), text.parse::<i64>().expect("a number"));
            }
        }
        assert_eq!(eight(u64::from_le_bytes(*b"12345678")), Some(12_345_678));
        for bad in [b"1234567 ", b" 2345678", b"1234/678", b"1234:678", b"123\xb4567\xb1"] {
            assert_eq!(eight(u64::from_le_bytes(*bad)), None);
        }
    }

    #[test]
    fn plain_numbers_are_those_of_the_standard_library() {
        let padding = ",        ";
        for len in 1..=17 {
            for first in ["1", "9", "0", "5"] {
                for sign in ["", "-"] {
                    let digits = [first, &"4070913825501946"[..len - 1]].concat();
                    let text = [sign, &digits].concat();
                    let fits = len <= 15 && (len == 1 || first != "0");
                    let want = fits.then(|| (text.parse::<i64>().expect("fits"), text.len()));
                    let line = [&text, padding].concat();
                    assert_eq!(plain(line.as_bytes(), 0), want, "{line}");
                    assert_eq!(plain([&text, "}       "].concat().as_bytes(), 0), want);
                    for behind in ["x", ".5      ,", "e1      ,", " ,       ", "\"       "] {
                        let line = [&text, behind].concat();
                        assert_eq!(plain(line.as_bytes(), 0), None, "{line}");
                    }
                }
            }
        }
        for bad in ["", "-", "-,       ", ",        ", "+1,       ", "--1,       ", "1,"] {
            assert_eq!(plain(bad.as_bytes(), 0), None, "{bad}");
        }
    }
}
