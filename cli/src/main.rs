//! The `lapwing` command: arguments in, calls to the other crates, an exit code out.

mod args;
mod check;
mod create;
mod doctor;
mod dump;
mod failure;
mod folder;
mod gc;
mod inherited;
mod kmsg;
mod last_words;
mod log;
mod look;
mod ls;
mod pages;
mod plot;
mod pump;
mod quantity;
mod run;
mod save;
mod stat;
mod sym;
mod symbols;
mod tail;
mod top;
mod users;
mod watch;

use crate::args::{Cli, Command};
use crate::failure::Failure;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Whoever may write a ring can cut it short under us: an error then, unless the kernel refuses even that.
    let _ = lapwing_ring::guard_mappings();
    let command = Cli::parse().command;
    let outcome = match command {
        command if command.is_for_its_output() && inherited::is_stdout_closed() => {
            Err(Failure::Output(rustix::io::Errno::BADF.into()))
        }
        Command::Run(args) => Ok(run::run(&args)),
        Command::Log(args) => log::log(&args),
        Command::Kmsg(args) => kmsg::kmsg(&args),
        Command::Tail(args) => tail::tail(&args),
        Command::Dump(args) => dump::dump(&args),
        Command::Stat(args) => stat::stat(&args),
        Command::Top(args) => top::top(&args),
        Command::Create(args) => create::create(&args),
        Command::Rm(args) => create::remove(&args),
        Command::Check(args) => check::run(&args),
        Command::Save(args) => save::save(&args),
        Command::Plot(args) => plot::plot(&args),
        Command::Ls(args) => ls::ls(&args),
        Command::Gc(args) => gc::gc(&args),
        Command::Sym(args) => sym::sym(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Pages(args) => pages::pages(&args),
        Command::Pump(args) => pump::serve(args),
        Command::PumpExec(args) => Ok(pump::exec(&args)),
    };
    outcome.unwrap_or_else(Failure::report)
}
