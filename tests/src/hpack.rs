//! How a text of a header stands on the wire of HTTP/2, which is how a call is told from others there.

/// The characters of five, six and seven bits, each in the order of its code (RFC 7541, appendix B).
const SHORT: [(u32, &str); 3] =
    [(5, "012aceiost"), (6, " %-./3456789=A_bdfghlmnpru"), (7, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz")];

/// Returns the bytes of a text of letters, digits and a few signs.
///
/// # Panics
/// It has other characters.
pub(crate) fn text(text: &str) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    for character in text.chars() {
        let (length, code) = code(character).unwrap_or_else(|| panic!("{character:?} is not in the table"));
        bits.extend((0..length).rev().map(|bit| code >> bit & 1 == 1));
    }
    // The rest of the last byte is ones.
    bits.resize(bits.len().next_multiple_of(8), true);
    bits.chunks(8).map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit))).collect()
}

fn code(character: char) -> Option<(u32, u32)> {
    let mut next = 0;
    for (length, characters) in SHORT {
        for (number, known) in (0..).zip(characters.chars()) {
            if known == character {
                return Some((length, next + number));
            }
        }
        let count = u32::try_from(characters.chars().count()).ok()?;
        next = (next + count) << 1;
    }
    None
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_as_the_standard_has_it() {
        // RFC 7541, C.4.1.
        let expected = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(super::text("www.example.com"), expected);
    }
}
