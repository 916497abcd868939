//! Kills and holds a writer at every instruction: of an append, of one that turns the page, of those that lose a race; and
//! around every system call and store of attach, detach, create and take-over. Each time everything must add up.
//!
//! `steps [--sample N] [--seed S] [--only CASE] [--fate kill|hold|pause] [--at K]`

#[cfg(target_arch = "x86_64")]
#[path = "../../../../ring/tests/books/mod.rs"]
mod books;
#[cfg(target_arch = "x86_64")]
mod cases;
#[cfg(target_arch = "x86_64")]
mod operation;
#[cfg(target_arch = "x86_64")]
mod places;
#[cfg(target_arch = "x86_64")]
mod run;
#[cfg(target_arch = "x86_64")]
mod scene;
#[cfg(target_arch = "x86_64")]
mod trace;
#[cfg(target_arch = "x86_64")]
mod trial;
#[cfg(target_arch = "x86_64")]
mod watchdog;

#[cfg(target_arch = "x86_64")]
fn main() -> std::process::ExitCode {
    run::run(std::env::args().skip(1))
}

#[cfg(not(target_arch = "x86_64"))]
fn main() -> std::process::ExitCode {
    eprintln!("steps: single steps are known for x86-64 alone");
    std::process::ExitCode::FAILURE
}
