//! Are the bytes of a ring what docs/FORMAT.md says, and are wrong bytes told from a ring's?

mod document;
mod folder;

use document::{FORMAT, all_bits, field, number, offsets, table};
use folder::{Folder, small};
use lapwing_ring::{
    AppendError, Draft, Error, Field, Flags, Geometry, GeometryError, Kept, Level, Log, Read, Reader, Record, Source,
    Value, Writer, identify_path,
};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;

/// The bytes of a ring file.
struct Bytes(Vec<u8>);

impl Bytes {
    fn of(path: &Path) -> Self {
        Self(fs::read(path).unwrap())
    }

    fn u64(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.0[at as usize..][..8].try_into().unwrap())
    }

    fn u32(&self, at: u64) -> u64 {
        u32::from_le_bytes(self.0[at as usize..][..4].try_into().unwrap()) as u64
    }

    fn is_zero(&self, from: u64, to: u64) -> bool {
        self.0[from as usize..to as usize].iter().all(|&byte| byte == 0)
    }
}

/// The kernel's number of this thread.
fn thread_id() -> u64 {
    let link = fs::read_link("/proc/thread-self").unwrap();
    link.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

/// Three records: plain, with fields, with flags and another source.
fn write_three(path: &Path) -> Writer {
    let mut writer = Writer::open(path).unwrap();
    assert_eq!(writer.append(Level::INFO, b"hello"), Ok(0));
    let fields = [Field::Tag(b"disk"), Field::KeyValue(b"n", Value::Int(-2))];
    let draft = Draft { fields: &fields, ..Draft::new(Level::WARN) };
    assert_eq!(writer.append_slices(&draft, &[b"two ", b"pieces"]), Ok(1));
    let draft = Draft { source: Source::Kmsg, flags: Flags::PARTIAL | Flags::ATTESTED, ..Draft::new(Level::EMERG) };
    assert_eq!(writer.append_slices(&draft, &[b""]), Ok(2));
    writer
}

#[test]
fn constants_are_the_documented_ones() {
    let documented = table("Constants", &["constant", "value", "meaning"]);
    let code = [
        ("MAGIC", lapwing_ring::MAGIC),
        ("FORMAT_VERSION", lapwing_ring::FORMAT_VERSION),
        ("HEADER_LEN", lapwing_ring::HEADER_LEN as u64),
        ("SLOT_LEN", lapwing_ring::SLOT_LEN as u64),
        ("PAGE_HEADER_WORDS", lapwing_ring::PAGE_HEADER_WORDS as u64),
        ("RECORD_HEADER_LEN", lapwing_ring::RECORD_HEADER_LEN as u64),
        ("MAX_SLOTS", lapwing_ring::MAX_SLOTS as u64),
        ("MAX_PAGES", lapwing_ring::MAX_PAGES as u64),
        ("MIN_PAGE_SIZE", lapwing_ring::MIN_PAGE_SIZE),
        ("MAX_PAGE_SIZE", lapwing_ring::MAX_PAGE_SIZE),
        ("MIN_SIZE", lapwing_ring::MIN_SIZE),
        ("MAX_LINES", lapwing_ring::MAX_LINES as u64),
        ("LINE_HEADER_LEN", lapwing_ring::LINE_HEADER_LEN as u64),
        ("DEFAULT_SIZE", lapwing_ring::DEFAULT_SIZE),
    ];
    let documented: Vec<_> = documented.iter().map(|row| (row[0].as_str(), number(&row[1]))).collect();
    assert_eq!(documented, code);
}

#[test]
fn geometry_is_the_documented_one() {
    for row in
        table("Geometry", &["size", "page_size", "page_count", "slot_count", "index_len", "pages_offset", "max_body"])
    {
        let row: Vec<u64> = row.iter().map(|cell| number(cell)).collect();
        let g = Geometry::new(row[0], None).unwrap();
        let (pages, slots, index) = (g.page_count() as u64, g.slot_count() as u64, g.index_len() as u64);
        assert_eq!(row, [g.size(), g.page_size(), pages, slots, index, g.pages_offset(), g.max_body() as u64]);
    }
    for size in (16..34).map(|power| 1u64 << power) {
        for page_size in [None, Some(4096), Some(8192), Some(16384), Some(32768), Some(65536)] {
            let Ok(g) = Geometry::new(size, page_size) else { continue };
            let page = page_size.unwrap_or((size / 16).clamp(4096, 65536));
            let slots = (size / 16 / 128).clamp(64, 1024);
            assert_eq!((g.page_size(), g.page_count() as u64), (page, size / page));
            assert_eq!((g.slot_count() as u64, g.index_len() as u64), (slots, page / 128));
            assert_eq!(g.pages_offset(), (4096 + slots * 128).div_ceil(4096) * 4096);
            assert_eq!(g.pages_end(), g.pages_offset() + size);
            let text = (page / 2).min(8192);
            let lines = (size / 16 / text).clamp(8, 1024);
            assert_eq!((g.line_len() as u64, g.new_lines() as u64), (text, lines));
            let texts = (g.pages_end() + lines * 64).div_ceil(4096) * 4096;
            assert_eq!(g.line_texts_offset(g.new_lines()), texts);
            assert_eq!(g.file_len(g.new_lines()), texts + lines * text);
            assert_eq!(g.file_len(0), g.pages_end());
            let data_words = page / 8 - 8 - page / 128;
            assert_eq!(g.max_body() as u64, data_words / 2 * 8 - 20);
        }
    }
}

#[test]
fn a_new_ring_has_the_documented_header_and_nothing_else() {
    let folder = Folder::new("new");
    let path = folder.join("ring");
    small().create(&path).unwrap();
    let (bytes, identity) = (Bytes::of(&path), identify_path(&path).unwrap());
    let g = identity.geometry;
    assert_eq!(bytes.0.len() as u64, g.file_len(identity.lines));
    assert_eq!(&bytes.0[..8], b"LAPWING\0");
    let header = offsets("Header");
    let word = |name: &str| bytes.u64(header[name].0);
    assert_eq!((word("magic"), word("format_version")), (lapwing_ring::MAGIC, lapwing_ring::FORMAT_VERSION));
    assert_eq!((word("header_len"), word("slot_len")), (4096, 128));
    assert_eq!((word("page_size"), word("page_count")), (g.page_size(), g.page_count() as u64));
    assert_eq!((word("slot_count"), word("index_len")), (g.slot_count() as u64, g.index_len() as u64));
    assert_eq!([word("ring_id"), bytes.u64(header["ring_id"].0 + 8)], identity.ring_id);
    assert_eq!([word("boot_id"), bytes.u64(header["boot_id"].0 + 8)], identity.boot_id);
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().replace('-', "");
    assert_eq!(format!("{:016x}", word("boot_id")), boot[..16]);
    assert_eq!((word("clock_kind"), word("ns_per_tick")), (identity.clock.kind() as u64, identity.clock.ns_per_tick()));
    assert_eq!(word("created"), identity.created_ns);
    assert_eq!((word("line_count"), identity.lines), (g.new_lines().into(), g.new_lines()));
    let meta = fs::metadata(&path).unwrap();
    let birth = meta.created().map_or(0, |time| time.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64);
    assert_eq!([word("file"), bytes.u64(header["file"].0 + 8)], [meta.ino(), birth]);
    assert_eq!((word("slots_high"), word("refused"), word("namespaces")), (0, 0, 0));
    // What no row names is zero, and rows do not overlap.
    let mut end = 0;
    let mut rows: Vec<_> = header.values().collect();
    rows.sort();
    for &&(at, len) in &rows {
        assert!(at >= end && bytes.is_zero(end, at), "reserved bytes {end}..{at}");
        end = at + len;
    }
    assert!(bytes.is_zero(end, g.pages_offset()), "the rest of the header, and the slots");

    let [head] = &all_bits("HEAD")[..] else { panic!("one bit table") };
    let word = word("head");
    let of_head = |name: &str| field(word, head[name]);
    assert_eq!(["page tag", "closed", "count", "next / step"].map(of_head), [1, 0, 0, 0]);

    let page = offsets("Page");
    let at = g.pages_offset() + g.page_size();
    assert_eq!((bytes.u64(at + page["epoch"].0), bytes.u64(at + page["base_seq"].0)), (1, 0));
    let clock = [page["mono_offset"].0, page["real_offset"].0].map(|offset| bytes.u64(at + offset));
    assert!(clock[1] > 1 << 50, "a realtime offset");
    assert!(bytes.is_zero(at + page["reserved"].0, at + g.page_size()));
    assert!(bytes.is_zero(g.pages_offset(), at) && bytes.is_zero(at + g.page_size(), g.file_len(identity.lines)));
}

#[test]
fn an_unfinished_line_lies_where_the_format_says() {
    let folder = Folder::new("line");
    let path = folder.join("ring");
    small().create(&path).unwrap();
    let log = Log::open(&path).unwrap();
    let mut kept = Kept::NOWHERE;
    let tid: u64 = fs::read_link("/proc/thread-self").unwrap().file_name().unwrap().to_str().unwrap().parse().unwrap();
    let text = b"unfinished, of 20 b.";
    assert!(log.keep(&mut kept, Level::WARN, Source::Stderr, text));
    let (bytes, identity) = (Bytes::of(&path), identify_path(&path).unwrap());
    let (geometry, lines) = (identity.geometry, identity.lines.into());
    let held = (0..lines).map(|i| geometry.pages_end() + 64 * i).filter(|&at| bytes.u64(at) != 0).collect::<Vec<_>>();
    let [at] = held[..] else { panic!("one place is held: {held:?}") };
    let (line, slot) = (offsets("Unfinished line"), offsets("Writer slot"));
    let word = |name: &str| bytes.u64(at + line[name].0);
    let [holder, meta] = &all_bits("Unfinished line")[..] else { panic!("two bit tables") };
    let [owner, _] = &all_bits("Writer slot")[..] else { panic!("two bit tables") };
    let owned = bytes.u64(4096 + slot["owner"].0);
    for name in ["pid", "image"] {
        assert_eq!(field(word("holder"), holder[name]), field(owned, owner[name]), "{name}");
    }
    let start = field(owned, owner["start time"]) & ((1 << 24) - 1);
    assert_eq!((field(word("holder"), holder["slot"]), field(word("holder"), holder["start time"])), (0, start));
    assert_eq!(word("who"), u64::from(std::process::id()) | (tid << 32));
    let of_meta = |name: &str| field(word("meta"), meta[name]);
    assert_eq!((of_meta("source"), of_meta("level"), of_meta("length")), (2, 13, 20));
    assert!(word("ticks") != 0);
    assert_eq!(bytes.u64(at + line["comm"].0), bytes.u64(4096 + slot["comm"].0));
    assert_eq!(word("uid"), bytes.u64(4096 + slot["uid"].0));
    let place = (at - geometry.pages_end()) / 64;
    let text_at = geometry.line_texts_offset(identity.lines) + place * geometry.line_len() as u64;
    assert_eq!(&bytes.0[text_at as usize..][..20], text);
    log.let_go(&mut kept);
    let bytes = Bytes::of(&path);
    assert_eq!([line["holder"].0, line["meta"].0].map(|offset| bytes.u64(at + offset)), [0, 0]);
}

#[test]
fn records_lie_where_the_format_says() {
    let folder = Folder::new("golden");
    let path = folder.join("ring");
    small().create(&path).unwrap();
    let writer = write_three(&path);
    let bytes = Bytes::of(&path);
    let g = identify_path(&path).unwrap().geometry;

    let (header, page) = (offsets("Header"), offsets("Page"));
    let at = g.pages_offset() + g.page_size();
    let [head] = &all_bits("HEAD")[..] else { panic!("one bit table") };
    let word = bytes.u64(header["head"].0);
    assert_eq!((field(word, head["page tag"]), field(word, head["closed"]), field(word, head["count"])), (1, 0, 3));
    assert_eq!((bytes.u64(at + page["epoch"].0), bytes.u64(at + page["base_seq"].0)), (1, 0));

    // One writer, in the first slot.
    let slot = offsets("Writer slot");
    let [owner, announce] = &all_bits("Writer slot")[..] else { panic!("two bit tables") };
    let slot_at = |name: &str| bytes.u64(4096 + slot[name].0);
    assert_eq!(bytes.u64(header["slots_high"].0), 1);
    assert_eq!(field(slot_at("owner"), owner["pid"]), std::process::id() as u64);
    assert_eq!((field(slot_at("owner"), owner["namespace"]), owner["lock"]), (0, (0, 1)));
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let start: u64 = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
    assert_eq!(field(slot_at("owner"), owner["start time"]), start & ((1 << 27) - 1));
    let inode = |name: &str| fs::metadata(format!("/proc/self/ns/{name}")).map_or(0, |meta| meta.ino());
    assert_eq!(bytes.u64(header["namespaces"].0), inode("pid") << 32 | inode("time"));
    assert_eq!(field(slot_at("announce"), announce["active"]), 0, "nobody is inside an append");
    assert_eq!(
        (field(slot_at("announce"), announce["page tag"]), field(slot_at("announce"), announce["counter"])),
        (0, 3)
    );
    assert_eq!((slot_at("records"), slot_at("bytes")), (3, 15));
    let comm = fs::read("/proc/self/comm").unwrap();
    let comm = comm.strip_suffix(b"\n").unwrap();
    assert_eq!(&bytes.0[4096 + slot["comm"].0 as usize..][..comm.len()], comm);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    assert!((now - 60_000_000_000..=now).contains(&slot_at("attached")));
    assert_eq!(slot_at("uid"), fs::metadata("/proc/self").unwrap().uid() as u64);
    assert_eq!(slot_at("start"), start);
    assert!(bytes.is_zero(4096 + slot["evidence"].0, 4096 + 128) && bytes.is_zero(4096 + 128, g.pages_offset()));

    // Index, then records, one behind the other.
    let [entry] = &all_bits("Page")[..] else { panic!("one bit table") };
    let record = offsets("Record");
    let [meta_bits] = &all_bits("Record")[..] else { panic!("one bit table") };
    let introduction = {
        let mut fields = vec![2, comm.len() as u8, 0];
        fields.extend(comm);
        fields.extend([4, 8, 0]);
        fields.extend(start.to_le_bytes());
        fields.extend([3, 4, 0]);
        fields.extend((slot_at("uid") as u32).to_le_bytes());
        fields
    };
    let with_fields = |fields: &[u8], payload: &[u8]| [&(fields.len() as u16).to_le_bytes(), fields, payload].concat();
    let own_fields = [&[1, 4, 0][..], b"disk", &[17, 10, 0, 1], b"n", &(-2i64).to_le_bytes()].concat();
    let expected: [(u64, u64, u64, Vec<u8>); 3] = [
        (1, 0, 9, with_fields(&introduction, b"hello")),
        (1, 0, 13, with_fields(&own_fields, b"two pieces")),
        (4 | 16, 6, 21, vec![]),
    ];
    let mut offset = 0;
    for (i, (flags, source, level, body)) in expected.into_iter().enumerate() {
        let word = bytes.u64(at + 64 + 8 * i as u64);
        assert_eq!((field(word, entry["epoch tag"]), field(word, entry["offset + 1"])), (1, offset + 1));
        let here = at + 64 + 8 * g.index_len() as u64 + 8 * offset;
        let meta = bytes.u32(here + record["meta"].0);
        assert_eq!(field(meta, meta_bits["length"]), body.len() as u64);
        assert_eq!((field(meta, meta_bits["flags"]), field(meta, meta_bits["source"])), (flags, source));
        assert_eq!(field(meta, meta_bits["level"]), level);
        assert!(bytes.u64(here + record["ticks"].0) > 0);
        assert_eq!(bytes.u32(here + record["pid"].0), std::process::id() as u64);
        assert_eq!(bytes.u32(here + record["tid"].0), thread_id());
        assert_eq!(bytes.0[here as usize + 20..][..body.len()], body);
        let words = (20 + body.len() as u64).div_ceil(8);
        assert!(bytes.is_zero(here + 20 + body.len() as u64, here + words * 8), "padded with zeros");
        offset += words;
    }
    assert_eq!(field(bytes.u64(header["head"].0), head["next / step"]), offset);
    assert_eq!(bytes.u64(at + 64 + 8 * 3), 0, "no fourth entry");

    // Who leaves gives the slot back; its counter stays.
    drop(writer);
    let bytes = Bytes::of(&path);
    assert_eq!(bytes.u64(4096), 0);
    assert_eq!(field(bytes.u64(4096 + slot["announce"].0), announce["counter"]), 3);
}

#[test]
fn flags_sources_levels_and_kinds_are_the_documented_ones() {
    let folder = Folder::new("names");
    let path = folder.join("ring");
    small().create(&path).unwrap();
    let mut writer = Writer::open(&path).unwrap();
    let sources =
        [Source::Api, Source::Stdout, Source::Stderr, Source::Log, Source::Syslog, Source::Journal, Source::Kmsg];
    let rows = table("Record", &["source", "name", "meaning"]);
    let code: Vec<_> = sources.iter().map(|&s| ((s as u64).to_string(), s.name().to_owned())).collect();
    assert_eq!(rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect::<Vec<_>>(), code);
    let flags = [Flags::FIELDS, Flags::CONT, Flags::PARTIAL, Flags::LAST_WORDS, Flags::ATTESTED];
    let rows = table("Record", &["flag", "name", "meaning"]);
    assert_eq!(rows.len(), flags.len());
    for (row, flag) in rows.iter().zip(flags) {
        assert_eq!(number(&row[0]), flag.bits() as u64);
        assert!(flag == Flags::FIELDS && row[1] == "fields" || flag.names().eq([row[1].as_str()]));
    }
    for row in table("Record", &["level", "name"]) {
        assert_eq!(row[1].parse::<Level>().unwrap().number() as u64, number(&row[0]));
    }
    // One record for each kind of field, the first behind the introduction.
    writer.append(Level::INFO, b"").unwrap();
    let fields = [
        Field::Tag(b"x"),
        Field::Comm(b"x"),
        Field::Uid(1),
        Field::Start(1),
        Field::KeyValue(b"k", Value::Text(b"x")),
        Field::KeyValue(b"k", Value::Int(1)),
        Field::KeyValue(b"k", Value::Uint(1)),
        Field::KeyValue(b"k", Value::Float(1.0)),
        Field::KeyValue(b"k", Value::Bool(true)),
    ];
    let data: [&[u8]; 9] = [
        b"x",
        b"x",
        &[1, 0, 0, 0],
        &[1, 0, 0, 0, 0, 0, 0, 0],
        b"\x01kx",
        b"\x01k\x01\0\0\0\0\0\0\0",
        b"\x01k\x01\0\0\0\0\0\0\0",
        b"\x01k\0\0\0\0\0\0\xf0\x3f",
        b"\x01k\x01",
    ];
    let rows = table("Body", &["kind", "name", "value"]);
    assert_eq!(rows.len(), fields.len());
    let g = identify_path(&path).unwrap().geometry;
    let at = g.pages_offset() + g.page_size() + 64;
    for (i, ((row, field), data)) in rows.iter().zip(fields).zip(data).enumerate() {
        writer.append_slices(&Draft { fields: &[field], ..Draft::new(Level::INFO) }, &[b"!"]).unwrap();
        let bytes = Bytes::of(&path);
        let offset = (bytes.u64(at + 8 * (i as u64 + 1)) & 0xffff) - 1;
        let body = &bytes.0[(at + 8 * g.index_len() as u64 + 8 * offset) as usize + 20..];
        let len = data.len() as u8;
        let expected = [&[len + 3, 0, number(&row[0]) as u8, len, 0], data, b"!"].concat();
        assert_eq!(body[..expected.len()], expected, "{}", row[1]);
    }
}

#[test]
fn refused_records_are_counted_under_their_cause() {
    let folder = Folder::new("refused");
    let path = folder.join("ring");
    small().create(&path).unwrap();
    let mut writer = Writer::open(&path).unwrap();
    let limit = writer.max_body();
    let too_long = vec![b'x'; limit + 1];
    assert_eq!(writer.append(Level::INFO, &too_long), Err(AppendError::TooLarge { len: limit + 1, limit }));
    assert!(writer.append(Level::INFO, &too_long[1..]).is_ok(), "the introduction is left out");
    let rest: Vec<_> = (1..64).map(|_| Writer::open(&path).unwrap()).collect();
    assert!(matches!(Writer::open(&path), Err(Error::TooManyWriters(_))));
    let at = offsets("Header")["refused"].0;
    let bytes = Bytes::of(&path);
    assert_eq!([0, 1, 2, 3].map(|i| bytes.u64(at + 8 * i)), [1, 1, 0, 0]);
    assert_eq!(table("Header", &["word", "cause"]).len(), 4);
    drop(rest);
}

fn line(record: &Record<'_>, raw_fields: &str) -> String {
    format!(
        "{} {} {} {} {} {} {} {} {} b'{}'",
        record.seq,
        record.mono_ns,
        record.real_ns,
        record.pid,
        record.tid,
        record.level.number(),
        record.source as u8,
        record.flags.bits(),
        raw_fields,
        record.payload.escape_ascii()
    )
}

#[test]
fn the_decoder_of_the_document_reads_what_the_reader_reads() {
    let folder = Folder::new("decoder");
    let path = folder.join("ring");
    small().create(&path).unwrap();
    let mut writer = write_three(&path);
    let run = |expect: &dyn Fn(&str)| {
        let text = fs::read_to_string(FORMAT).unwrap();
        let script = text.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
        match Command::new("python3").arg("-c").arg(script).arg(&path).output() {
            Err(error) => eprintln!("SKIPPED: no python3 ({error})"),
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                expect(std::str::from_utf8(&output.stdout).unwrap());
            }
        }
    };
    let check = |printed: &str| {
        let mut reader = Reader::open(&path).unwrap();
        let mut lines = printed.lines();
        let mut records = 0;
        loop {
            match reader.next().unwrap() {
                Read::Record(record) => {
                    let printed = lines.next().expect("a line for each record");
                    let raw_fields = printed.split(' ').nth(8).unwrap();
                    assert_eq!(printed, line(&record, raw_fields));
                    assert_eq!(raw_fields != "-", record.flags.contains(Flags::FIELDS));
                    records += 1;
                }
                Read::Lost(_) => {}
                Read::NotYet { .. } => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(lines.next(), None);
        assert!(records >= 3);
    };
    run(&check);
    // Again when the ring has gone round: pages of many lengths, the oldest gone.
    for i in 0..2000usize {
        let text = vec![b'a' + (i % 26) as u8; i * 7 % 300];
        writer.append(Level::new((i % 24 + 1) as u8).unwrap(), &text).unwrap();
    }
    run(&check);
    drop(writer);
    run(&check);
}

#[test]
fn what_is_no_ring_is_a_typed_error() {
    let folder = Folder::new("wrong");
    let good = folder.join("good");
    small().create(&good).unwrap();
    let mut whole = fs::read(&good).unwrap();
    let header = offsets("Header");
    // What is written elsewhere from here on is no copy.
    whole[header["file"].0 as usize..][..16].fill(0);
    let path = folder.join("wrong");
    let open = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let errors = [
            identify_path(&path).map(drop).unwrap_err(),
            Reader::open(&path).map(drop).unwrap_err(),
            Writer::open(&path).map(drop).unwrap_err(),
        ];
        assert_eq!(errors[0].to_string(), errors[1].to_string());
        assert_eq!(errors[0].to_string(), errors[2].to_string());
        let [error, ..] = errors;
        error
    };
    let with = |name: &str, value: u64| {
        let mut bytes = whole.clone();
        bytes[header[name].0 as usize..][..8].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    let geometry = |bytes: &[u8]| match open(bytes) {
        Error::BadGeometry { source, .. } => source,
        other => panic!("{other:?}"),
    };
    assert!(matches!(open(b""), Error::Truncated { len: 0, .. }));
    assert!(matches!(open(b"L"), Error::Truncated { len: 1, .. }));
    assert!(matches!(open(&whole[..100]), Error::Truncated { len: 100, needed: 4096, .. }));
    assert!(matches!(open(&whole[..4095]), Error::Truncated { len: 4095, .. }));
    let (len, needed) = (whole.len() as u64 - 1, whole.len() as u64);
    assert!(
        matches!(open(&whole[..whole.len() - 1]), Error::Truncated { len: l, needed: n, .. } if (l, n) == (len, needed))
    );
    assert!(matches!(open(&[0; 200_000]), Error::NotARing { found: 0, .. }));
    assert!(matches!(open(b"some text, no ring"), Error::NotARing { .. }));
    assert!(matches!(open(&with("magic", 1)), Error::NotARing { found: 1, .. }));
    let swapped = lapwing_ring::MAGIC.swap_bytes();
    assert!(matches!(open(&with("magic", swapped)), Error::NotARing { found, .. } if found == swapped));
    for version in [0, 2, u64::MAX] {
        let error = open(&with("format_version", version));
        assert!(matches!(error, Error::UnsupportedVersion { version: v, supported: 1, .. } if v == version));
    }
    assert!(matches!(open(&with("header_len", 8192)), Error::BadHeader { found: 8192, .. }));
    assert!(matches!(open(&with("slot_len", 64)), Error::BadHeader { found: 64, .. }));
    for page_size in [0, 1, 2048, 4095, 5000, 131072, u64::MAX] {
        assert!(matches!(geometry(&with("page_size", page_size)), GeometryError::PageSize { .. }), "{page_size}");
    }
    for pages in [0, 1, 2, 15, 1 << 17, u64::MAX] {
        assert!(matches!(geometry(&with("page_count", pages)), GeometryError::PageCount { .. }), "{pages}");
    }
    for slots in [0, 1025, u64::MAX] {
        assert!(matches!(geometry(&with("slot_count", slots)), GeometryError::SlotCount { .. }), "{slots}");
    }
    assert!(matches!(geometry(&with("index_len", 33)), GeometryError::IndexLen { expected: 32, .. }));
    assert!(matches!(open(&with("page_count", 65536)), Error::Truncated { .. }), "more pages than the file has");
    assert!(matches!(open(&with("slot_count", 1024)), Error::Truncated { .. }), "more slots than the file has");
    assert!(matches!(open(&with("clock_kind", 77)), Error::BadClock { kind: 77, .. }));
    assert!(matches!(open(&with("ns_per_tick", 0)), Error::BadHeader { found: 0, .. }));
    // Another boot: can be read, not written.
    fs::write(&path, with("boot_id", 5)).unwrap();
    // The time of birth: by it a file in memory is known to be of this boot, and /tmp may be in memory.
    OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&[0; 8], 128).unwrap();
    assert!(matches!(Writer::open(&path), Err(Error::OtherBoot { .. })));
    assert!(Reader::open(&path).is_ok());
    // HEAD that names no page: found when it is looked at.
    fs::write(&path, with("head", u64::MAX)).unwrap();
    assert!(Reader::open(&path).unwrap().next().is_err());
    assert_eq!(Writer::open(&path).unwrap().append(Level::INFO, b"x"), Err(AppendError::Damaged));
}

#[test]
fn a_saved_ring_is_the_documented_one() {
    let folder = Folder::new("saved");
    let (ring, path) = (folder.join("ring"), folder.join("saved"));
    small().create(&ring).unwrap();
    let mut writer = Writer::open(&ring).unwrap();
    // Over the ring's end, so that its pages have greater numbers than it has pages.
    for _ in 0..2000 {
        writer.append(Level::INFO, b"a record of thirty-two bytes....").unwrap();
    }
    Reader::open(&ring).unwrap().snapshot(|_, _| {}).unwrap().save(&path, false, |_, _| {}).unwrap();
    let (live, saved) = (Bytes::of(&ring), Bytes::of(&path));
    let (header, slot, page) = (offsets("Header"), offsets("Writer slot"), offsets("Page"));
    for (name, &(at, len)) in &header {
        let range = at as usize..(at + len) as usize;
        let same = live.0[range.clone()] == saved.0[range];
        assert_eq!(same, !["file", "saved", "head"].contains(&name.as_str()), "{name}");
    }
    assert_eq!([0, 8].map(|word| saved.u64(header["file"].0 + word)), [u64::MAX; 2]);
    let g = identify_path(&path).unwrap().geometry;
    let [head] = &all_bits("HEAD")[..] else { panic!("one bit table") };
    let word = saved.u64(header["head"].0);
    let pages = field(word, head["page tag"]);
    assert!(
        field(word, head["closed"]) == 0 && (1..=16).contains(&pages) && field(live.u64(1024), head["page tag"]) > 16
    );
    for number in 1..=pages {
        let at = g.pages_offset() + number % 16 * g.page_size();
        assert_eq!(saved.u64(at + page["epoch"].0), number);
    }
    // The numbers of what is missing, in place of the entry of the oldest record.
    let entry = g.pages_offset() + g.page_size() + 64;
    let reads = |number: u64| {
        let mut bytes = saved.0.clone();
        bytes[entry as usize..][..8].copy_from_slice(&number.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        reader.seek(lapwing_ring::Seek::Oldest).unwrap();
        match reader.next().unwrap() {
            Read::Abandoned(gap) => ("abandoned", gap.count),
            Read::Stalled(gap) => ("stalled", gap.count),
            Read::Lost(gap) => ("lost", gap.count),
            read => panic!("{read:?}"),
        }
    };
    let rows = table("Saved ring", &["entry", "meaning"]);
    assert_eq!(rows.len(), 3);
    for row in rows {
        let kind = row[1].split(':').next().unwrap();
        assert_eq!(reads(number(&row[0])), (kind, 1));
        assert_eq!(lapwing_ring::check(&path).unwrap().found, 0);
    }
    // The numbers of what is known of a writer.
    let rows = table("Saved ring", &["evidence", "life", "meaning"]);
    assert_eq!(rows.len(), 13);
    for row in rows {
        let mut bytes = saved.0.clone();
        bytes[4096 + slot["evidence"].0 as usize..][..8].copy_from_slice(&number(&row[0]).to_le_bytes());
        fs::write(&path, bytes).unwrap();
        let evidence = Reader::open(&path).unwrap().stat().unwrap().writers[0].evidence;
        assert_eq!(
            (format!("{:?}", evidence.life()).to_lowercase(), evidence.to_string()),
            (row[1].clone(), row[2].clone())
        );
    }
}
