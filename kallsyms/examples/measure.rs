use lapwing_kallsyms::*;
use std::time::Instant;
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let sysfs = std::env::args().nth(2);
    for _ in 0..3 {
        let t = Instant::now();
        let s = Symbolizer::load_from(Sources {
            kallsyms: path.clone().into(),
            modules: sysfs.clone().map(Into::into),
            notes: None,
        })
        .unwrap();
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
        if let Some(sys) = &sysfs {
            let _ = sys;
            let t = Instant::now();
            println!("reload {:?} {:?}", s.reload().unwrap(), t.elapsed());
        }
    }
    let s =
        Symbolizer::load_from(Sources { kallsyms: path.clone().into(), modules: sysfs.map(Into::into), notes: None })
            .unwrap();
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
    for _ in 0..3 {
        let t = Instant::now();
        let mut sum = 0u64;
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
            "lookup {} ns, with name {} ns ({sum})",
            bare.as_nanos() / 1_000_000,
            t.elapsed().as_nanos() / 1_000_000
        );
    }
}
