//! The only program of the guest: it makes the file systems, asks one question after the other, and switches off.

mod agree;
mod bpf;
mod child;
mod comes;
mod following;
mod hidden;
mod modules;
mod plain;
mod programs;
mod scene;
mod shared;
mod verdicts;

use lapwing_kallsyms::Symbolizer;
use modules::Modules;
use scene::{ANCHOR, Scene, milliseconds};
use std::time::Instant;
use verdicts::Verdicts;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if std::process::id() != 1 {
        return child::act(&arguments);
    }
    mount_all();
    let mut verdicts = Verdicts::open();
    verdicts.check("hidden addresses are explained", hidden::is_explained);
    ask(&mut verdicts);
    verdicts.end();
    rustix::system::reboot(rustix::system::RebootCommand::PowerOff).expect("power off");
}

fn ask(verdicts: &mut Verdicts) {
    let mut loaded = None;
    verdicts.check("without modules", || {
        let began = Instant::now();
        let symbolizer = Symbolizer::load().expect("the symbols");
        let took = milliseconds(began.elapsed());
        let snapshot = symbolizer.snapshot();
        let compared = agree::all(&snapshot);
        assert_eq!((compared.modules, compared.programs), (0, 0));
        loaded = Some(symbolizer);
        format!("{} symbols in {} bytes, loaded in {took}", compared.kernel, snapshot.size())
    });
    let Some(symbolizer) = loaded else { return };
    let scene = Scene::new(symbolizer);
    verdicts.check("the first module comes", || comes::first(&scene));
    let mut check = |name: &str, body: &dyn Fn(&Scene) -> String| {
        hidden::set("kernel/kptr_restrict", "0");
        Modules::unload_all_but(ANCHOR);
        verdicts.check(name, || body(&scene));
    };
    for name in scene.modules.names().into_iter().filter(|name| name != ANCHOR) {
        check(&format!("{name} comes and goes"), &|scene| comes::comes_and_goes(scene, &name));
    }
    check("a module moves", &comes::moves);
    check("dropped caches change nothing", &following::dropped_caches);
    check("hidden for a while", &following::hidden_for_a_while);
    check("uevents are lost", &following::lost_uevents);
    check("BPF programs come and go", &programs::come_and_go);
    check("BPF programs on a processor that comes", &programs::on_another_processor);
    check("nobody reads the shared table", &shared::is_read_by_nobody);
    check("modules come and go quickly", &|scene| following::churn(scene, 300));
    check("every symbol", &every_symbol);
}

/// With all modules, and a BPF program.
fn every_symbol(scene: &Scene) -> String {
    for name in scene.modules.names().into_iter().filter(|name| name != ANCHOR) {
        scene.modules.load_needs(&name);
        scene.modules.load(&name);
    }
    let _program = bpf::load("lapwing").expect("a program");
    scene.settle();
    scene.wait("the program is known", |now| now.module_named("bpf").is_some_and(|module| module.len() == 1));
    let snapshot = scene.snapshot();
    let compared = agree::all(&snapshot);
    assert!(compared.modules > 0 && compared.programs > 0);
    let state = scene.monitor.state();
    assert!(state.running && state.parked_reads > state.full_reads / 4, "{state:?}");
    format!(
        "{} of the kernel, {} of modules, {} of BPF, {} bytes; {state:?}",
        compared.kernel,
        compared.modules,
        compared.programs,
        snapshot.size()
    )
}

fn mount_all() {
    use rustix::mount::{MountFlags, mount};
    for (kind, at) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/run")] {
        mount(kind, at, kind, MountFlags::empty(), None::<&std::ffi::CStr>)
            .unwrap_or_else(|error| panic!("mount {at}: {error}"));
    }
}
