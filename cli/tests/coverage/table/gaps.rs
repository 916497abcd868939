//! What does not come into the ring, though a standard stream gets it: each gap with the bytes that are missing.

use crate::case::{Case, Gap, Target};
use crate::check;
use lapwing_ring::Source::{Stderr, Stdout};

pub const GAPS: &[Case] = &[
    Case::new("C", "write by syscall(2)", "write", &["{bin}/prints", "by-number"]).gaps(&[Gap {
        source: Stdout,
        text: "syscall\n",
        why: "it calls the kernel, not the C library",
    }]),
    Case::new("Go with cgo", "puts from C, fmt.Println from Go", "stdio", &["{bin}/prints-cgo"]).gaps(&[Gap {
        source: Stdout,
        text: "by Go\n",
        why: "Go calls the kernel, not the C library",
    }]),
    Case::new("C", "aio_write", "", &["{bin}/prints", "placed", "aio"]).to(Target::File).gaps(&[Gap {
        source: Stdout,
        text: "placed\n",
        why: INSIDE,
    }]),
    Case::new("C", "psiginfo", "", &["{bin}/prints", "psiginfo"]).gaps(&[Gap {
        source: Stderr,
        text: "psiginfo: Interrupt (Signal sent by kill() 0 0)\n",
        why: INSIDE,
    }]),
    Case::new("C", "a broken heap", "", &["{bin}/prints", "freed"]).gaps(&[Gap {
        source: Stderr,
        text: "double free or corruption (!prev)\n",
        why: INSIDE,
    }]),
    Case::new("C", "a buffer that overflows", "", &["{bin}/prints", "overflow"]).gaps(&[Gap {
        source: Stderr,
        text: "*** buffer overflow detected ***: terminated\n",
        why: INSIDE,
    }]),
    Case::new("C", "a descriptor above 255", "write", &["{bin}/prints", "high"]).gaps(&[Gap {
        source: Stdout,
        text: "high\n",
        why: "nobody remembers what it is open on",
    }]),
    Case::new("ld.so", "a library that is missing", "", &["env", "LD_PRELOAD=/no/such.so", "true"]).gaps(&[Gap {
        source: Stderr,
        text: "ERROR: ld.so: object '/no/such.so' from LD_PRELOAD cannot be preloaded \
               (cannot open shared object file): ignored.\n",
        why: "the loader speaks before any library is there",
    }]),
];

const INSIDE: &str = "the C library calls itself by a name that nobody else can take";

#[test]
fn gaps() {
    check(GAPS);
}
