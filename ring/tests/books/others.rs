//! Everybody but the writer that is killed or held: two writers and two readers, driven by one thread, so that a run can
//! be repeated.

use super::view::{INDEX_LEN, PAGE_COUNT, View};
use super::{Books, Checked, Follower};
use lapwing_ring::Writer;
use std::path::Path;
use std::time::Duration;

/// A reader looks at the writers when it has stood before a record for a millisecond.
const SCAN_AFTER: Duration = Duration::from_micros(1100);

/// Never twice the same number for the same seed.
pub fn mix(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

pub struct Others {
    pub books: Books,
    writers: Vec<(u32, Writer)>,
    /// The first has no patience at all, the second all of it.
    followers: Vec<Follower>,
    view: Option<View>,
    seed: u64,
}

impl Others {
    /// Nobody yet.
    pub fn new(seed: u64) -> Self {
        Self { books: Books::new(), writers: Vec::new(), followers: Vec::new(), view: None, seed }
    }

    /// From here on the dice fall differently.
    pub fn reseed(&mut self, seed: u64) {
        self.seed = mix(self.seed ^ seed);
    }

    /// All come to `ring`.
    pub fn join(&mut self, ring: &Path) -> Checked {
        self.view = Some(View::open(ring).map_err(|error| format!("the ring cannot be looked at: {error}"))?);
        for (name, patience) in
            [("the hasty reader", Duration::ZERO), ("the patient reader", Duration::from_secs(3600))]
        {
            self.followers.push(Follower::open(name, ring, patience)?);
        }
        for id in [1, 2] {
            self.writers.push((id, attach(ring)?));
        }
        Ok(())
    }

    pub fn view(&self) -> &View {
        self.view.as_ref().expect("they have joined")
    }

    /// One of the two appends a record of `len` bytes.
    pub fn append(&mut self, len: usize) -> Checked {
        self.seed = mix(self.seed);
        let (id, writer) = &mut self.writers[(self.seed & 1) as usize];
        self.books.append(writer, *id, len).map(drop)
    }

    /// Appends that differ in length; the readers come along often enough to lose nothing.
    pub fn appends(&mut self, count: usize) -> Checked {
        for i in 0..count {
            let dice = self.seed >> 8;
            let len = if dice.is_multiple_of(32) { 1700 + dice % 160 } else { 12 + dice % 120 };
            self.append(len as usize)?;
            if i % 5 == 4 {
                self.read_on()?;
            }
        }
        self.read_on()
    }

    /// The readers may come too late.
    pub fn may_lose(&mut self) {
        self.followers.iter_mut().for_each(|follower| follower.may_lose = true);
    }

    /// Everybody reads what there is.
    pub fn read_on(&mut self) -> Checked {
        self.followers.iter_mut().try_for_each(|follower| follower.read_on(&mut self.books).map(drop))
    }

    /// A few records, and time for the patient reader to come to one in flight and look after its writer.
    pub fn a_moment(&mut self) -> Checked {
        self.appends(3)?;
        let mut in_flight = false;
        for follower in &mut self.followers {
            in_flight |= follower.read_on(&mut self.books)?;
        }
        if in_flight {
            std::thread::sleep(SCAN_AFTER);
            self.read_on()?;
        }
        Ok(())
    }

    /// Leaves a page that has no room for one more record.
    pub fn fill_page(&mut self) -> Checked {
        let mut left = 3 * INDEX_LEN;
        while !self.view().page_is_full() {
            left = left.checked_sub(1).ok_or("no page ever fills up")?;
            self.append(12)?;
        }
        self.read_on()
    }

    /// Appends until page `epoch` is open, or a later one.
    pub fn reach_page(&mut self, epoch: u64) -> Checked {
        let mut left = epoch.saturating_sub(self.view().epoch()) * INDEX_LEN + INDEX_LEN;
        while self.view().epoch() < epoch {
            left = left.checked_sub(5).ok_or("appends do not bring the ring on")?;
            self.appends(5)?;
        }
        Ok(())
    }

    /// Once around the ring, `count` times. Then at most `held` pages may be out of use.
    pub fn laps(&mut self, count: u64, held: usize) -> Checked {
        self.reach_page(self.view().epoch() + count * PAGE_COUNT)?;
        match self.view().pages_held() {
            found if found <= held => Ok(()),
            found => Err(format!("{found} pages are out of use, not {held}")),
        }
    }

    /// Records that the patient reader counted stalled.
    pub fn patient_stalled(&self) -> u64 {
        self.followers[1].reader.counts().stalled
    }

    /// Reads to the end, with those who come only now as well. At most so many records may have been given up.
    pub fn balance(&mut self, ring: &Path, abandoned: u64, stalled: u64) -> Checked {
        let mut zero = Follower::open("a reader from zero", ring, Duration::from_secs(1))?;
        zero.may_lose = true;
        let oldest = Follower::open("a reader from the oldest", ring, Duration::from_secs(1))?.seek_oldest()?;
        self.followers.extend([zero, oldest]);
        for follower in &mut self.followers {
            follower.settle(&mut self.books)?;
            let counts = follower.reader.counts();
            if counts.abandoned > abandoned || counts.stalled > stalled {
                let limit = format!("{abandoned} abandoned and {stalled} stalled are the limit");
                return Err(format!("{}: {counts:?}, but {limit}", follower.name));
            }
        }
        Ok(())
    }

    /// Two more attach and append, or as many as there are slots of the dead: then each of these has a new owner, and nothing
    /// was refused to anybody.
    pub fn latecomers(&mut self, ring: &Path) -> Checked {
        let stat = self.followers[0].reader.stat().map_err(|error| error.to_string())?;
        if let Some(pinning) = stat.writers.iter().find(|writer| !writer.is_alive() && writer.appending) {
            return Err(format!("three laps later a dead writer holds a page: {pinning:?}"));
        }
        let spare = (self.view().slots_high() as usize).saturating_sub(self.writers.len());
        let writers = (0..spare.clamp(2, 3)).map(|_| attach(ring)).collect::<Checked<Vec<_>>>()?;
        // Who got the slot of somebody dead is inside no page.
        self.laps(1, 0)?;
        for (id, mut writer) in (3..).zip(writers) {
            for _ in 0..5 {
                self.books.append(&mut writer, id, 40)?;
            }
            self.writers.push((id, writer));
        }
        let stat = self.followers[0].reader.stat().map_err(|error| error.to_string())?;
        if stat.refused.total() != 0 {
            return Err(format!("refused: {:?}", stat.refused));
        }
        // Two writers and at most two that were killed or held have had slots at the same time, and nobody else; one more slot
        // is passed over while somebody is held who frees it, for he has its lock.
        let (owners, used) = (stat.writers.len(), self.view().slots_high());
        if owners != self.writers.len() || used > 5 || stat.writers.iter().any(|writer| !writer.is_alive()) {
            return Err(format!("{used} slots were used, and these are owned: {:?}", stat.writers));
        }
        Ok(())
    }
}

fn attach(ring: &Path) -> Checked<Writer> {
    Writer::open(ring).map_err(|error| format!("nobody can attach: {error}"))
}
