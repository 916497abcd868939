//! The command line of `lapwing sym`.

use crate::args::parse_mode;
use crate::symbols::SymbolArgs;
use clap::Args;

/// Say which function of the kernel an address lies in
#[derive(Debug, Args)]
#[command(after_help = "\
Without addresses it is a filter: each line of standard input is written as it is, kernel addresses in it replaced by
function+0x1f [module]. Addresses are 16 hexadecimal digits that begin with ffff, with or without 0x or [<..>] around them,
and a word of their own; those that a symbol stands beside already are left alone, as are those that have none.

Symbols come from the shared table, if there is one, else from /proc/kallsyms, which takes CAP_SYSLOG where
kernel.kptr_restrict is 1. `lapwing sym --publish` makes the shared table, so that others need no privilege: who may read
the file may see the kernel's addresses, by default its owner alone.

Exit code: 0 all addresses have a symbol, 1 one of them has none or there are no symbols to be had, 2 wrong usage.

Examples:
  lapwing sym ffffffff81234567
  dmesg -w | lapwing sym
  lapwing sym --name do_sys_open
  lapwing sym --json --name 'tcp_*' | jq -r .address
  lapwing sym --kallsyms crash/kallsyms < crash/dmesg
  lapwing sym --publish --follow --mode 0640 --group adm")]
pub struct SymArgs {
    /// One JSON object for each address, and nothing else
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub symbols: SymbolArgs,
    /// The symbols of this name, or those that begin with what stands in front of a `*` at its end
    #[arg(long, value_name = "PATTERN", value_parser = parse_pattern, conflicts_with_all = ["addresses", "publish"])]
    pub name: Option<Pattern>,
    /// Make the shared table, or a new one in its place
    #[arg(long, conflicts_with_all = ["addresses", "json"])]
    pub publish: bool,
    /// Go on, and make a new one whenever a module comes or goes, until interrupted
    #[arg(long, requires = "publish")]
    pub follow: bool,
    /// Permission bits of the shared table, octal: who reads it sees the kernel's addresses [default: 0600]
    #[arg(long, requires = "publish", value_name = "MODE", value_parser = parse_mode)]
    pub mode: Option<u32>,
    /// The group of the shared table, a name or a number
    #[arg(long, requires = "publish")]
    pub group: Option<String>,
    /// Hexadecimal, with or without 0x
    #[arg(value_name = "ADDRESS", value_parser = parse_address)]
    pub addresses: Vec<u64>,
}

/// What `--name` asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pattern {
    Name(String),
    Prefix(String),
}

fn parse_pattern(text: &str) -> Result<Pattern, &'static str> {
    let (pattern, front) = match text.strip_suffix('*') {
        Some(front) => (Pattern::Prefix(front.to_owned()), front),
        None => (Pattern::Name(text.to_owned()), text),
    };
    match text {
        "" => Err("no name; `*` stands for all"),
        _ if front.contains('*') => Err("a `*` can stand at the end only"),
        _ => Ok(pattern),
    }
}

fn parse_address(text: &str) -> Result<u64, &'static str> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    // Numbers may have a sign, addresses may not.
    let address = u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
    address.ok_or("not an address; addresses are up to 16 hexadecimal digits, like ffffffff81234567")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_logs_have() {
        for good in ["ffffffff81234567", "0xffffffff81234567", "0XFFFFFFFF81234567"] {
            assert_eq!(parse_address(good), Ok(0xffff_ffff_8123_4567), "{good}");
        }
        assert_eq!(parse_address("0"), Ok(0));
        for bad in ["", "0x", "+1", "-1", "0x+1", "g", "1ffffffff81234567", "do_sys_open", " 1"] {
            assert!(parse_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_is_a_name_or_how_names_begin() {
        assert_eq!(parse_pattern("a"), Ok(Pattern::Name("a".to_owned())));
        assert_eq!(parse_pattern("a*"), Ok(Pattern::Prefix("a".to_owned())));
        assert_eq!(parse_pattern("*"), Ok(Pattern::Prefix(String::new())));
        assert!(["", "*a", "a*b*", "**"].iter().all(|bad| parse_pattern(bad).is_err()));
    }
}
