//! One table for the whole guest: root publishes it, and somebody without any privilege reads it.

#![forbid(unsafe_code)]

use std::io::BufRead;
use std::path::Path;
use std::time::Duration;

use lapwing_kallsyms::shared::{AttachError, Attached, Options, publish};

use crate::scene::Scene;
use crate::{child, plain};

const TABLE: &str = "/run/kallsyms";

/// What root reads in /proc/kallsyms is what nobody reads in the table, where he may, and follows from one to the next.
pub fn is_read_by_nobody(scene: &Scene) -> String {
    let name = "loop";
    let place = Path::new(TABLE);
    scene.settle();
    publish(place, &scene.snapshot(), &Options::default()).expect("published, for root alone");
    let refused = child::as_nobody(&["shared", TABLE]).ended();
    assert_eq!(refused, ["refused: mode 0600"]);

    let for_all = Options { mode: 0o644, ..Options::default() };
    let first = publish(place, &scene.snapshot(), &for_all).expect("published, for all");
    let mut nobody = child::as_nobody(&["shared", TABLE]);
    let symbols: Vec<_> = plain::text_symbols().into_iter().step_by(499).collect();
    for symbol in &symbols {
        assert_eq!(nobody.asked(&format!("{:x}", symbol.address)), answer(&scene.snapshot(), symbol.address, first));
    }

    scene.modules.load(name);
    scene.settle();
    let loaded = plain::of_module(name);
    let address = loaded[loaded.len() / 2].address;
    assert_eq!(nobody.asked(&format!("{address:x}")), format!("{first} no module at this address"));
    let second = publish(place, &scene.snapshot(), &for_all).expect("published again");
    let mut said = nobody.asked(&format!("{address:x}"));
    if said.starts_with(&format!("{first} ")) {
        // A reader that has just looked at the path does so again after 10 ms.
        std::thread::sleep(Duration::from_millis(100));
        said = nobody.asked(&format!("{address:x}"));
    }
    assert_eq!(said, answer(&scene.snapshot(), address, second));
    assert!(second > first && said.ends_with(&format!("[{name}]")), "{said}");
    assert_eq!(nobody.ended(), Vec::<String>::new());
    scene.modules.unload(name);
    scene.settle();
    format!("{} addresses, refused with mode 0600, and then {said}", symbols.len())
}

fn answer(snapshot: &lapwing_kallsyms::Snapshot, address: u64, generation: u64) -> String {
    match snapshot.lookup(address) {
        Ok(symbol) => format!("{generation} {symbol}"),
        Err(reason) => format!("{generation} {reason}"),
    }
}

/// The child: answers addresses out of the table at `path`, with the generation that it found them in.
pub fn serve(path: &str) {
    let attached = match Attached::open(Path::new(path)) {
        Ok(attached) => attached,
        Err(AttachError::PermissionDenied { mode, .. }) => return println!("refused: mode {mode:04o}"),
        Err(error) => return println!("{error}"),
    };
    assert!(crate::hidden::hidden().is_some(), "this process is to see no addresses but those of the table");
    for order in std::io::stdin().lock().lines() {
        let address = u64::from_str_radix(&order.expect("an order"), 16).expect("an address");
        attached.refresh().expect("the table");
        let snapshot = attached.snapshot();
        println!("{}", answer(&snapshot, address, snapshot.generation()));
    }
}
