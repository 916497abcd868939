//! Numbers as text, without the machinery of format strings: a record has half a dozen of them.

/// Both digits of 0 to 99, one pair behind the other.
const PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut n = 0;
    while n < 100 {
        pairs[2 * n] = b'0' + n as u8 / 10;
        pairs[2 * n + 1] = b'0' + n as u8 % 10;
        n += 1;
    }
    pairs
};

/// Appends `n`.
#[inline]
pub(crate) fn push(out: &mut Vec<u8>, n: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// Writes `n` into all of `place`, with zeros in front; digits that do not fit are left out.
#[inline]
pub(crate) fn fill(place: &mut [u8], mut n: u32) {
    for pair in place.rchunks_mut(2) {
        match pair {
            [tens, ones] => {
                let at = 2 * (n % 100) as usize;
                (*tens, *ones) = (PAIRS[at], PAIRS[at + 1]);
                n /= 100;
            }
            [ones] => *ones = b'0' + (n % 10) as u8,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_format_strings_write_them(n: u64, width in 1usize..=9) {
            let mut text = Vec::new();
            push(&mut text, n);
            prop_assert_eq!(String::from_utf8(text).unwrap(), n.to_string());
            let n = (n % 10u64.pow(width as u32)) as u32;
            let mut place = vec![b'?'; width];
            fill(&mut place, n);
            prop_assert_eq!(String::from_utf8(place).unwrap(), format!("{n:0width$}"));
        }
    }
}
