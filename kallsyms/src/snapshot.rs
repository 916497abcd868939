//! One state of the symbol table, and the questions it answers.

#![forbid(unsafe_code)]

use crate::block::{Block, Hit, Parts, SymbolId};
use crate::error::Reason;
use crate::ids::{BuildId, FileId};
use crate::kernel::map::MappedTable;
use crate::names::{self, Encoder, NameBuffer, Nibbles};
use crate::sysfs::ModuleFacts;
use crate::table::{self, Entry, Table};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The bytes of a table: this process's own, or those of a file that many processes have mapped.
pub(crate) enum Bytes {
    Own(Vec<u8>),
    Mapped(MappedTable),
}

impl AsRef<[u8]> for Bytes {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Mapped(table) => table.as_ref(),
        }
    }
}

/// The symbols of the kernel and of its modules as they were at one time: cheap to clone, read without locks, not touched by
/// what is loaded later.
#[derive(Clone)]
pub struct Snapshot(Arc<State>);

/// A table, and what of it most lookups need.
pub(crate) struct State {
    bytes: Bytes,
    kernel: Option<Kernel>,
}

/// The kernel itself, where its text is one range with nothing else in it.
struct Kernel {
    range: Range<u64>,
    parts: Parts,
}

impl State {
    /// Of bytes that [`Table::check`] has passed, or [`table::assemble`] has made.
    pub(crate) fn new(bytes: Bytes) -> Self {
        let kernel = Kernel::of(bytes.as_ref());
        Self { bytes, kernel }
    }
}

impl Kernel {
    fn of(bytes: &[u8]) -> Option<Self> {
        let table = Table::new(bytes)?;
        let entry = table.module(0).filter(Entry::is_loaded)?;
        let (range, _) = table.ranges().find(|(_, module)| *module == 0)?;
        Some(Self { range, parts: entry.block()?.parts(entry.block_at()?) })
    }
}

/// A symbol that was found.
#[derive(Clone, Copy)]
pub struct Symbol<'s> {
    module: Module<'s>,
    id: SymbolId,
    address: u64,
    offset: u64,
}

/// The kernel itself, or a module of it.
#[derive(Clone, Copy)]
pub struct Module<'s> {
    entry: Entry<'s>,
    number: u32,
}

impl Snapshot {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(state))
    }

    /// Whether `table` says the same, but for its generation.
    pub(crate) fn is_same(&self, table: &[u8]) -> bool {
        table.len() == self.size() && table::stored_checksum(table) == table::stored_checksum(self.bytes())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.bytes.as_ref()
    }

    #[inline]
    pub(crate) fn table(&self) -> Option<Table<'_>> {
        Table::new(self.bytes())
    }

    /// Counts the tables that took each other's place: what was looked up in one of another generation may have moved.
    pub fn generation(&self) -> u64 {
        table::generation(self.bytes()).unwrap_or(0)
    }

    /// Bytes of the table.
    pub fn size(&self) -> usize {
        self.bytes().len()
    }

    /// The function that `address` lies in.
    ///
    /// # Errors
    ///
    /// That it is in no module, that it is before the first symbol of its module, or that the module's symbols are not
    /// loaded yet.
    #[inline]
    pub fn lookup(&self, address: u64) -> Result<Symbol<'_>, Reason> {
        match &self.0.kernel {
            Some(kernel) if kernel.range.contains(&address) => self.lookup_in(kernel, address).ok_or(Reason::NoSymbol),
            _ => lookup(self.table().ok_or(Reason::NoModule)?, address),
        }
    }

    #[inline]
    fn lookup_in(&self, kernel: &Kernel, address: u64) -> Option<Symbol<'_>> {
        let bytes = self.bytes();
        let Hit { id, address: symbol } = Block::with_parts(&kernel.parts, bytes)?.lookup(address)?;
        (symbol >= kernel.range.start).then_some(())?;
        let module = Module { entry: Entry::first(bytes)?, number: 0 };
        Some(Symbol { module, id, address: symbol, offset: address - symbol })
    }

    /// [`Self::lookup`] of every address, into `found` in their order.
    pub fn lookup_all<'s>(&'s self, addresses: &[u64], found: &mut Vec<Result<Symbol<'s>, Reason>>) {
        found.clear();
        found.extend(addresses.iter().map(|&address| self.lookup(address)));
    }

    /// All symbols that have the address of the function that `address` lies in, the one that [`Self::lookup`] gives first.
    ///
    /// # Errors
    ///
    /// As [`Self::lookup`].
    pub fn aliases(&self, address: u64) -> Result<impl Iterator<Item = Symbol<'_>>, Reason> {
        let first = self.lookup(address)?;
        let block = first.module.entry.block();
        let before = (0..first.id / 2).rev().map_while(move |stored| {
            let id = stored * 2;
            (block?.address(id)? == first.address).then_some(Symbol { id, ..first })
        });
        Ok(std::iter::once(first).chain(before))
    }

    /// The module whose text `address` lies in.
    ///
    /// # Errors
    ///
    /// [`Reason::NoModule`].
    pub fn module_at(&self, address: u64) -> Result<Module<'_>, Reason> {
        let table = self.table().ok_or(Reason::NoModule)?;
        let (_, number) = table.range_of(address).ok_or(Reason::NoModule)?;
        Module::new(table, number).ok_or(Reason::NoModule)
    }

    /// The module of this name; `vmlinux` is the kernel itself, `bpf` are its BPF programs. The first one, where
    /// what has this name lies in pieces 4 GiB apart.
    pub fn module_named(&self, name: &str) -> Option<Module<'_>> {
        self.modules().find(|module| module.name() == name)
    }

    /// The kernel itself and its modules.
    pub fn modules(&self) -> impl Iterator<Item = Module<'_>> {
        let table = self.table();
        let count = table.map_or(0, |table| table.modules().len());
        (0..count).filter_map(move |number| Module::new(table?, number))
    }

    /// Whether it has `modules`, as [`sysfs::read_all`](crate::sysfs::read_all) gives them, each in the same loading, and no
    /// others. Of a module whose sections the kernel does not tell this process it may have nothing: some have no text.
    pub fn is_of(&self, modules: &[ModuleFacts]) -> bool {
        let entries = self.table().into_iter().flat_map(|table| table.modules());
        let of_sysfs = entries.filter(|entry| entry.ino() != 0);
        let mut loadings: HashMap<_, _> = of_sysfs.filter_map(|entry| Some((entry.name()?, entry.ino()))).collect();
        let all = modules.iter().all(|facts| match loadings.remove(facts.name.as_bytes()) {
            Some(inode) => inode == facts.identity.inode,
            None => facts.sections.is_none(),
        });
        all && loadings.is_empty()
    }

    /// The symbols of this name, in all modules. Every symbol is looked at: there is no index by names, which would take more
    /// memory than all the rest.
    pub fn find(&self, name: &str) -> impl Iterator<Item = Symbol<'_>> {
        let whole = Coded::new(name);
        let derived = name.strip_prefix("__pfx_").map(Coded::new);
        self.modules().flat_map(move |module| {
            let (whole, derived) = (whole.clone(), derived.clone());
            module.stored().flat_map(move |(block, stored)| {
                let is = |coded: &Coded| block.code(stored).is_some_and(|code| coded.is(code));
                let plain = is(&whole).then_some(stored * 2);
                let prefixed =
                    derived.as_ref().filter(|coded| is(coded) && block.is_pair(stored)).map(|_| stored * 2 + 1);
                [plain, prefixed].into_iter().flatten().filter_map(move |id| module.symbol(block, id))
            })
        })
    }

    /// The symbols whose names begin with `prefix`, in all modules; takes as long as [`Self::find`] and longer.
    pub fn find_prefix<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = Symbol<'s>> {
        let mut name = NameBuffer::default();
        self.modules().flat_map(Module::symbols).filter(move |symbol| symbol.name_into(&mut name).starts_with(prefix))
    }
}

impl From<Arc<State>> for Snapshot {
    fn from(state: Arc<State>) -> Self {
        Self(state)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Snapshot of {} bytes, generation {}", self.size(), self.generation())
    }
}

#[inline]
fn lookup(table: Table<'_>, address: u64) -> Result<Symbol<'_>, Reason> {
    let (range, number) = table.range_of(address).ok_or(Reason::NoModule)?;
    let module = Module::new(table, number).ok_or(Reason::NoModule)?;
    if !module.entry.is_loaded() {
        return Err(Reason::NotYet);
    }
    let block = module.entry.block().ok_or(Reason::NoSymbol)?;
    let Hit { id, address: symbol } = block.lookup(address).ok_or(Reason::NoSymbol)?;
    if symbol < range.start {
        return Err(Reason::NoSymbol);
    }
    Ok(Symbol { module, id, address: symbol, offset: address - symbol })
}

/// A name as it is stored.
#[derive(Clone)]
struct Coded {
    codes: Vec<u8>,
    nibbles: usize,
}

impl Coded {
    fn new(name: &str) -> Self {
        let mut codes = Nibbles::default();
        Encoder::new().encode(name.as_bytes(), &mut codes);
        Self { nibbles: codes.len(), codes: codes.finish().to_vec() }
    }

    fn is(&self, (codes, at, nibbles): (&[u8], usize, usize)) -> bool {
        nibbles == self.nibbles
            && (0..nibbles).all(|nibble| names::nibble(codes, at + nibble) == names::nibble(&self.codes, nibble))
    }
}

impl<'s> Module<'s> {
    #[inline]
    fn new(table: Table<'s>, number: usize) -> Option<Self> {
        Some(Self { entry: table.module(number)?, number: number as u32 })
    }

    /// Its name; `vmlinux` for the kernel itself.
    pub fn name(&self) -> &'s str {
        self.entry.name().and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default()
    }

    /// Its place in the table, from 0, the kernel itself.
    pub fn number(&self) -> usize {
        self.number as usize
    }

    /// The build id, where sysfs shows one.
    pub fn build_id(&self) -> Option<BuildId> {
        self.entry.build_id()
    }

    /// Of the build id, else of its name, size and symbols.
    pub fn file_id(&self) -> FileId {
        self.entry.file_id()
    }

    /// Where its text lies, by ascending addresses.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + use<'s> {
        let number = self.number();
        let ranges = self.entry.whole().into_iter().flat_map(Table::ranges);
        ranges.filter_map(move |(range, owner)| (owner == number).then_some(range))
    }

    /// The lowest address of its text; 0 where it has none.
    pub fn start(&self) -> u64 {
        self.ranges().next().map_or(0, |range| range.start)
    }

    /// Whether its symbols are loaded.
    pub fn is_loaded(&self) -> bool {
        self.entry.is_loaded()
    }

    /// How many symbols it has.
    pub fn len(&self) -> usize {
        self.entry.symbols() as usize
    }

    /// Whether it has no symbol.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn stored(self) -> impl Iterator<Item = (Block<'s>, u32)> {
        let block = self.entry.is_loaded().then(|| self.entry.block()).flatten();
        block.into_iter().flat_map(|block| (0..block.stored()).map(move |stored| (block, stored)))
    }

    fn symbol(self, block: Block<'s>, id: SymbolId) -> Option<Symbol<'s>> {
        Some(Symbol { module: self, id, address: block.address(id)?, offset: 0 })
    }

    /// Its symbols, each at its own address, with offset 0.
    pub fn symbols(self) -> impl Iterator<Item = Symbol<'s>> {
        self.stored().flat_map(move |(block, stored)| {
            let derived = block.is_pair(stored).then_some(stored * 2 + 1);
            derived.into_iter().chain([stored * 2]).filter_map(move |id| self.symbol(block, id))
        })
    }

    /// The symbol with this [`Symbol::id`].
    pub fn symbol_with_id(self, id: u32) -> Option<Symbol<'s>> {
        self.symbol(self.entry.block()?, id)
    }

    /// The address of the symbol of this name; the last one where there are several.
    pub fn address_of(self, name: &str) -> Option<u64> {
        let coded = Coded::new(name);
        let mut buffer = NameBuffer::default();
        let found = self.symbols().filter(|symbol| {
            let block = symbol.module.entry.block();
            let same = block.and_then(|block| block.code(symbol.id / 2)).is_some_and(|code| coded.is(code));
            (same && symbol.id & 1 == 0) || (symbol.id & 1 == 1 && symbol.name_into(&mut buffer) == name)
        });
        found.last().map(|symbol| symbol.address)
    }
}

impl fmt::Debug for Module<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Module {}, {} symbols", self.name(), self.len())
    }
}

impl<'s> Symbol<'s> {
    /// The module it is of.
    pub fn module(&self) -> Module<'s> {
        self.module
    }

    /// Names the symbol within its module, as long as the module is not loaded anew.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Where it begins.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// How many bytes the address that was asked for lies behind that.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Its name.
    pub fn name(&self) -> NameBuffer {
        let mut name = NameBuffer::default();
        self.name_into(&mut name);
        name
    }

    /// Its name, in memory that can be used again for the next one.
    #[inline]
    pub fn name_into<'n>(&self, name: &'n mut NameBuffer) -> &'n str {
        let known = self.module.entry.block().and_then(|block| block.name(self.id, name));
        if known.is_none() {
            name.clear();
        }
        name.as_str()
    }
}

impl fmt::Debug for Symbol<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// As the kernel prints it: `name+0x1f`, and ` [module]` where it is not the kernel itself.
impl fmt::Display for Symbol<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:#x}", self.name().as_str(), self.offset)?;
        match self.module.number {
            0 => Ok(()),
            _ => write!(f, " [{}]", self.module.name()),
        }
    }
}
