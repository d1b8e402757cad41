//! Base64 of RFC 4648, section 4, with padding.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const NONE: u8 = 0xFF;

/// Value of each digit, or `NONE`.
const DIGITS: [u8; 256] = {
    let mut digits = [NONE; 256];
    let mut i = 0;
    while i < ALPHABET.len() {
        digits[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    digits
};

/// Appends the text of `bytes`.
pub fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let (chunks, tail) = bytes.as_chunks::<3>();
    for [a, b, c] in chunks {
        out.extend_from_slice(&quad(*a, *b, *c));
    }
    match tail {
        [a] => out.extend_from_slice(&[&quad(*a, 0, 0)[..2], b"=="].concat()),
        [a, b] => out.extend_from_slice(&[&quad(*a, *b, 0)[..3], b"="].concat()),
        _ => {}
    }
}

fn quad(a: u8, b: u8, c: u8) -> [u8; 4] {
    let bits = u32::from_be_bytes([0, a, b, c]);
    [18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift & 63) as usize])
}

/// Appends the bytes of `text`; false (and nothing usable appended) when it is not base64.
#[must_use]
pub fn decode(text: &[u8], out: &mut Vec<u8>) -> bool {
    let (chunks, []) = text.as_chunks::<4>() else { return false };
    let Some((last, full)) = chunks.split_last() else { return true };
    for chunk in full {
        let Some(bytes) = triple(chunk) else { return false };
        out.extend_from_slice(&bytes);
    }
    let (padded, len) = match last {
        [a, b, b'=', b'='] => ([*a, *b, b'A', b'A'], 1),
        [a, b, c, b'='] => ([*a, *b, *c, b'A'], 2),
        whole => (*whole, 3),
    };
    let Some(bytes) = triple(&padded) else { return false };
    out.extend_from_slice(&bytes[..len]);
    bytes[len..].iter().all(|rest| *rest == 0)
}

fn triple(chunk: &[u8; 4]) -> Option<[u8; 3]> {
    let digits = chunk.map(|byte| DIGITS[usize::from(byte)]);
    if digits.contains(&NONE) {
        return None;
    }
    let bits = digits.iter().fold(0, |bits, digit| bits << 6 | u32::from(*digit));
    let [_, a, b, c] = bits.to_be_bytes();
    Some([a, b, c])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of RFC 4648, section 10.
    #[test]
    fn vectors_of_the_rfc() {
        let texts = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (len, text) in texts.iter().enumerate() {
            let bytes = &b"foobar"[..len];
            let mut out = Vec::new();
            encode(bytes, &mut out);
            assert_eq!(out, text.as_bytes());
            let mut back = Vec::new();
            assert!(decode(text.as_bytes(), &mut back), "{text}");
            assert_eq!(back, bytes);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["Z", "Zg", "Zg=", "Z===", "====", "Zh==", "Zm9=", "Zm 9v", "Zm9v=", "Zg==Zg=="]
        {
            assert!(!decode(text.as_bytes(), &mut Vec::new()), "{text}");
        }
    }
}
