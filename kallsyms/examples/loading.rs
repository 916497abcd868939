use lapwing_kallsyms::*;
fn main() {
    let path = std::env::args().nth(1).unwrap();
    for _ in 0..40 {
        let s = Symbolizer::load_from(Sources {
            kallsyms: path.clone().into(),
            modules: None,
            notes: Some("/sys/kernel/notes".into()),
        })
        .unwrap();
        std::hint::black_box(&s);
    }
}
