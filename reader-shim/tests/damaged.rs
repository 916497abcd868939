//! Does a ring whose words lie upset those who walk and render it? The same cases in every run.

mod lines;

use lapwing_reader_shim::{Follow, Format, Item, Progress, Renderer, Survey};
use lapwing_ring::{Access, Create, Draft, Field, Level, Reader, Writer};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

const HEAD: u64 = 1024;
const SLOTS: u64 = 4096;
const PAGES: u64 = 12288;
const PAGE: u64 = 4096;

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// A word of the ring, and what to put there; sequences at the end of their numbers among others.
fn lie(rng: &mut Rng, image: &[u8]) -> (u64, u64) {
    let page = PAGES + PAGE * rng.below(16);
    let place = match rng.below(8) {
        0 => HEAD,
        1 => SLOTS + 8 * rng.below(32),
        2 | 3 => page + 8,
        4 => page + 8 * rng.below(4),
        5 => page + 64 + 8 * rng.below(32),
        _ => page + 64 + 256 + 8 * rng.below(40),
    };
    let old = u64::from_le_bytes(image[place as usize..][..8].try_into().unwrap());
    let word = match rng.below(6) {
        0 => u64::MAX - rng.below(40),
        1 => rng.below(40),
        2 => old ^ 1 << rng.below(64),
        3 => old.wrapping_add(rng.below(64)).wrapping_sub(32),
        4 => old & !0xffff_ffff | rng.below(1 << 32),
        _ => rng.below(1 << 32) << 32 | rng.below(1 << 32),
    };
    (place, word)
}

#[test]
fn a_walk_along_a_ring_that_lies_ends_and_shows_whole_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring");
    Create::new().size(64 << 10).create(&path).unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let mut writer = Writer::open(&path).unwrap();
    let mut images = Vec::new();
    for i in 0..1200 {
        let fields = [Field::Tag(b"tag")];
        let fields = &fields[..usize::from(i % 3 == 0)];
        writer.append_slices(&Draft { fields, ..Draft::new(Level::WARN) }, &[&[b'a'; 120][..i % 120]]).unwrap();
        if [3, 100, 1199].contains(&i) {
            images.push(std::fs::read(&path).unwrap());
        }
    }
    drop(writer);
    images.push(std::fs::read(&path).unwrap());

    let rng = &mut Rng(1);
    let (mut records, mut losses, mut windows) = (0, 0, 0);
    for case in 0..300 {
        let image = &images[case % images.len()];
        file.write_all_at(image, 0).unwrap();
        let changes: Vec<_> = (0..=rng.below(3)).map(|_| lie(rng, image)).collect();
        for &(place, word) in &changes {
            file.write_all_at(&word.to_le_bytes(), place).unwrap();
        }
        let access = [Access::Mapped, Access::Copied][case / 4 % 2];
        // Somebody is asked for who never wrote, so that it looks at all there is.
        let survey = Survey::take(&mut Reader::open_with(&path, access).unwrap(), None, &[0]).unwrap();
        windows += u32::from(survey.window.is_some());
        let mut reader = Reader::open_with(&path, access).unwrap();
        reader.set_patience(Duration::ZERO);
        let mut follow = Follow::new(reader);
        // An error is as good as a place.
        let _ = follow.start_at([0, 1, 600, u64::MAX - 10][rng.below(4) as usize]);
        let mut each = |item: Item<'_>| {
            match item {
                Item::Record(record, who) => {
                    // The rest is the same at a fraction of the price.
                    if records % 16 == 0 {
                        lines::check(&record, &who);
                    }
                    records += 1;
                }
                Item::Loss(loss) => {
                    assert!(loss.gap.count > 0 && loss.gap.last() >= loss.gap.first, "{loss:?} after {changes:x?}");
                    let mut line = Vec::new();
                    Renderer::new(Format::ALL[case % 8], true).loss(&mut line, &loss);
                    losses += 1;
                }
                Item::Damage(_) => {}
            }
            Ok(())
        };
        let mut steps = 16 * (32 + 1) + 2;
        while matches!(follow.step(&mut each), Ok(Progress::Moved)) {
            steps -= 1;
            assert!(steps > 0, "no end after {changes:x?}");
        }
        follow.finish(&mut each).unwrap();
        let _ = follow.bounds();
    }
    assert!(records > 5_000 && losses > 50, "{records} records, {losses} losses");
    assert!(windows > 100, "{windows} surveys found something");
}
