//! What is taken is what is drawn, whatever it is.

use super::*;
use crate::loss::Loss;
use lapwing_ring::{Fields, Flags, Gap, Record, Source as From, Who};

const S: i64 = 1_000_000_000;
/// 2026-11-21 20:00:00 UTC.
const T: i64 = 1_795_291_200 * S;

fn record(plot: &mut Plot, seq: u64, at: i64, pid: u32, comm: &str, level: Level) {
    let record = Record {
        seq,
        mono_ns: 0,
        real_ns: at,
        pid,
        tid: pid,
        level,
        source: From::Api,
        flags: Flags::NONE,
        fields: Fields::default(),
        payload: b"",
    };
    plot.take(Item::Record(record, Who { comm: comm.as_bytes(), uid: None }));
}

fn loss(plot: &mut Plot, kind: LossKind, first: u64, count: u64) {
    plot.take(Item::Loss(Loss { kind, gap: Gap { first, count } }));
}

fn totals(series: &[Series]) -> Vec<(&str, u64)> {
    series.iter().map(|series| (series.name.as_str(), series.total())).collect()
}

#[test]
fn every_record_is_in_one_bin_however_long_and_dense_the_log_is() {
    for (span, records) in
        [(0, 1), (3, 2), (2_500, 7), (S, 10_000), (40 * S, 100), (3 * 86_400 * S, 20_000), (i64::MAX / 4, 50)]
    {
        let (mut plot, mut times) = (Plot::new(By::Process), Vec::new());
        for i in 0..records {
            let at = T + (span as i128 * i as i128 / (records - 1).max(1) as i128) as i64;
            times.push(at);
            record(&mut plot, i as u64, at, 1 + i as u32 % 200, "p", Level::INFO);
        }
        for columns in [30, 70, 232] {
            let chart = plot.clone().chart("./ring", columns);
            assert!((1..=columns).contains(&chart.bins), "{span} {columns}: {}", chart.bins);
            assert!(chart.start_ns <= T && T + span < chart.end_ns(), "{span} {columns}");
            assert_eq!(chart.sources.iter().map(Series::total).sum::<u64>(), records as u64);
            assert_eq!(totals(&chart.levels), [("info", records as u64)]);
            let mut expected = vec![0; chart.bins];
            times.iter().for_each(|at| expected[((at - chart.start_ns) / chart.width_ns) as usize] += 1);
            assert_eq!(chart.levels[0].counts, expected, "{span} {columns}");
            // As fine as the paper allows.
            let finer = bins::NICE.into_iter().rev().find(|width| *width < chart.width_ns);
            if let Some(finer) = finer.filter(|_| span > 0 && records > 116) {
                assert!(
                    (T + span).div_euclid(finer) - T.div_euclid(finer) + 1 > columns as i64,
                    "{span} {columns} {finer}"
                );
            }
        }
    }
}

#[test]
fn the_greatest_have_a_row_each_and_the_rest_is_one() {
    let mut plot = Plot::new(By::Process);
    for (i, pid) in (1..=30u32).flat_map(|pid| (0..pid).map(move |_| pid)).enumerate() {
        record(&mut plot, i as u64, T + i as i64 * S, pid, if pid % 2 == 0 { "even" } else { "odd" }, Level::INFO);
    }
    let chart = plot.clone().chart("./ring", 232);
    let expected = [
        ("even[30]", 30),
        ("odd[29]", 29),
        ("even[28]", 28),
        ("odd[27]", 27),
        ("even[26]", 26),
        ("odd[25]", 25),
        ("even[24]", 24),
    ];
    assert_eq!(totals(&chart.sources)[..TOP], expected);
    assert_eq!((totals(&chart.sources)[TOP], chart.writers), (("23 others", 276), 30));
    let mut by_name = Plot { by: By::Name, ..Plot::new(By::Name) };
    for i in 0..10u64 {
        record(&mut by_name, i, T + i as i64 * S, 1 + i as u32, if i % 3 == 0 { "a" } else { "b" }, Level::INFO);
    }
    assert_eq!(totals(&by_name.chart("./ring", 232).sources), [("b", 6), ("a", 4)]);
    // Eight are eight: nobody is called `1 others`.
    let mut eight = Plot::new(By::Process);
    (1..=8).for_each(|pid| record(&mut eight, u64::from(pid), T + i64::from(pid), pid, "p", Level::INFO));
    assert!(!eight.chart("./ring", 232).has_others);
}

#[test]
fn a_process_has_the_name_it_had_last_and_none_can_steer_anything() {
    let mut plot = Plot::new(By::Process);
    for (i, name) in ["sh", "<g>\u{1b}[31m\n&\"", "?"].into_iter().enumerate() {
        record(&mut plot, i as u64, T + i as i64, 7, name, Level::INFO);
    }
    let chart = plot.chart("./<ring>\u{202e}", 232);
    assert_eq!(totals(&chart.sources), [("<g>\\x1b[31m\\x0a&\"[7]", 3)]);
    let (svg, text) = (chart.svg(), chart.text(100, false));
    assert!(svg.contains("&lt;g&gt;\\x1b[31m\\x0a&amp;&quot;[7]") && svg.contains("./&lt;ring&gt;\\u{202e}"));
    for out in [svg, text] {
        assert!(!out.contains("<g>\u{1b}") && !out.chars().any(|c| c != '\n' && crate::escape::is_hidden(c)), "{out}");
    }
}

#[test]
fn losses_stand_at_the_next_record_and_those_in_front_of_all_have_no_time() {
    let mut plot = Plot::new(By::Process);
    loss(&mut plot, LossKind::Lost, 0, 100);
    loss(&mut plot, LossKind::Lost, 100, 11);
    record(&mut plot, 111, T, 7, "p", Level::INFO);
    loss(&mut plot, LossKind::Lost, 112, 5);
    loss(&mut plot, LossKind::Abandoned, 117, 1);
    record(&mut plot, 118, T + 100 * S, 7, "p", Level::ERR);
    loss(&mut plot, LossKind::Stalled, 119, 2);
    let chart = plot.chart("./ring", 232);
    assert_eq!((chart.overwritten, chart.records, chart.seqs), (111, 2, Some((111, 118))));
    assert_eq!(totals(&chart.losses), [("lost", 5), ("abandoned", 1), ("stalled", 2)]);
    assert_eq!(totals(&chart.levels), [("err", 1), ("info", 1)]);
    for series in &chart.losses {
        assert_eq!(series.counts.iter().position(|count| *count > 0), Some(chart.bins - 1), "{}", series.name);
    }
    let text = chart.text(80, false);
    assert!(text.contains("111 lost: overwritten before this begins") && text.contains('▲'), "{text}");
}

/// Pictures that are hard to draw.
fn scenes() -> Vec<(&'static str, Plot)> {
    let mut scenes = vec![("nothing", Plot::new(By::Process))];
    let mut lost = Plot::new(By::Process);
    loss(&mut lost, LossKind::Lost, 0, u64::MAX);
    scenes.push(("all of it lost", lost));
    let mut one = Plot::new(By::Process);
    record(&mut one, 0, T, 7, "sh", Level::INFO);
    scenes.push(("one record", one));
    let names =
        ["nginx", "postgres", "worker-with-a-l", "<script>&\"", "日本語のプロセ", "sh", "wwwwwwwwwwwwwww", "python3"];
    let all = [
        Level::EMERG,
        Level::ALERT,
        Level::CRIT,
        Level::ERR,
        Level::WARN,
        Level::NOTICE,
        Level::INFO,
        Level::DEBUG,
        Level::TRACE,
    ];
    for (name, span) in [
        ("three days", 3 * 86_400 * S),
        ("one second", S),
        ("a hundred microseconds", 100_000),
        ("ten years", 3650 * 86_400 * S),
    ] {
        let mut plot = Plot::new(By::Process);
        loss(&mut plot, LossKind::Lost, 0, 18_000_000_000);
        for i in 0..5000u64 {
            let pid = (i * i * 7919 % 199) as u32;
            let level = all[if i % 50 == 0 { (i / 50 % 9) as usize } else { 6 }];
            record(&mut plot, i, T + span / 5000 * i as i64, 4_000_000 + pid, names[pid as usize % names.len()], level);
            if i % 311 < 2 {
                loss(&mut plot, LossKind::Lost, i, 123_456 + i);
            }
            if i % 700 == 600 {
                loss(&mut plot, LossKind::Abandoned, i, 1);
            }
        }
        loss(&mut plot, LossKind::Stalled, 0, 1);
        scenes.push((name, plot));
    }
    // Times that only a damaged ring has.
    let mut ages = Plot::new(By::Process);
    for (i, at) in [i64::MIN, i64::MAX, 0, T].into_iter().enumerate() {
        record(&mut ages, i as u64, at, 7, "sh", Level::INFO);
        loss(&mut ages, LossKind::Lost, 0, u64::MAX);
    }
    scenes.push(("all times", ages));
    let mut burst = Plot::new(By::Name);
    for i in 0..20_000 {
        record(&mut burst, i, T + if i == 0 { 0 } else { 86_400 * S }, 7, "burst", Level::INFO);
    }
    scenes.push(("a burst after a day", burst));
    scenes
}

#[test]
fn on_paper_no_text_lies_over_another_or_over_the_edge() {
    for (scene, plot) in scenes() {
        let svg = plot.chart("/dev/shm/lapwing-1000/a-ring-with-a-long-name", Chart::SVG_COLUMNS).svg();
        let boxes = paper::text_boxes(&svg);
        assert!(boxes.len() >= 3, "{scene}");
        for (i, (text, [left, top, right, bottom])) in boxes.iter().enumerate() {
            assert!(*left >= 0.0 && *right <= 1000.0 && *top >= 0.0, "{scene}: {text} {left} {right}");
            for (other, [l, t, r, b]) in &boxes[..i] {
                let apart = right <= l || r <= left || bottom <= t || b <= top;
                assert!(
                    apart,
                    "{scene}: {text:?} {left}..{right} {top}..{bottom} lies over {other:?} {l}..{r} {t}..{b}"
                );
            }
        }
    }
}

#[test]
fn as_text_no_line_is_wider_than_the_terminal() {
    use unicode_width::UnicodeWidthStr;
    for (scene, plot) in scenes() {
        for width in [60, 81, 300] {
            let text = plot
                .clone()
                .chart("/dev/shm/lapwing-1000/a-ring-with-a-long-name", Chart::text_columns(width))
                .text(width, false);
            for line in text.lines() {
                assert!(line.width() <= width, "{scene}: {} of {width}: {line}", line.width());
            }
            let painted = plot
                .clone()
                .chart("/dev/shm/lapwing-1000/a-ring-with-a-long-name", Chart::text_columns(width))
                .text(width, true);
            assert_eq!(painted.lines().count(), text.lines().count());
            assert_eq!(
                painted.matches("\u{1b}[0m").count() * 2,
                painted.matches('\u{1b}').count(),
                "every colour ends"
            );
        }
    }
}

#[test]
fn ticks_stand_on_the_local_clock_also_where_it_is_put_forward() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    // 2026-03-29 02:00 is 03:00 there.
    let start = 1_774_738_800 * S - 3 * 3600 * S;
    let ticks = axis::ticks(start, start + 12 * 3600 * S, 8, &zone);
    let labels: Vec<&str> = ticks.iter().map(|tick| tick.label.as_str()).collect();
    assert_eq!(labels, ["22:00", "00:00", "04:00", "06:00", "08:00", "10:00"]);
    let days: Vec<Option<&str>> = ticks.iter().map(|tick| tick.day.as_deref()).collect();
    assert_eq!(days[..3], [Some("Mar 28"), Some("Mar 29"), None]);
    let india = TimeZone::get("Asia/Kolkata").unwrap();
    let ticks = axis::ticks(T, T + 3600 * S, 8, &india);
    assert_eq!(ticks[0].label, "01:30", "half past, where the zone is half an hour off");
}
