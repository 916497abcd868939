//! Makes a table: of lines of kallsyms, of what sysfs says of the modules, and of the table before, from which all is taken
//! that has not changed.

#![forbid(unsafe_code)]

mod kernel;
mod ranges;

use self::kernel::{Kernel, Text};
use self::ranges::{add_ranges, areas, page_up};
use crate::block::{Block, Builder, Unfit};
use crate::gather::Unordered;
use crate::ids::{BuildId, FileId};
use crate::names::{Encoder, NameBuffer};
use crate::parse::{Broken, Lines};
use crate::sysfs::{ModuleFacts, State};
use crate::table::{self, BootId, Part, Table};
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::ops::Range;

/// The name of the kernel itself among the modules.
pub(crate) const KERNEL: &str = "vmlinux";
/// The name of all BPF programs together.
pub(crate) const PROGRAMS: &str = "bpf";

/// More than any kernel has; each takes hundreds of bytes while a table is made, however few symbols it has.
const MODULES_MAX: usize = 1 << 16;

/// Why there is no table.
#[derive(Debug)]
pub(crate) enum Failure {
    Broken(Broken),
    Hidden,
    Empty,
    Unfit(Unfit),
    /// There are more than [`MODULES_MAX`] modules.
    Modules,
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<Unfit> for Failure {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit)
    }
}

/// A function that is known without kallsyms: of a BPF program.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Function {
    /// Where it begins.
    pub address: u64,
    /// Its length in bytes.
    pub len: u64,
    /// Its name, as kallsyms has it.
    pub name: String,
}

/// What a table is made of, beside lines.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'i> {
    /// Codes the names.
    pub(crate) encoder: &'i Encoder,
    /// The table before.
    pub(crate) old: Option<Table<'i>>,
    /// What sysfs says, where it does.
    pub(crate) modules: Option<&'i [ModuleFacts]>,
    /// The functions of all BPF programs, where they are known without kallsyms.
    pub(crate) programs: Option<&'i [Function]>,
    pub(crate) kernel_build_id: Option<BuildId>,
    pub(crate) boot: &'i BootId,
    pub(crate) generation: u64,
}

/// A module of the table to be.
struct Draft<'i> {
    name: Cow<'i, [u8]>,
    ino: u64,
    text: u64,
    build_id: Option<BuildId>,
    file_id: Option<FileId>,
    /// Empty: to be made of the symbols.
    ranges: Vec<Range<u64>>,
    /// Empty: not loaded yet.
    block: Cow<'i, [u8]>,
}

/// The facts that tell one loading of a module from another, as a table keeps them. A module on its way in is another one
/// when it has arrived: its sections may not all have been there.
fn identity(facts: &ModuleFacts) -> (u64, u64, Option<BuildId>) {
    let text = facts.identity.text.filter(|_| facts.state != State::Coming);
    (facts.identity.inode, text.unwrap_or(0), facts.identity.build_id)
}

/// The modules in `facts` that `table` does not have the symbols of.
pub(crate) fn missing<'f>(table: Table<'_>, facts: &'f [ModuleFacts]) -> Vec<&'f ModuleFacts> {
    let (old, _) = by_name(table);
    facts
        .iter()
        .filter(|facts| {
            let same =
                old.get(facts.name.as_bytes()).filter(|part| (part.ino, part.text, part.build_id) == identity(facts));
            same.is_none_or(|part| part.block.is_empty())
        })
        .collect()
}

/// The modules of a table by their names, and those that have the name of another: what is in pieces too far apart for one
/// block is several.
fn by_name(table: Table<'_>) -> (HashMap<&[u8], Part<'_>>, Vec<Part<'_>>) {
    let mut ranges: HashMap<usize, Vec<Range<u64>>> = HashMap::new();
    for (range, module) in table.ranges() {
        ranges.entry(module).or_default().push(range);
    }
    let (mut parts, mut more) = (HashMap::new(), Vec::new());
    for (at, entry) in table.modules().enumerate() {
        if let Some(part) = entry.part(ranges.remove(&at).unwrap_or_default()) {
            match parts.entry(part.name) {
                Entry::Vacant(place) => _ = place.insert(part),
                Entry::Occupied(_) => more.push(part),
            }
        }
    }
    (parts, more)
}

/// The table of every line of `lines`.
pub(crate) fn whole(lines: impl Read, inputs: Inputs<'_>) -> Result<Vec<u8>, Failure> {
    let mut lines = Lines::new(lines);
    let mut drafts = Drafts::new(inputs);
    match drafts.kernel_before() {
        true => lines.skip_kernel()?,
        false => drafts.read_kernel(&mut lines)?,
    }
    drafts.read_modules(&mut lines, true)?;
    drafts.add_programs()?;
    drafts.table()
}

/// The table before with what sysfs says now: a module that is not in it, or not as it is now, has no symbols yet.
pub(crate) fn without_lines(inputs: Inputs<'_>) -> Result<Vec<u8>, Failure> {
    some_modules(std::io::empty(), inputs)
}

/// As [`without_lines`], with the symbols of the modules in `lines`, each of which is there with all of its symbols.
pub(crate) fn some_modules(lines: impl Read, inputs: Inputs<'_>) -> Result<Vec<u8>, Failure> {
    let mut drafts = Drafts::new(inputs);
    drafts.kernel_before();
    drafts.read_modules(&mut Lines::new(lines), false)?;
    drafts.add_programs()?;
    drafts.table()
}

struct Drafts<'i> {
    inputs: Inputs<'i>,
    old: HashMap<&'i [u8], Part<'i>>,
    /// Those of the table before that have the name of another.
    more: Vec<Part<'i>>,
    drafts: Vec<Draft<'i>>,
    nonzero: bool,
}

impl<'i> Drafts<'i> {
    fn new(inputs: Inputs<'i>) -> Self {
        let (old, more) = inputs.old.map_or_else(Default::default, by_name);
        Self { inputs, old, more, drafts: Vec::new(), nonzero: false }
    }

    /// Takes the kernel itself from the table before, where there is one.
    fn kernel_before(&mut self) -> bool {
        let kernel = self.old.remove(KERNEL.as_bytes());
        kernel.map(|part| self.drafts.push(Draft::from(part))).is_some()
    }

    fn read_kernel(&mut self, lines: &mut Lines<impl Read>) -> Result<(), Failure> {
        let encoder = self.inputs.encoder;
        let mut kernel = Kernel::new(encoder);
        while let Some(line) = lines.next_line()? {
            if !line.module.is_empty() {
                lines.again();
                break;
            }
            if line.is_text() || line.name == b"_etext" {
                kernel.take(line)?;
            }
        }
        let Text { range, block } = kernel.finish()?;
        self.nonzero = true;
        self.drafts.push(Draft {
            name: KERNEL.as_bytes().into(),
            ino: 0,
            text: range.start,
            build_id: self.inputs.kernel_build_id,
            file_id: None,
            ranges: vec![range],
            block: block.into(),
        });
        Ok(())
    }

    fn read_modules(&mut self, lines: &mut Lines<impl Read>, all: bool) -> Result<(), Failure> {
        let facts: HashMap<&[u8], &'i ModuleFacts> =
            self.inputs.modules.unwrap_or_default().iter().map(|facts| (facts.name.as_bytes(), facts)).collect();
        // The modules that have been met in the lines.
        let mut seen: HashSet<Vec<u8>> = HashSet::new();
        let mut gathered = Unordered::default();
        let mut current: Vec<u8> = Vec::new();
        let mut taken = false;
        let mut listed = 0u64;
        while let Some(line) = lines.next_line()? {
            if line.module != current {
                if taken {
                    self.add_read(&current, facts.get(&current[..]).copied(), &mut gathered)?;
                }
                current.clear();
                current.extend_from_slice(line.module);
                taken = self.begin(&current, &facts, &mut seen)?;
            }
            if line.is_text() {
                listed += 1;
                self.nonzero |= line.address != 0;
                if taken && line.address != 0 {
                    gathered.push(line.address, line.kind, line.name)?;
                }
            }
        }
        if taken {
            self.add_read(&current, facts.get(&current[..]).copied(), &mut gathered)?;
        }
        if listed > 0 && !self.nonzero {
            return Err(Failure::Hidden);
        }
        let mut rest: Vec<_> = facts.into_values().filter(|facts| !seen.contains(facts.name.as_bytes())).collect();
        rest.sort_by(|one, other| one.name.cmp(&other.name));
        for facts in rest {
            self.add_unread(facts, all)?;
        }
        if !all {
            // What sysfs does not list is kept until all lines are read: programs, trampolines, and everything where there
            // is no sysfs.
            let known = self.inputs.modules.is_some();
            let mut rest: Vec<_> = std::mem::take(&mut self.old).into_values().collect();
            rest.append(&mut self.more);
            rest.retain(|part| !known || part.ino == 0);
            rest.sort_by_key(|part| part.name);
            self.drafts.extend(rest.into_iter().filter(|part| !seen.contains(part.name)).map(Draft::from));
        }
        Ok(())
    }

    /// Whether the lines of module `name`, which begin here, are to be read: not again, and not where nothing has changed.
    fn begin(
        &mut self,
        name: &[u8],
        facts: &HashMap<&[u8], &'i ModuleFacts>,
        seen: &mut HashSet<Vec<u8>>,
    ) -> Result<bool, Failure> {
        if name.is_empty() || name == KERNEL.as_bytes() || seen.contains(name) {
            return Ok(false);
        }
        if name == PROGRAMS.as_bytes() && self.inputs.programs.is_some() {
            return Ok(false);
        }
        if seen.len() >= MODULES_MAX {
            return Err(Failure::Modules);
        }
        seen.insert(name.to_vec());
        let unchanged = facts.get(name).and_then(|facts| self.unchanged(facts)).filter(|part| !part.block.is_empty());
        Ok(unchanged.map(|part| self.drafts.push(Draft::from(part))).is_none())
    }

    /// The module in the table before, where it is still the same.
    fn unchanged(&mut self, facts: &ModuleFacts) -> Option<Part<'i>> {
        let part = self.old.get(facts.name.as_bytes())?;
        let same = (part.ino, part.text, part.build_id) == identity(facts);
        same.then(|| self.old.remove(facts.name.as_bytes())).flatten()
    }

    fn add_read(&mut self, name: &[u8], facts: Option<&ModuleFacts>, gathered: &mut Unordered) -> Result<(), Failure> {
        let areas = facts.map(areas).unwrap_or_default();
        if areas.is_empty() {
            for piece in gathered.finish_apart(self.inputs.encoder)? {
                let mut draft = facts.map_or_else(|| Draft::named(name), Draft::of);
                draft.block = piece.block.into();
                self.drafts.push(draft);
            }
        } else if let Some(facts) = facts {
            let mut draft = Draft::of(facts);
            let mut lasts: Vec<u64> = areas.iter().map(|(area, _)| area.last).collect();
            let area_of = |address: u64| {
                let area = areas.partition_point(|(area, _)| area.start <= address).checked_sub(1)?;
                (address < areas[area].1).then_some(area)
            };
            for address in gathered.addresses() {
                if let Some(area) = area_of(address) {
                    lasts[area] = lasts[area].max(address);
                }
            }
            draft.ranges = areas
                .iter()
                .zip(&lasts)
                .map(|((area, limit), last)| area.start..page_up(last.saturating_add(1)).min(*limit))
                .collect();
            draft.block = gathered.finish(self.inputs.encoder, |address| area_of(address).is_some())?.into();
            self.drafts.push(draft);
        }
        Ok(())
    }

    /// A module of which no line was read: unchanged, or its symbols come later, or, where all lines were read, it has none.
    fn add_unread(&mut self, facts: &ModuleFacts, all: bool) -> Result<(), Failure> {
        if let Some(part) = self.unchanged(facts) {
            self.drafts.push(Draft::from(part));
        } else {
            let mut draft = Draft::of(facts);
            draft.ranges = areas(facts).into_iter().map(|(area, limit)| area.start..limit).collect();
            if all {
                draft.block = Builder::new(self.inputs.encoder).finish()?.into();
            }
            self.drafts.push(draft);
        }
        Ok(())
    }

    fn add_programs(&mut self) -> Result<(), Failure> {
        let Some(programs) = self.inputs.programs else { return Ok(()) };
        self.drafts.retain(|draft| draft.name != PROGRAMS.as_bytes());
        if programs.is_empty() {
            return Ok(());
        }
        let mut gathered = Unordered::default();
        let mut ranges = Vec::new();
        for program in programs {
            let end = program.address.saturating_add(program.len.max(1));
            if program.name.len() <= crate::parse::NAME_MAX {
                gathered.push(program.address, b't', program.name.as_bytes())?;
                ranges.push(program.address..end);
            }
        }
        for piece in gathered.finish_apart(self.inputs.encoder)? {
            let mut draft = Draft::named(PROGRAMS.as_bytes());
            draft.ranges = ranges.iter().filter(|range| piece.addresses.contains(&range.start)).cloned().collect();
            draft.block = piece.block.into();
            self.drafts.push(draft);
        }
        Ok(())
    }

    fn table(mut self) -> Result<Vec<u8>, Failure> {
        if self.drafts.first().is_none_or(|draft| draft.name != KERNEL.as_bytes()) {
            return Err(Failure::Empty);
        }
        add_ranges(&mut self.drafts);
        // In one order, wherever they come from: what says the same is the same table.
        self.drafts[1..].sort_by(|one, other| {
            (&one.name, one.ranges.first().map(|range| range.start))
                .cmp(&(&other.name, other.ranges.first().map(|range| range.start)))
        });
        let parts: Vec<Part<'_>> = self.drafts.iter().map(Draft::part).collect();
        let table = table::assemble(&parts, self.inputs.generation, self.inputs.boot);
        if table.len() > table::MAX { Err(Failure::Unfit(Unfit::TooMany)) } else { Ok(table) }
    }
}

impl<'i> From<Part<'i>> for Draft<'i> {
    fn from(part: Part<'i>) -> Self {
        Self {
            name: part.name.into(),
            ino: part.ino,
            text: part.text,
            build_id: part.build_id,
            file_id: Some(part.file_id),
            ranges: part.ranges,
            block: part.block.into(),
        }
    }
}

impl Draft<'_> {
    /// Of which no more is known than its name.
    fn named(name: &[u8]) -> Draft<'static> {
        let name = name.to_vec().into();
        Draft { name, ino: 0, text: 0, build_id: None, file_id: None, ranges: Vec::new(), block: Cow::default() }
    }

    fn of(facts: &ModuleFacts) -> Draft<'static> {
        let (ino, text, build_id) = identity(facts);
        let name = facts.name.clone().into_bytes();
        Draft { name: name.into(), ino, text, build_id, file_id: None, ranges: Vec::new(), block: Cow::default() }
    }

    fn part(&self) -> Part<'_> {
        Part {
            name: &self.name,
            ino: self.ino,
            text: self.text,
            build_id: self.build_id,
            file_id: self.file_id.unwrap_or_else(|| self.own_file_id()),
            ranges: self.ranges.clone(),
            block: &self.block,
        }
    }

    fn own_file_id(&self) -> FileId {
        if let Some(build_id) = &self.build_id {
            return FileId::of_build_id(build_id);
        }
        let start = self.ranges.first().map_or(0, |range| range.start);
        let sizes = self.ranges.iter().map(|range| range.end.saturating_sub(range.start));
        let size = sizes.fold(0, u64::saturating_add);
        let block = Block::new(&self.block);
        let ids = 0..block.map_or(0, |block| block.stored() * 2);
        let mut name = NameBuffer::default();
        table::file_id_of(
            &self.name,
            size,
            ids.filter_map(|id| {
                let (block, address) = (block?, block?.address(id)?);
                block.name(id, &mut name)?;
                Some((name.as_str().as_bytes().to_vec(), address.wrapping_sub(start)))
            }),
        )
    }
}
