//! How much of a ring is taken, as `Reader::stat` tells it.

mod folder;

use folder::{Folder, small};
use lapwing_ring::{Level, Reader, Writer};

const SIZE: u64 = 64 << 10;
const PAGE: u64 = 4096;
/// Records that a page's index has room for, and words for their bytes.
const INDEX: u64 = 32;
const WORDS: u64 = 512 - 8 - INDEX;

#[test]
fn the_newest_page_counts_by_what_is_taken_of_it_and_a_full_ring_is_full() {
    let folder = Folder::new("fill");
    let path = folder.join("ring");
    small().create(&path).unwrap();
    let reader = Reader::open(&path).unwrap();
    let used = || reader.stat().unwrap().used;
    assert_eq!(used(), 0);
    let mut writer = Writer::open(&path).unwrap();
    // Small ones: the index is full first.
    for i in 1..=INDEX {
        writer.append(Level::INFO, b"").unwrap();
        assert_eq!(used(), PAGE * i / INDEX);
    }
    // Large ones: two of 200 words and who wrote them take more of the words than of the index, and a third has no room.
    for i in 1..=2 {
        writer.append(Level::INFO, &[b'x'; 1580]).unwrap();
        let least = PAGE + PAGE * 200 * i / WORDS;
        assert!((least..least + PAGE * 16 / WORDS).contains(&used()), "{} of {i}", used());
    }
    let before = used();
    writer.append(Level::INFO, &[b'x'; 1580]).unwrap();
    assert!(used() > before && used() >= 2 * PAGE + PAGE * 200 / WORDS, "{}", used());
    let mut most = 0;
    for _ in 0..2000 {
        writer.append(Level::INFO, &[b'x'; 100]).unwrap();
        most = used().max(most);
        assert!(used() <= SIZE);
    }
    assert!(most > SIZE - PAGE / 8, "{most}");
    assert!(used() >= SIZE - PAGE);
}
