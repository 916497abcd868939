//! Changed tables that look whole.

/// The checksum as the format says it is made, and not by the code that checks it.
pub fn mend(table: &mut [u8]) {
    let mut sum = 0u64;
    for part in [&table[..16], &table[32..56], &table[64..]] {
        let mut words: Vec<_> = part.chunks_exact(8).map(<[u8]>::to_vec).collect();
        words.push(part.chunks_exact(8).remainder().to_vec());
        for mut word in words {
            word.resize(8, 0);
            let word = u64::from_le_bytes(word.try_into().unwrap());
            sum = (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
    }
    table[56..64].copy_from_slice(&sum.to_le_bytes());
}
