//! One trial: the tracee is taken to one place, and killed or held there; then everything must add up.

use crate::books::{Checked, mix};
use crate::cases::{Case, Stage};
use crate::operation::Operation;
use crate::places::{Place, Walk, Watch};
use crate::scene::Scene;
use std::path::Path;

/// About as many system calls as the longest operation makes.
const CALLS: u64 = 48;

/// What happens to a tracee at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// SIGKILL.
    Kill,
    /// It stands there while others go around the ring three times; then it goes on.
    Hold,
    /// It stands there for a few records of others.
    Pause,
}

impl Fate {
    pub const ALL: [Self; 3] = [Self::Kill, Self::Hold, Self::Pause];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Hold => "hold",
            Self::Pause => "pause",
        }
    }
}

/// What a plain run of a case found.
pub struct Survey {
    /// Where somebody comes in between.
    lead: Option<Place>,
    pub places: Vec<Place>,
}

impl Survey {
    /// Runs `case` with nothing done to the tracee, and gives every place on its way, or those around about `sample`
    /// system calls.
    ///
    /// # Errors
    /// Even so something does not add up.
    pub fn of(case: &Case, sample: usize, template: &Path, seed: u64) -> Checked<Self> {
        let lead = case.overtaken.map(|nth| Self::change_of_head(case, nth, template, seed)).transpose()?;
        let mut scene = Scene::new(case, template, seed)?;
        overtake(&mut scene, lead.as_ref())?;
        let watch = scene.watch(case)?;
        // One call more or less is the same case; there are some fifty of them.
        let wanted = |calls: usize| mix(seed ^ calls as u64) % CALLS < sample as u64;
        let places = Walk::new(&mut scene.tracee, watch).survey(wanted, |_| ())?;
        if case.stage == Stage::NoRing {
            scene.ensure_ring(case)?;
        }
        scene.hear()?;
        scene.close(0, 0)?;
        Ok(Self { lead, places })
    }

    /// Where HEAD is about to be changed for the `nth` time, if nobody comes in between.
    fn change_of_head(case: &Case, nth: usize, template: &Path, seed: u64) -> Checked<Place> {
        let mut scene = Scene::new(case, template, seed)?;
        let (view, mut head, mut found) = (scene.others.view(), scene.others.view().head(), Vec::new());
        let note = |steps| {
            let now = view.head();
            if now != head {
                found.push(steps - 1);
                head = now;
            }
        };
        let places = Walk::new(&mut scene.tracee, Watch::Nothing).survey(|_| true, note)?;
        let steps: usize = *found.get(nth).ok_or("HEAD does not change that often")?;
        Ok(places[steps])
    }
}

/// Takes the tracee to `lead`, and lets somebody else append.
fn overtake(scene: &mut Scene, lead: Option<&Place>) -> Checked {
    let Some(lead) = lead else { return Ok(()) };
    if Walk::new(&mut scene.tracee, Watch::Nothing).go_to(lead)?.is_none() {
        return Err("the operation ended before somebody came in between".to_owned());
    }
    scene.others.append(40)?;
    let head = scene.others.view().head();
    Walk::new(&mut scene.tracee, Watch::Nothing).go_to(&Place::instruction(1))?;
    if scene.others.view().head() != head { Err("the exchange was not lost".to_owned()) } else { Ok(()) }
}

/// What became of a trial, and where the tracee stood.
pub struct Outcome {
    pub rip: u64,
    pub checked: Checked,
}

/// Takes the tracee of `case` to its `k`th place, lets it meet its fate, and adds up. `None`: it never came there. The
/// seed is the survey's, so that all is as it was then.
pub fn trial(case: &Case, survey: &Survey, k: usize, fate: Fate, template: &Path, seed: u64) -> Option<Outcome> {
    let place = &survey.places[k];
    let mut rip = 0;
    let checked = (|| {
        let mut scene = Scene::new(case, template, seed)?;
        overtake(&mut scene, survey.lead.as_ref())?;
        scene.others.reseed(k as u64);
        let watch = scene.watch(case)?;
        let Some(stands) = Walk::new(&mut scene.tracee, watch).go_to(place)? else { return Ok(false) };
        rip = stands;
        meet(case, scene, fate).map(|()| true)
    })();
    match checked {
        Ok(false) => None,
        Ok(true) => Some(Outcome { rip, checked: Ok(()) }),
        Err(error) => Some(Outcome { rip, checked: Err(error) }),
    }
}

fn meet(case: &Case, mut scene: Scene, fate: Fate) -> Checked {
    if fate == Fate::Kill {
        scene.tracee.kill();
        scene.ensure_ring(case)?;
        scene.others.a_moment()?;
        return scene.close(1, 0);
    }
    scene.ensure_ring(case)?;
    scene.others.a_moment()?;
    if fate == Fate::Hold {
        let held = scene.helpers_pages() + 1;
        scene.others.laps(3, held)?;
        if case.stage == Stage::NextOfDead || matches!(case.operation, Operation::Attach | Operation::LogClaim) {
            scene.come_heir()?;
        }
    }
    scene.let_finish()?;
    scene.others.a_moment()?;
    let stalled = scene.others.patient_stalled();
    if fate == Fate::Pause && stalled > scene.helpers_stalled() {
        return Err(format!("a patient reader counted {stalled} stalled, though its writer soon went on"));
    }
    scene.close(0, 1)
}
