use lapwing_kallsyms::*;
use std::time::Instant;
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let sysfs = std::env::args().nth(2);
    let load = || {
        Symbolizer::load_from(Sources {
            kallsyms: path.clone().into(),
            modules: sysfs.clone().map(Into::into),
            notes: Some("/sys/kernel/notes".into()),
        })
        .unwrap()
    };
    for _ in 0..5 {
        let t = Instant::now();
        let s = load();
        let took = t.elapsed();
        let snap = s.snapshot();
        let n: usize = snap.modules().map(|m| m.len()).sum();
        println!(
            "{took:?} {} symbols {} bytes {:.3} each {} modules",
            n,
            snap.size(),
            snap.size() as f64 / n as f64,
            snap.modules().count()
        );
    }
    let s = load();
    let t = Instant::now();
    println!("reload {:?} {:?}", s.reload().unwrap(), t.elapsed());
    let snap = s.snapshot();
    let all: Vec<u64> = snap.modules().flat_map(|m| m.symbols()).map(|s| s.address()).collect();
    let mut x = 88172645463325252u64;
    let q: Vec<u64> = (0..1_000_000)
        .map(|_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            all[(x % all.len() as u64) as usize] + (x >> 60)
        })
        .collect();
    let mut flat: Vec<(u32, u32)> = all.iter().map(|a| (a.wrapping_sub(all[0]) as u32, 7)).collect();
    flat.sort();
    for _ in 0..3 {
        let t = Instant::now();
        let mut sum = 0u64;
        for &a in &q {
            let a = a.wrapping_sub(all[0]) as u32;
            let i = flat.partition_point(|f| f.0 <= a);
            if i > 0 {
                sum += u64::from(flat[i - 1].1) + u64::from(a - flat[i - 1].0);
            }
        }
        let f = t.elapsed();
        let t = Instant::now();
        for &a in &q {
            if let Ok(s) = snap.lookup(a) {
                sum = sum.wrapping_add(s.offset() + u64::from(s.id()));
            }
        }
        let bare = t.elapsed();
        let t = Instant::now();
        let mut buf = NameBuffer::default();
        for &a in &q {
            if let Ok(s) = snap.lookup(a) {
                sum = sum.wrapping_add(s.name_into(&mut buf).len() as u64);
            }
        }
        println!(
            "flat {} ns, lookup {} ns, with name {} ns ({sum})",
            f.as_nanos() / 1_000_000,
            bare.as_nanos() / 1_000_000,
            t.elapsed().as_nanos() / 1_000_000
        );
    }
}
