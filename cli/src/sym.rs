//! `lapwing sym`: kernel addresses to symbols, symbols to addresses, and the table that all of a host share.

mod answer;
mod args;
mod filter;
mod publish;

pub use args::SymArgs;

use crate::failure::{ERROR, Failure, NOTHING_MATCHED, say};
use crate::symbols::{Symbols, contradiction};
use args::Pattern;
use lapwing_kallsyms::Snapshot;
use std::io::{self, Write as _};
use std::process::ExitCode;

pub fn sym(args: &SymArgs) -> Result<ExitCode, Failure> {
    if args.publish {
        args.symbols.check_publishing();
        return publish::run(args);
    }
    if args.mode.is_some() || args.group.is_some() {
        contradiction("--mode and --group say how a table is published: --publish is missing");
    }
    args.symbols.check();
    let is_filter = args.addresses.is_empty() && args.name.is_none();
    let mut symbols = match Symbols::open(&args.symbols) {
        // The log that comes is worth more than the symbols in it.
        Err(failure) if is_filter && failure.is_hidden() => {
            let code = failure.say();
            filter::filter(None, args.json)?;
            return Ok(ExitCode::from(code));
        }
        symbols => symbols?,
    };
    if is_filter {
        filter::filter(Some(symbols), args.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let snapshot = symbols.snapshot();
    let mut out = Vec::new();
    let code = match &args.name {
        Some(pattern) => of_name(pattern, args.json, &snapshot, &mut out),
        None => of_addresses(&args.addresses, args.json, &snapshot, &mut out),
    };
    let mut stdout = io::stdout();
    stdout.write_all(&out).and_then(|()| stdout.flush()).map_err(Failure::Output)?;
    Ok(ExitCode::from(code))
}

fn of_addresses(addresses: &[u64], json: bool, snapshot: &Snapshot, out: &mut Vec<u8>) -> u8 {
    let mut code = 0;
    for &address in addresses {
        let found = snapshot.lookup(address);
        if found.is_err() {
            code = ERROR;
        }
        match found {
            found if json => answer::json(out, address, found),
            Ok(symbol) => answer::address(out, address, &symbol),
            Err(reason) => say(format_args!("{}: {reason}", answer::hex(address))),
        }
    }
    code
}

fn of_name(pattern: &Pattern, json: bool, snapshot: &Snapshot, out: &mut Vec<u8>) -> u8 {
    match pattern {
        Pattern::Name(name) => snapshot.find(name).for_each(|symbol| show(symbol, json, out)),
        Pattern::Prefix(prefix) => snapshot.find_prefix(prefix).for_each(|symbol| show(symbol, json, out)),
    }
    if !out.is_empty() {
        return 0;
    }
    say(match pattern {
        Pattern::Name(name) => format!("no function of the kernel is called {name:?}"),
        Pattern::Prefix(prefix) => format!("no function of the kernel has a name that begins with {prefix:?}"),
    });
    NOTHING_MATCHED
}

fn show(symbol: lapwing_kallsyms::Symbol<'_>, json: bool, out: &mut Vec<u8>) {
    match json {
        true => answer::json(out, symbol.address(), Ok(symbol)),
        false => answer::name(out, &symbol),
    }
}
