//! Colors and the names of rings: what they add to a line, and that they add nothing else.

use lapwing_reader_shim::{Follow, Format, Item, Loss, LossKind, Renderer};
use lapwing_ring::{Create, Gap, Level, Reader, Writer};

const LOSS: Loss = Loss { kind: LossKind::Lost, gap: Gap { first: 7, count: 5 } };

/// A record at each of some levels, and a loss, a line each, from a renderer that `make` makes.
fn lines(make: impl Fn() -> Renderer) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring");
    Create::new().size(64 << 10).create(&path).unwrap();
    let mut writer = Writer::open(&path).unwrap();
    for level in [Level::DEBUG, Level::INFO, Level::NOTICE, Level::WARN, Level::ERR, Level::EMERG] {
        writer.append(level, b"text \x1b[31m").unwrap();
    }
    let (mut renderer, mut lines) = (make(), Vec::new());
    let mut follow = Follow::new(Reader::open(&path).unwrap());
    for _ in 0..6 {
        let mut line = Vec::new();
        follow
            .step(|item| {
                let Item::Record(record, who) = item else { panic!("{item:?}") };
                renderer.record(&mut line, &record, &who);
                Ok(())
            })
            .unwrap();
        lines.push(line);
    }
    let mut line = Vec::new();
    renderer.loss(&mut line, &LOSS);
    lines.push(line);
    lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
}

/// Times and pids differ from ring to ring: without digits.
fn without_digits(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[test]
fn colors_tell_levels_and_losses_apart_and_change_no_text() {
    let sgr = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
    for format in Format::ALL {
        let plain = lines(|| Renderer::new(format, true));
        let colored = lines(|| {
            let mut renderer = Renderer::new(format, true);
            renderer.set_colored(true);
            renderer
        });
        let stripped: Vec<String> = colored.iter().map(|line| without_digits(&sgr.replace_all(line, ""))).collect();
        if format == Format::Raw {
            assert_eq!(colored, plain, "its bytes are the records'");
            continue;
        }
        assert_eq!(stripped, plain.iter().map(|line| without_digits(line)).collect::<Vec<_>>(), "{format}");
        let begins: Vec<Option<&str>> = colored.iter().map(|line| sgr.find(line).map(|found| found.as_str())).collect();
        if matches!(format, Format::Json | Format::Logfmt) {
            assert_eq!(begins, [None; 7], "{format} is for programs");
            continue;
        }
        assert_eq!(begins[1], None, "info is what most of it is");
        let distinct: std::collections::BTreeSet<_> = begins.iter().collect();
        assert_eq!(distinct.len(), 7, "{format}: {begins:?}");
        for line in colored.iter().filter(|line| line.contains('\x1b')) {
            assert!(line.ends_with("\x1b[0m\n"), "{format}: a color ends with its line: {line:?}");
        }
    }
}

#[test]
fn one_of_several_rings_has_its_name_in_every_format_that_is_not_data_alone() {
    let first_and_loss = |format| {
        let lines = lines(|| Renderer::new(format, true).of_ring(b"a[b", b"/x/a[b"));
        (lines[0].clone(), lines[6].clone())
    };
    for format in [Format::Short, Format::ShortIso, Format::Mono] {
        let (record, loss) = first_and_loss(format);
        let name = record.find(r" a\x5bb render-").unwrap_or_else(|| panic!("{record}"));
        assert!(record[..name].ends_with(|c: char| c.is_ascii_digit() || c == ']'), "{record}: behind the time");
        assert_eq!(loss, "*** 5 records lost (seq 7..11 of a\\x5bb) ***\n");
    }
    let (record, _) = first_and_loss(Format::Verbose);
    assert!(record.contains(" src=api ring=/x/a[b : text"), "{record}");
    let (record, loss) = first_and_loss(Format::Logfmt);
    assert!(record.contains(" src=api ring=/x/a[b uid="), "{record}");
    assert_eq!(loss, "lost=5 first=7 last=11 ring=/x/a[b\n");
    let (record, loss) = first_and_loss(Format::Json);
    assert!(record.ends_with(",\"ring\":\"/x/a[b\"}\n"), "{record}");
    assert_eq!(loss, "{\"lost\":5,\"first\":7,\"last\":11,\"ring\":\"/x/a[b\"}\n");
    assert!(first_and_loss(Format::Cat).0.starts_with("text "));
}
