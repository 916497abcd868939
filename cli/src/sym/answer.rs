//! How `lapwing sym` says what it found.

use lapwing_kallsyms::{Reason, Symbol};
use lapwing_reader_shim::{push_escaped, to_json};
use serde::Serialize;

#[derive(Serialize)]
struct Found<'a> {
    address: String,
    module: &'a str,
    name: &'a str,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_id: Option<String>,
}

#[derive(Serialize)]
struct NotFound {
    address: String,
    reason: String,
}

/// As it is shown, with all its digits.
pub fn hex(address: u64) -> String {
    format!("{address:#018x}")
}

/// Appends one object and a newline.
pub fn json(out: &mut Vec<u8>, address: u64, found: Result<Symbol<'_>, Reason>) {
    let address = hex(address);
    let object = match found {
        Ok(symbol) => to_json(&Found {
            address,
            module: symbol.module().name(),
            name: symbol.name().as_str(),
            offset: symbol.offset(),
            build_id: symbol.module().build_id().map(|id| id.to_string()),
        }),
        Err(reason) => to_json(&NotFound { address, reason: reason.to_string() }),
    };
    out.extend_from_slice(&object);
    out.push(b'\n');
}

/// Appends `0xffffffff81234567 do_sys_open+0x1f [module]` and a newline.
pub fn address(out: &mut Vec<u8>, address: u64, symbol: &Symbol<'_>) {
    line(out, &format!("{} {symbol}", hex(address)));
}

/// Appends `0xffffffff81234548 do_sys_open [module]` and a newline.
pub fn name(out: &mut Vec<u8>, symbol: &Symbol<'_>) {
    // Without the offset, which is none.
    let shown = symbol.to_string();
    let (name, module) = shown.split_once("+0x0").unwrap_or((&shown, ""));
    line(out, &format!("{} {name}{module}", hex(symbol.address())));
}

fn line(out: &mut Vec<u8>, text: &str) {
    push_escaped(out, text.as_bytes());
    out.push(b'\n');
}
